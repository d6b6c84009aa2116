//! Operations that map each level to another.

use std::array::from_fn;

/// Maps each plane through a table computed from the histogram of its levels.
fn tabulate(image: &mut [u8], plane: usize, table: impl Fn(&[usize; 256]) -> [u8; 256]) {
    for plane in image.chunks_exact_mut(plane) {
        let mut counts = [0; 256];
        for &level in &*plane {
            counts[usize::from(level)] += 1;
        }
        let table = table(&counts);
        for level in plane {
            *level = table[usize::from(*level)];
        }
    }
}

/// Returns the identity table.
fn unchanged() -> [u8; 256] {
    from_fn(|level| level as u8)
}

/// Returns the darkest and the brightest level that occur.
fn extremes(counts: &[usize; 256]) -> (usize, usize) {
    let occurs = |count: &usize| *count > 0;
    let darkest = counts.iter().position(occurs).unwrap_or(0);
    (darkest, counts.iter().rposition(occurs).unwrap_or(0))
}

pub fn auto_contrast(image: &mut [u8], plane: usize) {
    tabulate(image, plane, |counts| {
        let (darkest, brightest) = extremes(counts);
        if brightest == darkest {
            return unchanged();
        }
        // The order of these operations decides how the result is truncated.
        let scale = 255.0 / (brightest - darkest) as f64;
        let offset = -(darkest as f64) * scale;
        from_fn(|level| (level as f64 * scale + offset) as u8)
    });
}

pub fn equalize(image: &mut [u8], plane: usize) {
    tabulate(image, plane, |counts| {
        let (_, brightest) = extremes(counts);
        let step = (plane - counts[brightest]) / 255;
        if step == 0 {
            return unchanged();
        }
        let mut below = step / 2;
        counts.map(|count| {
            let level = below / step;
            below += count;
            level.min(255) as u8
        })
    });
}

pub fn solarize(image: &mut [u8], threshold: f64) {
    for level in image {
        if f64::from(*level) >= threshold {
            *level = 255 - *level;
        }
    }
}

pub fn posterize(image: &mut [u8], bits: u32) {
    let kept = (0xff00_u32 >> bits.min(8)) as u8;
    for level in image {
        *level &= kept;
    }
}

//! Operations that blend an image with a degenerate version of it.

/// Returns `from + factor (to − from)`, clamped. A factor above 1 extrapolates.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    (f32::from(from) + factor * (f32::from(to) - f32::from(from))) as u8
}

/// Returns the luma of a color (ITU-R 601-2), computed in units of 1/65,536.
fn gray([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
    ((sum + 0x8000) >> 16) as u8
}

/// Returns the planes of red, green and blue; `None` for a gray image.
fn planes(image: &mut [u8], plane: usize) -> Option<[&mut [u8]; 3]> {
    let (red, others) = image.split_at_mut(plane);
    let (green, blue) = others.split_at_mut_checked(plane)?;
    Some([red, green, blue])
}

pub fn color(image: &mut [u8], plane: usize, factor: f64) {
    let Some([red, green, blue]) = planes(image, plane) else {
        return;
    };
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let gray = gray([*red, *green, *blue]);
        for level in [red, green, blue] {
            *level = blend(gray, *level, factor as f32);
        }
    }
}

pub fn contrast(image: &mut [u8], plane: usize, factor: f64) {
    let sum: u64 = match planes(image, plane) {
        Some([red, green, blue]) => {
            let pixels = red.iter().zip(green.iter()).zip(blue.iter());
            pixels
                .map(|((&red, &green), &blue)| u64::from(gray([red, green, blue])))
                .sum()
        }
        None => image.iter().map(|&level| u64::from(level)).sum(),
    };
    let count = plane as u64;
    let mean = (2 * sum + count) / (2 * count); // to the nearest, and a half up
    for level in image {
        *level = blend(mean as u8, *level, factor as f32);
    }
}

pub fn brightness(image: &mut [u8], factor: f64) {
    for level in image {
        *level = blend(0, *level, factor as f32);
    }
}

pub fn sharpness(image: &mut [u8], [height, width]: [usize; 2], factor: f64) {
    for plane in image.chunks_exact_mut(height * width) {
        let source = plane.to_vec();
        for y in 1..height.saturating_sub(1) {
            for x in 1..width.saturating_sub(1) {
                let around = [y - 1, y, y + 1].map(|y| {
                    let row = &source[y * width + x - 1..=y * width + x + 1];
                    row.iter().map(|&level| u32::from(level)).sum::<u32>()
                });
                let level = source[y * width + x];
                // The pixel has weight 5 and its eight neighbors weight 1: thirteen in all,
                // rounded.
                let sum = around.iter().sum::<u32>() + 4 * u32::from(level);
                let smooth = ((2 * sum + 13) / 26) as u8;
                plane[y * width + x] = blend(smooth, level, factor as f32);
            }
        }
    }
}

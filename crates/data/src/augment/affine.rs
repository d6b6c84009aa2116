/// Where a pixel comes from: what is at `(x, y)` was at `(a x + b y + c, d x + e y + f)`, counted
/// from the top left corner of the image.
pub struct Affine(pub [f64; 6]);

/// A number in parts of 65,536, to the nearest: sums of them are exact on every machine.
fn fixed(number: f64) -> i64 {
    (number * 65_536.0 + 0.5).floor() as i64
}

impl Affine {
    /// About the center, against the clock.
    pub fn rotation(degrees: f64, [height, width]: [usize; 2]) -> Self {
        let (sin, cos) = (-degrees.to_radians()).sin_cos();
        let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
        let c = x - cos * x - sin * y;
        let f = y + sin * x - cos * y;
        Self([cos, sin, c, -sin, cos, f])
    }

    /// Move every plane: to each pixel the nearest one, and black from outside the image.
    pub fn apply(&self, image: &mut [u8], [height, width]: [usize; 2]) {
        let [a, b, c, d, e, f] = self.0;
        // Of the center of the first pixel.
        let origin = [fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5)];
        let [a, b, d, e] = [a, b, d, e].map(fixed);
        let inside = |place: i64, size: usize| {
            let place = usize::try_from(place >> 16).ok()?;
            (place < size).then_some(place)
        };
        for plane in image.chunks_exact_mut(height * width) {
            let source = plane.to_vec();
            for (y, row) in plane.chunks_exact_mut(width).enumerate() {
                let mut from = [origin[0] + b * y as i64, origin[1] + e * y as i64];
                for level in row {
                    let place = inside(from[0], width).zip(inside(from[1], height));
                    *level = place.map_or(0, |(x, y)| source[y * width + x]);
                    from = [from[0] + a, from[1] + d];
                }
            }
        }
    }
}

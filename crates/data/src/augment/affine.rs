/// Affine transform of an image: the pixel at `(x, y)` comes from `(a x + b y + c, d x + e y + f)`,
/// relative to the top left corner of the image.
pub struct Affine(pub [f64; 6]);

/// Returns a number in units of 1/65,536, rounded: sums of these are exact on every machine.
fn fixed(number: f64) -> i64 {
    (number * 65_536.0 + 0.5).floor() as i64
}

impl Affine {
    /// Creates the rotation about the center, counterclockwise.
    pub fn rotation(degrees: f64, [height, width]: [usize; 2]) -> Self {
        let (sin, cos) = (-degrees.to_radians()).sin_cos();
        let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
        let c = x - cos * x - sin * y;
        let f = y + sin * x - cos * y;
        Self([cos, sin, c, -sin, cos, f])
    }

    /// Transforms every plane of an image; each pixel takes the nearest source pixel, black outside
    /// the image.
    pub fn apply(&self, image: &mut [u8], [height, width]: [usize; 2]) {
        let [a, b, c, d, e, f] = self.0;
        // The position of the center of the first pixel.
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

/// A decoded image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedImage {
    /// Channels, height and width.
    pub shape: [usize; 3],
    /// Pixels from 0 to 255, as planes of rows.
    pub pixels: Vec<u8>,
}

impl DecodedImage {
    /// Returns the image in gray.
    pub(super) fn into_gray(self) -> Self {
        let [channels, height, width] = self.shape;
        if channels == 1 {
            return self;
        }
        let size = height * width;
        let level = |at| {
            let [red, green, blue] =
                [0, 1, 2].map(|plane| u32::from(self.pixels[plane * size + at]));
            // The weights of Rec. 601 in 16 bits, as Pillow has them.
            ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
        };
        Self {
            shape: [1, height, width],
            pixels: (0..size).map(level).collect(),
        }
    }

    /// Returns the image with this number of channels, 1 or 3.
    pub(super) fn with_channels(self, channels: usize) -> Self {
        let [own, height, width] = self.shape;
        match (own, channels) {
            (1, 3) => Self {
                shape: [3, height, width],
                pixels: self.pixels.repeat(3),
            },
            (3, 1) => self.into_gray(),
            _ => self,
        }
    }
}

use burn::tensor::Tensor;
use burn::tensor::ops::PadMode;

/// Grid of the square patches of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patches {
    pub side: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Patches {
    /// Returns patches whose side is an eighth of the longer side of the image, rounded up, and at
    /// least 2.
    pub fn of(input: [usize; 3]) -> Self {
        let [_, height, width] = input;
        Self::of_side(height.max(width).div_ceil(8).max(2), input)
    }

    pub fn of_side(side: usize, [_, height, width]: [usize; 3]) -> Self {
        Self {
            side,
            rows: height.div_ceil(side),
            columns: width.div_ceil(side),
        }
    }

    pub fn count(&self) -> usize {
        self.rows * self.columns
    }

    /// Returns the number of values in a patch.
    pub fn features(&self, [channels, ..]: [usize; 3]) -> usize {
        channels * self.side * self.side
    }

    /// Fills images up to whole patches, with zeros at the bottom and at the right.
    pub fn fill(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = images.dims();
        let missing = [
            self.rows * self.side - height,
            self.columns * self.side - width,
        ];
        match missing {
            [0, 0] => images,
            [below, right] => images.pad([(0, below), (0, right)], PadMode::Constant(0.0)),
        }
    }

    /// Cuts images into patches, row by row. From `[batch_size, channels, height, width]` to
    /// `[batch_size, count, features]`.
    pub fn cut(&self, images: Tensor<4>) -> Tensor<3> {
        let Self {
            side,
            rows,
            columns,
        } = *self;
        let [batch_size, channels, ..] = images.dims();
        self.fill(images)
            .reshape([batch_size, channels, rows, side, columns, side])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch_size, rows * columns, channels * side * side])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn the_side_of_a_patch_follows_the_image() {
        for (input, side, count) in [
            ([1, 8, 8], 2, 16),
            ([1, 28, 28], 4, 49),
            ([3, 32, 32], 4, 64),
            ([3, 13, 9], 2, 35),
            ([3, 224, 224], 28, 64),
            ([1, 1, 1], 2, 1),
        ] {
            let patches = Patches::of(input);
            assert_eq!((patches.side, patches.count()), (side, count), "{input:?}");
        }
    }

    #[test]
    fn patches_are_cut_row_by_row_and_filled_with_zeros() {
        let images = Tensor::arange(1..10, &Device::default()).float();

        let patches = Patches::of([1, 3, 3]).cut(images.reshape([1, 1, 3, 3]));

        let expected = TensorData::from([[
            [1.0, 2.0, 4.0, 5.0],
            [3.0, 0.0, 6.0, 0.0],
            [7.0, 8.0, 0.0, 0.0],
            [9.0, 0.0, 0.0, 0.0],
        ]]);
        patches.into_data().assert_eq(&expected, false);
    }
}

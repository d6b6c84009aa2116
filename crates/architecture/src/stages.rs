/// The shape of one residual block: what its layers are made from and what its plan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Channels that go in and come out.
    pub channels: [usize; 2],
    /// By how much the map shrinks.
    pub stride: usize,
}

impl Block {
    /// Whether the input has to be projected before the output of the block can be added to it.
    pub fn projects(&self) -> bool {
        let [inputs, outputs] = self.channels;
        inputs != outputs || self.stride != 1
    }
}

/// The blocks of the three stages of a CIFAR network. The first block of a stage brings the map to
/// the stage's width and, from the second stage on, to half the size.
pub(crate) fn stages([stem, widths @ ..]: [usize; 4], blocks: usize) -> [Vec<Block>; 3] {
    let mut inputs = stem;
    let mut stride = 1;
    widths.map(|width| {
        let first = Block {
            channels: [inputs, width],
            stride,
        };
        let other = Block {
            channels: [width, width],
            stride: 1,
        };
        inputs = width;
        stride = 2;
        let mut stage = vec![other; blocks];
        stage[0] = first;
        stage
    })
}

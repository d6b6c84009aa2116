use super::{LearnedLevelsGrid, LearnedStepGrid, UniformGrid};

/// Grid of the values of a quantized weight.
#[derive(Clone, Copy, Debug)]
pub(super) enum Grid {
    Uniform(UniformGrid),
    LearnedStep(LearnedStepGrid),
    LearnedLevels(LearnedLevelsGrid),
}

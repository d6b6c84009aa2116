/// Largest width of a layer, so that a typing error does not allocate all memory.
const WIDEST: usize = 65_536;

/// Largest depth of a network, for the same reason.
const DEEPEST: usize = 10_000;

/// Error about a network that cannot be created.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// No network has this name.
    #[error("no network named `{name}`{}; the known ones are {}", nearest.as_deref().map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default(), known.join(", "))]
    Unknown {
        /// Requested name.
        name: String,
        /// Known names and patterns of names.
        known: Vec<String>,
        /// The most similar known name, if one is similar enough.
        nearest: Option<String>,
    },
    /// The kind of network does not support this depth.
    #[error("the depth of a {kind} should be {rule} up to {DEEPEST}, but is {depth}")]
    Depth {
        /// Kind of network.
        kind: &'static str,
        /// Supported depths, as a formula.
        rule: &'static str,
        /// Requested depth.
        depth: usize,
    },
    /// The kind of network has only a few depths, and not this one.
    #[error("the depth of a {kind} should be one of {known:?}, but is {depth}")]
    UnknownDepth {
        /// Kind of network.
        kind: &'static str,
        /// Supported depths.
        known: &'static [usize],
        /// Requested depth.
        depth: usize,
    },
    /// The number of features is not a multiple of the number of attention heads.
    #[error(
        "the number of attention heads should be a divisor of the {features} features, but is {heads}"
    )]
    Heads {
        /// Number of features.
        features: usize,
        /// Number of heads.
        heads: usize,
    },
    /// The network has no layers.
    #[error("a {kind} should have at least one width, as in `{example}`")]
    NoWidths {
        /// Kind of network.
        kind: &'static str,
        /// Example of a valid name.
        example: &'static str,
    },
    /// The network cannot have several branches.
    #[error(
        "`{0}` cannot have branches: use a residual network, or a convolutional network with at \
         least two stages"
    )]
    NoBranches(String),
    /// The width of a layer is out of range.
    #[error("a width should be from 1 to {WIDEST}, but is {0}")]
    Width(usize),
    /// The number of classes is out of range.
    #[error("the number of classes should be from 1 to {WIDEST}, but is {0}")]
    Classes(usize),
    /// The vocabulary, or a number of tokens, is out of range for a text network.
    #[error("the {what} of a text network should be from 1 to {largest}, but is {found}")]
    TextInput {
        /// Checked number, in words.
        what: &'static str,
        /// Largest supported number.
        largest: usize,
        /// Requested number.
        found: usize,
    },
    /// The number of positions of a text network is out of range.
    #[error(
        "the number of positions of a text network should be from {length}, the number of tokens \
         of a sequence, to {longest}, but is {positions}"
    )]
    Positions {
        /// Number of tokens of a sequence.
        length: usize,
        /// Largest supported number of positions.
        longest: usize,
        /// Requested number of positions.
        positions: usize,
    },
    /// The image is too small for the network.
    #[error(
        "an input {input:?} of [channels, height, width] is too small: a {kind} needs at least {least:?}"
    )]
    Input {
        /// Kind of network.
        kind: &'static str,
        /// Shape of one sample: channels, height, width.
        input: [usize; 3],
        /// Smallest supported shape.
        least: [usize; 3],
    },
    /// The network has too many stages: every supported image is too small.
    #[error(
        "an input {input:?} of [channels, height, width] is too small for {stages} stages: a {kind} \
         halves height and width between stages, and supports sizes up to {WIDEST}; use at most \
         {} stages",
        WIDEST.ilog2() + 1
    )]
    Stages {
        /// Kind of network.
        kind: &'static str,
        /// Shape of one sample: channels, height, width.
        input: [usize; 3],
        /// Number of stages.
        stages: usize,
    },
    /// The image is too large.
    #[error(
        "an input {input:?} of [channels, height, width] is too large: a {kind} supports sizes up to \
         {WIDEST}"
    )]
    LargeInput {
        /// Kind of network.
        kind: &'static str,
        /// Shape of one sample: channels, height, width.
        input: [usize; 3],
    },
}

burn_distill_core::debug_as_display!(NetworkError);

/// Returns the number of blocks per stage of a network with three stages.
///
/// The depth is `blocks · 6 + rest`; `rule` is this formula for the error.
pub(crate) fn blocks_per_stage(
    kind: &'static str,
    rule: &'static str,
    depth: usize,
    rest: usize,
) -> Result<usize, NetworkError> {
    // Three stages of blocks with two convolutions each.
    const PER_BLOCK: usize = 6;
    match depth.checked_sub(rest) {
        Some(layers) if layers >= PER_BLOCK && layers % PER_BLOCK == 0 && depth <= DEEPEST => {
            Ok(layers / PER_BLOCK)
        }
        _ => Err(NetworkError::Depth { kind, rule, depth }),
    }
}

/// Checks the depth of a network of any depth from 1.
pub(crate) fn check_depth(kind: &'static str, depth: usize) -> Result<(), NetworkError> {
    let rule = "1 or more";
    match (1..=DEEPEST).contains(&depth) {
        true => Ok(()),
        false => Err(NetworkError::Depth { kind, rule, depth }),
    }
}

/// Returns the smallest height and width for a network that halves them between its stages.
pub(crate) fn least_halved(
    kind: &'static str,
    input: [usize; 3],
    stages: usize,
) -> Result<usize, NetworkError> {
    let least = 1usize.checked_shl(stages.saturating_sub(1) as u32);
    least
        .filter(|least| *least <= WIDEST)
        .ok_or(NetworkError::Stages {
            kind,
            input,
            stages,
        })
}

pub(crate) fn check_widths(widths: &[usize]) -> Result<(), NetworkError> {
    match widths.iter().find(|width| !(1..=WIDEST).contains(*width)) {
        Some(width) => Err(NetworkError::Width(*width)),
        None => Ok(()),
    }
}

pub(crate) fn check_ends(
    kind: &'static str,
    input: [usize; 3],
    least: [usize; 3],
    classes: usize,
) -> Result<(), NetworkError> {
    if input.iter().zip(least).any(|(size, least)| *size < least) {
        return Err(NetworkError::Input { kind, input, least });
    }
    if input.iter().any(|size| *size > WIDEST) {
        return Err(NetworkError::LargeInput { kind, input });
    }
    check_classes(classes)
}

pub(crate) fn check_classes(classes: usize) -> Result<(), NetworkError> {
    match (1..=WIDEST).contains(&classes) {
        true => Ok(()),
        false => Err(NetworkError::Classes(classes)),
    }
}

/// The widest layer that a network may have: a typing error should not allocate all memory.
const WIDEST: usize = 65_536;

/// The deepest network that may be built, for the same reason.
const DEEPEST: usize = 10_000;

/// Why a network cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// No network has this name.
    #[error("no network named `{name}`{}; known are {}", nearest.as_deref().map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default(), known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names and name patterns that there are.
        known: Vec<String>,
        /// The most similar of them, if one is similar.
        nearest: Option<String>,
    },
    /// No network of this kind has this depth.
    #[error("the depth of a {kind} should be {rule} up to {DEEPEST}, but is {depth}")]
    Depth {
        /// The kind of network.
        kind: &'static str,
        /// What depths there are, as a formula.
        rule: &'static str,
        /// The depth that was asked for.
        depth: usize,
    },
    /// Heads that do not share the features of a token.
    #[error("the heads of attention should divide its {features} features, but are {heads}")]
    Heads {
        /// The number of features.
        features: usize,
        /// The number of heads.
        heads: usize,
    },
    /// A network without layers.
    #[error("a {kind} should have at least one width, as in `{example}`")]
    NoWidths {
        /// The kind of network.
        kind: &'static str,
        /// A name that would do.
        example: &'static str,
    },
    /// A network without a last part that could be there several times.
    #[error(
        "`{0}` does not branch: a residual network, or a convolutional network of two stages or \
         more, does"
    )]
    NoBranches(String),
    /// A layer that is empty or enormous.
    #[error("a width should be in 1..={WIDEST}, but is {0}")]
    Width(usize),
    /// Nothing to tell apart, or enormously much.
    #[error("the number of classes should be in 1..={WIDEST}, but is {0}")]
    Classes(usize),
    /// The image is too small to pass through the network.
    #[error(
        "an input {input:?} of [channels, height, width] is too small: a {kind} needs {least:?}"
    )]
    Input {
        /// The kind of network.
        kind: &'static str,
        /// The shape of one sample: channels, height, width.
        input: [usize; 3],
        /// The smallest shape that fits.
        least: [usize; 3],
    },
    /// No image is large enough to pass through the network.
    #[error(
        "an input {input:?} of [channels, height, width] is too small for {stages} stages: a {kind} \
         halves height and width between stages, and takes sizes up to {WIDEST}; give it at most \
         {} stages",
        WIDEST.ilog2() + 1
    )]
    Stages {
        /// The kind of network.
        kind: &'static str,
        /// The shape of one sample: channels, height, width.
        input: [usize; 3],
        /// The number of stages.
        stages: usize,
    },
    /// The image is enormous.
    #[error(
        "an input {input:?} of [channels, height, width] is too large: a {kind} takes sizes up to \
         {WIDEST}"
    )]
    LargeInput {
        /// The kind of network.
        kind: &'static str,
        /// The shape of one sample: channels, height, width.
        input: [usize; 3],
    },
}

/// The number of blocks per stage of a network with three stages.
///
/// The depth is `blocks · per_block + rest`, where `rule` says it in words.
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

/// The depth of a network whose layers are counted one by one.
pub(crate) fn check_depth(kind: &'static str, depth: usize) -> Result<(), NetworkError> {
    let rule = "1 or more";
    match (1..=DEEPEST).contains(&depth) {
        true => Ok(()),
        false => Err(NetworkError::Depth { kind, rule, depth }),
    }
}

/// Returns the height and width that a network needs that halves them between stages.
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
    if !(1..=WIDEST).contains(&classes) {
        return Err(NetworkError::Classes(classes));
    }
    Ok(())
}

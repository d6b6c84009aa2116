//! The keys that losses of one kind have in common.

use crate::uniform_layer_map;
use burn_distill_architecture::{AdapterKind, FeatureAdapter, FeatureAdapterConfig};
use burn_distill_core::{
    BuiltLoss, Check, DefaultTaps, Input, LossBuilder, LossContext, LossError, MultiLayerLoss,
    TRIAL_SAMPLES, Tap, TapLoss, TapPair, TapPairs, Taps, read_config,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The names of taps of the student and of the teacher.
pub(crate) type Names = (Vec<String>, Vec<String>);

/// The defaults of a loss between adapted taps.
pub(crate) struct Adapted<C> {
    /// The taps.
    pub taps: DefaultTaps,
    /// The adapter between two of them.
    pub adapter: fn(&Tap, &Tap) -> FeatureAdapterConfig,
    /// The weights of a number of pairs.
    pub weights: fn(usize) -> Vec<f64>,
    /// The configuration of the loss.
    pub config: C,
}

/// Builds a loss between pairs of taps, of which the student's are adapted. `init` makes the loss for a tap
/// of the teacher.
pub(crate) fn adapted<I, C, L>(
    mut builder: LossBuilder<'_, I>,
    defaults: Adapted<C>,
    init: impl Fn(&C, &str) -> L,
) -> Result<BuiltLoss<I>, LossError>
where
    I: Input,
    C: Serialize + DeserializeOwned + Check,
    L: TapLoss,
{
    let names = builder.pairs(defaults.taps)?;
    let adapters = adapters(&mut builder, &names, defaults.adapter)?;
    let config = builder.configure(defaults.config)?;
    let weights = (defaults.weights)(names.len());
    let pairs = names.into_iter().zip(adapters).zip(weights);
    let pairs = pairs.map(|(((student, teacher), adapter), weight)| {
        let loss = init(&config, &teacher);
        TapPair::new(student, teacher, loss)
            .with_adapter(adapter)
            .with_weight(weight)
    });
    let pairs = TapPairs::from(pairs.collect::<Vec<_>>());
    builder.term(pairs)
}

/// The adapters of pairs of taps.
fn adapters<I: Input>(
    builder: &mut LossBuilder<'_, I>,
    pairs: &[(String, String)],
    default: fn(&Tap, &Tap) -> FeatureAdapterConfig,
) -> Result<Vec<FeatureAdapter>, LossError> {
    // The key is not the name of the field.
    builder.check_typed::<AdapterKind>("adapter")?;
    let keys = builder.take_part(&[
        ("adapter", "kind"),
        ("norm", "norm"),
        ("activation", "activation"),
        ("resize", "resize"),
    ]);
    let context = builder.context();
    let adapter = |(student, teacher): &(String, String)| {
        let student_tap = context.student_taps.get(student)?;
        let teacher_tap = context.teacher_taps.get(teacher)?;
        let config = read_config(keys.as_ref(), default(student_tap, teacher_tap), &[])?;
        let adapter = config.init(student_tap, teacher_tap, &context.device);
        adapter.map_err(LossError::new)
    };
    pairs
        .iter()
        .map(|pair| {
            let between = || format!("`adapter` from `{}` to `{}`", pair.0, pair.1);
            adapter(pair).map_err(|error| error.context(between()))
        })
        .collect()
}

/// The number of features or channels; none of what has none.
pub(crate) fn features(tap: &Tap) -> usize {
    tap.channels().unwrap_or_default()
}

/// Builds a loss between these layers of the student and of the teacher, made for their channels.
pub(crate) fn between<I: Input, L: MultiLayerLoss>(
    builder: LossBuilder<'_, I>,
    (student, teacher): Names,
    init: impl FnOnce(&[usize], &[usize], &LossContext<I>) -> L,
) -> Result<BuiltLoss<I>, LossError> {
    let context = builder.context();
    let inputs = builder.channels(&context.student_taps, &student)?;
    let outputs = builder.channels(&context.teacher_taps, &teacher)?;
    let loss = init(&inputs, &outputs, context);
    let samples = context.batch_size.max(TRIAL_SAMPLES);
    builder.layers_of((student, teacher), samples, loss)
}

/// Layers `first..=last` of the student with those of the teacher that it spreads over, unless the table
/// names some.
pub(crate) fn spread<I: Input>(
    builder: &mut LossBuilder<'_, I>,
    kind: &'static str,
    range: fn(usize) -> (usize, usize),
) -> Result<Names, LossError> {
    if builder.has_tap_names() {
        let pairs = builder.pairs(DefaultTaps::EveryOf(kind))?;
        return Ok(pairs.into_iter().unzip());
    }
    let context = builder.context();
    let depth = |taps: &Taps, side: &str| {
        let depth = DefaultTaps::depth_of(taps, kind);
        depth.map_err(|error| error.context(format_args!("`{side}`")))
    };
    let student = depth(&context.student_taps, "student")?;
    let teacher = depth(&context.teacher_taps, "teacher")?;
    let map = uniform_layer_map(student, teacher).map_err(LossError::new)?;
    let (first, last) = range(student);
    if first > last {
        return Err(LossError::new(
            "the student has no layer before its last: name one as `student`",
        ));
    }
    let name = |layer| format!("{kind}.{layer}");
    Ok((first..=last)
        .map(|layer| (name(layer), name(map[layer])))
        .unzip())
}

//! Recipe keys that losses of one kind have in common.

use crate::uniform_layer_map;
use burn_distill_architecture::{AdapterKind, FeatureAdapter, FeatureAdapterConfig};
use burn_distill_core::{
    BuiltLoss, Check, DefaultTaps, Input, LossBuilder, LossContext, LossError, MultiLayerLoss,
    TRIAL_SAMPLES, Tap, TapLoss, TapPair, Taps, read_config,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Names of the taps of the student and of the teacher.
pub(crate) type Names = (Vec<String>, Vec<String>);

/// Defaults of a loss between adapted taps.
pub(crate) struct Adapted<C> {
    /// Taps that are compared.
    pub taps: DefaultTaps,
    /// Check of two taps before the adapter.
    pub check: fn(&Tap, &Tap) -> Result<(), LossError>,
    /// Default adapter between two taps.
    pub adapter: fn(&Tap, &Tap) -> FeatureAdapterConfig,
    /// Weights for a number of pairs.
    pub weights: fn(usize) -> Vec<f64>,
    /// Configuration of the loss.
    pub config: C,
}

/// Builds a loss between pairs of taps, with an adapter for the student's tap. `init` creates the
/// loss for a tap of the teacher.
pub(crate) fn adapted<I, C, L>(
    builder: LossBuilder<'_, I>,
    defaults: Adapted<C>,
    init: impl Fn(&C, &str) -> L,
) -> Result<BuiltLoss<I>, LossError>
where
    I: Input,
    C: Serialize + DeserializeOwned + Check,
    L: TapLoss,
{
    adapted_by(builder, defaults, |config, teacher| {
        Ok(init(config, teacher))
    })
}

/// Builds a loss like [`adapted`], where `init` may return an error.
pub(crate) fn adapted_by<I, C, L>(
    mut builder: LossBuilder<'_, I>,
    defaults: Adapted<C>,
    init: impl Fn(&C, &str) -> Result<L, LossError>,
) -> Result<BuiltLoss<I>, LossError>
where
    I: Input,
    C: Serialize + DeserializeOwned + Check,
    L: TapLoss,
{
    let names = builder.pairs(defaults.taps)?;
    let context = builder.context();
    for (student, teacher) in &names {
        let taps = (
            context.student_taps.get(student)?,
            context.teacher_taps.get(teacher)?,
        );
        let between =
            || format!("between `{student}` of the student and `{teacher}` of the teacher");
        (defaults.check)(taps.0, taps.1).map_err(|error| error.context(between()))?;
    }
    let adapters = adapters(&mut builder, &names, defaults.adapter)?;
    let config = builder.configure(defaults.config)?;
    let weights = (defaults.weights)(names.len());
    let pairs = names.into_iter().zip(adapters).zip(weights);
    let pairs = pairs.map(|(((student, teacher), adapter), weight)| {
        let loss = init(&config, &teacher)?;
        let pair = TapPair::new(student, teacher, loss);
        Ok(pair.with_adapter(adapter).with_weight(weight))
    });
    builder.tap_pairs(pairs.collect::<Result<Vec<_>, LossError>>()?)
}

/// Creates the adapters for pairs of taps.
fn adapters<I: Input>(
    builder: &mut LossBuilder<'_, I>,
    pairs: &[(String, String)],
    default: fn(&Tap, &Tap) -> FeatureAdapterConfig,
) -> Result<Vec<FeatureAdapter>, LossError> {
    // Checked first, because the key differs from the name of the field.
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

/// Returns the number of features or channels, or 0 if the tap has neither.
pub(crate) fn features(tap: &Tap) -> usize {
    tap.channels().unwrap_or_default()
}

/// Builds a loss between layers of the student and of the teacher, created for their numbers of
/// channels.
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

/// Takes layers `first..=last` of the student and the matching layers of the teacher (every
/// `k`-th), unless the table names layers.
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
            "the student has no layer before its last: name a layer with the key `student`",
        ));
    }
    let name = |layer| format!("{kind}.{layer}");
    Ok((first..=last)
        .map(|layer| (name(layer), name(map[layer])))
        .unzip())
}

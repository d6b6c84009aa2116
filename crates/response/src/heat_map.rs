use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero};
use burn_distill_core::{
    CatalogEntry, Check, Context, Input, Knowledge, LossEntry, LossTerm, NamedLoss, Response,
    Targets, Weighted, one_line_display, reduce_rows,
};

/// Configuration to create a [heat-map loss](HeatMapLoss) using the
/// [init function](HeatMapLossConfig::init).
#[derive(Config, Debug)]
pub struct HeatMapLossConfig {}

impl HeatMapLossConfig {
    /// Initialize a [heat-map loss](HeatMapLoss).
    pub fn init(&self) -> HeatMapLoss {
        HeatMapLoss {}
    }
}

impl Check for HeatMapLossConfig {}

/// Heat-map loss: the maps of the student, one per joint, should be those of the teacher.
///
/// For every sample, with `w` the `visibility` of a joint, or 1,
///
/// ```text
/// L = ½ · mean over joints and pixels of (w · (student − teacher))²
/// ```
///
/// The visibility counts by its square, and joints that are not visible count in the mean, as in
/// the reference; what either network says about them does not matter. The teacher is a constant:
/// no gradient flows to it. Half precision is widened to single.
///
/// A stacked hourglass gives one response per stack; the authors compare each of them with the last
/// of the teacher.
///
/// # Weights
///
/// The authors give half of the weight to this and half to the same loss with the maps of the
/// annotation, which is [`TargetHeatMaps`].
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::HeatMapLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<4>::zeros([1, 2, 8, 8], &device);
/// let teacher = Tensor::<4>::ones([1, 2, 8, 8], &device);
/// let visibility = Tensor::from_data([[1.0, 0.0]], &device); // the second joint is hidden
///
/// let criterion = HeatMapLossConfig::new().init();
/// let loss = criterion.forward(student, teacher, Some(visibility), Reduction::Mean);
///
/// assert!((loss.into_scalar::<f32>() - 0.25).abs() < 1e-6);
/// ```
///
/// # Reference
///
/// F. Zhang, X. Zhu and M. Ye, [Fast Human Pose Estimation](https://arxiv.org/abs/1811.05419)
/// (FPD), CVPR 2019. Agrees with `JointsMSELoss` of fast-human-pose-estimation.pytorch.
#[doc(alias = "FPD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct HeatMapLoss {}

one_line_display!(HeatMapLoss);

impl HeatMapLoss {
    /// Compute the loss of every sample, then reduce to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// samples.
    ///
    /// # Shapes
    ///
    /// - student, teacher: `[batch_size, joints, height, width]`
    /// - visibility: `[batch_size, joints]`; without it, all are visible
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward(
        &self,
        student: Tensor<4>,
        teacher: Tensor<4>,
        visibility: Option<Tensor<2>>,
        reduction: Reduction,
    ) -> Tensor<1> {
        let loss = self.forward_no_reduction(student, teacher, visibility);
        reduce_rows(loss, None, &reduction)
    }

    /// Compute the loss of every sample, without reducing.
    ///
    /// # Shapes
    ///
    /// - student, teacher: `[batch_size, joints, height, width]`
    /// - visibility: `[batch_size, joints]`; without it, all are visible
    /// - output: `[batch_size]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward_no_reduction(
        &self,
        student: Tensor<4>,
        teacher: Tensor<4>,
        visibility: Option<Tensor<2>>,
    ) -> Tensor<1> {
        let [batch_size, joints, height, width] = student.dims();
        assert_shape!(teacher, [batch_size, joints, height, width]);

        let teacher = at_least_f32(teacher.without_autodiff());
        let difference = at_least_f32(student).sub(teacher);
        let difference = match visibility {
            None => difference,
            Some(visibility) => {
                assert_shape!(visibility, [batch_size, joints]);
                let visibility = visibility
                    .without_autodiff()
                    .cast(difference.dtype())
                    .reshape([batch_size, joints, 1, 1]);
                // A map of a joint that is not there may be anything, and 0 · NaN is NaN.
                let hidden: Tensor<4, Bool> = visibility.clone().equal_scalar(0.0);
                // Not `expand`, which refuses a batch of no samples.
                let hidden = hidden.repeat_dim(2, height).repeat_dim(3, width);
                difference.mask_fill(hidden, 0.0).mul(visibility)
            }
        };
        let elements = (joints * height * width).max(1);
        let square: Tensor<2> = difference.square().flatten(1, 3);
        square
            .sum_dim(1)
            .squeeze_dim(1)
            .div_scalar(2.0 * elements as f64)
    }
}

impl NamedLoss for HeatMapLoss {
    fn name(&self) -> &'static str {
        "heat-map"
    }
}

/// A [heat-map loss](HeatMapLoss) between the responses of student and teacher, as one weighted
/// term.
///
/// The visibility of the joints is that of the [targets](Targets::Maps); with targets of another kind
/// all joints of all samples count.
///
/// # Panics
///
/// `forward` panics if a response is not one of maps, or if the visibility is of other joints.
///
/// # Example
///
/// ```
/// use burn_distill_response::{HeatMapLossConfig, HeatMapObjective};
///
/// let objective = HeatMapObjective::new(HeatMapLossConfig::new().init(), 0.5);
///
/// assert_eq!(objective.name, "heat-map");
/// ```
pub type HeatMapObjective = Weighted<HeatMapLoss>;

impl LossTerm for HeatMapLoss {
    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let student = maps(&context.student.response, "student");
        let teacher = maps(&context.teacher.response, "teacher");
        let visibility = match context.targets {
            Targets::Maps { visibility, .. } => visibility.clone(),
            _ => None,
        };
        self.forward(student, teacher, visibility, Reduction::Mean)
    }
}

/// The term of a [heat-map loss](HeatMapLoss) between the response of the student and the maps of the
/// annotation: see [`TargetHeatMaps`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct TargetHeatMapsTerm {
    /// The loss.
    pub loss: HeatMapLoss,
}

one_line_display!(TargetHeatMapsTerm: loss);

/// A [heat-map loss](HeatMapLoss) between the response of the student and the maps of the annotation,
/// as one weighted term: the counterpart of [`CrossEntropyObjective`](burn_distill_core::CrossEntropyObjective) for maps.
///
/// The [targets](Targets::Maps) hold the maps and the visibility of the joints. Without targets the
/// term is zero.
///
/// # Panics
///
/// `forward` panics if the response or the targets are not of maps, or if these are of other joints.
///
/// # Example
///
/// This is the objective of Zhang, Zhu and Ye, half of the annotation and half of the teacher:
///
/// ```
/// use burn_distill_response::{TargetHeatMaps, HeatMapLossConfig, HeatMapObjective};
///
/// let loss = HeatMapLossConfig::new().init();
/// let objective = (TargetHeatMaps::new(loss.clone(), 0.5), HeatMapObjective::new(loss, 0.5));
///
/// assert_eq!(objective.0.name, "annotated-maps");
/// ```
pub type TargetHeatMaps = Weighted<TargetHeatMapsTerm>;

impl From<HeatMapLoss> for TargetHeatMapsTerm {
    fn from(loss: HeatMapLoss) -> Self {
        Self { loss }
    }
}

impl NamedLoss for TargetHeatMapsTerm {
    fn name(&self) -> &'static str {
        "annotated-maps"
    }
}

impl<T> LossTerm<Knowledge, T> for TargetHeatMapsTerm {
    fn value(&self, context: &Context<'_, Knowledge, T>) -> Tensor<1> {
        let student = maps(&context.student.response, "student");
        match context.targets {
            Targets::Maps { maps, visibility } => {
                let (maps, visibility) = (maps.clone(), visibility.clone());
                self.loss
                    .forward(student, maps, visibility, Reduction::Mean)
            }
            Targets::Unlabeled => connected_zero(student),
            _ => panic!("The heat-map loss of the annotation needs targets of maps."),
        }
    }
}

fn maps(response: &Response, whose: &str) -> Tensor<4> {
    match response {
        Response::Maps(maps) => maps.clone(),
        _ => {
            panic!("The heat-map loss compares maps, but the {whose} responds with something else.")
        }
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "heat-map",
        abbreviation: "FPD",
        about: "matches the heat maps of joints",
        kind: "response",
        aliases: &["fpd"],
        reference: "Zhang, Zhu and Ye, Fast Human Pose Estimation, CVPR 2019",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        let config = builder.configure(HeatMapLossConfig::new())?;
        builder.term(config.init())
    })
    .of_responses("maps of joints")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device, TensorData};
    use burn_distill_core::{Clock, Objective, Taps};

    fn student(device: &Device) -> Tensor<4> {
        series(|n| (0.37 * n + 0.2).sin(), device)
    }

    fn teacher(device: &Device) -> Tensor<4> {
        series(|n| (0.23 * n + 0.5).cos(), device)
    }

    fn series(value: impl Fn(f64) -> f64, device: &Device) -> Tensor<4> {
        let values: Vec<f64> = (0..96).map(|n| value(n as f64)).collect();
        Tensor::from_data(TensorData::new(values, [2, 3, 4, 4]), device)
    }

    fn visibility(device: &Device) -> Tensor<2> {
        Tensor::from_data([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], device)
    }

    fn criterion() -> HeatMapLoss {
        HeatMapLossConfig::new().init()
    }

    /// The mean, and the gradient of the student.
    fn mean_and_gradient(
        student: Tensor<4>,
        teacher: Tensor<4>,
        visibility: Option<Tensor<2>>,
    ) -> (f64, TensorData) {
        let student = student.require_grad();
        let teacher = teacher.require_grad();
        let loss = criterion().forward(
            student.clone(),
            teacher.clone(),
            visibility,
            Reduction::Mean,
        );
        let grads = loss.clone().backward();
        assert!(teacher.grad(&grads).is_none(), "the teacher has a gradient");
        let gradient = student.grad(&grads).unwrap().into_data();
        (loss.into_scalar::<f64>(), gradient)
    }

    fn norm(gradient: &TensorData) -> f64 {
        let square: f64 = gradient.iter::<f64>().map(|value| value * value).sum();
        square.sqrt()
    }

    // Expected values: `JointsMSELoss` of fast-human-pose-estimation.pytorch, and
    // scripts/labeled.py.

    #[test]
    fn matches_the_reference_implementation() {
        let device = Device::default().autodiff();
        for (visibility, expected, expected_norm) in [
            (Some(visibility(&device)), 0.274896191, 0.0756769713),
            (None, 0.488262324, 0.100856987),
        ] {
            let (value, gradient) =
                mean_and_gradient(student(&device), teacher(&device), visibility);

            assert!((value / expected - 1.0).abs() < 3e-6, "{value}");
            let norm = norm(&gradient);
            assert!((norm / expected_norm - 1.0).abs() < 3e-6, "{norm}");
        }
    }

    #[test]
    fn every_reduction_is_known() {
        let device = Device::default();
        let loss = |reduction| {
            criterion()
                .forward(student(&device), teacher(&device), None, reduction)
                .into_scalar::<f32>()
        };

        for reduction in [Reduction::Mean, Reduction::BatchMean, Reduction::Auto] {
            assert!((loss(reduction) - 0.488262).abs() < 1e-6);
        }
        assert!((loss(Reduction::Sum) - 0.976525).abs() < 2e-6);
    }

    #[test]
    fn visibility_counts_by_its_square() {
        let device = Device::default();
        let loss = |visibility: f64| {
            let visibility = Tensor::full([2, 3], visibility, &device);
            criterion()
                .forward(
                    student(&device),
                    teacher(&device),
                    Some(visibility),
                    Reduction::Mean,
                )
                .into_scalar::<f32>()
        };

        assert!((loss(1.0) - 0.488262).abs() < 1e-6);
        assert!((loss(0.5) - 0.488262 / 4.0).abs() < 1e-6);
    }

    #[test]
    fn both_may_say_anything_about_a_hidden_joint() {
        let device = Device::default().autodiff();
        for anything in [f32::NAN, f32::INFINITY] {
            let spoil = |maps: Tensor<4>| {
                let map = Tensor::full([1, 1, 4, 4], anything, &device);
                maps.slice_assign([0..1, 1..2, 0..4, 0..4], map)
            };
            let (value, gradient) = mean_and_gradient(
                spoil(student(&device)),
                spoil(teacher(&device)),
                Some(visibility(&device)),
            );

            assert!((value - 0.274896).abs() < 1e-6, "{value}");
            assert!((norm(&gradient) - 0.075677).abs() < 1e-6, "{gradient}");
        }
    }

    #[test]
    fn extreme_maps_keep_values_and_gradients_finite() {
        let device = Device::default().autodiff();
        let full = |value: f64| Tensor::<4>::full([1, 1, 2, 2], value, &device);
        for (ours, theirs, expected) in [
            (0.0, 0.0, 0.0),
            (1e4, 1e4, 0.0),
            (1e4, -1e4, 2e8), // ½ · (2·10⁴)²
        ] {
            let (value, gradient) = mean_and_gradient(full(ours), full(theirs), None);

            assert_eq!(value, expected);
            assert!(gradient.iter::<f32>().all(f32::is_finite));
        }
    }

    #[test]
    fn an_empty_batch_is_a_connected_zero() {
        let device = Device::default().autodiff();
        let empty = || Tensor::<4>::zeros([0, 3, 4, 4], &device);

        for visibility in [None, Some(Tensor::zeros([0, 3], &device))] {
            let (value, _) = mean_and_gradient(empty(), empty(), visibility);

            assert_eq!(value, 0.0);
        }
    }

    #[test]
    fn half_precision_is_widened() {
        let device = Device::default();
        for dtype in [DType::F16, DType::BF16] {
            if !device.supports_dtype(dtype) {
                continue;
            }
            // Its square would overflow.
            let student = Tensor::<4>::full([1, 1, 2, 2], 1024.0, (&device, dtype));
            let teacher = student.zeros_like();

            let loss = criterion().forward(student, teacher, None, Reduction::Mean);

            assert_eq!(loss.dtype(), DType::F32);
            assert_eq!(loss.into_scalar::<f32>(), 524288.0);
        }
    }

    fn knowledge(response: Response) -> Knowledge {
        Knowledge {
            response,
            taps: Taps::default(),
        }
    }

    #[test]
    fn the_objective_compares_the_responses() {
        let device = Device::default();
        let student = knowledge(Response::Maps(student(&device)));
        let teacher = knowledge(Response::Maps(teacher(&device)));

        let objective = HeatMapObjective::new(criterion(), 0.5);
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
        let terms = objective.forward(&context);

        assert_eq!(terms.iter().next().unwrap().name, "heat-map");
        let total = terms.total().into_scalar::<f64>();
        assert!((total - 0.244131).abs() < 1e-6, "{total}");
    }

    /// The annotation of the tests: what the teacher of the golden values says, or nothing of it.
    fn annotation(maps: Tensor<4>, visibility: Option<Tensor<2>>) -> Targets {
        Targets::Maps { maps, visibility }
    }

    fn total(
        objective: &impl Objective<Knowledge, Knowledge>,
        targets: &Targets,
    ) -> (f64, TensorData) {
        let device = Device::default().autodiff();
        let maps = student(&device).require_grad();
        let student = knowledge(Response::Maps(maps.clone()));
        let teacher = knowledge(Response::Maps(teacher(&device)));
        let context = Context::new(&student, &teacher, targets, &[], Clock::start());
        let total = objective.forward(&context).total();
        let grads = total.clone().backward();
        let gradient = maps.grad(&grads).unwrap().into_data();
        (total.into_scalar::<f64>(), gradient)
    }

    #[test]
    fn the_objective_knows_which_joints_are_visible() {
        let device = Device::default().autodiff();
        // What the maps of the annotation are does not matter to the half with the teacher.
        let zeros = Tensor::zeros([2, 3, 4, 4], &device);
        let targets = annotation(zeros, Some(visibility(&device)));

        let (value, gradient) = total(&HeatMapObjective::new(criterion(), 0.5), &targets);

        assert!((value - 0.5 * 0.274896191).abs() < 1e-6, "{value}");
        let norm = norm(&gradient);
        assert!((norm - 0.5 * 0.0756769713).abs() < 1e-6, "{norm}");
    }

    #[test]
    fn the_annotation_is_a_term_of_its_own() {
        let device = Device::default().autodiff();
        let objective = TargetHeatMaps::new(criterion(), 0.5);
        for (visibility, expected, expected_norm) in [
            (Some(visibility(&device)), 0.274896191, 0.0756769713),
            (None, 0.488262324, 0.100856987),
        ] {
            let targets = annotation(teacher(&device), visibility);
            let (value, gradient) = total(&objective, &targets);

            assert!((value - 0.5 * expected).abs() < 1e-6, "{value}");
            let norm = norm(&gradient);
            assert!((norm - 0.5 * expected_norm).abs() < 1e-6, "{norm}");
        }
        let (value, gradient) = total(&objective, &Targets::Unlabeled);
        assert_eq!((value, norm(&gradient)), (0.0, 0.0));
        assert_eq!(objective.with_name("truth").name, "truth");
    }

    #[test]
    #[should_panic(expected = "needs targets of maps")]
    fn classes_are_no_annotation_of_maps() {
        let targets = Targets::classes(Tensor::from_data([0, 1], &Device::default()));
        total(&TargetHeatMaps::new(criterion(), 0.5), &targets);
    }

    #[test]
    #[should_panic(expected = "compares maps, but the teacher responds with something else")]
    fn responses_must_be_maps() {
        let device = Device::default();
        let student = knowledge(Response::Maps(student(&device)));
        let teacher = knowledge(Response::Classes(Tensor::zeros([2, 3], &device)));

        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
        HeatMapObjective::new(criterion(), 0.5).forward(&context);
    }

    #[test]
    #[should_panic(
        expected = "assert_shape!(teacher, [batch_size, joints, height, width]): axis 3"
    )]
    fn resolutions_must_match() {
        let device = Device::default();
        let teacher = Tensor::zeros([2, 3, 4, 8], &device);
        criterion().forward(student(&device), teacher, None, Reduction::Mean);
    }

    #[test]
    #[should_panic(expected = "assert_shape!(visibility, [batch_size, joints]): axis 1 expected 3")]
    fn numbers_of_joints_must_match() {
        let device = Device::default();
        let visibility = Tensor::zeros([2, 4], &device);
        criterion().forward_no_reduction(student(&device), teacher(&device), Some(visibility));
    }

    #[test]
    fn config_survives_json() {
        let json = serde_json::to_string(&HeatMapLossConfig::new()).unwrap();

        assert_eq!(json, "{}");
        HeatMapLossConfig::load_binary(json.as_bytes()).unwrap();
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", HeatMapObjective::new(criterion(), 0.5)),
            "Weighted {name: heat-map, weight: Constant(0.5)}"
        );
        assert_eq!(
            format!("{}", TargetHeatMaps::new(criterion(), 0.5)),
            "Weighted {loss: HeatMapLoss, name: annotated-maps, weight: Constant(0.5)}"
        );
    }
}

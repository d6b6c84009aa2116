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
    /// Creates a [heat-map loss](HeatMapLoss).
    pub fn init(&self) -> HeatMapLoss {
        HeatMapLoss {}
    }
}

impl Check for HeatMapLossConfig {}

/// Fast pose distillation (FPD): the squared error between the heat maps of student and teacher,
/// one per joint.
///
/// For every sample, with `w` the `visibility` of a joint, or 1,
///
/// ```text
/// L = ½ · mean over joints and pixels of (w · (student − teacher))²
/// ```
///
/// The visibility is squared, and hidden joints count in the mean, as in the reference; the values
/// of their maps do not matter. The teacher is a constant: no gradient flows to it. Half precision
/// is widened to single.
///
/// A stacked hourglass network has one response per stack; the authors compare each of them with
/// the last response of the teacher.
///
/// # Weights
///
/// The authors use weights of one half for this loss and one half for the same loss with the
/// annotated maps, [`TargetHeatMaps`].
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
    /// Computes the loss of every sample and reduces the losses to a single value.
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

    /// Computes the loss of every sample, without reducing.
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
                // The map of a hidden joint may contain any values, and 0 · NaN is NaN.
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

/// Weighted term of a [heat-map loss](HeatMapLoss) between the responses of student and teacher.
///
/// The visibility of the joints is that of the [targets](Targets::Maps); with targets of another
/// kind, all joints of all samples count.
///
/// # Panics
///
/// `forward` panics if a response does not consist of heat maps, or if the visibility has another
/// number of joints.
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

/// Term of a [heat-map loss](HeatMapLoss) between the response of the student and the annotated
/// heat maps: see [`TargetHeatMaps`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct TargetHeatMapsTerm {
    /// Loss of the maps.
    pub loss: HeatMapLoss,
}

one_line_display!(TargetHeatMapsTerm: loss);

/// Weighted term of a [heat-map loss](HeatMapLoss) between the response of the student and the
/// annotated heat maps: the counterpart of
/// [`CrossEntropyObjective`](burn_distill_core::CrossEntropyObjective) for heat maps.
///
/// The [targets](Targets::Maps) hold the maps and the visibility of the joints. Without targets the
/// term is zero.
///
/// # Panics
///
/// `forward` panics if the response or the targets are not heat maps, or if the numbers of joints
/// differ.
///
/// # Example
///
/// The objective of Zhang, Zhu and Ye, one half each for the annotation and the teacher:
///
/// ```
/// use burn_distill_response::{TargetHeatMaps, HeatMapLossConfig, HeatMapObjective};
///
/// let loss = HeatMapLossConfig::new().init();
/// let objective = (TargetHeatMaps::new(loss.clone(), 0.5), HeatMapObjective::new(loss, 0.5));
///
/// assert_eq!(objective.0.name, "target-heat-maps");
/// ```
pub type TargetHeatMaps = Weighted<TargetHeatMapsTerm>;

impl From<HeatMapLoss> for TargetHeatMapsTerm {
    fn from(loss: HeatMapLoss) -> Self {
        Self { loss }
    }
}

impl NamedLoss for TargetHeatMapsTerm {
    fn name(&self) -> &'static str {
        "target-heat-maps"
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
            _ => panic!(
                "The loss of target heat maps needs targets of heat maps, but the targets are of another \
                 kind: give the batch annotated heat maps, or leave the loss out."
            ),
        }
    }
}

fn maps(response: &Response, whose: &str) -> Tensor<4> {
    match response {
        Response::Maps(maps) => maps.clone(),
        _ => {
            panic!(
                "The heat-map loss compares heat maps, but the response of the {whose} is of another \
                 kind: use networks that output heat maps."
            )
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
    .for_responses("maps of joints")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use burn_distill_core::{Objective, Taps};

    fn criterion() -> HeatMapLoss {
        HeatMapLossConfig::new().init()
    }

    /// Returns the maps of three joints of two samples.
    fn maps_of_zeros(device: &Device) -> Tensor<4> {
        Tensor::zeros([2, 3, 4, 4], device)
    }

    fn knowledge(response: Response) -> Knowledge {
        Knowledge {
            response,
            taps: Taps::default(),
        }
    }

    #[test]
    #[should_panic(expected = "needs targets of heat maps, but the targets are of another kind")]
    fn targets_must_be_heat_maps() {
        let device = Device::default();
        let student = knowledge(Response::Maps(maps_of_zeros(&device)));
        let targets = Targets::classes(Tensor::from_data([0, 1], &device));
        let context = Context::of(&student, &student).with_targets(&targets);
        TargetHeatMaps::new(criterion(), 0.5).forward(&context);
    }

    #[test]
    #[should_panic(
        expected = "compares heat maps, but the response of the teacher is of another kind"
    )]
    fn responses_must_be_heat_maps() {
        let device = Device::default();
        let student = knowledge(Response::Maps(maps_of_zeros(&device)));
        let teacher = Knowledge::from_logits(Tensor::zeros([2, 3], &device));

        let context = Context::of(&student, &teacher);
        HeatMapObjective::new(criterion(), 0.5).forward(&context);
    }

    #[test]
    #[should_panic(
        expected = "assert_shape!(teacher, [batch_size, joints, height, width]): axis 3"
    )]
    fn resolutions_must_match() {
        let device = Device::default();
        let teacher = Tensor::zeros([2, 3, 4, 8], &device);
        criterion().forward(maps_of_zeros(&device), teacher, None, Reduction::Mean);
    }

    #[test]
    #[should_panic(expected = "assert_shape!(visibility, [batch_size, joints]): axis 1 expected 3")]
    fn numbers_of_joints_must_match() {
        let device = Device::default();
        let visibility = Tensor::zeros([2, 4], &device);
        let maps = maps_of_zeros(&device);
        criterion().forward_no_reduction(maps.clone(), maps, Some(visibility));
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
            "Weighted {loss: HeatMapLoss, name: target-heat-maps, weight: Constant(0.5)}"
        );
    }
}

use crate::{
    Context, LossError, LossTerm, NamedLoss, Requirements, Tap, TapSelection, Weighted, both_masks,
};
use burn::module::Module;
use burn::tensor::{Bool, Tensor};

/// A loss between several layers of the student and several layers of the teacher at once.
///
/// For a loss between one layer and one, see [`TapLoss`](crate::TapLoss).
pub trait MultiLayerLoss: NamedLoss {
    /// Computes the loss, reduced to one value. If no token counts, it is a zero that is connected
    /// to the graph. No gradient flows to the teacher's taps.
    ///
    /// The values of the taps at the tokens that do not count, NaN included, must not change the
    /// value or a gradient. A loss that sums over features sets them to zero with
    /// [`zero_padding_of_taps`]; a loss that averages over tokens averages over those in the mask.
    ///
    /// # Shapes
    ///
    /// - mask: `[batch_size, length]`, true for the tokens of sequences that count; `None` if all
    ///   tokens count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the loss was created for another number of taps, or if it cannot compare taps of
    /// these kinds and shapes.
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1>;

    /// Checks, before the training, that the loss can compare taps of these kinds and shapes. The
    /// default accepts all taps.
    ///
    /// # Errors
    ///
    /// Returns an error where [`forward_layers`](Self::forward_layers) would panic.
    fn check_layers(&self, _student: &[Tap], _teacher: &[Tap]) -> Result<(), LossError> {
        Ok(())
    }
}

/// Sets the tokens that do not count to zero, in every tap, as [`Tap::zero_padding`] does.
///
/// # Shapes
///
/// - mask: `[batch_size, length]`, true for the tokens that count; `None` if all tokens count
pub fn zero_padding_of_taps(taps: Vec<Tap>, mask: Option<&Tensor<2, Bool>>) -> Vec<Tap> {
    let taps = taps.into_iter().map(|tap| tap.zero_padding(mask));
    taps.collect()
}

/// Converts the taps to maps, with zeros in place of the tokens that do not count.
///
/// # Shapes
///
/// - mask: `[batch_size, length]`, true for the tokens that count; `None` if all tokens count
///
/// # Panics
///
/// Panics if a tap is not a vector, a sequence or a map.
pub fn zero_padded_maps(taps: Vec<Tap>, mask: Option<&Tensor<2, Bool>>) -> Vec<Tensor<4>> {
    let taps = zero_padding_of_taps(taps, mask).into_iter();
    taps.map(Tap::into_map).collect()
}

/// The term of a loss between layers of the student and layers of the teacher.
///
/// A token counts if it counts for student and teacher. The mask of each network is the tap that
/// [`mask`](Self::mask) or [`teacher_mask`](Self::teacher_mask) names, or else the mask of its
/// response of [tokens](crate::Response::Tokens); without either, all tokens count. The parameters
/// of the loss train with the student.
///
/// # Example
///
/// ```
/// # use burn_distill_core::{MultiLayerLoss, MultiLayerTerm, Weighted};
/// # fn example<L: MultiLayerLoss>(loss: L) {
/// let term = MultiLayerTerm::new(loss, ["layer1", "layer2"], ["layer2", "layer4"]);
/// let objective = Weighted::of(term, 1.0);
/// # }
/// ```
#[derive(Module, Debug)]
pub struct MultiLayerTerm<L> {
    /// Loss between the layers.
    pub loss: L,
    /// Names of the student's taps, in the order in which the loss takes them.
    pub student: Vec<String>,
    /// Names of the teacher's taps, in the order in which the loss takes them.
    pub teacher: Vec<String>,
    /// Name of the student's tap with the mask of the tokens that count, if its response has no
    /// mask.
    pub mask: Option<String>,
    /// Name of the teacher's tap with the mask of the tokens that count, if its response has no
    /// mask.
    pub teacher_mask: Option<String>,
}

/// A loss between several [layers](MultiLayerTerm) of student and teacher, as one weighted term.
pub type MultiLayerObjective<L> = Weighted<MultiLayerTerm<L>>;

impl<L> MultiLayerTerm<L> {
    /// Creates the term from a loss and the names of the taps that it compares.
    pub fn new<S: Into<String>, T: Into<String>>(
        loss: L,
        student: impl IntoIterator<Item = S>,
        teacher: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            loss,
            student: student.into_iter().map(Into::into).collect(),
            teacher: teacher.into_iter().map(Into::into).collect(),
            mask: None,
            teacher_mask: None,
        }
    }

    /// Sets the tap of the student with the mask of the tokens that count.
    pub fn with_mask(mut self, mask: impl Into<String>) -> Self {
        self.mask = Some(mask.into());
        self
    }

    /// Sets the tap of the teacher with the mask of the tokens that count.
    pub fn with_teacher_mask(mut self, mask: impl Into<String>) -> Self {
        self.teacher_mask = Some(mask.into());
        self
    }
}

impl<L: MultiLayerLoss> NamedLoss for MultiLayerTerm<L> {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl<L: MultiLayerLoss> LossTerm for MultiLayerTerm<L> {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named(self.student.iter().chain(&self.mask)),
            teacher: TapSelection::named(self.teacher.iter().chain(&self.teacher_mask)),
            ..Requirements::default()
        }
    }

    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let student = context.student.taps.expect_all(&self.student);
        let teacher = context.teacher.taps.expect_all(&self.teacher).into_iter();
        let teacher = teacher.map(Tap::without_autodiff).collect();
        let mask = both_masks(
            context.student.token_mask(&self.mask),
            context.teacher.token_mask(&self.teacher_mask),
        );
        self.loss.forward_layers(student, teacher, mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::masked_mean;
    use crate::{Clock, Knowledge, Objective, Response, TapRecorder, Targets};
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct MeanToken {}

    impl NamedLoss for MeanToken {
        fn name(&self) -> &'static str {
            "mean-token"
        }
    }

    impl MultiLayerLoss for MeanToken {
        fn forward_layers(
            &self,
            mut student: Vec<Tap>,
            _teacher: Vec<Tap>,
            mask: Option<Tensor<2, Bool>>,
        ) -> Tensor<1> {
            let tokens = student.pop().unwrap().into_sequence();
            masked_mean(tokens.mean_dim(2).squeeze_dim::<2>(2), mask)
        }
    }

    /// One sequence of the tokens 1, 2 and 3, and a tap with a mask of the last one.
    fn knowledge(response: Response) -> Knowledge {
        let device = Device::default();
        let mut taps = TapRecorder::new(TapSelection::All);
        let tokens = Tensor::<3>::from_data([[[1.0], [2.0], [3.0]]], &device);
        taps.offer("hidden", || Tap::Sequence(tokens));
        let last = Tensor::from_data([[false, false, true]], &device);
        taps.offer("last", || Tap::Mask(last));
        Knowledge {
            response,
            taps: taps.finish().unwrap(),
        }
    }

    #[test]
    fn the_mask_is_found_in_a_tap_or_in_the_response() {
        let device = Device::default();
        let classes = || Response::Classes(Tensor::zeros([1, 2], &device));
        let first = || Response::Tokens {
            logits: Tensor::zeros([1, 3, 2], &device),
            mask: Tensor::from_data([[true, false, false]], &device),
        };
        let term = MultiLayerTerm::new(MeanToken {}, ["hidden"], ["hidden"]);
        let plain = Weighted::of(term.clone(), 2.0);
        let masked = Weighted::of(term.with_mask("last"), 2.0);

        for (objective, response, expected) in [
            (&plain, classes(), 2.0),
            (&plain, first(), 1.0),
            (&masked, classes(), 3.0),
            (&masked, first(), 3.0),
        ] {
            let (student, teacher) = (knowledge(response), knowledge(classes()));
            let context =
                Context::new(&student, &teacher, &Targets::Unlabeled, &[], Clock::start());
            let terms = objective.forward(&context);
            let term = terms.iter().next().unwrap();
            assert_eq!((term.name.as_str(), term.weight), ("mean-token", 2.0));
            assert_eq!(term.value.clone().into_scalar::<f32>(), expected);
        }
        let requirements = masked.requirements().student;
        assert_eq!(requirements, TapSelection::named(["hidden", "last"]));
    }

    #[test]
    #[should_panic(expected = "A tap of kind sequence with shape [1, 3, 1] is not a mask")]
    fn a_sequence_is_refused_as_a_mask() {
        let device = Device::default();
        let term = MultiLayerTerm::new(MeanToken {}, ["hidden"], ["hidden"]).with_mask("hidden");
        let knowledge = knowledge(Response::Classes(Tensor::zeros([1, 2], &device)));
        let context = Context::new(
            &knowledge,
            &knowledge,
            &Targets::Unlabeled,
            &[],
            Clock::start(),
        );

        term.value(&context);
    }
}

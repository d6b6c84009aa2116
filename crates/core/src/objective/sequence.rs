use crate::{
    Context, Knowledge, NamedLoss, Objective, Tap, TapSelection, Terms, Wanted, WeightSchedule,
    both_masks,
};
use burn::module::Module;
use burn::tensor::{Bool, Tensor};

/// A loss that compares layers of tokens, some of which may be padding.
///
/// Taps without tokens are for a [`TapLoss`](crate::TapLoss) or a
/// [`LayersLoss`](crate::LayersLoss).
pub trait SequenceLoss: NamedLoss {
    /// The loss, reduced to one value: a connected zero where no token counts. No gradient flows to
    /// the teacher's taps.
    ///
    /// # Shapes
    ///
    /// - mask: `[batch_size, length]`, true for the tokens that count; all of them without a mask
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if there are more or fewer taps than the loss compares, or if it cannot compare their
    /// kinds or shapes.
    fn forward_sequences(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1>;
}

/// A loss between layers of tokens of the student and of the teacher, as one weighted term.
///
/// A token counts if it does for student and teacher. Each side tells which tokens count in the tap that
/// [`mask`](Self::mask) or [`teacher_mask`](Self::teacher_mask) names, else in its response of
/// [tokens](crate::Response::Tokens); a side that tells neither way counts all of them. The parameters of
/// the loss itself train with the student.
#[derive(Module, Debug)]
pub struct SequenceObjective<L> {
    /// What compares the layers.
    pub loss: L,
    /// The names of the student's taps, in the order that the loss takes them.
    pub student: Vec<String>,
    /// The names of the teacher's taps, in the order that the loss takes them.
    pub teacher: Vec<String>,
    /// The name of the student's tap that tells which tokens count, if its response does not.
    pub mask: Option<String>,
    /// The name of the teacher's tap that tells which tokens count, if its response does not.
    pub teacher_mask: Option<String>,
    /// The name of the term.
    pub name: String,
    /// The weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
}

impl<L: SequenceLoss> SequenceObjective<L> {
    /// That loss between these taps with that weight, under the name of the loss.
    pub fn new<S: Into<String>, T: Into<String>>(
        loss: L,
        student: impl IntoIterator<Item = S>,
        teacher: impl IntoIterator<Item = T>,
        weight: impl Into<WeightSchedule>,
    ) -> Self {
        Self {
            name: loss.name().to_string(),
            loss,
            student: student.into_iter().map(Into::into).collect(),
            teacher: teacher.into_iter().map(Into::into).collect(),
            mask: None,
            teacher_mask: None,
            weight: weight.into(),
        }
    }

    /// The same under another name: two terms of a loss may not share one.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same with the tap of the student that tells which tokens count.
    pub fn with_mask(mut self, mask: impl Into<String>) -> Self {
        self.mask = Some(mask.into());
        self
    }

    /// Sets the tap of the teacher that tells which tokens count.
    pub fn with_teacher_mask(mut self, mask: impl Into<String>) -> Self {
        self.teacher_mask = Some(mask.into());
        self
    }
}

impl<L: SequenceLoss> Objective for SequenceObjective<L> {
    fn wanted(&self) -> Wanted {
        Wanted {
            student: TapSelection::named(self.student.iter().chain(&self.mask)),
            teacher: TapSelection::named(self.teacher.iter().chain(&self.teacher_mask)),
            ..Wanted::default()
        }
    }

    fn forward(&self, context: &Context<'_, Knowledge, Knowledge>) -> Terms {
        let student = context.student.taps.take_all(&self.student);
        let teacher = context
            .teacher
            .taps
            .take_all(&self.teacher)
            .into_iter()
            .map(Tap::without_autodiff)
            .collect();
        let mask = both_masks(
            mask_of(context.student, &self.mask),
            mask_of(context.teacher, &self.teacher_mask),
        );
        let loss = self.loss.forward_sequences(student, teacher, mask);
        Terms::one(&self.name, loss, self.weight.at(&context.clock))
    }
}

/// Returns the tokens that count for one side: by the tap of that name, else by its response.
fn mask_of(side: &Knowledge, tap: &Option<String>) -> Option<Tensor<2, Bool>> {
    match tap {
        Some(name) => Some(side.taps.take(name).into_mask()),
        None => side.response.token_mask(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::masked_mean;
    use crate::{Clock, Response, TapRecorder, Targets};
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct MeanToken {}

    impl NamedLoss for MeanToken {
        fn name(&self) -> &'static str {
            "mean-token"
        }
    }

    impl SequenceLoss for MeanToken {
        fn forward_sequences(
            &self,
            mut student: Vec<Tap>,
            _teacher: Vec<Tap>,
            mask: Option<Tensor<2, Bool>>,
        ) -> Tensor<1> {
            let tokens = student.pop().unwrap().into_sequence();
            masked_mean(tokens.mean_dim(2).squeeze_dim::<2>(2), mask)
        }
    }

    /// One sequence of the tokens 1, 2 and 3, and a tap that says that the last one counts.
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
        let plain = SequenceObjective::new(MeanToken {}, ["hidden"], ["hidden"], 2.0);
        let masked = plain.clone().with_mask("last");

        for (objective, response, expected) in [
            (&plain, classes(), 2.0),
            (&plain, first(), 1.0),
            (&masked, classes(), 3.0),
            (&masked, first(), 3.0),
        ] {
            let (student, teacher) = (knowledge(response), knowledge(classes()));
            let context = Context::new(
                &student,
                &teacher,
                &Targets::Unlabelled,
                &[],
                Clock::start(),
            );
            let terms = objective.forward(&context);
            let term = terms.iter().next().unwrap();
            assert_eq!((term.name.as_str(), term.weight), ("mean-token", 2.0));
            assert_eq!(term.value.clone().into_scalar::<f32>(), expected);
        }
        let wanted = masked.wanted().student;
        assert_eq!(wanted, TapSelection::named(["hidden", "last"]));
    }

    #[test]
    #[should_panic(expected = "A tap of kind sequence with shape [1, 3, 1] is not a mask")]
    fn a_sequence_is_no_mask() {
        let device = Device::default();
        let objective =
            SequenceObjective::new(MeanToken {}, ["hidden"], ["hidden"], 1.0).with_mask("hidden");
        let knowledge = knowledge(Response::Classes(Tensor::zeros([1, 2], &device)));
        let context = Context::new(
            &knowledge,
            &knowledge,
            &Targets::Unlabelled,
            &[],
            Clock::start(),
        );

        objective.forward(&context);
    }
}

use crate::{
    Context, Knowledge, NamedLoss, Objective, Tap, TapSelection, Terms, Wanted, WeightSchedule,
    shared_mask,
};
use burn::module::Module;
use burn::tensor::{Bool, Tensor};

/// A loss that compares several layers of the student with several of the teacher at once.
///
/// A loss between one and one is a [`TapLoss`](crate::TapLoss) instead.
pub trait LayersLoss: NamedLoss {
    /// The loss, reduced to one value. No gradient flows to the teacher's taps.
    ///
    /// # Shapes
    ///
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if there are more or fewer taps than the loss was made for, or if it cannot compare
    /// their kinds or shapes.
    fn forward_layers(&self, student: Vec<Tap>, teacher: Vec<Tap>) -> Tensor<1>;

    /// Computes the loss of layers of tokens of which some are padding. A loss that sees no tokens in
    /// them, as most do, takes padding as zeros.
    ///
    /// # Shapes
    ///
    /// - mask: `[batch_size, length]`, true for the tokens that count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics as [`forward_layers`](Self::forward_layers) does.
    fn forward_tokens(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Tensor<2, Bool>,
    ) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|taps| {
            let taps = taps.into_iter().map(|tap| tap.zero_padding(&mask));
            taps.collect()
        });
        self.forward_layers(student, teacher)
    }
}

/// A loss between layers of the student and layers of the teacher, as one weighted term.
///
/// Where a response of [tokens](crate::Response::Tokens) tells which tokens count, the loss is told too:
/// a token counts if it does for student and teacher. The parameters of the loss itself train with the
/// student.
#[derive(Module, Debug)]
pub struct LayersObjective<L> {
    /// What compares the layers.
    pub loss: L,
    /// The names of the student's taps, in the order that the loss takes them.
    pub student: Vec<String>,
    /// The names of the teacher's taps, in the order that the loss takes them.
    pub teacher: Vec<String>,
    /// The name of the term.
    pub name: String,
    /// The weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
}

impl<L: LayersLoss> LayersObjective<L> {
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
            weight: weight.into(),
        }
    }

    /// The same under another name: two terms of a loss may not share one.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl<L: LayersLoss> Objective for LayersObjective<L> {
    fn wanted(&self) -> Wanted {
        Wanted {
            student: TapSelection::named(&self.student),
            teacher: TapSelection::named(&self.teacher),
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
        let loss = match shared_mask(&context.student.response, &context.teacher.response) {
            Some(mask) => self.loss.forward_tokens(student, teacher, mask),
            None => self.loss.forward_layers(student, teacher),
        };
        Terms::one(&self.name, loss, self.weight.at(&context.clock))
    }
}

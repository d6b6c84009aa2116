use crate::MultiLevelLoss;
use crate::MultiLevelLossConfig;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::{
    CatalogEntry, Context, Input, LossEntry, LossTerm, NamedLoss, PairedRows, Requirements,
    one_line_display,
};

/// Term of a [multi-level loss](MultiLevelLoss) over all views of the samples.
///
/// ```text
/// L = Σ over views of L(view), all with the confidence of the first
/// ```
///
/// The first view is the weak one of the paper, which determines the confidence of the teacher; the
/// second is the strong one. With one view it equals a [`BatchObjective`](crate::BatchObjective).
/// All samples count, labeled or not. Of sequences, the tokens that are in the masks of both
/// student and teacher count, view by view.
///
/// # Panics
///
/// `value` panics if the context has fewer views, or if the views differ in their numbers of rows
/// or classes.
///
/// # Example
///
/// The objective of the paper, with both views and the weights of the authors:
///
/// ```
/// use burn_distill_core::{EveryView, CrossEntropyObjective, Objective, Weighted};
/// use burn_distill_response::{ConfidenceMask, MultiLevelLossConfig, MultiLevelTerm};
///
/// let loss = MultiLevelLossConfig::new().with_confidence(ConfidenceMask::Select);
/// let objective = (
///     EveryView::new(CrossEntropyObjective::new(0.1), 2),
///     Weighted::of(MultiLevelTerm::new(loss.init(), 2), 0.9),
/// );
///
/// assert_eq!(objective.requirements().views, 2);
/// ```
///
/// # Reference
///
/// See the [loss](MultiLevelLoss). The code of the authors masks only the batch level of its strong
/// view, by the confidence in the weak one, and then leaves that level out; here every level is
/// masked.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct MultiLevelTerm {
    /// Loss of the logits of a view.
    pub loss: MultiLevelLoss,
    /// Number of views.
    pub views: usize,
}

one_line_display!(MultiLevelTerm: loss, views);

impl MultiLevelTerm {
    /// Creates the term of a loss over `views` views.
    ///
    /// # Panics
    ///
    /// Panics if `views` is 0.
    pub fn new(loss: MultiLevelLoss, views: usize) -> Self {
        assert!(views > 0, "An objective needs at least one view.");
        Self { loss, views }
    }
}

impl NamedLoss for MultiLevelTerm {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl LossTerm for MultiLevelTerm {
    fn requirements(&self) -> Requirements {
        Requirements {
            views: self.views,
            ..Requirements::responses()
        }
    }

    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let views = (0..self.views).map(|view| {
            let view = context.of_view(view);
            PairedRows::new(&view.student.response, &view.teacher.response)
        });
        self.loss.forward_rows(views)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "multi-level",
        abbreviation: "MLLD",
        about: "matches logits of samples, batches and classes",
        kind: "response",
        aliases: &["mlld", "mlkd"],
        reference: "Jin, Wang and Lin, Multi-Level Logit Distillation, CVPR 2023",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let views = builder.take_views();
        let config = builder.configure(MultiLevelLossConfig::new())?;
        builder.term(MultiLevelTerm::new(config.init(), views))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MultiLevelLossConfig;
    use burn::tensor::Device;
    use burn_distill_core::{Knowledge, Objective, View, Weighted};

    fn of_views(views: usize) -> Weighted<MultiLevelTerm> {
        let loss = MultiLevelLossConfig::new().init();
        Weighted::of(MultiLevelTerm::new(loss, views), 0.9)
    }

    #[test]
    #[should_panic(
        expected = "A view should have the 4 rows and 5 classes of the first, but has 3 and 5."
    )]
    fn views_must_have_the_same_shape() {
        let device = Device::default();
        let knowledge = |rows| Knowledge::from_logits(Tensor::zeros([rows, 5], &device));
        let (weak, strong) = (knowledge(4), knowledge(3));
        let further = [View {
            student: strong.clone(),
            teacher: strong,
        }];
        of_views(2).forward(&Context::of(&weak, &weak).with_further(&further));
    }

    #[test]
    #[should_panic(expected = "An objective needs at least one view.")]
    fn there_must_be_a_view() {
        of_views(0);
    }

    #[test]
    fn display() {
        let config = MultiLevelLossConfig::new().with_temperatures(vec![4.0]);
        let objective = Weighted::of(MultiLevelTerm::new(config.init(), 2), 0.9);

        assert_eq!(
            objective.with_name("levels").to_string(),
            "Weighted {loss: MultiLevelLoss {temperatures: [4.0], instance: 1, batch: 1, \
             class: 1, confidence: None, standardize: false}, views: 2, name: levels, weight: Constant(0.9)}"
        );
    }
}

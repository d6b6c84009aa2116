/// Implements the display on one line, the name of the loss and the conversion from the loss for a
/// term whose only field is `loss`.
macro_rules! term_of_loss {
    ($term:ident<$loss:ident>) => {
        burn_distill_core::one_line_display!($term<L>: loss);

        impl<L: $loss> burn_distill_core::NamedLoss for $term<L> {
            fn name(&self) -> &'static str {
                self.loss.name()
            }
        }

        impl<L: $loss> From<L> for $term<L> {
            fn from(loss: L) -> Self {
                Self { loss }
            }
        }
    };
}
pub(crate) use term_of_loss;

/// What every objective of one loss shares: a display on one line, and constructors that name its
/// term and weigh it. The objective has the fields `loss`, `name` and `weight`.
macro_rules! named_term {
    ($objective:ident<$loss:ident>) => {
        burn_distill_core::one_line_display!($objective<L>: loss, name, ?weight);

        impl<L: $loss> $objective<L> {
            /// That loss with that weight, under the name of the loss.
            pub fn new(loss: L, weight: impl Into<burn_distill_core::WeightSchedule>) -> Self {
                Self {
                    name: loss.name().to_string(),
                    loss,
                    weight: weight.into(),
                }
            }

            /// The same under another name: two terms of a loss may not share one.
            pub fn with_name(mut self, name: impl Into<String>) -> Self {
                self.name = name.into();
                self
            }
        }
    };
}
pub(crate) use named_term;

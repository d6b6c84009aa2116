/// What every objective of one loss shares: a display on one line, and constructors that name its
/// term and weigh it. The objective has the fields `loss`, `name` and `weight`.
macro_rules! named_term {
    ($objective:ident<$loss:ident>) => {
        impl<L> burn::module::ModuleDisplay for $objective<L>
        where
            L: burn::module::Module + burn::module::ModuleDisplay,
        {
            fn custom_settings(&self) -> Option<burn::module::DisplaySettings> {
                burn::module::DisplaySettings::new()
                    .with_new_line_after_attribute(false)
                    .optional()
            }

            fn custom_content(
                &self,
                content: burn::module::Content,
            ) -> Option<burn::module::Content> {
                content
                    .add("loss", &self.loss)
                    .add("name", &self.name)
                    .add_debug_attribute("weight", &self.weight)
                    .optional()
            }
        }

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

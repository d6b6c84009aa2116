use crate::{Context, Knowledge, NamedLoss, Objective, Requirements, Terms, WeightSchedule};
use burn::module::{
    Content, Devices, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::tensor::{Device, Tensor};
use std::fmt;

/// An unweighted term of an objective.
///
/// A term applies a loss to certain outputs, such as the logits of both networks or one tap of
/// each. With a name and a weight it is an objective: see [`Weighted`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a term of an objective between these networks",
    note = "a loss needs the outputs that it compares: `ResponseObjective::new(loss, weight)`, \
            `TapObjective::new([TapPair::new(student, teacher, loss)], weight)`, .."
)]
pub trait LossTerm<S = Knowledge, T = Knowledge>: NamedLoss {
    /// Returns the taps and the number of views that the term needs. Default: the responses to the
    /// first view.
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    /// Computes the unweighted value for a batch.
    ///
    /// No gradient flows to the teacher.
    ///
    /// # Shapes
    ///
    /// - output: `[1]`
    fn value(&self, context: &Context<'_, S, T>) -> Tensor<1>;
}

/// An objective of one [term](LossTerm), with its name and its weight.
///
/// The parameters of the term train with the student. Their paths in a record are those of the term
/// itself.
///
/// # Example
///
/// ```
/// use burn::module::Module;
/// use burn::tensor::Tensor;
/// use burn_distill_core::{Context, Knowledge, LossTerm, NamedLoss, Weighted, one_line_display};
///
/// /// The mean square of the student's logits.
/// #[derive(Module, Debug)]
/// #[module(custom_display)]
/// struct LogitDecay {}
///
/// one_line_display!(LogitDecay);
///
/// impl NamedLoss for LogitDecay {
///     fn name(&self) -> &'static str {
///         "logit-decay"
///     }
/// }
///
/// impl<T> LossTerm<Knowledge, T> for LogitDecay {
///     fn value(&self, context: &Context<'_, Knowledge, T>) -> Tensor<1> {
///         context.student.response.rows().logits.square().mean()
///     }
/// }
///
/// let objective = Weighted::of(LogitDecay {}, 1e-4);
/// assert_eq!(objective.name, "logit-decay");
/// ```
#[derive(Clone, Debug)]
pub struct Weighted<L> {
    /// Unweighted term.
    pub term: L,
    /// Name of the term in logs and results.
    pub name: String,
    /// Weight of the term.
    pub weight: WeightSchedule,
}

impl<L: NamedLoss> Weighted<L> {
    /// Creates an objective from a term and its weight, under the name of the term.
    pub fn of(term: L, weight: impl Into<WeightSchedule>) -> Self {
        Self {
            name: term.term_name(),
            term,
            weight: weight.into(),
        }
    }

    /// Creates an objective from the parts of its term and its weight.
    ///
    /// It is meant for the aliases of this type, such as [`TapObjective`](crate::TapObjective):
    /// `TapObjective::new([pair], weight)`.
    pub fn new<T>(loss: T, weight: impl Into<WeightSchedule>) -> Self
    where
        L: From<T>,
    {
        Self::of(L::from(loss), weight)
    }

    /// Sets the name of the term. All terms of a loss must have different names.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl<S, T, L: LossTerm<S, T>> Objective<S, T> for Weighted<L> {
    fn requirements(&self) -> Requirements {
        self.term.requirements()
    }

    fn forward(&self, context: &Context<'_, S, T>) -> Terms {
        let value = self.term.value(context);
        Terms::scheduled(&self.name, value, &self.weight, &context.clock)
    }
}

// Not derived: a derive would add the name of a field to the paths of the parameters in a record.
impl<L: Module> Module for Weighted<L> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.term.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        Self {
            term: self.term.fork(device),
            ..self
        }
    }

    fn to_device(self, device: &Device) -> Self {
        Self {
            term: self.term.to_device(device),
            ..self
        }
    }

    fn train(self) -> Self {
        Self {
            term: self.term.train(),
            ..self
        }
    }

    fn valid(&self) -> Self {
        Self {
            term: self.term.valid(),
            name: self.name.clone(),
            weight: self.weight.clone(),
        }
    }

    fn materialize(self) -> Self {
        Self {
            term: self.term.materialize(),
            ..self
        }
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        self.term.visit(visitor);
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        Self {
            term: self.term.map(mapper),
            ..self
        }
    }
}

impl<L> Weighted<L> {
    fn add_to(&self, content: Content) -> Content {
        content
            .add("name", &self.name)
            .add_debug_attribute("weight", &self.weight)
    }
}

/// Shows the fields of the term, then the name and the weight.
impl<L: Module + ModuleDisplay> ModuleDisplayDefault for Weighted<L> {
    fn content(&self, content: Content) -> Option<Content> {
        let content = self.add_to(self.term.content(content)?);
        content.set_top_level_type("Weighted").optional()
    }

    fn num_params(&self) -> usize {
        Module::num_params(self)
    }
}

impl<L: Module + ModuleDisplay> ModuleDisplay for Weighted<L> {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        self.term.custom_settings()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let content = self.term.custom_content(content)?;
        self.add_to(content).optional()
    }
}

impl<L: Module + ModuleDisplay> fmt::Display for Weighted<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(DisplaySettings::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChangingWeight, Clock, Response, Taps, Targets};
    use burn::module::Param;

    /// A loss with a parameter.
    #[derive(Module, Debug)]
    struct Scaled {
        scale: Param<Tensor<1>>,
    }

    impl NamedLoss for Scaled {
        fn name(&self) -> &'static str {
            "scaled"
        }
    }

    impl<T> LossTerm<Knowledge, T> for Scaled {
        fn value(&self, context: &Context<'_, Knowledge, T>) -> Tensor<1> {
            let logits = context.student.response.rows().logits;
            logits.mean().mul(self.scale.val())
        }
    }

    fn scaled(device: &Device) -> Scaled {
        Scaled {
            scale: Param::from_tensor(Tensor::from_data([3.0], device)),
        }
    }

    #[test]
    fn the_name_and_the_weight_are_those_of_the_objective() {
        let device = Device::default();
        let warm_up = ChangingWeight::Linear {
            from: 0.0,
            to: 1.0,
            epochs: 4,
        };
        let objective = Weighted::of(scaled(&device), warm_up).with_name("mine");
        let student = Knowledge {
            response: Response::Classes(Tensor::full([2, 2], 5.0, &device)),
            taps: Taps::default(),
        };
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &(), &targets, &[], Clock::start());

        let terms = objective.forward(&context);

        let term = terms.iter().next().unwrap();
        assert_eq!((term.name.as_str(), term.weight), ("mine", 0.25));
        assert_eq!(term.value.clone().into_scalar::<f32>(), 15.0);
        assert_eq!(
            Objective::<Knowledge, ()>::requirements(&objective),
            Requirements::responses()
        );
    }

    #[test]
    fn a_record_does_not_contain_the_weight() {
        let device = Device::default();
        let trained = Weighted::of(
            Scaled {
                scale: Param::from_tensor(Tensor::from_data([7.0], &device)),
            },
            1.0,
        );

        let term = scaled(&device).load_record(trained.into_record());

        assert_eq!(term.scale.val().into_scalar::<f32>(), 7.0);
    }

    #[test]
    fn the_parameters_of_the_term_are_moved_and_frozen_with_it() {
        let device = Device::default().autodiff();
        let objective = Weighted::of(scaled(&device), 1.0);

        assert!(objective.term.scale.val().is_require_grad());
        let frozen = objective.valid().freeze();
        assert!(!frozen.term.scale.val().is_require_grad());
        let moved = frozen.to_device(&device).fork(&device);
        assert_eq!(moved.devices().len(), 1);
        assert_eq!(Module::num_params(&moved), 1);
    }

    #[test]
    fn display() {
        let objective = Weighted::of(scaled(&Device::default()), 0.5);
        let text = objective.to_string();

        assert!(text.starts_with("Weighted {"), "{text}");
        assert!(text.contains("name: scaled"), "{text}");
        assert!(text.contains("weight: Constant(0.5)"), "{text}");
    }
}

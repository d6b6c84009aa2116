//! Training loop of a replay.

use crate::recording::{Recording, TOLERANCE};
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::train::TrainStep;
use burn_distill::core::{Batch, Input};
use burn_distill::strategy::{DistillationOutput, Distiller, OptimizerConfig, StepMetrics};
use std::ops::Range;

/// State of a training run after a recorded step.
pub struct Snapshot<'a> {
    pub recording: &'a Recording,
    prefix: String,
}

impl Snapshot<'_> {
    pub fn name(&self, tensor: &str) -> String {
        format!("{}_{tensor}", self.prefix)
    }

    pub fn assert_same<M: Module>(&self, module: &M, network: &str) {
        self.recording.assert_same(module, &self.name(network));
    }

    pub fn assert_same_as<M: Module>(
        &self,
        module: &M,
        network: &str,
        rename: impl Fn(&str) -> String,
    ) {
        let network = self.name(network);
        self.recording.assert_same_as(module, &network, rename);
    }
}

/// Instructions to repeat a recorded training run.
pub struct Replay<'a> {
    pub recording: &'a Recording,
    pub optimizer: OptimizerConfig,
    /// Names of terms, each with the tensor that holds the variable of the reference.
    pub terms: &'a [(&'a str, &'a str)],
}

impl Replay<'_> {
    /// Repeats all steps, each with its batch. Compares the loss of each step, and the state of the
    /// training run where it was recorded.
    pub fn run<I: Input, M: Distiller<I>>(
        &self,
        model: M,
        batch: impl Fn(usize) -> Batch<I>,
        check: impl Fn(&M, &Snapshot),
    ) -> M {
        self.run_with(model, batch, |model, _| model, check)
    }

    /// Repeats all steps with an action before each.
    pub fn run_with<I: Input, M: Distiller<I>>(
        &self,
        model: M,
        batch: impl Fn(usize) -> Batch<I>,
        prepare: impl Fn(M, usize) -> M,
        check: impl Fn(&M, &Snapshot),
    ) -> M {
        self.run_steps(model, 0..self.recording.steps(), batch, prepare, check)
    }

    /// Repeats only these steps, which begin with a new optimizer.
    pub fn run_steps<I: Input, M: Distiller<I>>(
        &self,
        mut model: M,
        steps: Range<usize>,
        batch: impl Fn(usize) -> Batch<I>,
        prepare: impl Fn(M, usize) -> M,
        check: impl Fn(&M, &Snapshot),
    ) -> M {
        let mut optimizer = self.optimizer.init();
        for step in steps {
            model = prepare(model, step);
            // Some references skip batches that are not full.
            let calls = self.recording.row("step_backward", step);
            if calls.iter().any(|value| !value.is_nan()) {
                let (stepped, output) = self.step(model, batch(step), step, &mut optimizer);
                model = stepped;
                self.assert_losses(&output, step);
            }
            self.assert_state(&model, step + 1, &check);
        }
        model
    }

    fn step<I: Input, M: Distiller<I>>(
        &self,
        model: M,
        batch: Batch<I>,
        step: usize,
        optimizer: &mut ModuleOptimizer,
    ) -> (M, DistillationOutput) {
        let output = TrainStep::step(&model, batch);
        let rate = match self.recording.contains("step_optimizer_lr") {
            true => self.recording.row("step_optimizer_lr", step)[0],
            false => 0.1,
        };
        let model = model.optimize(optimizer, rate.into(), output.grads);
        (model, output.item)
    }

    fn assert_losses(&self, output: &DistillationOutput, step: usize) {
        let recording = self.recording;
        let calls = recording.row("step_backward", step).iter();
        let expected: f64 = calls.filter(|value| !value.is_nan()).sum();
        let loss = output.loss.clone().into_scalar::<f64>();
        recording.assert_values(
            &[loss],
            &[expected],
            &format!("loss of step {step}"),
            TOLERANCE,
        );

        let values = StepMetrics::read(std::slice::from_ref(&output.metrics)).unwrap();
        for (term, tensor) in self.terms {
            let found = values[0].terms.iter().find(|(name, _)| name == term);
            let (_, value) = found.unwrap_or_else(|| panic!("there is no term {term}"));
            let expected = recording.row(tensor, step).last().unwrap();
            if expected.is_nan() {
                continue; // The reference has no such variable yet.
            }
            let what = format!("{term} of step {step}");
            // Metrics are in single precision.
            recording.assert_values(&[*value], &[*expected], &what, 1e-5);
        }
    }

    fn assert_state<M>(&self, model: &M, steps: usize, check: impl Fn(&M, &Snapshot)) {
        let recording = self.recording;
        let mut prefixes = vec![format!("step{steps}")];
        if steps == recording.steps() {
            prefixes.push("final".into());
        }
        for prefix in prefixes {
            if recording.has_state(&prefix) {
                check(model, &Snapshot { recording, prefix });
            }
        }
    }
}

/// Creates PyTorch's SGD with a momentum of 0.9.
pub fn sgd(nesterov: bool, weight_decay: f64) -> OptimizerConfig {
    OptimizerConfig::Sgd {
        momentum: 0.9,
        nesterov,
        weight_decay,
        clip_norm: None,
    }
}

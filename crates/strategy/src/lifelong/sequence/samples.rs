use crate::ClassTasks;
use burn_distill_core::{ConfigError, check};
use burn_distill_data::{ReorderedClasses, Samples};

/// Samples of tasks that are learned one after another, with the classes in the order of learning.
#[derive(Clone, Debug)]
pub struct TaskSamples<S> {
    /// Division of the classes into tasks.
    pub(super) tasks: ClassTasks,
    /// Training samples.
    pub(super) train: ReorderedClasses<S>,
    /// Validation samples.
    pub(super) validation: ReorderedClasses<S>,
    /// Test samples.
    pub(super) test: ReorderedClasses<S>,
}

impl<S: Samples> TaskSamples<S> {
    /// Creates the samples of tasks from the training, validation and test samples of a data set.
    ///
    /// # Errors
    ///
    /// Returns an error if a task has no labeled sample in one of the three parts.
    ///
    /// # Panics
    ///
    /// Panics if the tasks are for another number of classes.
    pub fn new(tasks: ClassTasks, [train, validation, test]: [S; 3]) -> Result<Self, ConfigError> {
        let reordered = |samples: S| ReorderedClasses::new(samples, tasks.order());
        let samples = Self {
            train: reordered(train),
            validation: reordered(validation),
            test: reordered(test),
            tasks,
        };
        for task in 0..samples.tasks.len() {
            let columns = samples.tasks.columns(task);
            for (name, part) in [
                ("training", &samples.train),
                ("validation", &samples.validation),
                ("test", &samples.test),
            ] {
                check::ensure(
                    !part.of_classes(columns.clone()).is_empty(),
                    format!("classes.{task}"),
                    format_args!("of classes with {name} samples"),
                    format_args!("a task without"),
                )?;
            }
        }
        Ok(samples)
    }

    /// Returns the division of the classes into tasks.
    pub fn tasks(&self) -> &ClassTasks {
        &self.tasks
    }

    /// Returns the training samples of a task, counted from 0.
    pub fn training(&self, task: usize) -> ReorderedClasses<S> {
        self.train.of_classes(self.tasks.columns(task))
    }
}

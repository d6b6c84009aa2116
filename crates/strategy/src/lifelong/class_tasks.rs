use burn_distill_core::{ConfigError, check};
use std::ops::Range;

/// Division of the classes of a data set into tasks that are learned one after another.
///
/// # Example
///
/// ```
/// use burn_distill_strategy::ClassTasks;
///
/// let tasks = ClassTasks::equal(10, 5)?;
/// assert_eq!(tasks.of(1), [2, 3]);
///
/// let tasks = ClassTasks::new(vec![vec![3, 4], vec![0]], 5)?;
/// // Classes that no task names come last.
/// assert_eq!(tasks.order(), [3, 4, 0, 1, 2]);
/// # Ok::<(), burn_distill_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassTasks {
    tasks: Vec<Vec<usize>>,
    order: Vec<usize>,
}

impl ClassTasks {
    /// Creates the division from the classes of each task, and the number of classes of the data
    /// set.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no task, if a task has no classes, if a class is in two tasks,
    /// or if the data set has no such class.
    pub fn new(tasks: Vec<Vec<usize>>, classes: usize) -> Result<Self, ConfigError> {
        check::at_least("classes", tasks.len(), 1)?;
        let mut order = Vec::with_capacity(classes);
        for (index, task) in tasks.iter().enumerate() {
            let place = format!("classes.{index}");
            check::at_least(&place, task.len(), 1)?;
            for &class in task {
                check::ensure(
                    class < classes,
                    &place,
                    format_args!("of classes below {classes}, the number of classes of the data"),
                    class,
                )?;
                check::ensure(
                    !order.contains(&class),
                    &place,
                    "of classes that are in no other task, each named once",
                    format_args!("a task with {class}, which is named before"),
                )?;
                order.push(class);
            }
        }
        let others = (0..classes).filter(|class| !order.contains(class));
        let others: Vec<_> = others.collect();
        order.extend(others);
        Ok(Self { tasks, order })
    }

    /// Creates a number of tasks in the order of the classes. If the classes cannot be divided
    /// equally, the first tasks have one more.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of tasks is zero, or larger than that of the classes.
    pub fn equal(classes: usize, count: usize) -> Result<Self, ConfigError> {
        check::count_in("count", count, 1..=classes)?;
        let mut all = 0..classes;
        let tasks = (0..count).map(|task| {
            let size = classes / count + usize::from(task < classes % count);
            all.by_ref().take(size).collect()
        });
        Self::new(tasks.collect(), classes)
    }

    /// Returns the number of tasks.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Returns false: there is at least one task.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Returns the classes of a task, counted from 0.
    ///
    /// # Panics
    ///
    /// Panics if there is no such task.
    pub fn of(&self, task: usize) -> &[usize] {
        &self.tasks[task]
    }

    /// Returns the places of the classes of a task in the order of learning, which are the columns
    /// of a network with a head for each task.
    ///
    /// # Panics
    ///
    /// Panics if there is no such task.
    pub fn columns(&self, task: usize) -> Range<usize> {
        let start = self.tasks[..task].iter().map(Vec::len).sum();
        start..start + self.tasks[task].len()
    }

    /// Returns all classes in the order in which they are learned. Classes that are in no task come
    /// last.
    pub fn order(&self) -> &[usize] {
        &self.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tasks_have_the_remaining_classes() {
        let tasks = ClassTasks::equal(10, 4).unwrap();

        let sizes: Vec<_> = (0..tasks.len()).map(|task| tasks.of(task).len()).collect();
        assert_eq!(sizes, [3, 3, 2, 2]);
        assert_eq!(tasks.columns(2), 6..8);
        assert_eq!(tasks.order(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn columns_are_in_the_order_of_learning() {
        let tasks = ClassTasks::new(vec![vec![3, 1], vec![4]], 5).unwrap();

        assert_eq!([tasks.columns(0), tasks.columns(1)], [0..2, 2..3]);
        assert_eq!(tasks.order(), [3, 1, 4, 0, 2]);
    }

    #[test]
    fn tasks_that_do_not_fit_the_classes_are_refused() {
        let message = |tasks: &[&[usize]]| {
            let tasks = tasks.iter().map(|task| task.to_vec()).collect();
            ClassTasks::new(tasks, 5).unwrap_err().to_string()
        };
        for (tasks, expected) in [
            (&[][..], "`classes` should be at least 1, but is 0"),
            (
                &[&[0][..], &[]],
                "`classes.1` should be at least 1, but is 0",
            ),
            (&[&[5][..]], "`classes.0` should be of classes below 5"),
            (
                &[&[0, 1][..], &[1]],
                "`classes.1` should be of classes that are in no other task, each named once",
            ),
        ] {
            let found = message(tasks);
            assert!(found.starts_with(expected), "{found}");
        }
        let count = ClassTasks::equal(3, 4).unwrap_err().to_string();
        assert!(count.starts_with("`count` should be"), "{count}");
    }
}

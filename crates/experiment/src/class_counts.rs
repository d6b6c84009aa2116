//! Number of samples of each class.

use burn_distill::data::Samples;
use burn_distill_recipe::AnyDataset;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// Largest ratio of the sizes of two classes that is not reported.
const BALANCED: usize = 10;

/// Largest number of classes that a text names.
const NAMED: usize = 20;

/// Numbers of samples of each class, in the order of the logits.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ClassCounts(Vec<ClassCount>);

/// Number of samples of a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct ClassCount {
    name: String,
    /// Numbers of training, validation and test samples.
    samples: [usize; 3],
}

impl ClassCounts {
    /// Counts the labeled samples of the parts of a data set: training, validation and test samples.
    pub(super) fn of(parts: [&AnyDataset; 3]) -> Self {
        let names = parts[0].classes().iter();
        let mut counts: Vec<_> = names
            .map(|name| ClassCount {
                name: name.clone(),
                samples: [0; 3],
            })
            .collect();
        for (part, samples) in parts.into_iter().enumerate() {
            for label in samples.labeled().labels() {
                counts[label].samples[part] += 1;
            }
        }
        Self(counts)
    }

    /// Returns the number of classes.
    #[expect(
        clippy::len_without_is_empty,
        reason = "there are at least two classes"
    )]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns a warning if the classes have very different numbers of training samples.
    pub fn imbalance(&self) -> Option<String> {
        let of = |class: &&ClassCount| class.samples[0];
        let (largest, smallest) = (self.0.iter().max_by_key(of)?, self.0.iter().min_by_key(of)?);
        let [most, least] = [largest, smallest].map(|class| class.samples[0]);
        (most > BALANCED * least).then(|| {
            format!(
                "the classes have very different numbers of training samples, from {least} \
                 ({}) to {most} ({}): accuracies say little about the small ones",
                smallest.name, largest.name
            )
        })
    }
}

/// Writes the number of training samples of each class, as in `cat 12, dog 7`.
impl Display for ClassCounts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, class) in self.0.iter().take(NAMED).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} {}", class.name, class.samples[0])?;
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more classes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_recipe::ArrayDataset;

    fn data(labels: &[usize], classes: usize) -> AnyDataset {
        let values = vec![0.0; labels.len()];
        let names = (0..classes).map(|class| format!("class-{class}"));
        let data = ArrayDataset::vectors("data", 1, values, labels.to_vec(), names);
        data.unwrap().into()
    }

    fn counts(of_first: usize, of_second: usize) -> ClassCounts {
        let train = data(&[vec![0; of_first], vec![1; of_second]].concat(), 2);
        ClassCounts::of([&train, &data(&[1], 2), &data(&[0, 0], 2)])
    }

    #[test]
    fn samples_are_counted_in_every_part() {
        let counts = counts(3, 2);

        assert_eq!(counts.to_string(), "class-0 3, class-1 2");
        assert_eq!(
            serde_json::to_string(&counts).unwrap(),
            r#"[{"name":"class-0","samples":[3,0,2]},{"name":"class-1","samples":[2,1,0]}]"#
        );
        let many = data(&[7], 25);
        let many = ClassCounts::of([&many, &many, &many]).to_string();
        assert!(many.ends_with("class-19 0 and 5 more classes"), "{many}");
    }

    #[test]
    fn classes_of_very_different_sizes_are_reported() {
        assert_eq!(counts(20, 2).imbalance(), None);
        assert_eq!(
            counts(21, 2).imbalance().unwrap(),
            "the classes have very different numbers of training samples, from 2 (class-1) to 21 \
             (class-0): accuracies say little about the small ones"
        );
        assert!(counts(1, 0).imbalance().is_some());
    }
}

use super::names::{quote, quoted};
use serde::{Deserialize, Serialize};

/// Conversion of the columns of a table to the features of a vector.
///
/// It belongs to the weights of a network, which are valid only for rows with this encoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableEncoding {
    /// Columns, in the order of their features.
    pub columns: Vec<ColumnEncoding>,
}

/// Conversion of a column of a table to features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
pub enum ColumnEncoding {
    /// Numbers: `(value − mean) / std`, and 0 where the value is missing.
    Numeric {
        /// Name of the column.
        name: String,
        /// Mean of the values.
        mean: f64,
        /// Standard deviation of the values, above 0.
        std: f64,
        /// Whether a second feature is 1 where the value is missing, else 0.
        missing_indicator: bool,
    },
    /// Categories: one feature each, 1 for the category of the row, else 0.
    Categorical {
        /// Name of the column.
        name: String,
        /// Categories; the empty one stands for missing values.
        categories: Vec<String>,
    },
}

impl TableEncoding {
    /// Returns the number of features of a row.
    pub fn features(&self) -> usize {
        self.columns.iter().map(ColumnEncoding::features).sum()
    }

    /// Returns whether the columns and their categories are those of another encoding, so that both
    /// are of the same tables.
    pub fn has_columns_of(&self, other: &Self) -> bool {
        let kinds = |encoding: &Self| -> Vec<_> {
            let columns = encoding.columns.iter();
            columns.map(ColumnEncoding::without_moments).collect()
        };
        kinds(self) == kinds(other)
    }

    /// Returns the first difference to another encoding in words, as in ``column `age` has the mean
    /// 3.5, not 4``; none if both convert every row to the same features.
    ///
    /// Means and deviations may differ in their last digits, which a file may round.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let mut columns = self.columns.iter().zip(&other.columns);
        if let Some(difference) = columns.find_map(|(column, other)| column.difference(other)) {
            return Some(difference);
        }
        let [found, expected] = [self, other].map(|encoding| encoding.columns.len());
        (found != expected).then(|| format!("there are {found} columns, not {expected}"))
    }
}

impl ColumnEncoding {
    /// Returns the name of the column.
    pub fn name(&self) -> &str {
        match self {
            Self::Numeric { name, .. } | Self::Categorical { name, .. } => name,
        }
    }

    /// Returns the number of features.
    pub fn features(&self) -> usize {
        match self {
            Self::Numeric {
                missing_indicator, ..
            } => 1 + usize::from(*missing_indicator),
            Self::Categorical { categories, .. } => categories.len(),
        }
    }

    /// Returns the column with the mean 0 and the deviation 1, as before these are measured.
    pub(super) fn without_moments(&self) -> Self {
        let mut column = self.clone();
        if let Self::Numeric { mean, std, .. } = &mut column {
            (*mean, *std) = (0.0, 1.0);
        }
        column
    }

    fn difference(&self, other: &Self) -> Option<String> {
        let name = quote(self.name());
        if self.name() != other.name() {
            let expected = quote(other.name());
            return Some(format!("column {name} stands where {expected} should be"));
        }
        match (self, other) {
            (
                Self::Numeric {
                    mean: found_mean,
                    std: found_std,
                    missing_indicator: found_indicator,
                    ..
                },
                Self::Numeric {
                    mean,
                    std,
                    missing_indicator,
                    ..
                },
            ) => {
                if found_indicator != missing_indicator {
                    let has = if *found_indicator { "has a" } else { "has no" };
                    return Some(format!("column {name} {has} feature for missing values"));
                }
                let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (std.abs() + mean.abs());
                let values = [("mean", found_mean, mean), ("deviation", found_std, std)];
                values.into_iter().find_map(|(what, found, expected)| {
                    let differs = !close(*found, *expected);
                    differs.then(|| format!("column {name} has the {what} {found}, not {expected}"))
                })
            }
            (
                Self::Categorical {
                    categories: found, ..
                },
                Self::Categorical { categories, .. },
            ) => (found != categories).then(|| {
                format!(
                    "column {name} has the categories {}, not {}",
                    quoted(found),
                    quoted(categories)
                )
            }),
            (Self::Numeric { .. }, _) => {
                Some(format!("column {name} holds numbers, not categories"))
            }
            (Self::Categorical { .. }, _) => {
                Some(format!("column {name} holds categories, not numbers"))
            }
        }
    }
}

/// Returns the mean and the population standard deviation of the values that are not NaN; none if
/// all are.
///
/// The deviation of equal values is 1, so that they become 0 and not the rounding error of their
/// mean, enlarged.
pub(super) fn moments(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let present = values.filter(|value| !value.is_nan());
    let count = present.clone().count();
    if count == 0 {
        return None;
    }
    let mean = present.clone().sum::<f64>() / count as f64;
    let squares = present.clone().map(|value| (value - mean).powi(2));
    let std = (squares.sum::<f64>() / count as f64).sqrt();
    let largest = present.fold(0.0_f64, |largest, value| largest.max(value.abs()));
    Some(match std > 1e-12 * largest {
        true => (mean, std),
        false => (mean, 1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(mean: f64, std: f64, missing_indicator: bool) -> ColumnEncoding {
        ColumnEncoding::Numeric {
            name: "age".into(),
            mean,
            std,
            missing_indicator,
        }
    }

    fn categorical(name: &str, categories: &[&str]) -> ColumnEncoding {
        ColumnEncoding::Categorical {
            name: name.into(),
            categories: categories.iter().copied().map(String::from).collect(),
        }
    }

    fn of<const N: usize>(columns: [ColumnEncoding; N]) -> TableEncoding {
        TableEncoding {
            columns: columns.into(),
        }
    }

    #[test]
    fn moments_are_those_by_hand() {
        let values = [1.0, f64::NAN, 3.0, 8.0];
        // Squares of -3, -1 and 4 are 26 in sum.
        let expected = (4.0, (26.0_f64 / 3.0).sqrt());
        assert_eq!(moments(values.into_iter()), Some(expected));
        assert_eq!(moments([f64::NAN].into_iter()), None);
        assert_eq!(moments([].into_iter()), None);
    }

    #[test]
    fn equal_values_have_the_deviation_1() {
        // The mean of ten times 0.1 is not 0.1 in floating point.
        for value in [0.1, 0.0, -1e30, 1e-30] {
            let (mean, std) = moments([value; 10].into_iter()).unwrap();
            assert_eq!(std, 1.0, "{value}");
            assert!((mean - value).abs() <= 1e-12 * value.abs());
        }
        assert!(moments([1e-30, 2e-30].into_iter()).unwrap().1 < 1e-30);
    }

    #[test]
    fn features_are_counted_by_column() {
        let encoding = of([
            numeric(0.0, 1.0, true),
            numeric(0.0, 1.0, false),
            categorical("color", &["", "blue", "red"]),
        ]);
        assert_eq!(encoding.features(), 6);
    }

    #[test]
    fn an_encoding_is_the_same_once_it_was_written_and_read() {
        let encoding = of([
            numeric(0.1 + 0.2, 1e-7 / 3.0, true),
            categorical("color", &["", "blue", "red"]),
        ]);
        let text = serde_json::to_string(&encoding).unwrap();
        let read: TableEncoding = serde_json::from_str(&text).unwrap();
        assert_eq!(read.difference(&encoding), None);
        assert!(text.contains(r#"{"kind":"categorical","name":"color","categories":["#));
    }

    #[test]
    fn the_first_difference_is_said_in_words() {
        let difference = |found, expected| of([found]).difference(&of([expected])).unwrap();

        assert_eq!(
            difference(numeric(3.5, 1.0, false), numeric(4.0, 1.0, false)),
            "column `age` has the mean 3.5, not 4"
        );
        assert_eq!(
            difference(numeric(4.0, 1.0, false), numeric(4.0, 1.00001, false)),
            "column `age` has the deviation 1, not 1.00001"
        );
        assert_eq!(
            difference(numeric(4.0, 1.0, true), numeric(4.0, 1.0, false)),
            "column `age` has a feature for missing values"
        );
        assert_eq!(
            difference(categorical("age", &["a"]), numeric(4.0, 1.0, false)),
            "column `age` holds categories, not numbers"
        );
        assert_eq!(
            difference(categorical("a", &["x", "y"]), categorical("a", &["x"])),
            "column `a` has the categories `x`, `y`, not `x`"
        );
        assert_eq!(
            difference(categorical("a", &["x"]), categorical("b", &["x"])),
            "column `a` stands where `b` should be"
        );
        let longer = of([categorical("a", &["x"]), categorical("b", &["x"])]);
        assert_eq!(
            of([categorical("a", &["x"])]).difference(&longer).unwrap(),
            "there are 1 columns, not 2"
        );
    }
}

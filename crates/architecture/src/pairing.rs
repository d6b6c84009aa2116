use burn::tensor::Tensor;
use burn_distill_core::numeric::{LEAST_CKA_SAMPLES, cka_gram};
use burn_distill_core::{Tap, TapError, Taps};
use std::fmt::{self, Display, Formatter};

/// Rule that pairs layers of the student with layers of the teacher.
///
/// The layers are the recorded taps, in the order of the forward pass. Except for explicit pairs,
/// pairs never cross: a later layer of the student is paired with a later layer of the teacher.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::Pairing;
/// use burn_distill_core::{Tap, TapRecorder, TapSelection, Taps};
///
/// fn taps(layers: usize) -> Taps {
///     let mut taps = TapRecorder::new(TapSelection::All);
///     for layer in 1..=layers {
///         taps.offer(format!("layer{layer}"), || Tap::Vector(Tensor::zeros([4, 3], &Device::default())));
///     }
///     taps.finish().unwrap()
/// }
///
/// let pairs = Pairing::Uniform(2).pairs(&taps(2), &taps(6))?;
///
/// assert_eq!(pairs, [("layer1".into(), "layer3".into()), ("layer2".into(), "layer6".into())]);
/// # Ok::<(), burn_distill_architecture::PairingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pairing {
    /// Pairs of names, in any order.
    Explicit(Vec<(String, String)>),
    /// A number of evenly spaced pairs, including the last layers: of `n` layers, those with the
    /// numbers `⌈i · n / pairs⌉` for `i` from 1 to `pairs`. For 4 and 12 layers, these are 1 with
    /// 3, 2 with 6, 3 with 9 and 4 with 12, as in TinyBERT.
    Uniform(usize),
    /// A number of pairs of the last layers.
    Last(usize),
    /// The number of pairs with the largest sum of similarities: see [`CkaPairing`]. The taps of
    /// student and teacher must be of the same batch.
    Cka(usize),
}

impl Pairing {
    /// Returns the pairs of names.
    ///
    /// # Errors
    ///
    /// Returns a [`PairingError`] if a named tap is missing, if there are fewer layers than pairs,
    /// or if CKA cannot compare the layers.
    pub fn pairs(
        &self,
        student: &Taps,
        teacher: &Taps,
    ) -> Result<Vec<(String, String)>, PairingError> {
        let indices: Vec<(usize, usize)> = match self {
            Self::Explicit(pairs) => {
                for (student_name, teacher_name) in pairs {
                    student.get(student_name)?;
                    teacher.get(teacher_name)?;
                }
                return Ok(pairs.clone());
            }
            &Self::Uniform(pairs) => {
                check_count(pairs, student.len(), teacher.len())?;
                let place = |layers: usize, number: usize| (number * layers).div_ceil(pairs) - 1;
                (1..=pairs)
                    .map(|number| (place(student.len(), number), place(teacher.len(), number)))
                    .collect()
            }
            &Self::Last(pairs) => {
                check_count(pairs, student.len(), teacher.len())?;
                (student.len() - pairs..student.len())
                    .zip(teacher.len() - pairs..)
                    .collect()
            }
            &Self::Cka(pairs) => return Ok(CkaPairing::new(student, teacher, pairs)?.pairs),
        };
        let (student, teacher) = (names(student), names(teacher));
        Ok(indices
            .into_iter()
            .map(|(s, t)| (student[s].clone(), teacher[t].clone()))
            .collect())
    }
}

/// Pairs of layers with the largest similarity, chosen by centered kernel alignment.
///
/// It is displayed as a table of the similarities, with a star after the chosen pairs:
///
/// ```text
///         layer1  layer2  layer3
/// layer1   0.83*    0.61    0.22
/// layer2   0.54     0.48    0.71*
/// ```
///
/// The similarity is [linear CKA](burn_distill_core::numeric::linear_cka). The chosen pairs have
/// the largest sum of similarities among all pairs that do not cross.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Distribution, Tensor};
/// use burn_distill_architecture::{CkaPairing, NetworkConfig};
/// use burn_distill_core::{Network, TapSelection};
///
/// let device = Device::default();
/// let network = |name: &str| NetworkConfig::by_name(name)?.init([1, 8, 8], 10, &device);
/// let (student, teacher) = (network("convnet-4-8")?, network("convnet-4-6-8")?);
/// let images = Tensor::<4>::random([16, 1, 8, 8], Distribution::Default, &device);
///
/// let layers = TapSelection::named(["layer1", "layer2"]);
/// let student = student.forward_knowledge(images.clone(), &layers);
/// let layers = TapSelection::named(["layer1", "layer2", "layer3"]);
/// let teacher = teacher.forward_knowledge(images, &layers);
/// let chosen = CkaPairing::new(&student.taps, &teacher.taps, 2).unwrap();
///
/// assert_eq!(chosen.pairs.len(), 2);
/// println!("{chosen}");
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CkaPairing {
    /// Layers of the student.
    pub student: Vec<String>,
    /// Layers of the teacher.
    pub teacher: Vec<String>,
    /// For each layer of the student, its similarities to the layers of the teacher.
    pub similarities: Vec<Vec<f64>>,
    /// Chosen pairs, in the order of the layers.
    pub pairs: Vec<(String, String)>,
}

impl CkaPairing {
    /// Creates a number of pairs from all taps of student and teacher for the same batch.
    ///
    /// # Errors
    ///
    /// Returns a [`PairingError`] if there are fewer layers than pairs, fewer than four samples, or
    /// a tap without features.
    pub fn new(student: &Taps, teacher: &Taps, pairs: usize) -> Result<Self, PairingError> {
        check_count(pairs, student.len(), teacher.len())?;
        let [student_grams, teacher_grams] = [grams(student)?, grams(teacher)?];
        let (samples, teacher_samples) = (student_grams.dims()[1], teacher_grams.dims()[1]);
        if samples != teacher_samples {
            return Err(PairingError::Batches);
        }

        let table = student_grams.matmul(teacher_grams.transpose()).into_data();
        let similarities: Vec<f64> = table.iter::<f64>().collect();
        let similarities: Vec<_> = similarities
            .chunks(teacher.len())
            .map(<[f64]>::to_vec)
            .collect();
        let chosen = most_alike(&similarities, pairs);
        let (student, teacher) = (names(student), names(teacher));
        Ok(Self {
            pairs: chosen
                .into_iter()
                .map(|(s, t)| (student[s].clone(), teacher[t].clone()))
                .collect(),
            student,
            teacher,
            similarities,
        })
    }
}

impl Display for CkaPairing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let width = |names: &[String]| names.iter().map(|name| name.len()).max().unwrap_or(0);
        let first = width(&self.student);
        let column = width(&self.teacher).max("-0.00".len());

        write!(f, "{:first$}", "")?;
        for teacher in &self.teacher {
            write!(f, "  {teacher:>column$}")?;
        }
        for (student, row) in self.student.iter().zip(&self.similarities) {
            write!(f, "\n{student:first$}")?;
            // The star is in the gap that follows.
            let mut gap = "  ";
            for (teacher, similarity) in self.teacher.iter().zip(row) {
                write!(f, "{gap}{similarity:>column$.2}")?;
                let is_pair = |(s, t): &(String, String)| (s, t) == (student, teacher);
                gap = match self.pairs.iter().any(is_pair) {
                    true => "* ",
                    false => "  ",
                };
            }
            f.write_str(gap.trim_end())?;
        }
        Ok(())
    }
}

/// Computes one Gram matrix per tap. Shape: `[taps, batch_size²]`.
fn grams(taps: &Taps) -> Result<Tensor<2>, PairingError> {
    let mut grams = Vec::with_capacity(taps.len());
    for (name, tap) in taps.iter() {
        if matches!(tap, Tap::Attention(_) | Tap::Mask(_)) {
            return Err(PairingError::NoFeatures {
                name: name.into(),
                kind: tap.kind(),
            });
        }
        let features = tap.clone().without_autodiff().into_vectors();
        let [samples, _] = features.dims();
        if samples < LEAST_CKA_SAMPLES {
            return Err(PairingError::Samples(samples));
        }
        grams.push(cka_gram(features));
    }
    Ok(Tensor::cat(grams, 0))
}

/// Returns the `count` cells of the table with the largest sum, each below and to the right of the
/// previous one.
fn most_alike(table: &[Vec<f64>], count: usize) -> Vec<(usize, usize)> {
    let (rows, columns) = (table.len(), table[0].len());
    // best[k][i][j] is the largest sum of k cells within the first i rows and j columns.
    let mut best = vec![vec![vec![f64::NEG_INFINITY; columns + 1]; rows + 1]; count + 1];
    best[0] = vec![vec![0.0; columns + 1]; rows + 1];
    for k in 1..=count {
        for i in 1..=rows {
            for j in 1..=columns {
                let with = best[k - 1][i - 1][j - 1] + table[i - 1][j - 1];
                best[k][i][j] = with.max(best[k][i - 1][j]).max(best[k][i][j - 1]);
            }
        }
    }

    let (mut i, mut j) = (rows, columns);
    let mut cells = Vec::with_capacity(count);
    for k in (1..=count).rev() {
        loop {
            if best[k][i][j] == best[k][i - 1][j] {
                i -= 1;
            } else if best[k][i][j] == best[k][i][j - 1] {
                j -= 1;
            } else {
                break;
            }
        }
        (i, j) = (i - 1, j - 1);
        cells.push((i, j));
    }
    cells.reverse();
    cells
}

fn names(taps: &Taps) -> Vec<String> {
    taps.iter().map(|(name, _)| name.to_string()).collect()
}

fn check_count(pairs: usize, student: usize, teacher: usize) -> Result<(), PairingError> {
    match (1..=student.min(teacher)).contains(&pairs) {
        true => Ok(()),
        false => Err(PairingError::Count {
            pairs,
            student,
            teacher,
        }),
    }
}

/// Error about layers that cannot be paired.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairingError {
    /// A named tap is missing.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// The number of pairs is zero or larger than the number of layers.
    #[error(
        "the number of pairs should be at least 1 and at most the number of layers, \
         of which the student has {student} and the teacher {teacher}, but is {pairs}"
    )]
    Count {
        /// Requested number of pairs.
        pairs: usize,
        /// Number of layers of the student.
        student: usize,
        /// Number of layers of the teacher.
        teacher: usize,
    },
    /// A tap is attention or a mask.
    #[error(
        "the tap `{name}` should be a vector, a sequence or a map to be compared, but its kind is {kind}"
    )]
    NoFeatures {
        /// Name of the tap.
        name: String,
        /// Kind of the tap.
        kind: &'static str,
    },
    /// The batch is too small.
    #[error("a comparison of layers needs at least {LEAST_CKA_SAMPLES} samples, but there are {0}")]
    Samples(usize),
    /// The batches of student and teacher differ in size.
    #[error("the taps of student and teacher should be of the same batch, but their sizes differ")]
    Batches,
}

burn_distill_core::debug_as_display!(PairingError);

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Bool, Device, Distribution};
    use burn_distill_core::{TapRecorder, TapSelection};

    fn device() -> Device {
        Device::default()
    }

    fn normal(samples: usize, features: usize) -> Tensor<2> {
        Tensor::random(
            [samples, features],
            Distribution::Normal(0.0, 1.0),
            &device(),
        )
    }

    fn taps(taps: impl IntoIterator<Item = (&'static str, Tap)>) -> Taps {
        let mut recorder = TapRecorder::new(TapSelection::All);
        for (name, tap) in taps {
            recorder.offer(name, || tap);
        }
        recorder.finish().unwrap()
    }

    fn layers(names: &[&'static str]) -> Taps {
        taps(names.iter().map(|name| (*name, Tap::Vector(normal(8, 3)))))
    }

    fn chosen(pairing: Pairing, student: &[&'static str], teacher: &[&'static str]) -> String {
        let pairs = pairing.pairs(&layers(student), &layers(teacher)).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(s, t)| format!("{s}{t}")).collect();
        pairs.join(" ")
    }

    #[test]
    fn uniform_pairs_are_spaced_as_in_tinybert() {
        let teacher = ["a", "b", "c", "d", "e", "f"];

        assert_eq!(
            chosen(Pairing::Uniform(3), &["1", "2", "3"], &teacher),
            "1b 2d 3f"
        );
        assert_eq!(
            chosen(Pairing::Uniform(1), &["1", "2", "3"], &teacher),
            "3f"
        );
        assert_eq!(
            chosen(Pairing::Uniform(2), &teacher, &["1", "2", "3"]),
            "c2 f3"
        );
        assert_eq!(
            chosen(Pairing::Uniform(4), &["1", "2", "3", "4"], &teacher),
            "1b 2c 3e 4f"
        );
    }

    #[test]
    fn the_last_pairs_are_those_of_the_last_layers() {
        let (student, teacher) = (["1", "2", "3"], ["a", "b"]);

        assert_eq!(chosen(Pairing::Last(1), &student, &teacher), "3b");
        assert_eq!(chosen(Pairing::Last(2), &student, &teacher), "2a 3b");
    }

    #[test]
    fn explicit_pairs_are_checked() {
        let named = |student: &str, teacher: &str| {
            Pairing::Explicit(vec![(student.to_string(), teacher.to_string())])
                .pairs(&layers(&["1", "2"]), &layers(&["a"]))
        };

        assert_eq!(named("2", "a").unwrap(), [("2".into(), "a".into())]);
        assert!(
            named("3", "a")
                .unwrap_err()
                .to_string()
                .contains("no tap named `3`")
        );
        assert!(
            named("1", "b")
                .unwrap_err()
                .to_string()
                .contains("offers a")
        );
    }

    #[test]
    fn similar_layers_are_paired_without_crossing() {
        let features: Vec<_> = (0..4).map(|_| normal(32, 5)).collect();
        let teacher = taps([
            ("a", Tap::Vector(features[0].clone())),
            ("b", Tap::Vector(features[1].clone())),
            ("c", Tap::Vector(features[2].clone())),
            ("d", Tap::Vector(features[3].clone())),
        ]);
        let student = taps([
            ("1", Tap::Map(features[1].clone().unsqueeze_dims(&[2, 3]))),
            (
                "2",
                Tap::Sequence(features[3].clone().mul_scalar(2.0).unsqueeze_dim(1)),
            ),
        ]);

        let pairing = CkaPairing::new(&student, &teacher, 2).unwrap();

        let expected = [("1".to_string(), "b".to_string()), ("2".into(), "d".into())];
        assert_eq!(pairing.pairs, expected);
        assert_eq!(Pairing::Cka(2).pairs(&student, &teacher).unwrap(), expected);
        assert!((pairing.similarities[1][3] - 1.0).abs() < 1e-4);
        let table = pairing.to_string();
        assert_eq!(table.matches("1.00*").count(), 2, "{table}");
        assert_eq!(table.matches('*').count(), 2, "{table}");
    }

    #[test]
    fn a_table_is_aligned() {
        let names = |names: [&str; 2]| names.map(str::to_string).to_vec();
        let table = CkaPairing {
            student: names(["1", "last"]),
            teacher: names(["a", "longest"]),
            similarities: vec![vec![0.514, 0.9], vec![1.0, -0.25]],
            pairs: vec![("1".into(), "longest".into())],
        };

        let expected = "            a  longest\n\
                        1        0.51     0.90*\n\
                        last     1.00    -0.25";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn the_largest_sum_counts_and_not_the_largest_cell() {
        let table = [
            vec![0.1, 0.2, 0.9],
            vec![0.7, 0.3, 0.2],
            vec![0.1, 0.6, 0.3],
        ];

        assert_eq!(most_alike(&table, 1), [(0, 2)]);
        // 0.7 + 0.6 is more than 0.9 and any cell that does not cross it.
        assert_eq!(most_alike(&table, 2), [(1, 0), (2, 1)]);
        assert_eq!(most_alike(&table, 3), [(0, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn invalid_pairings_are_refused() {
        let (student, teacher) = (layers(&["1", "2"]), layers(&["a"]));
        for pairing in [Pairing::Uniform(2), Pairing::Last(2), Pairing::Cka(0)] {
            let error = pairing.pairs(&student, &teacher).unwrap_err().to_string();
            assert!(
                error.contains("the student has 2 and the teacher 1, but is"),
                "{error}"
            );
        }
        let small = taps([("a", Tap::Vector(normal(3, 2)))]);
        let error = CkaPairing::new(&small, &small, 1).unwrap_err();
        assert_eq!(error, PairingError::Samples(3));
        assert_eq!(
            CkaPairing::new(&student, &taps([("a", Tap::Vector(normal(9, 2)))]), 1),
            Err(PairingError::Batches)
        );
        let mask = Tensor::<2, Bool>::full([8, 2], true, &device());
        let error = CkaPairing::new(&student, &taps([("m", Tap::Mask(mask))]), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the tap `m` should be a vector, a sequence or a map to be compared, but its kind is mask"
        );
    }
}

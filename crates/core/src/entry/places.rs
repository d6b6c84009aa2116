use super::{DefaultTaps, LayerChoice, LossBuilder, TakenValue};
use crate::{
    BuiltLoss, Check, Input, LossError, MultiLayerLoss, MultiLayerTerm, Tap, TapAdapter, TapLoss,
    TapPair, TapPairs, Taps, check,
};
use burn::tensor::Tensor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Largest number of pairs, more than any network has layers.
const MOST_PAIRS: usize = 1_000_000;

/// Taps that a table names.
impl<I: Input> LossBuilder<'_, I> {
    /// Takes the pairs of taps that a loss compares.
    ///
    /// The keys `student` and `teacher` name the taps, each as a string or as a list of the same
    /// length, or the key `pairing` chooses them. Otherwise they are the `default` taps.
    ///
    /// # Errors
    ///
    /// Returns an error if a network has no such taps, or if the numbers of taps differ.
    pub fn pairs(&mut self, default: DefaultTaps) -> Result<Vec<(String, String)>, LossError> {
        if let Some(pairs) = self.paired(default)? {
            return Ok(pairs);
        }
        let (student, teacher) = self.layers(default)?;
        if student.len() == teacher.len() {
            return Ok(student.into_iter().zip(teacher).collect());
        }
        Err(LossError::new(format_args!(
            "the student has {} of these taps and the teacher {}: name the same number of both, \
             as in student = [\"{}\"], teacher = [\"{}\"], or set `pairing`",
            student.len(),
            teacher.len(),
            student[0],
            teacher[0]
        )))
    }

    /// Takes a single pair of taps, like [`pairs`](Self::pairs).
    ///
    /// # Errors
    ///
    /// Returns an error if there is not exactly one pair.
    pub fn pair(&mut self, default: DefaultTaps) -> Result<(String, String), LossError> {
        let mut pairs = self.pairs(default)?;
        match pairs.len() {
            1 => Ok(pairs.swap_remove(0)),
            count => Err(LossError::new(format_args!(
                "this loss compares one tap of the student with one of the teacher, but there are {count} \
                 pairs: name one tap as `student` and one as `teacher`"
            ))),
        }
    }

    /// Takes the taps of the student and of the teacher that a loss compares. Their numbers may
    /// differ.
    ///
    /// # Errors
    ///
    /// Returns an error if a network has no such taps.
    pub fn layers(
        &mut self,
        default: DefaultTaps,
    ) -> Result<(Vec<String>, Vec<String>), LossError> {
        let context = self.context();
        let student = self.names("student", &context.student_taps, default)?;
        let teacher = self.names("teacher", &context.teacher_taps, default)?;
        Ok((student, teacher))
    }

    /// Takes the names of taps of one network from a key, such as `student`.
    ///
    /// # Errors
    ///
    /// Returns an error if the network has no such taps.
    pub fn names(
        &mut self,
        side: &'static str,
        taps: &Taps,
        default: DefaultTaps,
    ) -> Result<Vec<String>, LossError> {
        let taken = self.take(side);
        named(side, taken, taps, default)
    }

    /// Takes the name of a single tap of one network from a key, such as `student`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is not exactly one tap.
    pub fn one(
        &mut self,
        side: &'static str,
        taps: &Taps,
        default: DefaultTaps,
    ) -> Result<String, LossError> {
        let taken = self.take(side);
        one_of(side, taken, taps, default)
    }

    /// Takes the tap of each of several teachers from the key `teachers`, a list of their names in
    /// the order of the teachers. Otherwise they are the `default` taps.
    ///
    /// # Errors
    ///
    /// Returns an error if there is not one tap for each teacher, or if a teacher has no such tap.
    pub fn of_each_teacher(&mut self, default: DefaultTaps) -> Result<Vec<String>, LossError> {
        let contexts = self.contexts();
        let named: Vec<Option<TakenValue>> = match self.take("teachers") {
            None => vec![None; contexts.len()],
            Some(taken) => {
                let Value::Array(names) = &taken.value else {
                    return Err(taken.refused("a list of taps"));
                };
                let names = names.iter().map(|name| {
                    Some(TakenValue {
                        value: name.clone(),
                        found: name.to_string(),
                        ..taken.clone()
                    })
                });
                names.collect()
            }
        };
        check::ensure(
            named.len() == contexts.len(),
            "teachers",
            format_args!("a list of {} taps, one for each teacher", contexts.len()),
            format_args!("a list of {}", named.len()),
        )?;
        let teachers = contexts.iter().zip(named);
        teachers
            .map(|(context, name)| one_of("teachers", name, &context.teacher_taps, default))
            .collect()
    }

    /// Returns the number of features of a token in the first of the named taps, for the student
    /// and for the teacher.
    ///
    /// # Errors
    ///
    /// Returns an error if the tap is not a sequence or a vector.
    pub fn token_features(
        &self,
        names: &(Vec<String>, Vec<String>),
    ) -> Result<[usize; 2], LossError> {
        let of = |taps: &Taps, names: &[String]| match taps.get(&names[0])? {
            tap @ (Tap::Sequence(_) | Tap::Vector(_)) => {
                let shape = tap.shape();
                Ok(shape[shape.rank() - 1])
            }
            tap => Err(LossError::new(format_args!(
                "the tap `{}` should be a sequence of tokens, but its kind is {}",
                names[0],
                tap.kind()
            ))),
        };
        let context = self.context();
        Ok([
            of(&context.student_taps, &names.0)?,
            of(&context.teacher_taps, &names.1)?,
        ])
    }

    /// Returns the number of channels of each named tap as a map.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them is attention or a mask.
    pub fn channels(&self, taps: &Taps, names: &[String]) -> Result<Vec<usize>, LossError> {
        let channels = names.iter().map(|name| {
            let channels = taps.get(name)?.channels();
            channels.map_err(|error| error.context(format_args!("the tap `{name}`")))
        });
        channels.collect()
    }

    /// Returns the numbers of features of a tap of the student and of a tap of the teacher, each as
    /// one vector per sample.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them is attention or a mask.
    pub fn vector_sizes(&self, student: &str, teacher: &str) -> Result<[usize; 2], LossError> {
        let size = |taps: &Taps, name: &str| {
            let size = taps.get(name)?.vector_size();
            size.map_err(|error| error.context(format_args!("the tap `{name}`")))
        };
        let context = self.context();
        Ok([
            size(&context.student_taps, student)?,
            size(&context.teacher_taps, teacher)?,
        ])
    }

    /// Returns whether the table names taps of the student or of the teacher.
    pub fn has_tap_names(&self) -> bool {
        self.has("student") || self.has("teacher")
    }

    /// Takes the pairs of taps that the key `pairing` chooses, if the table has one: a number of
    /// `pairs` among the taps that `student` and `teacher` name, or among all default taps.
    fn paired(&mut self, default: DefaultTaps) -> Result<Option<Vec<(String, String)>>, LossError> {
        let choice = match self.has("pairing") {
            true => self.take_typed::<LayerChoice>("pairing")?,
            false => {
                self.take("pairing");
                None
            }
        };
        let pairs = self.count("pairs", MOST_PAIRS)?;
        let Some(choice) = choice else {
            return match pairs {
                None => Ok(None),
                Some(_) => Err(LossError::of_key(
                    "pairs",
                    "it is the number of pairs that `pairing` chooses, but there is no `pairing`: add it",
                )),
            };
        };
        let context = self.context();
        let Some(pair_layers) = &context.pairing else {
            return Err(LossError::of_key(
                "pairing",
                "this program does not support `pairing`: name the taps as `student` and `teacher`",
            ));
        };
        let (student, teacher) = self.layers(match default {
            DefaultTaps::MiddleStage | DefaultTaps::LastStage => DefaultTaps::Stages,
            other => other,
        })?;
        let pairs = pairs.unwrap_or(student.len().min(teacher.len()));
        pair_layers(context, choice, pairs, &student, &teacher).map(Some)
    }
}

/// Terms of losses on taps.
impl<I: Input> LossBuilder<'_, I> {
    /// Builds the term of a loss without parameters between each pair of taps, with the values of
    /// the table in the configuration `default`.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is out of its range, or if the loss cannot compare the taps.
    pub fn pairs_of<C, L>(
        mut self,
        default_taps: DefaultTaps,
        default: C,
        init: impl FnOnce(&C) -> L,
    ) -> Result<BuiltLoss<I>, LossError>
    where
        C: Serialize + DeserializeOwned + Check,
        L: TapLoss,
    {
        let pairs = self.pairs(default_taps)?;
        let loss = init(&self.configure(default)?);
        let (students, teachers): (Vec<_>, Vec<_>) = pairs.iter().cloned().unzip();
        self.try_out(
            (&students, &teachers),
            |student, teacher| {
                let mut each = student.iter().zip(teacher);
                each.try_for_each(|(student, teacher)| loss.check_taps(student, teacher))
            },
            |student, teacher| {
                let each = student.into_iter().zip(teacher);
                let each = each.map(|(student, teacher)| loss.forward_taps(student, teacher, None));
                each.reduce(Tensor::add).expect("there is a pair of taps")
            },
        )?;
        let pairs = pairs
            .into_iter()
            .map(|(student, teacher)| TapPair::new(student, teacher, loss.clone()));
        self.tap_pairs(pairs)
    }

    /// Builds the term of a loss between each pair of taps, from a function that creates a pair
    /// from the names of its taps and their numbers of channels.
    ///
    /// # Errors
    ///
    /// Returns an error if a tap is attention or a mask, which have no channels.
    pub fn pairs_of_channels<L: TapLoss, A: TapAdapter>(
        self,
        pairs: Vec<(String, String)>,
        pair: impl Fn(String, String, [usize; 2]) -> TapPair<L, A>,
    ) -> Result<BuiltLoss<I>, LossError> {
        let context = self.context();
        let (students, teachers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let inputs = self.channels(&context.student_taps, &students)?;
        let outputs = self.channels(&context.teacher_taps, &teachers)?;
        let names = students.into_iter().zip(teachers);
        let pairs = names.zip(inputs.into_iter().zip(outputs));
        let pairs = pairs.map(|((student, teacher), (inputs, outputs))| {
            pair(student, teacher, [inputs, outputs])
        });
        self.tap_pairs(pairs.collect::<Vec<_>>())
    }

    /// Builds the term of a loss between pairs of taps, with the [masks](MASK_TAP) of the networks.
    ///
    /// # Errors
    ///
    /// Never returns an error. The `Result` is a convenience for functions that return it.
    ///
    /// # Panics
    ///
    /// Panics if there are no pairs.
    pub fn tap_pairs<L: TapLoss, A: TapAdapter>(
        self,
        pairs: impl IntoIterator<Item = TapPair<L, A>>,
    ) -> Result<BuiltLoss<I>, LossError> {
        let mut term = TapPairs::from(pairs);
        let context = self.context();
        let of_pairs = |name: fn(&TapPair<L, A>) -> &String| term.pairs.iter().map(name);
        let mask = mask_beside(&context.student_taps, of_pairs(|pair| &pair.student));
        let teacher_mask = mask_beside(&context.teacher_taps, of_pairs(|pair| &pair.teacher));
        term.mask = mask;
        term.teacher_mask = teacher_mask;
        self.term(term)
    }

    /// Builds the term of a loss between several layers, with the [masks](MASK_TAP) of the networks,
    /// after a trial on a number of samples.
    ///
    /// # Errors
    ///
    /// Returns an error if the loss cannot compare the layers.
    pub fn layers_of<L: MultiLayerLoss>(
        self,
        (student, teacher): (Vec<String>, Vec<String>),
        samples: usize,
        loss: L,
    ) -> Result<BuiltLoss<I>, LossError> {
        self.try_out_on(
            samples,
            (&student, &teacher),
            |student, teacher| loss.check_layers(student, teacher),
            |student, teacher| loss.forward_layers(student, teacher, None),
        )?;
        let context = self.context();
        let mask = mask_beside(&context.student_taps, &student);
        let teacher_mask = mask_beside(&context.teacher_taps, &teacher);
        let mut term = MultiLayerTerm::new(loss, student, teacher);
        term.mask = mask;
        term.teacher_mask = teacher_mask;
        self.term(term)
    }
}

/// Name of the tap with the [mask](Tap::Mask) of the tokens that count.
///
/// A loss that is built from a table leaves out the tokens that do not count, if it compares
/// sequences or attention of a network that offers this tap.
pub const MASK_TAP: &str = "mask";

/// Returns the tap with the mask, if the network offers it and one of the named taps is of tokens.
fn mask_beside<'a>(taps: &Taps, names: impl IntoIterator<Item = &'a String>) -> Option<String> {
    let of_tokens =
        |name: &'a String| matches!(taps.get(name), Ok(Tap::Sequence(_) | Tap::Attention(_)));
    let is_needed = names.into_iter().any(of_tokens);
    let is_offered = matches!(taps.get(MASK_TAP), Ok(Tap::Mask(_)));
    (is_needed && is_offered).then(|| MASK_TAP.to_string())
}

/// Returns the names of the taps in a value, or else the default taps.
pub(super) fn named(
    side: &str,
    taken: Option<TakenValue>,
    taps: &Taps,
    default: DefaultTaps,
) -> Result<Vec<String>, LossError> {
    let names = match taken {
        None => default.of(taps),
        Some(taken) => match &taken.value {
            Value::String(name) => vec![name.clone()],
            Value::Array(names) => names
                .iter()
                .enumerate()
                .map(|(index, name)| match name {
                    Value::String(name) => Ok(name.clone()),
                    other => {
                        let key = format!("{side}.{index}");
                        Err(check::ConfigError::new(key, "the name of a tap", other).into())
                    }
                })
                .collect::<Result<_, LossError>>()?,
            _ => return Err(taken.refused("the name of a tap or a list of names")),
        },
    };
    if names.is_empty() {
        let offered: Vec<_> = taps.iter().map(|(name, _)| name).collect();
        return Err(LossError::of_key(
            side,
            format_args!(
                "the network has none of the default taps of this loss: name one of {}",
                offered.join(", ")
            ),
        ));
    }
    for name in &names {
        if let Err(error) = taps.get(name) {
            return Err(LossError::of_key(side, error));
        }
    }
    Ok(names)
}

/// Returns the name of the single tap in a value, or else the default tap.
///
/// # Errors
///
/// Returns an error if there is not exactly one tap.
fn one_of(
    side: &str,
    taken: Option<TakenValue>,
    taps: &Taps,
    default: DefaultTaps,
) -> Result<String, LossError> {
    let mut names = named(side, taken, taps, default)?;
    check::ensure(
        names.len() == 1,
        side,
        "one tap",
        format_args!("{} taps", names.len()),
    )?;
    Ok(names.remove(0))
}

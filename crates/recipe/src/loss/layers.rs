use super::description::Description;
use crate::fault::Fault;
use anyhow::{Result, bail, ensure};
use burn_distill::core::{Tap, Taps};
use toml::Value;

/// Which taps a loss compares where the recipe names none.
#[derive(Clone, Copy, Debug)]
pub enum Layers {
    /// The output of every stage: the maps, else the vectors, else the sequences of hidden layers.
    Stages,
    /// The output of the last stage.
    LastStage,
    /// The output of the middle stage, where hints are given.
    MiddleStage,
    /// Every stage before its last activation.
    BeforeActivation,
    /// Every stage before its last activation, then the pooled features.
    BeforeActivationAndPool,
    /// Every stage, then the pooled features.
    StagesAndPool,
    /// The features that the classifier sees.
    Pooled,
    /// Where each class is seen, of networks that classify the mean of each channel.
    ClassMaps,
    /// The tokens or the attention of every layer of a transformer, such as `hidden.0`, `hidden.1`,
    /// ….
    EveryOf(&'static str),
    /// The last layer of each of these, such as `query.4`, `key.4`, `value.4`.
    LastOf(&'static [&'static str]),
}

impl Description<'_> {
    /// The pairs of taps that a loss compares one with one: `student` and `teacher` name them, as a
    /// string or as lists of one length, or `pairing` says how they are chosen.
    pub fn pairs(&mut self, default: Layers) -> Result<Vec<(String, String)>> {
        if let Some(pairs) = self.paired(default)? {
            return Ok(pairs);
        }
        let (student, teacher) = self.layers(default)?;
        if student.len() == teacher.len() {
            return Ok(student.into_iter().zip(teacher).collect());
        }
        bail!(
            "the student has {} of these taps and the teacher {}: say which belong together, \
             as in student = [\"{}\"], teacher = [\"{}\"], or give a `pairing`",
            student.len(),
            teacher.len(),
            student[0],
            teacher[0]
        )
    }

    /// The taps of the student and of the teacher that a loss compares, not necessarily as many.
    pub fn layers(&mut self, default: Layers) -> Result<(Vec<String>, Vec<String>)> {
        let scene = self.scene;
        let student = self.names("student", &scene.student_taps, default)?;
        let teacher = self.names("teacher", &scene.teacher_taps, default)?;
        Ok((student, teacher))
    }

    /// The tap that one of the two sides names, of a loss that looks at one alone.
    pub fn names(
        &mut self,
        side: &'static str,
        taps: &Taps,
        default: Layers,
    ) -> Result<Vec<String>> {
        let names = match self.take(side) {
            None => default.of(taps),
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names
                .into_iter()
                .enumerate()
                .map(|(index, name)| match name {
                    Value::String(name) => Ok(name),
                    other => Err(Fault::value(
                        format_args!("{side}.{index}"),
                        "the name of a tap",
                        &other,
                    )),
                })
                .collect::<Result<_, _>>()?,
            Some(other) => {
                let expected = "the name of a tap or a list of names";
                return Err(Fault::value(side, expected, &other).into());
            }
        };
        let offered = || {
            let names: Vec<_> = taps.iter().map(|(name, _)| name).collect();
            names.join(", ")
        };
        ensure!(
            !names.is_empty(),
            Fault::other(
                side,
                format_args!(
                    "the network has no tap of the kind that this loss takes: name one of {}",
                    offered()
                )
            )
        );
        for name in &names {
            if let Err(error) = taps.get(name) {
                return Err(Fault::other(side, error).into());
            }
        }
        Ok(names)
    }
}

impl Layers {
    /// The names of these taps.
    pub fn of(self, taps: &Taps) -> Vec<String> {
        let named = |keep: &dyn Fn(&str, &Tap) -> bool| -> Vec<String> {
            let kept = taps.iter().filter(|(name, tap)| keep(name, tap));
            kept.map(|(name, _)| name.to_string()).collect()
        };
        let is_pre = |name: &str| name.ends_with(".pre");
        let outputs = || {
            let kinds: [fn(&Tap) -> bool; 3] = [
                |tap| matches!(tap, Tap::Map(_)),
                |tap| matches!(tap, Tap::Sequence(_)),
                |tap| matches!(tap, Tap::Vector(_)),
            ];
            let numbered = |name: &str| name.starts_with("layer") || name.starts_with("hidden");
            kinds
                .iter()
                .map(|kind| named(&|name, tap| kind(tap) && numbered(name) && !is_pre(name)))
                .find(|names| !names.is_empty())
                .unwrap_or_default()
        };
        let pool = || {
            let pool = named(&|name, _| name == "pool");
            match pool.is_empty() {
                true => outputs().pop().into_iter().collect(),
                false => pool,
            }
        };
        match self {
            Self::Stages => outputs(),
            Self::LastStage => outputs().pop().into_iter().collect(),
            Self::MiddleStage => {
                let mut stages = outputs();
                match stages.len() {
                    0 => stages,
                    count => vec![stages.swap_remove(count / 2)],
                }
            }
            Self::BeforeActivation => named(&|name, _| is_pre(name)),
            Self::BeforeActivationAndPool => {
                let mut names = named(&|name, _| is_pre(name));
                names.extend(pool());
                names
            }
            Self::StagesAndPool => {
                let mut names = outputs();
                names.extend(pool());
                names
            }
            Self::Pooled => pool(),
            Self::ClassMaps => named(&|name, _| name == "class-maps"),
            Self::EveryOf(kind) => named(&|name, tap| {
                let number = name
                    .strip_prefix(kind)
                    .and_then(|rest| rest.strip_prefix('.'));
                let is_layer = number.is_some_and(|number| number.parse::<usize>().is_ok());
                is_layer && matches!(tap, Tap::Sequence(_) | Tap::Attention(_))
            }),
            Self::LastOf(kinds) => {
                let last = |kind: &&'static str| Self::EveryOf(kind).of(taps).pop();
                kinds.iter().filter_map(last).collect()
            }
        }
    }
}

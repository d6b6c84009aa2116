use super::JointLoss;
use super::catch::catch;
use super::description::Description;
use super::layers::Layers;
use super::{Loss, Scene, not_built};
use crate::fault::Fault;
use anyhow::Result;
use burn_distill::core::{
    DynObjective, Knowledge, LossTerm, SingleTeacher, Taps, Weighted, check, initialize,
};
use burn_distill::relation::{
    GraphLoss, GraphTerm, LogitsGraphLossConfig, ModalityGraphLossConfig,
    RelativeDissimilarityLossConfig, RepresentationGraphLossConfig,
};
use std::slice;
use toml::Value;

const MODALITY: &str = "modality-graph";
const LOGITS: &str = "logits-graph";
const REPRESENTATION: &str = "representation-graph";
const DISSIMILARITY: &str = "relative-dissimilarity";

/// Whether a loss takes all teachers at once.
pub fn is_joint(kind: &str) -> bool {
    [MODALITY, LOGITS, REPRESENTATION, DISSIMILARITY].contains(&kind)
}

/// A loss that takes all teachers at once, here the one there is.
pub fn single(kind: &str, description: Description<'_>) -> Result<Loss> {
    let scene = slice::from_ref(description.scene);
    let clip = description.clip()?;
    let JointLoss { name, objective } = build(kind, description, scene)?;
    Ok(Loss {
        name,
        objective: DynObjective::new(SingleTeacher::new(objective)),
        clip,
        preparation: None,
        student: None,
    })
}

/// A loss that takes all teachers at once.
pub fn build(kind: &str, loss: Description<'_>, scenes: &[Scene]) -> Result<JointLoss> {
    match kind {
        MODALITY => modality(loss, scenes),
        LOGITS => logits(loss, scenes),
        REPRESENTATION => representation(loss, scenes),
        DISSIMILARITY => dissimilarity(loss, scenes),
        _ => not_built(kind),
    }
}

fn modality(mut loss: Description<'_>, scenes: &[Scene]) -> Result<JointLoss> {
    let taps = GraphTaps::take(&mut loss, scenes)?;
    let given = loss
        .configure(ModalityGraphLossConfig::new())?
        .prior_scores
        .len();
    check::ensure(
        given == 0 || given == scenes.len(),
        "prior_scores",
        format_args!("a list of {} scores, one of each teacher", scenes.len()),
        format_args!("a list of {given}"),
    )?;
    let (classes, device) = (scenes[0].classes()?, loss.scene.device.clone());
    let graph = loss.init(ModalityGraphLossConfig::new(), |config| {
        config.init(classes, taps.student_features, &taps.features, &device)
    })?;
    taps.objective(loss, graph)
}

fn representation(mut loss: Description<'_>, scenes: &[Scene]) -> Result<JointLoss> {
    let taps = GraphTaps::take(&mut loss, scenes)?;
    let device = loss.scene.device.clone();
    let graph = loss.init(RepresentationGraphLossConfig::new(), |config| {
        config.init(taps.student_features, &taps.features, &device)
    })?;
    taps.objective(loss, graph)
}

fn dissimilarity(mut loss: Description<'_>, scenes: &[Scene]) -> Result<JointLoss> {
    let taps = GraphTaps::take(&mut loss, scenes)?;
    let graph = loss.init(RelativeDissimilarityLossConfig::new(), |config| {
        config.init(scenes.len())
    })?;
    taps.objective(loss, graph)
}

fn logits(loss: Description<'_>, scenes: &[Scene]) -> Result<JointLoss> {
    let config = loss.configure(LogitsGraphLossConfig::new())?;
    let (given, classes) = (config.cost.len(), scenes[0].classes()?);
    check::ensure(
        given == 0 || given == classes,
        "cost",
        format_args!("a matrix of the {classes} classes"),
        format_args!("one of {given}"),
    )?;
    let graph = catch(|| config.init(scenes.len(), &loss.scene.device))?;
    loss.joint(graph)
}

/// The taps that a graph compares.
struct GraphTaps {
    student: String,
    student_features: usize,
    teachers: Vec<String>,
    features: Vec<usize>,
}

impl GraphTaps {
    /// The pooled features of each network, unless the table names others: `student` one tap,
    /// `teachers` one for each of them.
    fn take(loss: &mut Description<'_>, scenes: &[Scene]) -> Result<Self> {
        let student = loss.one("student", &scenes[0].student_taps, Layers::Pooled)?;
        let named = match loss.table.remove("teachers") {
            None => vec![None; scenes.len()],
            Some(Value::Array(names)) => names.into_iter().map(Some).collect(),
            Some(other) => return Err(Fault::value("teachers", "a list of taps", &other).into()),
        };
        check::ensure(
            named.len() == scenes.len(),
            "teachers",
            format_args!("a list of {} taps, one of each teacher", scenes.len()),
            format_args!("a list of {}", named.len()),
        )?;
        let mut teachers = Vec::with_capacity(scenes.len());
        for (scene, name) in scenes.iter().zip(named) {
            if let Some(name) = name {
                loss.table.insert("teachers".into(), name);
            }
            teachers.push(loss.one("teachers", &scene.teacher_taps, Layers::Pooled)?);
        }
        let features = scenes.iter().zip(&teachers);
        Ok(Self {
            student_features: size(&scenes[0].student_taps, &student),
            features: features
                .map(|(scene, tap)| size(&scene.teacher_taps, tap))
                .collect(),
            student,
            teachers,
        })
    }

    fn objective(self, loss: Description<'_>, graph: impl GraphLoss) -> Result<JointLoss> {
        loss.joint(GraphTerm::new(graph, self.student, self.teachers))
    }
}

fn size(taps: &Taps, name: &str) -> usize {
    taps.take(name).shape().as_slice()[1..].iter().product()
}

impl Description<'_> {
    /// Creates the objective of a term against all teachers, under the name and with the weight that the
    /// table gives it, or else its own name and a weight of 1.
    fn joint(self, term: impl LossTerm<Knowledge, Vec<Knowledge>>) -> Result<JointLoss> {
        let (name, weight) = self.name_and_weight(&term.term_name(), 1.0);
        let objective = initialize(Weighted::of(term, weight).with_name(name.clone()));
        Ok(JointLoss {
            name,
            objective: DynObjective::new(objective),
        })
    }
}

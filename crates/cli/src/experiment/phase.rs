use super::diverged::Subject;
use super::repetition::{Experiment, Progress, Renderer, Trained, TrainedMember};
use super::weights::{load, save};
use crate::recipe::{Finish, Outcome, TrainingRecipe};
use anyhow::{Context, Result, anyhow};
use burn::tensor::Tensor;
use burn_distill::architecture::NetworkConfig;
use burn_distill::data::BatchLoader;
use burn_distill::strategy::{Distiller, Figure, TeacherIdentity, Training, write_atomically};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Which of the networks of a repetition.
#[derive(Clone, Copy)]
pub enum Role {
    /// One of the teachers, counted from 0.
    Teacher(usize),
    Alone,
    /// One of the generations before the last, counted from 1.
    Generation(usize),
    /// The student before it knows labels.
    Pretrained,
    Distilled,
}

impl Role {
    /// Its name, and that of its folder.
    pub fn name(self) -> String {
        match self {
            Self::Teacher(0) => "teacher".into(),
            Self::Teacher(index) => format!("teacher-{}", index + 1),
            Self::Alone => "alone".into(),
            Self::Generation(number) => format!("generation-{number}"),
            Self::Pretrained => "pretrained".into(),
            Self::Distilled => "distilled".into(),
        }
    }

    /// Returns its name in a sentence.
    pub fn title(self) -> String {
        match self {
            Self::Teacher(0) => "the teacher".into(),
            Self::Teacher(index) => format!("teacher {}", index + 1),
            Self::Alone => "the student alone".into(),
            Self::Generation(number) => format!("generation {number}"),
            Self::Pretrained => "the pretrained student".into(),
            Self::Distilled => "the distilled student".into(),
        }
    }
}

/// One training of an experiment.
pub struct Phase<'a, M> {
    pub role: Role,
    pub seed: u64,
    pub model: &'a NetworkConfig,
    pub training: &'a TrainingRecipe,
    pub loader: BatchLoader,
    pub teacher: Option<TeacherIdentity>,
    pub figures: Vec<Figure>,
    /// The epochs after which the network is kept.
    pub snapshots: Vec<usize>,
    pub distiller: M,
    pub outcome: Finish<M>,
    pub renderer: &'a mut Renderer,
}

/// What a finished training leaves beside its weights, and an interrupted one for the next.
#[derive(Default, Serialize, Deserialize)]
pub struct Record {
    /// Whether the training is finished.
    pub finished: bool,
    /// How long it took so far, over all its runs that ended by themselves.
    pub seconds: f64,
}

impl Experiment<'_> {
    /// Train a network, or load it if that is done.
    pub fn train<M>(&self, phase: Phase<'_, M>) -> Result<Progress<Trained>>
    where
        M: Distiller<Tensor<4>>,
    {
        let subject = Subject::new(phase.role, phase.seed);
        let folder = self.phase_folder(phase.role, phase.seed);
        let weights = folder.join("model.bpk");
        let record_file = folder.join("training.json");
        let mut record = Record::read(&record_file)?;
        if record.finished {
            let mut outcome = (phase.outcome)(phase.distiller)?;
            let model = phase.model.to_string();
            outcome.student = load(outcome.student, &model, &weights)?;
            for member in &mut outcome.members {
                let file = folder.join(member.file());
                member.network = load(member.network.clone(), &member.model, &file)?;
            }
            return self.evaluate_all(&subject, outcome, &folder, record.seconds);
        }
        if self.stop.is_requested() {
            return Ok(Progress::Stopped);
        }
        fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;

        let start = Instant::now();
        let trained = Training::new(&folder, self.device, phase.training.epochs)
            .with_label(format!("seed {} {}", phase.seed, phase.role.name()))
            // A new run has a new folder, so what is there is to be gone on with.
            .with_resume(true)
            .with_patience(phase.training.patience)
            .with_teacher(phase.teacher)
            .with_figures(phase.figures)
            .with_snapshots(phase.snapshots)
            .with_interrupter(self.stop.interrupter())
            .with_renderer(phase.renderer.take())
            .launch(
                phase.distiller,
                &phase.training.optimizer,
                &phase.training.learning_rate,
                self.data.loaders(phase.loader),
            )
            .map_err(|error| subject.training_error(error))?;
        *phase.renderer = Some(trained.renderer);
        record.seconds += start.elapsed().as_secs_f64();
        record.finished = !trained.stopped;
        if trained.stopped {
            record.write(&record_file)?;
            return Ok(Progress::Stopped);
        }
        let outcome = (phase.outcome)(trained.model)?;
        for member in &outcome.members {
            let origin = self
                .data
                .provenance(&member.model, &member.name, phase.seed);
            save(&member.network, &origin, &folder.join(member.file()))?;
        }
        let origin = self
            .data
            .provenance(phase.model, phase.role.name(), phase.seed);
        save(&outcome.student, &origin, &weights)?;
        record.write(&record_file)?;
        self.evaluate_all(&subject, outcome, &folder, record.seconds)
    }

    /// How the networks of a training do, whose weights are in that folder.
    fn evaluate_all(
        &self,
        subject: &Subject,
        outcome: Outcome,
        folder: &Path,
        seconds: f64,
    ) -> Result<Progress<Trained>> {
        let Outcome { student, members } = outcome;
        let mut trained = self.evaluate(subject, student, &folder.join("model.bpk"), seconds)?;
        for member in members {
            let weights = folder.join(member.file());
            let subject = Subject::named(&member.name, subject.seed);
            trained.members.push(TrainedMember {
                trained: self.evaluate(&subject, member.network, &weights, seconds)?,
                name: member.name,
                model: member.model,
            });
        }
        Ok(Progress::Done(trained))
    }

    /// The folder of the training of a network.
    pub fn phase_folder(&self, role: Role, seed: u64) -> PathBuf {
        self.folder.join(format!("seed-{seed}")).join(role.name())
    }
}

impl Record {
    /// The record in a file; that of a training not begun if there is none.
    pub fn read(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|_| damaged(path)),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(damaged(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{}", path.display())),
        }
    }

    /// Write it, beside its place and then renamed.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, serde_json::to_string_pretty(self)?.as_bytes())
            .with_context(|| format!("{}", path.display()))
    }
}

/// Returns the error of a record that is none.
fn damaged(path: &Path) -> anyhow::Error {
    anyhow!(
        "{}: the file is empty or damaged; remove it, and the training goes on from its last \
         checkpoint, or remove the folder {} to train again",
        path.display(),
        path.parent().unwrap_or(path).display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_record_is_told_without_the_words_of_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("training.json");
        for contents in [&b""[..], b"{", b"[]", b"\xff\xfe"] {
            fs::write(&path, contents).unwrap();
            let error = format!("{:#}", Record::read(&path).err().unwrap());
            let expected = format!(
                "{}: the file is empty or damaged; remove it",
                path.display()
            );
            assert!(error.starts_with(&expected), "{error}");
            assert!(!error.contains("line 1"), "{error}");
        }
    }
}

//! Contrastive representation distillation (CRD) with its memory banks, against RepDistiller.

use crate::networks::Conv;
use crate::recording::{Recording, device, integers};
use crate::replay::{Replay, sgd};
use burn::module::Module;
use burn::tensor::{Int, Tensor};
use burn_distill::core::numeric::l2_normalize;
use burn_distill::core::{
    Context, CrossEntropyObjective, Knowledge, Objective, Requirements, TapSelection, Terms,
};
use burn_distill::relation::{Contrast, ContrastiveLoss, ContrastiveLossConfig, SampleIndex};
use burn_distill::strategy::OfflineDistiller;
use std::sync::Arc;

/// Loss with recorded negatives instead of drawn ones.
#[derive(Module, Debug)]
struct Recorded {
    loss: ContrastiveLoss,
    /// Rows of the negatives in the memory banks, in each step.
    #[module(skip)]
    places: Arc<Vec<Vec<Vec<usize>>>>,
}

impl Objective for Recorded {
    fn requirements(&self) -> Requirements {
        let pool = || TapSelection::named(["pool"]);
        Requirements {
            student: pool(),
            teacher: pool(),
            ..Requirements::default()
        }
    }

    fn forward(&self, context: &Context<'_, Knowledge, Knowledge>) -> Terms {
        let pool = |side: &Knowledge| side.taps.expect("pool").into_vectors();
        let embed = |features, layer: &burn::nn::Linear| l2_normalize(layer.forward(features), 1);
        let student = embed(pool(context.student), &self.loss.student_embedding);
        let teacher = embed(
            pool(context.teacher).without_autodiff(),
            &self.loss.teacher_embedding,
        );
        let places = &self.places[context.clock.step()];
        let all: Vec<_> = places.iter().flatten().copied().collect();
        let contrast: Tensor<2, Int> = integers(&all).reshape([places.len(), 16]);
        let contrast = Contrast::Own(contrast);
        let loss = self
            .loss
            .forward_embedded(student, teacher, context.ids, &contrast);
        Terms::one("contrastive", loss, 0.8)
    }
}

fn names(name: &str) -> String {
    match name {
        "student_bank.running_value" => "contrast.memory_v1".into(),
        "teacher_bank.running_value" => "contrast.memory_v2".into(),
        name => name
            .replace("student_embedding", "embed_s.linear")
            .replace("teacher_embedding", "embed_t.linear"),
    }
}

#[test]
fn contrast_trains_as_in_rep_distiller() {
    let recording = Recording::read("crd_loop");
    let student = recording.load(Conv::student(), "init_student");
    let teacher = recording.frozen(Conv::teacher(), "init_teacher");
    // The classes are unknown, so that places are ids.
    let population = SampleIndex::new((0..48).map(|id| (id, None)));
    let loss = ContrastiveLossConfig::new()
        .with_embedding(8)
        .with_negatives(15)
        .init([12, 20], population, &device());
    let loss = recording.load_as(loss, "init_crd", names);
    let places = (0..recording.steps()).map(|step| {
        let negatives = recording.ids("negative_indices", step);
        negatives.chunks(16).map(<[usize]>::to_vec).collect()
    });
    let contrast = Recorded {
        loss,
        places: Arc::new(places.collect()),
    };

    let replay = Replay {
        recording: &recording,
        optimizer: sgd(false, 5e-4),
        terms: &[
            ("cross-entropy", "step_loss_cls"),
            ("contrastive", "step_loss_kd"),
        ],
    };
    replay.run(
        OfflineDistiller::new(
            student,
            teacher,
            (CrossEntropyObjective::new(1.0), contrast),
        ),
        |step| recording.batch(step, &["data"]),
        |model, snapshot| {
            snapshot.assert_same(&model.student, "student");
            snapshot.assert_same(model.teacher.inner(), "teacher");
            let loss = &model.objective.1.loss;
            for (layer, name) in [
                (&loss.student_embedding, "crd.embed_s.linear"),
                (&loss.teacher_embedding, "crd.embed_t.linear"),
            ] {
                snapshot.assert_same(layer, name);
            }
            for (bank, name) in [
                (&loss.student_bank, "crd.contrast.memory_v1"),
                (&loss.teacher_bank, "crd.contrast.memory_v2"),
            ] {
                recording.assert_tensor(bank.get(), &snapshot.name(name));
            }
            // [K, T, Z of the student, Z of the teacher, momentum]
            let constants = recording.values(&snapshot.name("crd.contrast.params"));
            for (constant, expected) in [
                (&loss.student_constant, constants[2]),
                (&loss.teacher_constant, constants[3]),
            ] {
                let constant = constant.get().into_scalar::<f64>();
                recording.assert_values(&[constant], &[expected], "constant", 1e-9);
            }
        },
    );
}

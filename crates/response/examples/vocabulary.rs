//! Measures time and memory of a loss over a large vocabulary.
//!
//! ```text
//! cargo run --release -p burn-distill-response --example vocabulary -- \
//!     plain|chunked|fused soft-target|jensen-shannon ROWS FEATURES VOCABULARY \
//!     [REPETITIONS] [CHUNK_ROWS]
//! ```
//!
//! One step is the mean loss of student and teacher, each from hidden states and a head, and its
//! gradients. `plain` computes all logits and the loss of all rows at once, `chunked` all logits
//! and the loss chunk by chunk, `fused` the logits and the loss chunk by chunk. The peak is that of
//! the process, so each of them has to be measured in a separate process.

use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_response::{
    Chunked, DistributionLoss, JensenShannonLossConfig, LazyLogits, LmHead, SoftTargetLossConfig,
};
use std::env;
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let text = |n: usize| arguments.get(n).map(String::as_str);
    let number = |n: usize| text(n).map(|text| text.parse::<usize>().expect("a number"));
    let (Some(way), Some(loss), Some(rows), Some(features), Some(vocabulary)) =
        (text(0), text(1), number(2), number(3), number(4))
    else {
        eprintln!(
            "vocabulary plain|chunked|fused soft-target|jensen-shannon ROWS FEATURES VOCABULARY \
             [REPETITIONS] [CHUNK_ROWS]"
        );
        std::process::exit(2);
    };
    let measurement = Measurement {
        way,
        rows,
        features,
        vocabulary,
        repetitions: number(5).unwrap_or(1),
        chunk_rows: number(6),
    };
    match loss {
        "soft-target" => measurement.run(SoftTargetLossConfig::new().with_temperature(2.0).init()),
        "jensen-shannon" => measurement.run(JensenShannonLossConfig::new().init()),
        other => panic!("The loss `{other}` is unknown: take soft-target or jensen-shannon."),
    }
}

struct Measurement<'a> {
    way: &'a str,
    rows: usize,
    features: usize,
    vocabulary: usize,
    repetitions: usize,
    chunk_rows: Option<usize>,
}

impl Measurement<'_> {
    fn run<L: DistributionLoss>(&self, loss: L) {
        let chunked = match self.chunk_rows {
            Some(rows) => Chunked::new(loss.clone()).with_chunk_rows(rows),
            None => Chunked::new(loss.clone()),
        };
        let device = Device::default().autodiff();
        let student = states(self, 0.7, &device);
        let student = LazyLogits {
            hidden: student.hidden.require_grad(),
            head: LmHead {
                weight: student.head.weight.require_grad(),
                bias: None,
            },
        };
        let teacher = states(self, 1.1, &Device::default());
        println!("inputs: peak {}", peak());

        for _ in 0..self.repetitions {
            let start = Instant::now();
            let (student, teacher) = (student.clone(), teacher.clone());
            let (hidden, weight) = (student.hidden.clone(), student.head.weight.clone());
            let value = match self.way {
                "plain" => loss.forward(student.logits(), teacher.logits(), Reduction::Mean),
                "chunked" => chunked.forward(student.logits(), teacher.logits(), Reduction::Mean),
                "fused" => chunked.forward_hidden(student, teacher, None),
                other => panic!("The way `{other}` is unknown: take plain, chunked or fused."),
            };
            let grads = value.backward();
            let gradients = norm(hidden.grad(&grads)) + norm(weight.grad(&grads));
            let value = value.into_scalar::<f32>();
            println!(
                "{} {}: {:.2} s, peak {}, loss {value:.6}, gradients {gradients:.6e}",
                self.way,
                loss.name(),
                start.elapsed().as_secs_f64(),
                peak(),
            );
        }
    }
}

/// Creates values of about 1 and logits of about 3, the same in every process.
fn states(of: &Measurement<'_>, seed: f64, device: &Device) -> LazyLogits {
    let matrix = |shape: [usize; 2], scale: f64| {
        let values: Vec<f32> = (0..shape[0] * shape[1])
            .map(|n| (scale * (seed * (n as f64 + 1.0).sqrt() * 97.0).sin()) as f32)
            .collect();
        Tensor::<2>::from_data(TensorData::new(values, shape), device)
    };
    let weight = matrix(
        [of.features, of.vocabulary],
        6.0 / (of.features as f64).sqrt(),
    );
    let hidden = matrix([of.rows, of.features], 1.0);
    LazyLogits::new(hidden, LmHead { weight, bias: None })
}

fn norm(gradient: Option<Tensor<2>>) -> f32 {
    let gradient = gradient.expect("the student is trained");
    gradient.square().sum().sqrt().into_scalar()
}

/// Returns the peak memory of the process, as the system counts it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok())
        .map_or("not available".into(), |kib| {
            format!("{:.0} MiB", kib / 1024.0)
        })
}

//! The outputs of a teacher, computed once.

use crate::files::File;
use burn::module::Module;
use burn::prelude::*;
use burn_distill::core::{Batch, Knowledge, Network, TapSelection, Teacher, Tokens};
use burn_distill::data::ByteWindow;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

/// Number of files in a run of the teacher.
const BATCH: usize = 16;

/// Logits of a teacher in memory, in the order of the files, so that the teacher is computed only
/// once.
#[derive(Module, Debug)]
pub struct Recorded {
    #[module(skip)]
    rows: Arc<Vec<Vec<f32>>>,
}

impl Recorded {
    /// Computes the logits of a network for all files, on all processors.
    pub fn of<N: Network<Input = Tokens>>(network: &N, files: &[File]) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = files.len().div_ceil(threads).max(1);
        let rows = thread::scope(|scope| {
            let shares = files.chunks(share).map(|share| {
                let network = network.clone();
                scope.spawn(move || rows(&network, share))
            });
            let shares: Vec<_> = shares.collect();
            let joined = shares.into_iter().map(|share| share.join());
            let joined = joined.map(|rows| rows.expect("The teacher runs on every file."));
            joined.flatten().collect()
        });
        Self::new(rows)
    }

    /// Creates the teacher from the logits of each file.
    pub fn new(rows: Vec<Vec<f32>>) -> Self {
        Self {
            rows: Arc::new(rows),
        }
    }

    /// Returns the number of classes.
    pub fn num_classes(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// Returns the most likely class of each file.
    pub fn classes(&self) -> Vec<usize> {
        let likeliest = |row: &Vec<f32>| {
            let classes = row.iter().enumerate();
            let largest = classes.max_by(|(_, a), (_, b)| a.total_cmp(b));
            largest.map_or(0, |(class, _)| class)
        };
        self.rows.iter().map(likeliest).collect()
    }
}

fn rows<N: Network<Input = Tokens>>(network: &N, files: &[File]) -> Vec<Vec<f32>> {
    let device = Device::flex();
    let batches = files.chunks(BATCH).flat_map(|files| {
        let tokens_of_files: Vec<_> = files.iter().map(|file| file.tokens.clone()).collect();
        let response = network.forward(tokens(&tokens_of_files, &device));
        let logits = response.rows().logits;
        let width = logits.dims()[1].max(1);
        let values: Vec<f32> = logits.into_data().iter().collect();
        let rows = values.chunks(width).map(<[f32]>::to_vec);
        rows.collect::<Vec<_>>()
    });
    batches.collect()
}

/// Returns the tokens of files as the input of a network.
///
/// # Panics
///
/// Panics if there are no files.
pub fn tokens(files: &[Arc<[u16]>], device: &Device) -> Tokens {
    let shape = [files.len(), files[0].len()];
    let ids = files
        .iter()
        .flat_map(|file| file.iter().copied())
        .map(i64::from)
        .collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new::<i64, _>(ids, shape), device);
    let mask = ids.clone().not_equal_scalar(i64::from(ByteWindow::PADDING));
    Tokens { ids, mask }
}

impl Teacher<Tokens> for Recorded {
    type Output = Knowledge;

    fn teach(&self, batch: &Batch<Tokens>, _: &TapSelection) -> Knowledge {
        let rows = batch.ids.iter().map(|&id| self.rows[id].as_slice());
        let values = rows.collect::<Vec<_>>().concat();
        let shape = [batch.ids.len(), values.len() / batch.ids.len().max(1)];
        let device = batch.view().ids.device().without_autodiff();
        Knowledge::from_logits(Tensor::from_data(TensorData::new(values, shape), &device))
    }
}

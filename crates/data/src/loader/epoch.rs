use super::epoch_batches::EpochBatches;
use super::pairs::Partners;
use super::palette::Palette;
use super::plan::{Plan, permutation};
use super::showing::Showing;
use crate::{DataError, ViewKey};
use burn::data::dataset::DatasetError;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_distill_core::{Batch, Clock, Targets};
use std::sync::Arc;

/// One pass over the samples.
pub(super) struct Epoch {
    pub(super) plan: Arc<Plan>,
    number: usize,
    /// The samples in the order in which they are loaded.
    order: Vec<Showing>,
    palette: Palette,
    partners: Option<Partners>,
}

/// A batch that is not yet on a device.
pub(super) struct HostBatch {
    views: Vec<Vec<f32>>,
    classes: Vec<i64>,
    labelled: Vec<bool>,
    ids: Vec<usize>,
}

impl Epoch {
    pub(super) fn new(plan: Arc<Plan>, number: usize) -> Self {
        let samples = plan.dataset.len();
        let once = |place| Showing::once(&plan.repetitions, place);
        let order = match (plan.streams(), plan.shuffle) {
            (Some(streams), shuffle) => streams.order(&plan.repetitions, shuffle, number),
            (None, Some(seed)) => {
                let places = permutation(seed, number, samples).into_iter();
                places.map(once).collect()
            }
            (None, None) => (0..samples).map(once).collect(),
        };
        let palette = Palette::of(&plan.dataset);
        let partners = plan.pairs.map(|seed| Partners::new(&plan, seed, number));
        Self {
            plan,
            number,
            order,
            palette,
            partners,
        }
    }

    /// One view of the samples, or in the second of pairs of their partners, augmented and
    /// normalised.
    fn pixels(&self, shown: &[Showing], view: usize) -> Vec<f32> {
        let plan = &self.plan;
        let shape = plan.view_shape(view);
        let [channels, height, width] = shape;
        let mut transformed = vec![0; channels * height * width];
        let mut pixels = Vec::with_capacity(shown.len() * transformed.len());
        let partners = self.partners.as_ref().filter(|_| view == 1);
        for &Showing { place, repetition } in shown {
            let id = plan.dataset.ids()[place];
            // By the sample, not by its partner: two that share one see it in two ways.
            let key = ViewKey {
                seed: plan.augmentation_seed,
                id,
                epoch: self.number,
                view,
                repetition,
            };
            let transform = plan.augmentation.transform(key);
            let shown = partners.map_or(id, |partners| partners.of(plan, id, repetition));
            let published = plan.dataset.pixels(shown);
            let operations = plan.augmentation.operations(key, shape);
            let levels = if let Some(crop) = &plan.multi_crop {
                // Stretched first: means of few levels would be too coarse.
                let mut stretched = published.to_vec();
                self.palette.stretch(&mut stretched);
                let cropped = crop.apply(key, &stretched, plan.dataset.shape());
                transform.apply(&cropped, shape, &mut transformed);
                for operation in operations {
                    operation.apply(&mut transformed, shape, self.palette.mean());
                }
                self.palette.stretched()
            } else if operations.is_empty() {
                transform.apply(published, shape, &mut transformed);
                self.palette.published()
            } else {
                transform.apply(published, shape, &mut transformed);
                self.palette.stretch(&mut transformed);
                for operation in operations {
                    operation.apply(&mut transformed, shape, self.palette.mean());
                }
                self.palette.stretched()
            };
            for (plane, levels) in transformed.chunks_exact(height * width).zip(levels) {
                pixels.extend(plane.iter().map(|&pixel| levels[usize::from(pixel)]));
            }
        }
        pixels
    }
}

impl EpochBatches for Epoch {
    type Input = Tensor<4>;
    type Prepared = HostBatch;

    fn batches(&self) -> usize {
        self.plan.batches()
    }

    fn samples(&self) -> usize {
        self.plan.samples()
    }

    fn batch_size(&self) -> usize {
        self.plan.batch_size
    }

    fn workers(&self) -> usize {
        self.plan.workers
    }

    fn no_batch(&self) -> Option<DataError> {
        let refused = self.batches() == 0 && !self.plan.dataset.is_empty();
        refused.then(|| self.plan.no_batch())
    }

    fn prepare(&self, place: usize) -> Result<HostBatch, DatasetError> {
        let plan = &self.plan;
        let start = place * plan.batch_size;
        let shown = &self.order[start..self.order.len().min(start + plan.batch_size)];
        let ids = shown.iter().map(|shown| plan.dataset.ids()[shown.place]);
        let ids: Vec<_> = ids.collect();
        Ok(HostBatch {
            views: (0..plan.views())
                .map(|view| self.pixels(shown, view))
                .collect(),
            classes: ids
                .iter()
                .map(|&id| {
                    if plan.is_labelled(id) {
                        plan.dataset.label(id) as i64
                    } else {
                        0
                    }
                })
                .collect(),
            labelled: ids.iter().map(|&id| plan.is_labelled(id)).collect(),
            ids,
        })
    }

    fn upload(&self, batch: HostBatch, place: usize, device: &Device) -> Batch<Tensor<4>> {
        let size = batch.ids.len();
        let views = batch.views.into_iter().enumerate().map(|(view, pixels)| {
            let [channels, height, width] = self.plan.view_shape(view);
            let data = TensorData::new(pixels, [size, channels, height, width]);
            Tensor::from_data(data, device)
        });
        let classes = TensorData::new(batch.classes, [size]);
        let labelled = (!batch.labelled.iter().all(|&labelled| labelled))
            .then(|| Tensor::from_data(TensorData::new(batch.labelled, [size]), device));
        Batch {
            views: views.collect(),
            targets: Targets::Classes {
                classes: Tensor::<1, Int>::from_data(classes, device),
                labelled,
            },
            ids: batch.ids,
            clock: Clock {
                epoch: self.number,
                batch: place,
                batches: self.plan.batches(),
            },
        }
    }
}

use super::epoch_batches::EpochBatches;
use super::pairs::Partners;
use super::plan::{Plan, permutation};
use super::showing::Showing;
use crate::{DataError, Samples, ViewKey, ViewedSample};
use burn::data::dataset::DatasetError;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_distill_core::{Batch, Clock, Targets};
use std::sync::Arc;

/// One pass over the samples.
pub(super) struct Epoch<S> {
    pub(super) plan: Arc<Plan<S>>,
    number: usize,
    /// Samples in the order in which they are loaded.
    order: Vec<Showing>,
    partners: Option<Partners>,
}

/// A batch in host memory.
pub(super) struct HostBatch<P> {
    views: Vec<P>,
    classes: Vec<i64>,
    labeled: Vec<bool>,
    ids: Vec<usize>,
}

impl<S: Samples> Epoch<S> {
    pub(super) fn new(plan: Arc<Plan<S>>, number: usize) -> Self {
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
        let partners = plan.pairs.map(|seed| Partners::new(&plan, seed, number));
        Self {
            plan,
            number,
            order,
            partners,
        }
    }

    /// Returns the samples of a view: those of the batch or, in the second view of pairs, their
    /// partners.
    fn shown(&self, showings: &[Showing], view: usize) -> Vec<ViewedSample> {
        let plan = &self.plan;
        let partners = self.partners.as_ref().filter(|_| view == 1);
        let shown = showings.iter().map(|&Showing { place, repetition }| {
            let id = plan.dataset.ids()[place];
            // The key is that of the sample, not of its partner: two samples with the same partner
            // get different views of it.
            let key = ViewKey {
                seed: plan.view.seed,
                id,
                epoch: self.number,
                view,
                repetition,
            };
            let id = partners.map_or(id, |partners| partners.of(plan, id, repetition));
            ViewedSample { id, key }
        });
        shown.collect()
    }
}

impl<S: Samples> EpochBatches for Epoch<S> {
    type Input = S::Input;
    type Prepared = HostBatch<S::Prepared>;

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

    fn prepare(&self, place: usize) -> Result<HostBatch<S::Prepared>, DatasetError> {
        let plan = &self.plan;
        let start = place * plan.batch_size;
        let shown = &self.order[start..self.order.len().min(start + plan.batch_size)];
        let ids = shown.iter().map(|shown| plan.dataset.ids()[shown.place]);
        let ids: Vec<_> = ids.collect();
        let views: Vec<_> = (0..plan.views())
            .map(|view| self.shown(shown, view))
            .collect();
        let views = plan.dataset.prepare(&views, &plan.view);
        Ok(HostBatch {
            views: views.map_err(DatasetError::new)?,
            classes: ids
                .iter()
                .map(|&id| {
                    if plan.is_labeled(id) {
                        plan.dataset.label(id) as i64
                    } else {
                        0
                    }
                })
                .collect(),
            labeled: ids.iter().map(|&id| plan.is_labeled(id)).collect(),
            ids,
        })
    }

    fn upload(
        &self,
        batch: HostBatch<S::Prepared>,
        place: usize,
        device: &Device,
    ) -> Batch<S::Input> {
        let size = batch.ids.len();
        let views = batch.views.into_iter();
        let views = views.map(|view| self.plan.dataset.upload(view, device));
        let classes = TensorData::new(batch.classes, [size]);
        let labeled = (!batch.labeled.iter().all(|&labeled| labeled))
            .then(|| Tensor::from_data(TensorData::new(batch.labeled, [size]), device));
        Batch {
            views: views.collect(),
            targets: Targets::Classes {
                classes: Tensor::<1, Int>::from_data(classes, device),
                labeled,
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

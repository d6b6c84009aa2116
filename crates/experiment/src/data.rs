use super::class_counts::ClassCounts;
use super::provenance::{DataOrigin, Provenance};
use super::split::{Parts, Split};
use anyhow::{Context, Result, ensure};
use burn::data::dataloader::DataLoader;
use burn::tensor::Device;
use burn_distill::core::Seed;
use burn_distill::data::{BatchLoader, Samples, TrainTestData, Views};
use burn_distill::interchange::ModelDescription;
use burn_distill_recipe::{
    AnyDataset, AnyInput, AssistantPlan, DataRecipe, OnnxNetwork, OnnxRecipe, OnnxTask, Recipe,
    Registry, Strategy, Task, TeacherRecipe, TrainingRecipe,
};
use std::collections::HashSet;
use std::sync::OnceLock;

/// Loader of the data of an experiment.
pub type Loader = BatchLoader<AnyDataset>;

/// Samples per batch where nothing is trained.
const EVALUATION_BATCH: usize = 256;

/// The data of an experiment, split once for all seeds.
pub struct Data {
    recipe: DataRecipe,
    published: TrainTestData<AnyDataset>,
    /// Checksum of the published samples, once it is computed.
    checksum: OnceLock<String>,
    train: AnyDataset,
    validation: AnyDataset,
    test: AnyDataset,
}

impl Data {
    /// Loads and splits the data that a recipe names.
    pub fn load(recipe: &DataRecipe, registry: &Registry) -> Result<Self> {
        Self::load_normalized(recipe, registry, None)
    }

    /// Loads and splits data for a model: images and tables without constants of their own are
    /// normalized by those of the model, which were measured on its training samples, and not by
    /// other ones that are measured on this data.
    ///
    /// # Errors
    ///
    /// Returns an error if the data cannot be loaded or split.
    pub fn load_for(
        model: &ModelDescription,
        recipe: &DataRecipe,
        registry: &Registry,
    ) -> Result<Self> {
        Self::load_normalized(recipe, registry, Some(model))
    }

    fn load_normalized(
        recipe: &DataRecipe,
        registry: &Registry,
        model: Option<&ModelDescription>,
    ) -> Result<Self> {
        let published = recipe.load(registry)?;
        let parts = Split::of(recipe).apply(&published)?;
        for (name, part, key) in [
            (
                "training",
                &parts.train,
                "give smaller values of `data.test` and `data.validation`",
            ),
            (
                "validation",
                &parts.validation,
                "give a larger `data.validation`",
            ),
            ("test", &parts.test, "give a larger `data.test`"),
        ] {
            ensure!(
                !part.is_empty(),
                "no sample of {} is left for the {name} set, of {} samples: {key}, or a larger data \
                 set",
                recipe.source.name(),
                published.train.len()
            );
        }
        let train = &parts.train;
        ensure!(
            !recipe.source.has_labels() || train.ids().iter().any(|&id| train.is_labeled(id)),
            "no training sample of {} is labeled: give data without labels by `folder` or `bytes`, \
             with `labels = false`",
            recipe.source.name()
        );
        let parts = parts.normalized(model);
        let Parts {
            train,
            validation,
            test,
        } = parts.with_context(|| format!("data.{}", recipe.source.key()))?;
        let views = Views {
            augmentation: recipe.augmentation,
            ..Views::default()
        };
        train.check_views(&views).context("data.augmentation")?;
        Ok(Self {
            recipe: recipe.clone(),
            published,
            checksum: OnceLock::new(),
            train,
            validation,
            test,
        })
    }

    /// Checks that each training of a recipe has a batch.
    pub fn check_batches(&self, recipe: &Recipe) -> Result<()> {
        let check = |place: &str, training: &TrainingRecipe, samples: usize| {
            ensure!(
                !training.drop_last || training.batch_size <= samples,
                "`{place}.drop_last` leaves no batch: there are {samples} training samples, and \
                 `{place}.batch_size` is {}",
                training.batch_size
            );
            Ok(())
        };
        for (index, teacher) in recipe.teachers().iter().enumerate() {
            // A teacher whose weights are loaded is not trained.
            if teacher.weights.is_none()
                && let Some(training) = &teacher.training
            {
                let place = format!("{}.training", TeacherRecipe::place(index));
                check(&place, training, self.train.len())?;
            }
        }
        let seen = self.seen().len();
        check("student.training", &recipe.student.training, seen)?;
        self.check_two_streams(recipe)?;
        let chain = recipe.strategy.options().assistants();
        for (place, assistant) in chain.iter().flat_map(AssistantPlan::placed) {
            if let Some(training) = &assistant.training {
                check(&format!("{place}.training"), training, seen)?;
            }
        }
        for (index, stage) in recipe.stages.iter().enumerate() {
            if let Some(training) = &stage.training {
                check(&format!("stage.{index}.training"), training, seen)?;
            }
        }
        Ok(())
    }

    /// Checks that there are enough unlabeled samples for a batch, where every batch has a fixed
    /// number of labeled ones.
    fn check_two_streams(&self, recipe: &Recipe) -> Result<()> {
        let training = &recipe.student.training;
        let seed = recipe.seeds.first().copied().unwrap_or_default();
        let labeled = self.labeled_per_batch(recipe.strategy.options(), training, seed)?;
        if labeled == 0 {
            return Ok(());
        }
        let [samples, ..] = self.sizes();
        let unlabeled = samples - self.labels(seed)?;
        let needed = match training.drop_last {
            true => training.batch_size - labeled,
            false => 1,
        };
        ensure!(
            unlabeled >= needed,
            "`strategy.labeled_per_batch` is {labeled}, so that a batch needs {needed} unlabeled \
             samples or more, but there are {unlabeled}: give a smaller `data.labels_per_class`, \
             or 0 for batches of all samples alike"
        );
        Ok(())
    }

    /// Returns the name of the data.
    pub fn name(&self) -> &str {
        self.recipe.source.name()
    }

    /// Returns the keys of the data in a recipe.
    pub fn recipe(&self) -> &DataRecipe {
        &self.recipe
    }

    /// Returns the inputs and classes of the data, for which networks are created.
    pub fn task(&self) -> Task {
        Task {
            input: self.train.shape(),
            classes: self.train.num_classes(),
        }
    }

    /// Returns the names of the classes.
    pub fn classes(&self) -> &[String] {
        self.train.classes()
    }

    /// Reads a teacher from an ONNX file for this data.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file if it cannot be read or run, or if it does not fit the
    /// data.
    pub fn onnx(&self, onnx: &OnnxRecipe, device: &Device) -> Result<OnnxNetwork> {
        let input = self.train.shape();
        let task = OnnxTask {
            input: &input,
            classes: self.train.classes(),
            normalization: self.train.normalization(),
        };
        onnx.load(task, device)
    }

    /// Returns the origin of the weights of a network that is trained on this data.
    pub fn provenance(
        &self,
        model: impl ToString,
        role: impl Into<String>,
        seed: u64,
    ) -> Provenance {
        Provenance {
            model: model.to_string(),
            input: self.train.shape(),
            classes: self.train.classes().to_vec(),
            normalization: self.train.normalization().cloned(),
            preprocessing: self.train.preprocessing(),
            encoding: self.train.encoding().cloned(),
            window: self.train.window(),
            data: DataOrigin {
                name: self.recipe.source.name().to_string(),
                key: self.recipe.source.key().to_string(),
                sha256: self.checksum().to_string(),
                split: Split::of(&self.recipe),
            },
            role: role.into(),
            seed,
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// Returns the number of test samples that a network of that origin was trained on, or `None`
    /// if only the name of its data is known.
    pub fn test_samples_seen(&self, origin: &DataOrigin) -> Option<usize> {
        if origin.sha256 != self.checksum() {
            return None;
        }
        if self.published.test.is_some() {
            return Some(0);
        }
        let trained_on = origin.split.apply(&self.published).ok()?.train;
        let trained_on: HashSet<_> = trained_on.ids().iter().collect();
        let test = self.test.ids().iter();
        Some(test.filter(|id| trained_on.contains(id)).count())
    }

    /// Returns the SHA-256 of all samples and labels, before the split and the normalization.
    pub fn checksum(&self) -> &str {
        self.checksum.get_or_init(|| self.published.checksum())
    }

    /// Returns the training samples of the teacher: all of them, with their labels.
    pub fn for_teacher(&self, training: &TrainingRecipe, seed: u64) -> Loader {
        self.training_loader(self.train.clone(), training, seed)
    }

    /// Returns the training samples of the distilled student, not all of which need to be labeled.
    pub fn for_distilled(&self, training: &TrainingRecipe, seed: u64) -> Result<Loader> {
        let seen = self.seen();
        let labeled = self.labeled(&seen, seed)?;
        let loader = self.training_loader(seen, training, seed);
        Ok(match self.recipe.labels_per_class {
            Some(_) => loader.labeled(labeled.ids()),
            None => loader,
        })
    }

    /// Returns the training samples of the distilled student in a stage, counted from 0: the same
    /// samples and labels, in another order for each stage.
    pub fn for_stage(&self, training: &TrainingRecipe, seed: u64, stage: usize) -> Result<Loader> {
        let order = Seed::new(seed).stage_order(stage).value();
        let loader = self.for_distilled(training, seed)?.shuffle(order);
        Ok(loader.augment(self.recipe.augmentation, order))
    }

    /// Returns the inputs of the first batch of the distilled student, on the CPU.
    pub fn first_inputs(&self, training: &TrainingRecipe, seed: u64) -> Result<AnyInput> {
        let loader = self.for_distilled(training, seed)?;
        let loader = loader.workers(0).device(&Device::flex());
        let batch = loader.iter().next().context("there is no batch")??;
        let first = batch.views.into_iter().next();
        first.context("the batch has no inputs")
    }

    /// Returns the training samples of the baseline: the labeled samples of the student, repeated
    /// up to the number of samples of the distilled student, so that both take the same number of
    /// steps.
    pub fn for_baseline(&self, training: &TrainingRecipe, seed: u64) -> Result<Loader> {
        self.for_baseline_repeated(training, seed, self.seen().len())
    }

    /// Returns the labeled samples of the student, repeated up to this number of samples.
    pub fn for_baseline_repeated(
        &self,
        training: &TrainingRecipe,
        seed: u64,
        samples: usize,
    ) -> Result<Loader> {
        let labeled = self.labeled(&self.seen(), seed)?;
        let repeated: Vec<_> = labeled
            .ids()
            .iter()
            .copied()
            .cycle()
            .take(samples)
            .collect();
        Ok(self.training_loader(labeled.subset(repeated), training, seed))
    }

    /// Returns the number of labeled samples in every batch of a training by a strategy; with 0,
    /// its batches are drawn from all samples alike.
    pub fn labeled_per_batch(
        &self,
        strategy: &dyn Strategy,
        training: &TrainingRecipe,
        seed: u64,
    ) -> Result<usize> {
        let [samples, ..] = self.sizes();
        Ok(strategy.labeled_per_batch(training.batch_size, self.labels(seed)?, samples))
    }

    /// Returns the number of labeled samples of the student.
    pub fn labels(&self, seed: u64) -> Result<usize> {
        Ok(self.labeled(&self.seen(), seed)?.len())
    }

    /// Returns the ids of the training samples of the distilled student, each with its class if it
    /// is labeled.
    pub fn known_classes(&self, seed: u64) -> Result<Vec<(usize, Option<usize>)>> {
        let seen = self.seen();
        let labeled: HashSet<_> = self.labeled(&seen, seed)?.ids().iter().copied().collect();
        let class = |id| labeled.contains(&id).then(|| seen.label(id));
        Ok(seen.ids().iter().map(|&id| (id, class(id))).collect())
    }

    /// Returns whether training samples are labeled.
    pub fn has_labels(&self) -> bool {
        self.recipe.source.has_labels()
    }

    /// Returns whether test samples are labeled, so that accuracies can be measured on them.
    pub fn test_has_labels(&self) -> bool {
        let mut ids = self.test.ids().iter();
        ids.any(|&id| self.test.is_labeled(id))
    }

    /// Returns whether validation samples are labeled.
    pub fn validation_has_labels(&self) -> bool {
        let mut ids = self.validation.ids().iter();
        ids.any(|&id| self.validation.is_labeled(id))
    }

    /// Returns the numbers of training, validation and test samples of the student.
    pub fn sizes(&self) -> [usize; 3] {
        [self.seen().len(), self.validation.len(), self.test.len()]
    }

    /// Returns the test set.
    pub fn test_loader(&self, device: &Device) -> Loader {
        self.evaluation_loader(&self.test).device(device)
    }

    /// Returns the validation set.
    pub fn validation_loader(&self, device: &Device) -> Loader {
        self.evaluation_loader(&self.validation).device(device)
    }

    /// Returns the training, validation and test samples, in order and without augmentation.
    pub fn all_loaders(&self, device: &Device) -> [Loader; 3] {
        [&self.train, &self.validation, &self.test]
            .map(|part| self.evaluation_loader(part).device(device))
    }

    /// Returns the training and validation data of a training on `train`.
    pub fn loaders(&self, train: Loader) -> (Loader, Loader) {
        // The same objective is computed on the validation set, so it needs the same number of
        // views.
        let valid = self.evaluation_loader(&self.validation);
        let valid = valid.views(train.num_views());
        (train, valid)
    }

    /// Returns the number of training, validation and test samples of each class.
    pub fn class_counts(&self) -> ClassCounts {
        ClassCounts::of([&self.train, &self.validation, &self.test])
    }

    fn evaluation_loader(&self, samples: &AnyDataset) -> Loader {
        BatchLoader::new(samples.clone(), EVALUATION_BATCH).workers(self.recipe.workers)
    }

    /// Returns the training samples of the student.
    fn seen(&self) -> AnyDataset {
        match self.recipe.without_class {
            Some(class) => self.train.without_class(class),
            None => self.train.clone(),
        }
    }

    /// Returns the samples that are labeled for the student.
    fn labeled(&self, seen: &AnyDataset, seed: u64) -> Result<AnyDataset> {
        Ok(match self.recipe.labels_per_class {
            Some(count) => seen
                .sample_per_class(count, seed)
                .context("data.labels_per_class")?,
            None => seen.labeled(),
        })
    }

    fn training_loader(&self, dataset: AnyDataset, training: &TrainingRecipe, seed: u64) -> Loader {
        BatchLoader::new(dataset, training.batch_size)
            .shuffle(seed)
            .drop_last(training.drop_last)
            .augment(self.recipe.augmentation, seed)
            .workers(self.recipe.workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tensor;
    use burn_distill::core::Batch;
    use burn_distill_recipe::ArrayDataset;
    use std::collections::HashMap;

    #[test]
    fn a_part_without_samples_is_refused_with_its_key() {
        let registry = Registry::standard().with_dataset("points", |_| {
            ArrayDataset::vectors("points", 1, vec![0.0; 4], vec![0, 1, 0, 1], ["a", "b"])
        });
        let error = |keys: &str| {
            let recipe = format!("name = 'points'\n{keys}").parse::<toml::Table>();
            let data = Data::load(&recipe.unwrap().try_into().unwrap(), &registry);
            format!("{:#}", data.err().unwrap())
        };

        assert_eq!(
            error("validation = 0.01"),
            "no sample of points is left for the validation set, of 4 samples: give a larger \
             `data.validation`, or a larger data set"
        );
        assert!(
            error("test = 0.01\nvalidation = 0.5")
                .contains("for the test set, of 4 samples: give a larger `data.test`")
        );
    }

    #[test]
    fn stages_have_the_same_samples_in_another_order() {
        let recipe = "name = 'digits'\nlabels_per_class = 2"
            .parse::<toml::Table>()
            .unwrap();
        let data = Data::load(&recipe.try_into().unwrap(), &Registry::standard()).unwrap();
        let training = "epochs = 1\nbatch_size = 2000"
            .parse::<toml::Table>()
            .unwrap();
        let training: TrainingRecipe = training.try_into().unwrap();

        let batch = |loader: Loader| loader.iter().next().unwrap().unwrap();
        let plain = batch(data.for_distilled(&training, 7).unwrap());
        let [first, second] = [0, 1].map(|n| batch(data.for_stage(&training, 7, n).unwrap()));

        assert_eq!(first.ids, plain.ids, "one stage is like none");
        assert_ne!(second.ids, plain.ids);
        let labeled = |batch: &Batch<AnyInput>| {
            let (_, known) = batch.targets.class_labels().unwrap();
            let known: Vec<bool> = known.unwrap().into_data().iter().collect();
            let mut ids: Vec<_> = batch.ids.iter().zip(known).collect();
            ids.sort_unstable();
            ids.into_iter()
                .map(|(id, known)| (*id, known))
                .collect::<Vec<_>>()
        };
        assert_eq!(labeled(&second), labeled(&plain));
    }

    #[test]
    fn repeated_samples_of_the_baseline_are_augmented_independently() {
        let recipe = "name = 'digits'\nlabels_per_class = 3\naugmentation = { crop = 1 }";
        let recipe = recipe.parse::<toml::Table>().unwrap();
        let data = Data::load(&recipe.try_into().unwrap(), &Registry::standard()).unwrap();
        let training = "epochs = 1".parse::<toml::Table>().unwrap();
        let loader = data.for_baseline(&training.try_into().unwrap(), 0).unwrap();

        let mut images: HashMap<usize, HashSet<Vec<u32>>> = HashMap::new();
        for batch in loader.device(&Device::flex()).epoch(1) {
            let batch = batch.unwrap();
            let view = Tensor::<4>::try_from(batch.view().clone()).unwrap();
            let pixels: Vec<f32> = view.into_data().iter().collect();
            for (id, image) in batch.ids.into_iter().zip(pixels.chunks(64)) {
                let image = image.iter().map(|pixel| pixel.to_bits()).collect();
                images.entry(id).or_default().insert(image);
            }
        }

        // Each is shown more than 40 times, by nine shifts.
        assert_eq!(images.len(), 30);
        assert!(images.values().all(|images| images.len() > 5));
    }

    #[test]
    fn a_last_batch_that_is_not_full_may_be_skipped() {
        let recipe = "name = 'digits'\nsamples = 70\nlabels_per_class = 2";
        let recipe = recipe.parse::<toml::Table>().unwrap();
        let data = Data::load(&recipe.try_into().unwrap(), &Registry::standard()).unwrap();
        for (keys, expected) in [
            ("", [32, 32, 6].as_slice()),
            ("drop_last = true", &[32, 32]),
        ] {
            let training = format!("epochs = 1\nbatch_size = 32\n{keys}");
            let training = training.parse::<toml::Table>().unwrap();
            let training: TrainingRecipe = training.try_into().unwrap();

            let loaders = [
                data.for_teacher(&training, 7),
                data.for_distilled(&training, 7).unwrap(),
                data.for_stage(&training, 7, 1).unwrap(),
                data.for_baseline(&training, 7).unwrap(),
            ];
            for loader in loaders {
                assert_eq!(loader.num_batches(), expected.len());
                let sizes = loader.iter().map(|batch| batch.unwrap().len());
                assert_eq!(sizes.collect::<Vec<_>>(), expected, "{keys}");
            }
        }
    }

    #[test]
    fn the_baseline_takes_as_many_steps_as_a_student_distilled_in_two_streams() {
        let recipe = "name = 'digits'\nsamples = 70\nlabels_per_class = 2";
        let recipe = recipe.parse::<toml::Table>().unwrap();
        let data = Data::load(&recipe.try_into().unwrap(), &Registry::standard()).unwrap();
        for (keys, expected) in [("", 7), ("drop_last = true", 6)] {
            let training = format!("epochs = 1\nbatch_size = 16\n{keys}");
            let training = training.parse::<toml::Table>().unwrap();
            let training: TrainingRecipe = training.try_into().unwrap();

            // 50 unlabeled samples, eight in a batch.
            let distilled = data
                .for_distilled(&training, 7)
                .unwrap()
                .labeled_per_batch(8);
            let baseline = data.for_baseline_repeated(&training, 7, distilled.num_items());
            let baseline = baseline.unwrap();

            for loader in [distilled, baseline] {
                assert_eq!(loader.num_batches(), expected, "{keys}");
            }
        }
    }

    #[test]
    fn batches_of_two_streams_are_checked_before_anything_is_trained() {
        let check = |strategy: &str, training: &str| {
            let recipe = format!(
                "name = 'test'\n\
                 data = {{ name = 'digits', samples = 70, labels_per_class = 2 }}\n\
                 strategy = {{ kind = 'ema', {strategy} }}\n\
                 student = {{ model = 'mlp-8', training = {{ epochs = 1, {training} }} }}"
            );
            let recipe =
                Recipe::from_table(recipe.parse().unwrap(), &Registry::standard()).unwrap();
            let data = Data::load(&recipe.data, &Registry::standard()).unwrap();
            data.check_batches(&recipe)
                .map_err(|error| format!("{error:#}"))
        };

        assert_eq!(check("labeled_per_batch = 8", "batch_size = 16"), Ok(()));
        assert_eq!(check("decay = 0.9", "drop_last = true"), Ok(()));
        let error = check("labeled_per_batch = 8", "batch_size = 64, drop_last = true");
        assert!(
            error
                .unwrap_err()
                .contains("a batch needs 56 unlabeled samples or more, but there are 50")
        );
    }
}

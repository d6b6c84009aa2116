use super::class_counts::ClassCounts;
use super::provenance::{DataOrigin, Provenance};
use super::split::{Parts, Split};
use super::training_batches::{Loader, TrainingBatches};
use anyhow::{Context, Result, ensure};
use burn::data::dataloader::DataLoader;
use burn::tensor::Device;
use burn_distill::core::Seed;
use burn_distill::data::{BatchLoader, Repeats, Samples, TrainTestData, Views};
use burn_distill::interchange::ModelDescription;
use burn_distill::strategy::TaskSamples;
use burn_distill_recipe::{
    AnyDataset, AnyInput, AssistantPlan, DataRecipe, OnnxNetwork, OnnxRecipe, OnnxTask, Place,
    Recipe, Registry, SourceRecipe, Strategy, Task, TasksRecipe, TeacherRecipe, TrainingRecipe,
};
use std::collections::HashSet;
use std::sync::OnceLock;

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
            let is_left_out = name == "validation" && recipe.validation == 0.0;
            ensure!(
                is_left_out || !part.is_empty(),
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
                let place = TeacherRecipe::place(index);
                let known = teacher.known_classes(self.classes());
                let known = known.at(&place)?;
                let [samples, _] = self.of_teacher(known.as_deref())?;
                check(&format!("{place}.training"), training, samples.len())?;
            }
        }
        let seen = self.seen().len();
        check("student.training", &recipe.student.training, seen)?;
        if let Some(tasks) = &recipe.tasks {
            let samples = self.task_samples(tasks)?;
            for task in 0..samples.tasks().len() {
                let count = samples.training(task).len();
                check("student.training", &recipe.student.training, count)?;
            }
        }
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
            only_classes: None,
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

    /// Returns the training and validation samples of the teacher: all of them, with their labels,
    /// or those of the classes that it knows.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no samples of these classes.
    pub fn for_teacher(
        &self,
        training: &TrainingRecipe,
        seed: u64,
        known: Option<&[usize]>,
    ) -> Result<(Loader, Loader)> {
        let [train, valid] = self.of_teacher(known)?;
        let train = self.training_loader(train, training, seed);
        Ok((train, self.evaluation_loader(&valid)))
    }

    /// Returns the training and validation samples of the classes that a teacher knows.
    fn of_teacher(&self, known: Option<&[usize]>) -> Result<[AnyDataset; 2]> {
        let of_classes = |name: &str, all: &AnyDataset| {
            let part = match known {
                Some(classes) => all.only_classes(classes),
                None => all.clone(),
            };
            ensure!(
                all.is_empty() || !part.is_empty(),
                "no {name} sample of {} is of a class that a teacher knows: give it other \
                 `only_classes`",
                self.name()
            );
            Ok(part)
        };
        Ok([
            of_classes("training", &self.train)?,
            of_classes("validation", &self.validation)?,
        ])
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

    /// Returns the samples of tasks that are learned one after another.
    ///
    /// # Errors
    ///
    /// Returns an error that names the key if the tasks do not fit the classes, or if a task has no
    /// sample in a part of the data.
    pub fn task_samples(&self, tasks: &TasksRecipe) -> Result<TaskSamples<AnyDataset>> {
        let tasks = tasks.of(self.task().classes)?;
        let parts = [&self.train, &self.validation, &self.test].map(Clone::clone);
        TaskSamples::new(tasks, parts).at("tasks")
    }

    /// Returns the training samples of a task, counted from 0, in another order for each task.
    pub fn for_task<S: Samples>(
        &self,
        samples: S,
        training: &TrainingRecipe,
        seed: u64,
        task: usize,
    ) -> BatchLoader<S> {
        let order = Seed::new(seed).stage_order(task).value();
        self.training_loader(samples, training, order)
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

    /// Returns whether there are validation samples.
    pub fn has_validation(&self) -> bool {
        !self.validation.is_empty()
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
    pub fn loaders(&self, train: impl Into<TrainingBatches>) -> (TrainingBatches, Loader) {
        let train = train.into();
        // The same objective is computed on the validation set, so it needs the same number of
        // views.
        let valid = self.evaluation_loader(&self.validation);
        let valid = valid.views(train.views());
        (train, valid)
    }

    /// Returns the number of training, validation and test samples of each class.
    pub fn class_counts(&self) -> ClassCounts {
        ClassCounts::of([&self.train, &self.validation, &self.test])
    }

    /// Returns warnings about own samples that occur more than once; published data sets are known.
    pub(super) fn repeats(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let SourceRecipe::Named { .. } = self.recipe.source {
            return warnings;
        }
        let Repeats {
            in_training,
            of_other_classes,
        } = Repeats::of(&self.train, &self.test);
        if in_training > 0 {
            warnings.push(format!(
                "{in_training} of {} test samples are among the training samples, too: accuracies \
                 on them say little",
                self.test.len()
            ));
        }
        // Rows of a table may well be equal, but the class of an image or a file should be known.
        if of_other_classes > 0 && self.train.encoding().is_none() {
            warnings.push(format!(
                "{of_other_classes} of {} training samples are equal to one of another class: no \
                 network can tell them apart",
                self.train.len()
            ));
        }
        warnings
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

    fn training_loader<S: Samples>(
        &self,
        dataset: S,
        training: &TrainingRecipe,
        seed: u64,
    ) -> BatchLoader<S> {
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
    fn repeated_samples_of_own_data_are_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let warnings = |keys: &str| {
            let recipe = keys.parse::<toml::Table>().unwrap().try_into().unwrap();
            let data = Data::load(&recipe, &Registry::standard()).unwrap();
            data.repeats()
        };

        let rows: String = (0..20).map(|row| format!("{row},{}\n", row % 2)).collect();
        let table = write("a.csv", &format!("x,label\n{rows}"));
        let other = write("b.csv", "x,label\n1,0\n2,0\n30,1\n");
        let csv = format!("csv = '{table}'\nlabel = 'label'");
        assert_eq!(warnings(&csv), [""; 0]);
        // A row of the same features counts, whatever its label is.
        let found = warnings(&format!("{csv}\ntest_csv = '{table}'"));
        assert!(
            found[0].starts_with("18 of 20 test samples are among the training"),
            "{found:?}"
        );
        let found = warnings(&format!("{csv}\ntest_csv = '{other}'"));
        assert!(
            found[0].contains(" of 3 test samples are among the training"),
            "{found:?}"
        );

        for file in 0..10 {
            write(&format!("files/a/{file}"), &format!("a {file}"));
            write(&format!("files/b/{file}"), &format!("a {file}"));
        }
        let files = folder.path().join("files");
        let found = warnings(&format!("bytes = '{}'", files.display()));
        assert!(
            found
                .last()
                .unwrap()
                .contains("are equal to one of another class"),
            "{found:?}"
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
                data.for_teacher(&training, 7, None).unwrap().0,
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
    fn a_teacher_that_knows_some_classes_sees_no_others() {
        let recipe = "name = 'digits'\nsamples = 100".parse::<toml::Table>();
        let recipe = recipe.unwrap().try_into().unwrap();
        let data = Data::load(&recipe, &Registry::standard()).unwrap();
        let training = "epochs = 1".parse::<toml::Table>().unwrap();
        let training: TrainingRecipe = training.try_into().unwrap();
        let of = |known: Option<&[usize]>| data.for_teacher(&training, 7, known);
        let labels = |loader: Loader| -> Vec<i64> {
            let batches = loader.iter().map(|batch| batch.unwrap().targets);
            let labels = batches.flat_map(|targets| {
                let (labels, _) = targets.class_labels().unwrap();
                labels.into_data().iter::<i64>().collect::<Vec<_>>()
            });
            labels.collect()
        };

        let (train, valid) = of(Some(&[2, 5])).unwrap();
        for part in [train, valid] {
            let labels = labels(part);
            assert!(
                labels.iter().all(|label| [2, 5].contains(label)),
                "{labels:?}"
            );
            assert!([2, 5].iter().all(|label| labels.contains(label)));
        }
        let all = labels(of(None).unwrap().0);
        assert!((0..10).all(|label| all.contains(&label)));
        let error = of(Some(&[])).err().unwrap().to_string();
        assert!(error.contains("give it other `only_classes`"), "{error}");
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

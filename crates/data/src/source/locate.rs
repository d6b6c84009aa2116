use crate::{DataError, DatasetName};
use std::path::{Path, PathBuf};

/// Files of a data set, in the order in which they are read.
pub(super) struct Files {
    pub(super) train: Vec<PathBuf>,
    pub(super) test: Vec<PathBuf>,
}

/// Returns the files in the first folder that contains all of them.
pub(super) fn locate(name: DatasetName, folders: &[PathBuf]) -> Result<Files, DataError> {
    let mut fewest: Option<Vec<String>> = None;
    for folder in folders {
        match search(name, folder) {
            Ok(files) => return Ok(files),
            Err(missing) => {
                if fewest
                    .as_ref()
                    .is_none_or(|fewest| missing.len() < fewest.len())
                {
                    fewest = Some(missing);
                }
            }
        }
    }
    let info = name.info();
    let remote = info.files.first();
    Err(DataError::Missing {
        dataset: info.name.into(),
        files: fewest.unwrap_or_else(|| vec!["its files".into()]),
        folders: folders.to_vec(),
        from: match (remote, info.folder) {
            (Some(file), Some(_)) => format!("{}{}", file.base, file.name),
            (Some(file), None) => file.base.into(),
            (None, _) => "embedded".into(),
        },
    })
}

/// Returns the files in a folder, or the names of those that are missing.
fn search(name: DatasetName, folder: &Path) -> Result<Files, Vec<String>> {
    let mut missing = Vec::new();
    let mut need = |names: &[&str], shown: &str| {
        let found = names
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file());
        if found.is_none() {
            missing.push(shown.to_string());
        }
        found
    };
    let mut idx = |part: &str| -> Vec<_> {
        ["images-idx3-ubyte", "labels-idx1-ubyte"]
            .iter()
            .filter_map(|kind| {
                let plain = format!("{part}-{kind}");
                let compressed = format!("{plain}.gz");
                need(&[&plain, &compressed], &format!("{plain}[.gz]"))
            })
            .collect()
    };
    let (train, test) = match name {
        DatasetName::Digits => (vec![], vec![]),
        DatasetName::Mnist | DatasetName::FashionMnist => (idx("train"), idx("t10k")),
        DatasetName::Cifar10 => {
            // Any of the batches is enough: a part of the data set can be used, too.
            let batches = (1..=5).map(|number| folder.join(format!("data_batch_{number}.bin")));
            let mut train: Vec<_> = batches.filter(|path| path.is_file()).collect();
            if train.is_empty() {
                train.extend(need(&["data_batch_1.bin"], "data_batch_1.bin"));
            }
            (
                train,
                need(&["test_batch.bin"], "test_batch.bin")
                    .into_iter()
                    .collect(),
            )
        }
        DatasetName::Cifar100 => (
            need(&["train.bin"], "train.bin").into_iter().collect(),
            need(&["test.bin"], "test.bin").into_iter().collect(),
        ),
    };
    if missing.is_empty() {
        Ok(Files { train, test })
    } else {
        Err(missing)
    }
}

use crate::{DataError, DatasetName, ImageDataset};
use std::path::Path;

/// Tolerance of means: published ones are rounded, and the common ones of CIFAR-100 are off by up
/// to `1.2e-4`.
const TOLERANCE: f64 = 5e-4;

/// Checks that the training and test images of a folder are those of the named data set.
///
/// Unknown contents are only logged as a warning, so that a part of a data set, or another version
/// of it, can be used.
///
/// # Errors
///
/// Returns [`DataError::OtherDataset`] if they are those of another known data set.
pub(super) fn check(
    name: DatasetName,
    parts: [&ImageDataset; 2],
    folder: &Path,
) -> Result<(), DataError> {
    let info = name.info();
    if begins_as(parts, name) {
        // A wrong number of images is logged where they are read.
        let whole = parts
            .iter()
            .zip(info.images)
            .all(|(part, count)| part.len() == count);
        if whole && let Some((found, expected)) = other_mean(parts[0], info.mean) {
            log::warn!(
                "{}: these are not the published images of {name}: the mean of their pixels is \
                     {found:.4}, expected {expected}",
                folder.display()
            );
        }
        return Ok(());
    }
    let mut others = DatasetName::ALL.into_iter();
    let is_found = |other: &DatasetName| {
        let known = other.info().first_labels;
        known.iter().all(|labels| !labels.is_empty()) && begins_as(parts, *other)
    };
    match others.find(is_found) {
        Some(other) => Err(DataError::OtherDataset {
            dataset: info.name.into(),
            found: other.info().name.into(),
            folder: folder.to_path_buf(),
        }),
        None => {
            log::warn!(
                "{}: these are not the published images of {name}: their first labels differ",
                folder.display()
            );
            Ok(())
        }
    }
}

/// Returns whether the labels begin with those of a data set.
fn begins_as(parts: [&ImageDataset; 2], name: DatasetName) -> bool {
    let mut parts = parts.into_iter().zip(name.info().first_labels);
    parts.all(|(part, expected)| {
        let labels = part.ids().iter().map(|&id| part.label(id));
        labels.take(expected.len()).eq(expected.iter().copied())
    })
}

/// Returns the mean and the expected mean of the first channel where they differ.
fn other_mean(dataset: &ImageDataset, expected: &[f32]) -> Option<(f64, f32)> {
    let [_, height, width] = dataset.shape();
    let mut sums = vec![0u64; expected.len()];
    for &id in dataset.ids() {
        let planes = dataset.pixels(id).chunks_exact(height * width);
        for (sum, plane) in sums.iter_mut().zip(planes) {
            *sum += plane.iter().map(|&pixel| u64::from(pixel)).sum::<u64>();
        }
    }
    let count = (dataset.len() * height * width) as f64;
    let means = sums
        .into_iter()
        .map(|sum| sum as f64 / count / f64::from(dataset.max_value()));
    let mut means = means.zip(expected.iter().copied());
    means.find(|(found, expected)| (found - f64::from(*expected)).abs() > TOLERANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns images of one gray level whose labels begin with the given ones, followed by zeros.
    fn images(name: DatasetName, first: &[usize], count: usize, level: u8) -> ImageDataset {
        let info = name.info();
        let mut labels = first.to_vec();
        labels.resize(count, 0);
        let pixels = vec![level; count * info.shape.iter().product::<usize>()];
        info.dataset(pixels, 255, labels).unwrap()
    }

    fn checked(name: DatasetName, labels: [&[usize]; 2]) -> Result<(), DataError> {
        let [train, test] = labels.map(|labels| images(name, labels, 20, 0));
        check(name, [&train, &test], Path::new("folder"))
    }

    #[test]
    fn the_files_of_a_data_set_with_equal_file_names_are_refused() {
        let [mnist, fashion] = [DatasetName::Mnist, DatasetName::FashionMnist];
        let labels = |name: DatasetName| name.info().first_labels;

        assert!(checked(mnist, labels(mnist)).is_ok());
        assert!(checked(fashion, labels(fashion)).is_ok());
        assert_eq!(
            checked(fashion, labels(mnist)).unwrap_err().to_string(),
            "folder: these are the files of mnist, not of fashion-mnist, whose files have the \
             same names; name the folder of fashion-mnist with --data-dir, or set `data.name = \
             \"mnist\"`"
        );
        assert!(checked(mnist, labels(fashion)).is_err());
    }

    #[test]
    fn parts_and_other_versions_of_a_data_set_can_be_used() {
        assert!(checked(DatasetName::Mnist, [&[1, 2, 3], &[4]]).is_ok());
        assert!(checked(DatasetName::Cifar10, [&[3], &[3]]).is_ok());
        assert!(checked(DatasetName::Cifar100, [&[], &[]]).is_ok());
    }

    #[test]
    fn other_pixels_are_detected_by_their_mean() {
        let name = DatasetName::Mnist;
        let mean = |level| other_mean(&images(name, &[], 4, level), name.info().mean);

        let (found, expected) = mean(255).unwrap();
        assert_eq!((found, expected), (1.0, 0.1307));
        let gray = images(name, &[], 4, 33);
        assert!(other_mean(&gray, &[33.0 / 255.0]).is_none());
    }
}

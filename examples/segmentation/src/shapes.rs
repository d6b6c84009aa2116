use crate::{BATCH, Result, network::Net};
use burn::data::{dataloader::batcher::Batcher, dataset::InMemDataset};
use burn::prelude::*;
use burn_distill::{core::KeyedRng, prelude::*, strategy::EpochLoader};

/// Height and width of an image.
pub const SIZE: usize = 20;
/// Number of classes: the background, discs, squares and crosses.
pub const CLASSES: usize = 4;

/// Pixels of an image, and their classes.
type Item = (Vec<f32>, Vec<i64>);

/// Images of three shapes on noise, of the same brightness and about the same size: only their
/// outline tells them apart.
pub struct Shapes;

impl Shapes {
    /// Draws a number of images. A seed gives the same images everywhere.
    pub fn load(images: usize, seed: u64) -> DatasetLoader<Item, Batch<Tensor<4>>, Tensor<4>> {
        let items = (0..images as u64).map(|image| draw(KeyedRng::new([seed, image, 0, 0])));
        DatasetLoader::new(InMemDataset::new(items.collect()), Self, BATCH)
    }
}

fn draw(mut rng: KeyedRng) -> Item {
    // The sum of four uniform numbers is about normal.
    let mut noise = || (0..4).map(|_| rng.below(1000) as f32).sum::<f32>() / 1000.0 - 2.0;
    let mut pixels: Vec<_> = (0..SIZE * SIZE).map(|_| noise()).collect();
    let mut classes = vec![0; SIZE * SIZE];
    for _ in 0..3 {
        let (class, radius) = (1 + rng.below(3) as i64, 3 + rng.below(2) as i64);
        let [top, left] = [(); 2].map(|()| rng.below(SIZE as u64) as i64);
        for (place, of) in (0..).zip(&mut classes) {
            let (dy, dx) = (
                (place / SIZE as i64 - top).abs(),
                (place % SIZE as i64 - left).abs(),
            );
            let inside = match class {
                1 => dy * dy + dx * dx <= radius * radius,
                2 => dy.max(dx) < radius,
                _ => dy.min(dx) <= 1 && dy.max(dx) <= radius,
            };
            *of = if inside { class } else { *of }; // A later shape covers an earlier one.
        }
    }
    for (pixel, class) in pixels.iter_mut().zip(&classes) {
        *pixel += if *class > 0 { 2.0 } else { 0.0 };
    }
    (pixels, classes)
}

impl Batcher<Item, Batch<Tensor<4>>> for Shapes {
    fn batch(&self, items: Vec<Item>, device: &Device) -> Batch<Tensor<4>> {
        let (pixels, classes): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let pixels = TensorData::new(pixels.concat(), [classes.len(), 1, SIZE, SIZE]);
        let classes: Tensor<1, Int> = Tensor::from_data(classes.concat().as_slice(), device);
        Batch::new(Tensor::from_data(pixels, device), classes)
    }
}

/// Returns the mean over the classes of the intersection of predicted and true pixels divided by
/// their union, in percent, on the test images.
pub fn mean_iou(network: &Net) -> Result<f64> {
    let network = network.valid();
    let mut both = [0.0; CLASSES];
    let mut either = [0.0; CLASSES];
    for batch in Shapes::load(200, 0).batches() {
        let batch = batch?;
        let logits = network.forward(batch.view().clone()).rows().logits;
        let (classes, _) = batch.targets.class_labels().ok_or("there are no labels")?;
        let (classes, predicted) = (classes.into_data(), logits.argmax(1).into_data());
        for (class, predicted) in classes.iter::<u32>().zip(predicted.iter::<u32>()) {
            either[class as usize] += 1.0;
            match class == predicted {
                true => both[class as usize] += 1.0,
                false => either[predicted as usize] += 1.0,
            }
        }
    }
    let iou = both.iter().zip(&either).map(|(both, either)| both / either);
    Ok(100.0 * iou.sum::<f64>() / CLASSES as f64)
}

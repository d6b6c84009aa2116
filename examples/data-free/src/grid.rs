use burn::tensor::Tensor;
use image::{GrayImage, Luma};
use std::error::Error;

/// Number of images in a row.
const COLUMNS: usize = 8;
/// Width of the lines between images.
const GAP: usize = 2;

/// Writes images of one channel as a grid, each stretched from its lowest to its highest pixel.
///
/// # Shapes
///
/// - images: `[images, 1, height, width]`
pub fn write_grid(images: Tensor<4>, file: &str) -> Result<(), Box<dyn Error>> {
    let [count, _, height, width] = images.dims();
    let pixels: Vec<f32> = images.into_data().iter().collect();
    let rows = count.div_ceil(COLUMNS);
    let side = |cells: usize, size: usize| (cells * (size + GAP) + GAP) as u32;
    let mut grid = GrayImage::from_pixel(side(COLUMNS, width), side(rows, height), Luma([128]));
    for (number, image) in pixels.chunks(height * width).enumerate() {
        let lowest = image.iter().copied().fold(f32::INFINITY, f32::min);
        let highest = image.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let left = GAP + number % COLUMNS * (width + GAP);
        let top = GAP + number / COLUMNS * (height + GAP);
        for (place, pixel) in image.iter().enumerate() {
            let level = (pixel - lowest) / (highest - lowest).max(f32::EPSILON);
            let (x, y) = (left + place % width, top + place / width);
            let level = (255.0 * level).round() as u8;
            grid.put_pixel(x as u32, y as u32, Luma([level]));
        }
    }
    grid.save(file)?;
    Ok(())
}

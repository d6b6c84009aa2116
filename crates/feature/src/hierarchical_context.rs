use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, pool_to};

/// Sizes that a map is pooled to, beside its own size.
const SIZES: [usize; 3] = [4, 2, 1];

/// Computes the hierarchical context loss (HCL) of ReviewKD: the mean squared difference of two
/// maps of one shape, at full size and pooled to 4×4, 2×2 and 1×1 pixels.
///
/// ```text
/// L = Σᵢ wᵢ · mean((poolᵢ(student) − poolᵢ(teacher))²) / Σᵢ wᵢ,    w = 1, ½, ¼, ⅛
/// ```
///
/// A size that is not smaller than the map is left out and does not halve the weight of the next:
/// maps of 4×4 pixels have weights of 1, ½ and ¼. If height and width differ, each is pooled to at
/// most its own size. The teacher is a constant: no gradient flows to it. Half precision is widened
/// to single.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::hierarchical_context_loss;
///
/// let device = Device::default();
/// let student = Tensor::<4>::from_data([[[[1.0, -1.0], [1.0, -1.0]]]], &device);
/// let teacher = student.zeros_like();
///
/// // A mean square of 1 with weight 1, and of 0 with weight ½.
/// let loss = hierarchical_context_loss(student, teacher);
/// assert!((loss.into_scalar::<f32>() - 1.0 / 1.5).abs() < 1e-6);
/// ```
///
/// # Shapes
///
/// - student, teacher: `[batch_size, channels, height, width]`
/// - output: `[1]`
///
/// # Panics
///
/// Panics if the shapes differ.
///
/// # Reference
///
/// P. Chen, S. Liu, H. Zhao and J. Jia, [Distilling Knowledge via Knowledge Review](
/// https://arxiv.org/abs/2104.09044), CVPR 2021. Agrees with `hcl` of the authors' ReviewKD.
#[doc(alias = "HCL")]
pub fn hierarchical_context_loss(student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
    let [batch_size, channels, height, width] = student.dims();
    assert_shape!(teacher, [batch_size, channels, height, width]);
    if batch_size == 0 {
        return connected_zero(student);
    }
    // Pooling is linear, so the difference is pooled once instead of both maps.
    let teacher = at_least_f32(teacher.without_autodiff());
    let difference = at_least_f32(student).sub(teacher);

    let (mut weight, mut total) = (1.0, 1.0);
    let mut loss = difference.clone().square().mean();
    for size in SIZES {
        let size = [size.min(height), size.min(width)];
        if size == [height, width] {
            continue;
        }
        weight /= 2.0;
        total += weight;
        let pooled = pool_to(difference.clone(), size).square().mean();
        loss = loss.add(pooled.mul_scalar(weight));
    }
    loss.div_scalar(total)
}

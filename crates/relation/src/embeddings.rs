use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Check, ConfigError, check, one_line_display};

/// Configuration to create [embeddings](Embeddings) using the [init
/// function](EmbeddingsConfig::init).
#[derive(Config, Debug)]
pub struct EmbeddingsConfig {
    /// Number of features of the student.
    pub student: usize,
    /// Number of features of the teacher.
    pub teacher: usize,
    /// Number of features of both embeddings. Default: `128`, as in RepDistiller and torchdistill.
    #[config(default = 128)]
    pub features: usize,
}

impl EmbeddingsConfig {
    /// Creates [embeddings](Embeddings).
    ///
    /// # Panics
    ///
    /// Panics if a size is zero.
    pub fn init(&self, device: &Device) -> Embeddings {
        self.assert_valid();
        let linear = |inputs| LinearConfig::new(inputs, self.features).init(device);
        Embeddings {
            student: linear(self.student),
            teacher: linear(self.teacher),
        }
    }
}

impl Check for EmbeddingsConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("student", self.student, 1)?;
        check::at_least("teacher", self.teacher, 1)?;
        check::at_least("features", self.features, 1)
    }
}

/// Linear layers that embed the features of student and teacher in a space of the same size.
///
/// Both layers are trained with the student: the teacher's features are constants, but their
/// embedding is not. Neither layer is deployed.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Embeddings {
    /// Layer that embeds the student's features.
    pub student: Linear,
    /// Layer that embeds the teacher's features.
    pub teacher: Linear,
}

one_line_display!(
    Embeddings: student = |layers| Some(&layers.student.weight.dims()[0]),
    teacher = |layers| Some(&layers.teacher.weight.dims()[0]),
    features = |layers| Some(&layers.student.weight.dims()[1])
);

impl Embeddings {
    /// Returns the embeddings of the features of both networks. No gradient flows to the teacher's
    /// features.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, student]`
    /// - teacher: `[batch_size, teacher]`
    /// - output: two tensors `[batch_size, features]`
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let teacher = teacher.without_autodiff();
        (self.student.forward(student), self.teacher.forward(teacher))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_at_least_one() {
        assert!(EmbeddingsConfig::new(1, 1).check().is_ok());
        for (config, key) in [
            (EmbeddingsConfig::new(0, 1), "student"),
            (EmbeddingsConfig::new(1, 0), "teacher"),
            (EmbeddingsConfig::new(1, 1).with_features(0), "features"),
        ] {
            assert_eq!(config.check().unwrap_err().key, key);
        }
    }
}

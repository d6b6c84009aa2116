use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Bool, Device, Tensor};
use burn_distill_core::{LossError, MultiLayerLoss, NamedLoss, Tap, check_same, zero_padded_maps};

/// 1×1 convolutions that project the layers of the student whose number of channels differs from
/// the teacher's.
///
/// They are trained with the student and not deployed.
#[derive(Module, Debug)]
pub struct ChannelProjections {
    /// Convolution for each layer; `None` where the numbers of channels are equal.
    pub layers: Vec<Option<Conv2d>>,
}

impl ChannelProjections {
    /// Creates projections from the student's channels of each layer to the teacher's.
    ///
    /// # Panics
    ///
    /// Panics if the numbers of layers differ.
    pub fn new(student: &[usize], teacher: &[usize], device: &Device) -> Self {
        assert_eq!(
            student.len(),
            teacher.len(),
            "Student and teacher need the same number of layers, found {} and {}.",
            student.len(),
            teacher.len()
        );
        let layers = student.iter().zip(teacher).map(|(&student, &teacher)| {
            (student != teacher).then(|| Conv2dConfig::new([student, teacher], [1, 1]).init(device))
        });
        Self {
            layers: layers.collect(),
        }
    }

    /// Returns the student's maps, projected to the teacher's channels.
    ///
    /// # Panics
    ///
    /// Panics if the number of maps is not the number of layers.
    pub fn forward(&self, maps: Vec<Tensor<4>>) -> Vec<Tensor<4>> {
        assert_eq!(
            maps.len(),
            self.layers.len(),
            "These projections were created for {} layers, found {}.",
            self.layers.len(),
            maps.len()
        );
        let project = |(map, layer): (Tensor<4>, &Option<Conv2d>)| match layer {
            Some(layer) => layer.forward(map),
            None => map,
        };
        maps.into_iter().zip(&self.layers).map(project).collect()
    }
}

/// Loss between layers that applies [projections](ChannelProjections) to the student's layers
/// first.
#[derive(Module, Debug)]
pub struct Projected<L> {
    /// Projections from the student's channels to the teacher's.
    pub projections: ChannelProjections,
    /// Loss between the layers.
    pub loss: L,
}

impl<L: MultiLayerLoss> Projected<L> {
    /// Creates a projected loss from a loss and projections.
    pub fn new(loss: L, projections: ChannelProjections) -> Self {
        Self { projections, loss }
    }
}

impl<L: NamedLoss> NamedLoss for Projected<L> {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl<L: MultiLayerLoss> MultiLayerLoss for Projected<L> {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        // NaN in padding would make the gradients of the weights NaN.
        let student = zero_padded_maps(student, mask.as_ref());
        let student = self.projections.forward(student);
        let student = student.into_iter().map(Tap::Map).collect();
        self.loss.forward_layers(student, teacher, mask)
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        let projected = student.iter().zip(&self.projections.layers);
        let projected = projected.map(|(tap, layer)| {
            let channels = tap.channels()?;
            let map = tap.clone().into_map();
            let Some(layer) = layer else {
                return Ok(Tap::Map(map));
            };
            let [outputs, inputs, ..] = layer.weight.dims();
            check_same("channels", channels, inputs)?;
            let [batch_size, _, height, width] = map.dims();
            let map = Tensor::zeros([batch_size, outputs, height, width], &map.device());
            Ok(Tap::Map(map))
        });
        let projected: Vec<_> = projected.collect::<Result<_, LossError>>()?;
        check_same("layers", projected.len(), student.len())?;
        self.loss.check_layers(&projected, teacher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FlowOfSolutionLossConfig;
    use burn_distill_core::{initialize, parameter_count};

    #[test]
    fn only_layers_of_other_widths_are_projected_and_they_train() {
        let device = Device::default().autodiff();
        let projections = ChannelProjections::new(&[3, 5], &[3, 7], &device);
        assert_eq!(parameter_count(&projections), 5 * 7 + 7);

        let loss = Projected::new(FlowOfSolutionLossConfig::new().init(), projections);
        let loss = initialize(loss);
        let tap = |channels| Tap::Map(Tensor::ones([2, channels, 4, 4], &device));
        let grads = loss
            .forward_layers(vec![tap(3), tap(5)], vec![tap(3), tap(7)], None)
            .backward();

        let layer = loss.projections.layers[1].as_ref().unwrap();
        assert!(layer.weight.val().grad(&grads).is_some());
    }

    #[test]
    #[should_panic(expected = "need the same number of layers")]
    fn the_numbers_of_layers_must_match() {
        ChannelProjections::new(&[3], &[3, 7], &Device::default());
    }
}

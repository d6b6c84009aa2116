use super::Loss;
use super::catch::catch;
use super::description::Description;
use super::layers::Layers;
use anyhow::Result;
use burn_distill::core::{Check, LayersLoss, LayersTerm, Tap, Taps};
use burn_distill::relation::{
    AttentionHeadsObjective, ChannelProjections, FlowOfSolutionLossConfig,
    InformationFlowLossConfig, InformationFlowTerm, InstanceGraphLossConfig, InstanceGraphTerm,
    MultiHeadGraphConfig, MultiHeadGraphLoss, MultiHeadGraphObjective, Projected,
    SingularVectorLossConfig,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The losses on relations between the layers of a network.
impl Description<'_> {
    /// The products of the channels of consecutive layers.
    pub fn flow_of_solution(self) -> Result<Loss> {
        self.projected_layers(FlowOfSolutionLossConfig::new(), |c| c.init())
    }

    /// The singular vectors of consecutive layers.
    pub fn singular_vectors(self) -> Result<Loss> {
        self.projected_layers(SingularVectorLossConfig::new(), |c| c.init())
    }

    /// The attention heads, which are trained in the first epochs, and the student after them.
    pub fn multi_head_graph(mut self) -> Result<Loss> {
        let (student, teacher) = self.paired_layers(Layers::Stages)?;
        let config = self.configure(MultiHeadGraphConfig::new())?;
        self.clip_centre = config.heads_epochs;
        self.clip_by_default = true;
        let projections = self.projections(&student, &teacher);
        let channels = channels(&self.scene.teacher_taps, &teacher);
        let device = self.scene.device.clone();
        let heads = catch(|| {
            let heads = config.init_heads(&channels, &device);
            AttentionHeadsObjective::new(config, heads, teacher)
        })?;
        self.named(MultiHeadGraphLoss::TERM, 1.0, |name, weight| {
            MultiHeadGraphObjective::new(heads, projections, student, weight).with_name(name)
        })
    }

    /// The neighbours of each sample, by layer and epoch.
    pub fn information_flow(mut self) -> Result<Loss> {
        let (student, teacher) = self.paired_layers(Layers::StagesAndPool)?;
        let loss = self.init(InformationFlowLossConfig::new(), |c| c.init())?;
        self.term(InformationFlowTerm::new(loss, student, teacher), 1.0)
    }

    /// The samples, their distances and how they move.
    pub fn instance_graph(mut self) -> Result<Loss> {
        let (student, teacher) = self.layers(Layers::StagesAndPool)?;
        let loss = self.init(InstanceGraphLossConfig::new(), |c| c.init())?;
        self.try_out((&student, &teacher), |student, teacher| {
            loss.forward_layers(student, teacher, None)
        })?;
        self.term(InstanceGraphTerm::new(loss, student, teacher), 1.0)
    }

    /// A loss that needs as many channels in each layer of the student as in the teacher's.
    fn projected_layers<C, L>(mut self, default: C, init: impl FnOnce(&C) -> L) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned + Check,
        L: LayersLoss,
    {
        let (student, teacher) = self.paired_layers(Layers::Stages)?;
        let projections = self.projections(&student, &teacher);
        let loss = Projected::new(self.init(default, init)?, projections);
        self.try_out((&student, &teacher), |student, teacher| {
            loss.forward_layers(student, teacher, None)
        })?;
        self.term(LayersTerm::new(loss, student, teacher), 1.0)
    }

    /// As many taps of the student as of the teacher.
    fn paired_layers(&mut self, default: Layers) -> Result<(Vec<String>, Vec<String>)> {
        Ok(self.pairs(default)?.into_iter().unzip())
    }

    fn projections(&self, student: &[String], teacher: &[String]) -> ChannelProjections {
        ChannelProjections::new(
            &channels(&self.scene.student_taps, student),
            &channels(&self.scene.teacher_taps, teacher),
            &self.scene.device,
        )
    }
}

/// The channels of each tap as a map.
fn channels(taps: &Taps, names: &[String]) -> Vec<usize> {
    let maps = taps.take_all(names).into_iter().map(Tap::into_map);
    maps.map(|map| map.dims()[1]).collect()
}

//! What a recipe may say about a strategy.

use super::{Configured, Peers};
use burn_distill::architecture::MultiExitConfig;
use burn_distill::core::{RampInterval, WeightSchedule};
use burn_distill::strategy::{
    AdversarialDistillerConfig, DinoObjectiveConfig, DropoutDistillerConfig, EnsembleTarget,
    GroupLeaderDistillerConfig, PeerOrder,
};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The temperature towards an ensemble and the epochs until its weight is 1, as the authors of ONE
/// and OKDDip have them.
pub const TEMPERATURE: f64 = 3.0;
pub const RAMP_EPOCHS: usize = 80;

/// Who teaches the student.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StrategyRecipe {
    /// A trained teacher, which no longer changes.
    #[serde(alias = "kd")]
    Offline {},
    /// Peers, each the others.
    #[serde(alias = "dml")]
    Mutual(MutualRecipe),
    /// Peers, each the others, and in a ring by their maps.
    #[serde(alias = "afd-chung")]
    AdversarialFeatures(AdversarialFeaturesRecipe),
    /// Peers, by one target that is made of all.
    #[serde(alias = "kdcl")]
    Collaborative(CollaborativeRecipe),
    /// The branches of one network, by their weighted mean.
    #[serde(alias = "one")]
    NativeEnsemble(NativeEnsembleRecipe),
    /// Diverse peers, a leader.
    #[serde(alias = "okddip")]
    GroupLeader(GroupLeaderRecipe),
    /// Peers, as they were a while ago.
    #[serde(alias = "stale-peers")]
    Codistillation(CodistillationRecipe),
    /// The deepest exit of one network.
    #[serde(alias = "exits", alias = "be-your-own-teacher")]
    Byot(ByotRecipe),
    /// The student with others of its features dropped.
    #[serde(alias = "dropout")]
    SdDropout(Configured<DropoutDistillerConfig>),
    /// The student alone, trained before, or nobody but the labels.
    #[serde(alias = "teacher-free")]
    TfKd(TfKdRecipe),
    /// What the student says about another sample of the class.
    #[serde(alias = "same-class")]
    CsKd(SoftRecipe),
    /// What the student said about the sample the last time.
    #[serde(alias = "past-predictions")]
    PsKd(PastPredictionsRecipe),
    /// What the student said about the last batch.
    #[serde(alias = "last-batch")]
    Dlb(SoftRecipe),
    /// An average of what the student was.
    #[serde(alias = "ema")]
    MeanTeacher(MeanTeacherRecipe),
    /// An average of what the student was, on other views and before it knows labels.
    Dino(DinoRecipe),
    /// The generation before.
    #[serde(alias = "ban")]
    BornAgain(BornAgainRecipe),
}

impl Default for StrategyRecipe {
    fn default() -> Self {
        Self::Offline {}
    }
}

impl StrategyRecipe {
    /// Whether a trained teacher teaches.
    pub fn is_offline(&self) -> bool {
        matches!(self, Self::Offline {})
    }

    /// Returns the number of labeled samples in every batch of the student, of whose `samples` so many
    /// have `labels`. With 0, batches are drawn from all samples alike.
    pub fn labeled_per_batch(&self, batch_size: usize, labels: usize, samples: usize) -> usize {
        match self {
            Self::MeanTeacher(options) => match options.labeled_per_batch {
                Some(labeled) => labeled,
                // The authors' experiments have 31 of 128 samples, at most as many as there are labels.
                None if labels < samples => labels.min(batch_size / 4),
                None => 0,
            },
            _ => 0,
        }
    }
}

/// `kind = "mutual"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MutualRecipe {
    /// The networks beside the student.
    pub peers: Peers,
    /// Who steps when.
    pub order: PeerOrder,
    /// What a peer learns from.
    pub target: PeerTarget,
    /// The temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Their weight, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// `kind = "adversarial-features"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdversarialFeaturesRecipe {
    /// The networks beside the student.
    pub peers: Peers,
    /// Who steps when.
    pub order: PeerOrder,
    /// Tap of each network that is judged, the student's first. Default: the output of its last stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taps: Vec<String>,
    /// How the critics and what leads to the maps learn.
    pub game: Configured<AdversarialDistillerConfig>,
    /// The temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Their weight, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// What a peer learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerTarget {
    /// Each of the others, and the losses are averaged.
    Each,
    /// The mean of what the others predict.
    Others,
}

/// `kind = "collaborative"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CollaborativeRecipe {
    /// The networks beside the student.
    pub peers: Peers,
    /// How the target is made.
    pub target: EnsembleTarget,
    /// The temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Their weight, likewise; the labels have the rest of 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// `kind = "native-ensemble"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NativeEnsembleRecipe {
    /// How many branches there are.
    pub branches: usize,
    /// The temperature towards the ensemble, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The epochs until its weight is 1, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_epochs: Option<usize>,
    /// Interval at which that weight moves, likewise. Default: once per epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_interval: Option<RampInterval>,
}

/// `kind = "group-leader"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupLeaderRecipe {
    /// The auxiliary peers; the student is the leader.
    pub peers: Peers,
    /// The tap of the peers that the attention sees.
    pub tap: String,
    /// Whether the targets are no constants, as in the authors' code.
    pub as_code: bool,
    /// The temperature towards the ensemble.
    pub temperature: f64,
    /// The epochs until its weight is 1.
    pub ramp_epochs: usize,
    /// Interval at which that weight moves. Default: once per epoch.
    pub ramp_interval: RampInterval,
}

/// `kind = "codistillation"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodistillationRecipe {
    /// The networks beside the student.
    pub peers: Peers,
    /// The steps before peers teach each other.
    pub burn_in: usize,
    /// The steps from one copy to the next.
    pub period: usize,
    /// What a peer learns from.
    pub target: PeerTarget,
    /// The temperature of the soft cross-entropy, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Its weight, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// `kind = "byot"`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ByotRecipe {
    /// Whose terms they are, if there is no `[[loss]]`.
    pub variant: ByotVariant,
    /// Where the exits are and what they are made of.
    pub exits: Configured<MultiExitConfig>,
}

/// The terms of be your own teacher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByotVariant {
    /// Those of the paper.
    #[default]
    Paper,
    /// Those of the authors' later code.
    Later,
}

/// `kind = "tf-kd"`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TfKdRecipe {
    /// Who takes the place of a teacher.
    pub variant: TfKdVariant,
    /// The temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Their weight, likewise; the labels have the rest of 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// What that weight is multiplied by, likewise; that of the labels is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<f64>,
}

/// Who takes the place of a teacher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TfKdVariant {
    /// The student alone, trained before and frozen.
    #[default]
    #[serde(rename = "self")]
    Copy,
    /// Nobody: the terms know the labels, and no more.
    Virtual,
}

/// A strategy with nothing of its own: `kind = "cs-kd"` and `kind = "dlb"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoftRecipe {
    /// The temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Their weight, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// `kind = "ps-kd"`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PastPredictionsRecipe {
    /// The weight of past predictions in the last epoch, if there is no `[[loss]]`; the labels have
    /// the rest of 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// `kind = "mean-teacher"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MeanTeacherRecipe {
    /// How much of the average stays at each step, in the end.
    pub decay: f64,
    /// Whether the average begins as a mean.
    pub warm_up: bool,
    /// Whether the average teaches in training mode, as that of the authors.
    pub training_mode: bool,
    /// Whether the average begins with random weights of its own, as that of the authors, instead of
    /// those of the student.
    pub random_start: bool,
    /// Number of labeled samples in every batch; 0 draws batches from all samples alike. Default: a
    /// quarter of the batch where `data.labels_per_class` is given, else 0.
    #[serde(alias = "labelled_per_batch", skip_serializing_if = "Option::is_none")]
    pub labeled_per_batch: Option<usize>,
    /// The weight of the consistency in the end, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// The epochs until then, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_epochs: Option<usize>,
    /// Interval at which that weight moves, likewise. Default: once per epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_interval: Option<RampInterval>,
}

/// `kind = "born-again"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BornAgainRecipe {
    /// How many students are taught, one after the other.
    pub generations: usize,
    /// What they learn from the one before, if there is no `[[loss]]`.
    pub variant: BornAgainVariant,
    /// Whether they also learn from the labels, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<bool>,
    /// Whether a generation teaches in training mode, normalized by the statistics of each batch.
    pub training_mode: bool,
}

/// What a generation learns from the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BornAgainVariant {
    /// What it says of each class.
    #[default]
    Ban,
    /// How sure it is: samples of the labels count as much.
    Cwtm,
    /// What it says, of shuffled classes but the likeliest.
    Dkpp,
}

/// `kind = "dino"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DinoRecipe {
    /// Number of views of each sample at its full size that the student sees; the average sees the
    /// first two. Default: 4, and 2 with local crops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<usize>,
    /// Number of small crops of each sample, which the student alone sees. The views at full size are
    /// then random crops, too, resized.
    pub local_crops: usize,
    /// Height and width of a local crop in pixels. Default: 3/7 of those of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_size: Option<usize>,
    /// Least and largest part of the image that a crop at full size shows, with local crops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_scale: Option<[f64; 2]>,
    /// Least and largest part of the image that a local crop shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_scale: Option<[f64; 2]>,
    /// Number of epochs without labels: as many as those with labels if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Share of the average that stays at each step at first; in the end, all.
    pub decay: f64,
    /// Whether the average teaches in training mode, as that of the authors.
    pub training_mode: bool,
    /// Decoupled weight decay over the epochs without labels, in the place of that of the optimizer:
    /// not of biases and other one-dimensional parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<WeightSchedule>,
    /// The tap of the student that the head sees.
    pub tap: String,
    /// The head: what is not given is sized for the student.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub head: Table,
    /// What compares the views.
    pub objective: Configured<DinoObjectiveConfig>,
}

impl Default for MutualRecipe {
    fn default() -> Self {
        Self {
            peers: Peers::Count(1),
            order: PeerOrder::default(),
            target: PeerTarget::Each,
            temperature: None,
            weight: None,
        }
    }
}

impl Default for AdversarialFeaturesRecipe {
    fn default() -> Self {
        Self {
            peers: Peers::Count(1),
            order: PeerOrder::default(),
            taps: Vec::new(),
            game: Configured::default(),
            temperature: None,
            weight: None,
        }
    }
}

impl Default for CollaborativeRecipe {
    fn default() -> Self {
        Self {
            peers: Peers::Count(1),
            target: EnsembleTarget::MinLogit,
            temperature: None,
            weight: None,
        }
    }
}

impl Default for NativeEnsembleRecipe {
    fn default() -> Self {
        Self {
            branches: 3,
            temperature: None,
            ramp_epochs: None,
            ramp_interval: None,
        }
    }
}

impl Default for GroupLeaderRecipe {
    fn default() -> Self {
        let GroupLeaderDistillerConfig { tap, as_code } = GroupLeaderDistillerConfig::new();
        Self {
            peers: Peers::Count(3),
            tap,
            as_code,
            temperature: TEMPERATURE,
            ramp_epochs: RAMP_EPOCHS,
            ramp_interval: RampInterval::default(),
        }
    }
}

impl Default for CodistillationRecipe {
    fn default() -> Self {
        Self {
            peers: Peers::Count(1),
            burn_in: 0,
            period: 1,
            target: PeerTarget::Others,
            temperature: None,
            weight: None,
        }
    }
}

impl Default for MeanTeacherRecipe {
    fn default() -> Self {
        Self {
            decay: 0.999,
            warm_up: true,
            training_mode: true,
            random_start: false,
            labeled_per_batch: None,
            weight: None,
            ramp_epochs: None,
            ramp_interval: None,
        }
    }
}

impl Default for BornAgainRecipe {
    fn default() -> Self {
        Self {
            generations: 3,
            variant: BornAgainVariant::default(),
            labels: None,
            training_mode: false,
        }
    }
}

impl Default for DinoRecipe {
    fn default() -> Self {
        Self {
            views: None,
            local_crops: 0,
            local_size: None,
            global_scale: None,
            local_scale: None,
            epochs: None,
            decay: 0.996,
            training_mode: true,
            weight_decay: None,
            tap: "pool".into(),
            head: Table::new(),
            objective: Configured::default(),
        }
    }
}

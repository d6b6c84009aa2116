//! One row per objective that has masks.

use crate::rows::Case;
use burn::tensor::Device;
use burn_distill_architecture::{AdapterKind, FeatureAdapterConfig};
use burn_distill_core::{
    CrossEntropyObjective, LossDenominator, MultiLayerLoss, MultiLayerTerm, NoAdapter, Objective,
    PerTeacher, SingleTeacher, Tap, TapLoss, TapObjective, TapPair, Weighted,
};
use burn_distill_feature::*;
use burn_distill_relation::*;
use burn_distill_response::*;

fn response<L: LogitLoss>(loss: L) -> Case {
    let name = format!("{loss:?}");
    Case::new(name, ResponseObjective::new(loss, 1.0))
}

fn batch<L: BatchLogitLoss>(loss: L) -> Case {
    let name = format!("{loss:?}");
    Case::new(name, BatchObjective::new(loss, 1.0))
}

fn named<O: Objective>(objective: O) -> Case {
    Case::new(format!("{objective:?}"), objective)
}

/// Creates objectives on rows of responses.
pub fn of_rows() -> Vec<Case> {
    let device = Device::default().autodiff();
    let soft_target = || SoftTargetLossConfig::new().init();
    let skewed = SkewKlLossConfig::new();
    let temperature = LearnedTemperatureConfig::new();
    let masked = |confidence| {
        MultiLevelLossConfig::new()
            .with_confidence(confidence)
            .init()
    };
    vec![
        response(soft_target()),
        response(SoftTargetLossConfig::new().with_temperature(100.0).init()),
        response(SoftCrossEntropyLossConfig::new().init()),
        response(ReverseKlLossConfig::new().init()),
        response(JensenShannonLossConfig::new().init()),
        response(TotalVariationLossConfig::new().init()),
        response(skewed.init()),
        response(skewed.with_reverse(true).init()),
        response(LogitMatchingLossConfig::new().init()),
        response(ProbabilityMatchingLossConfig::new().init()),
        response(NormKdLossConfig::new().init()),
        response(StandardizationConfig::new().init(soft_target())),
        response(Chunked::new(JensenShannonLossConfig::new().init()).with_chunk_rows(2)),
        batch(DistLossConfig::new().init()),
        batch(StandardizationConfig::new().init(DistLossConfig::new().init())),
        batch(masked(ConfidenceMask::None)),
        batch(masked(ConfidenceMask::Select)),
        batch(masked(ConfidenceMask::ReferenceCompat)),
        named(Weighted::of(
            MultiLevelTerm::new(masked(ConfidenceMask::Select), 1),
            1.0,
        )),
        named(Weighted::of(temperature.init(&device), 1.0)),
        named(Weighted::of(
            temperature.with_standardize(true).init(&device),
            1.0,
        )),
        Case::new(
            "one of several teachers",
            SingleTeacher::new(PerTeacher::new([ResponseObjective::new(
                soft_target(),
                1.0,
            )])),
        ),
    ]
}

/// Creates objectives without a teacher, where only the mask of the student counts.
pub fn of_labels() -> Vec<Case> {
    vec![
        Case::new("the labels", CrossEntropyObjective::new(1.0)),
        Case::new(
            "the labels, divided by all samples",
            CrossEntropyObjective::new(1.0).with_denominator(LossDenominator::All),
        ),
    ]
}

fn sequence<L: MultiLayerLoss>(loss: L, taps: &[&str]) -> Case {
    let name = format!("{loss:?}, {taps:?}");
    let taps = || taps.iter().copied();
    Case::new(
        name,
        Weighted::of(MultiLayerTerm::new(loss, taps(), taps()), 1.0),
    )
}

fn pair<L: TapLoss>(loss: L) -> Case {
    let name = format!("pair, {loss:?}");
    let pair: TapPair<L, NoAdapter> = TapPair::new("first", "first", loss);
    Case::new(name, TapObjective::new([pair], 1.0))
}

/// Creates objectives on taps of tokens, and those on rows that need labels.
pub fn of_tokens() -> Vec<Case> {
    let device = Device::default().autodiff();
    let hidden_states = || HiddenStatesLossConfig::new().init();
    let hint = |normalize| {
        let config = HintLossConfig::new().with_normalize(normalize);
        config.init()
    };
    let map = |features| Tap::Sequence(burn::tensor::Tensor::zeros([2, 3, features], &device));
    let adapter = FeatureAdapterConfig::new(AdapterKind::Linear);
    let adapter = adapter.init(&map(4), &map(4), &device).unwrap();
    let adapted =
        TapPair::new("first", "first", hint(HintNormalization::None)).with_adapter(adapter);
    let layers = ["first", "second"];
    let mut cases = vec![
        Case::new("confidence of the teacher", ConfidenceWeighted::new(1.0)),
        Case::new(
            "permuted",
            Weighted::of(
                PermutedPredictions::new(SoftTargetLossConfig::new().init(), 7),
                1.0,
            ),
        ),
        sequence(hidden_states(), &layers),
        sequence(HiddenCosineLossConfig::new().init(), &layers),
        sequence(AttentionScoresLossConfig::new().init(), &["scores"]),
        sequence(
            AttentionRelationLossConfig::new().init(),
            &["scores", "first"],
        ),
        sequence(
            SelfAttentionRelationsLossConfig::new()
                .with_relation_heads(2)
                .init(),
            &layers,
        ),
        sequence(TokenFlowLossConfig::new().init(), &layers),
        sequence(TokenSimilarityLossConfig::new().init(), &layers),
        sequence(hint(HintNormalization::None), &layers),
        sequence(
            ProjectionConfig::new(4, 4).init(hidden_states(), &device),
            &layers,
        ),
        Case::new("adapted", TapObjective::new([adapted], 1.0)),
        pair(AttentionTransferLossConfig::new().init()),
        pair(ChannelWiseLossConfig::new().init()),
        pair(PairWiseLossConfig::new().init()),
        pair(PixelWiseLossConfig::new().init()),
    ];
    for normalization in [
        HintNormalization::L2Flat,
        HintNormalization::L2Channel,
        HintNormalization::LayerNorm,
        HintNormalization::BatchPearson,
    ] {
        cases.push(pair(hint(normalization)));
    }
    for reduction in [PatientReduction::Sum, PatientReduction::MeanAll] {
        let loss = PatientLossConfig::new().with_reduction(reduction).init();
        let name = format!("{loss:?}");
        let layers = || layers.iter().copied();
        let objective = Weighted::of(MultiLayerTerm::new(loss, layers(), layers()), 1.0);
        cases.push(Case::new(name, objective));
    }
    cases
}

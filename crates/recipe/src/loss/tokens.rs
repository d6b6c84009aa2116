//! Losses between the layers of transformers.

use super::Loss;
use super::catch::catch;
use super::description::Description;
use super::layers::Layers;
use crate::fault::Fault;
use anyhow::{Context, Result, bail, ensure};
use burn_distill::core::{LayersLoss, LayersTerm, Tap, Taps, check, initialize};
use burn_distill::feature::{
    AttentionRelationLossConfig, AttentionScoresLossConfig, HiddenCosineLossConfig,
    HiddenStatesLossConfig, PatientLossConfig, PatientReduction, ProjectionConfig,
    uniform_layer_map,
};
use burn_distill::relation::{
    SelfAttentionRelationsLossConfig, TokenFlowLossConfig, TokenSimilarityLossConfig,
};
use toml::Value;

/// The names of the student's taps and of the teacher's that it learns from.
type Names = (Vec<String>, Vec<String>);

/// The layers that have a projection of their own.
enum Separate {
    /// None: one serves all.
    None,
    /// The embedding, which is the first: another one serves the rest.
    Embedding,
    /// Each.
    Each,
}

impl Description<'_> {
    pub fn hidden_cosine(mut self) -> Result<Loss> {
        let names = self.pairs(Layers::LastOf(&["hidden"]))?.into_iter().unzip();
        let [inputs, outputs] = self.token_features(&names)?;
        let separate = self.separate()?;
        let loss = self.init(HiddenCosineLossConfig::new(), |c| c.init())?;
        match inputs == outputs && separate.is_none() {
            true => self.sequences(names, 1.0, loss),
            false => self.projected(names, loss, separate),
        }
    }

    pub fn hidden_states(mut self) -> Result<Loss> {
        let names = self.spread("hidden", |depth| (0, depth))?;
        let separate = self.separate()?;
        let loss = self.init(HiddenStatesLossConfig::new(), |c| c.init())?;
        self.projected(names, loss, separate)
    }

    pub fn attention_scores(mut self) -> Result<Loss> {
        let names = self.spread("attention", |depth| (1, depth))?;
        let loss = self.init(AttentionScoresLossConfig::new(), |c| c.init())?;
        self.sequences(names, 1.0, loss)
    }

    pub fn attention_relation(mut self) -> Result<Loss> {
        let layer = Layers::LastOf(&["attention", "value"]);
        let names: Names = self.pairs(layer)?.into_iter().unzip();
        let loss = self.init(AttentionRelationLossConfig::new(), |c| c.init())?;
        let (student, teacher) = self.taps(&names);
        if let (Some(Tap::Attention(student)), Some(Tap::Attention(teacher))) =
            (student.first(), teacher.first())
        {
            let [student, teacher] = [student, teacher].map(|scores| scores.dims()[1]);
            ensure!(
                student == teacher,
                "it compares attention head by head, but `{}` of the student has {student} heads and \
                 `{}` of the teacher {teacher}: take networks of as many heads, or the loss \
                 `self-attention-relations`, which regroups them",
                names.0[0],
                names.1[0]
            );
        }
        self.sequences(names, 1.0, loss)
    }

    pub fn self_attention_relations(mut self) -> Result<Loss> {
        let layer = Layers::LastOf(&["query", "key", "value"]);
        let names: Names = self.pairs(layer)?.into_iter().unzip();
        let loss = self.init(SelfAttentionRelationsLossConfig::new(), |c| c.init())?;
        let [student, teacher] = self.token_features(&names)?;
        let heads = loss.relation_heads;
        check::ensure(
            student % heads == 0 && teacher % heads == 0,
            "relation_heads",
            format_args!(
                "a divisor of both numbers of features, {student} of the student's `{}` and {teacher} \
                 of the teacher's `{}`",
                names.0[0], names.1[0]
            ),
            heads,
        )?;
        self.sequences(names, 1.0, loss)
    }

    pub fn token_flow(mut self) -> Result<Loss> {
        let names = match self.names_layers() {
            true => self.pairs(Layers::EveryOf("hidden"))?.into_iter().unzip(),
            false => {
                let student = first_and_last(&self.scene.student_taps).context("`student`")?;
                let teacher = first_and_last(&self.scene.teacher_taps).context("`teacher`")?;
                (student, teacher)
            }
        };
        let [inputs, outputs] = self.token_features(&names)?;
        let separate = self.separate()?;
        let loss = self.init(TokenFlowLossConfig::new(), |c| c.init())?;
        match inputs == outputs && separate.is_none() {
            true => self.sequences(names, 1.0, loss),
            false => self.projected(names, loss, separate),
        }
    }

    pub fn token_similarity(mut self) -> Result<Loss> {
        let names = self.pairs(Layers::LastOf(&["hidden"]))?.into_iter().unzip();
        let loss = self.init(TokenSimilarityLossConfig::new(), |c| c.init())?;
        self.sequences(names, 1.0, loss)
    }

    pub fn patient(mut self) -> Result<Loss> {
        let names = self.spread("hidden", |depth| (1, depth - 1))?;
        let loss = self.init(PatientLossConfig::new(), |c| c.init())?;
        // What the authors take with the mean over layers and features, in either reduction.
        const MEAN_ALL: f64 = 500.0;
        let weight = match loss.reduction {
            PatientReduction::MeanAll => MEAN_ALL,
            PatientReduction::Sum => {
                MEAN_ALL / (names.0.len() * self.token_features(&names)?[0]) as f64
            }
        };
        let [student, teacher] = self.token_features(&names)?;
        ensure!(
            student == teacher,
            "it compares tokens of one size, but those of `{}` of the student have {student} features \
             and those of `{}` of the teacher {teacher}: take networks of one width, or a loss with a \
             projection, such as `hidden-states`",
            names.0[0],
            names.1[0]
        );
        self.try_out((&names.0, &names.1), |student, teacher| {
            loss.forward_layers(student, teacher, None)
        })?;
        self.term(LayersTerm::new(loss, names.0, names.1), weight)
    }

    /// Layers `first..=last` of the student with those of the teacher that it spreads over, unless
    /// the recipe names some.
    fn spread(&mut self, kind: &'static str, range: fn(usize) -> (usize, usize)) -> Result<Names> {
        if self.names_layers() {
            let pairs = self.pairs(Layers::EveryOf(kind))?;
            return Ok(pairs.into_iter().unzip());
        }
        let [student, teacher] =
            [&self.scene.student_taps, &self.scene.teacher_taps].map(|taps| depth_of(taps, kind));
        let (student, teacher) = (student.context("`student`")?, teacher.context("`teacher`")?);
        let map = catch(|| uniform_layer_map(student, teacher))?;
        let (first, last) = range(student);
        if first > last {
            bail!("the student has no layer before its last: name one as `student`");
        }
        let name = |layer| format!("{kind}.{layer}");
        Ok((first..=last)
            .map(|layer| (name(layer), name(map[layer])))
            .unzip())
    }

    /// Whether the recipe names layers.
    fn names_layers(&self) -> bool {
        ["student", "teacher"]
            .iter()
            .any(|key| self.table.contains_key(*key))
    }

    /// Which layers the recipe asks for projections of their own for.
    fn separate(&mut self) -> Result<Option<Separate>> {
        match self.table.remove("separate") {
            Some(Value::Boolean(true)) => Ok(Some(Separate::Each)),
            Some(Value::Boolean(false)) => Ok(Some(Separate::None)),
            Some(Value::String(text)) if text == "embedding" => Ok(Some(Separate::Embedding)),
            Some(other) => {
                let expected = "true, false or \"embedding\"";
                Err(Fault::value("separate", expected, &other).into())
            }
            None => Ok(None),
        }
    }

    fn projected<L: LayersLoss>(
        self,
        names: Names,
        loss: L,
        separate: Option<Separate>,
    ) -> Result<Loss> {
        let [inputs, outputs] = self.token_features(&names)?;
        let projections = match separate {
            Some(Separate::Each) => names.0.len(),
            Some(Separate::Embedding) => 2,
            Some(Separate::None) | None => 1,
        };
        let loss = ProjectionConfig::new(inputs, outputs)
            .with_projections(projections)
            .init(loss, &self.scene.device);
        self.sequences(names, 1.0, initialize(loss))
    }

    fn sequences<L: LayersLoss>(self, names: Names, weight: f64, loss: L) -> Result<Loss> {
        self.try_out((&names.0, &names.1), |student, teacher| {
            loss.forward_layers(student, teacher, None)
        })?;
        self.term(LayersTerm::new(loss, names.0, names.1), weight)
    }

    fn taps(&self, names: &Names) -> (Vec<Tap>, Vec<Tap>) {
        (
            self.scene.student_taps.take_all(&names.0),
            self.scene.teacher_taps.take_all(&names.1),
        )
    }

    /// The number of features of a token of the student and of the teacher.
    fn token_features(&self, names: &Names) -> Result<[usize; 2]> {
        let (student, teacher) = self.taps(names);
        let of = |taps: Vec<Tap>| match taps.first() {
            Some(tap @ (Tap::Sequence(_) | Tap::Vector(_))) => {
                Ok(tap.shape().as_slice()[tap.shape().rank() - 1])
            }
            _ => bail!("it compares sequences of tokens"),
        };
        Ok([of(student)?, of(teacher)?])
    }
}

/// The names of the first layer of tokens, which is before all others, and of the last.
fn first_and_last(taps: &Taps) -> Result<Vec<String>> {
    let depth = depth_of(taps, "hidden")?;
    Ok([0, depth].map(|layer| format!("hidden.{layer}")).into())
}

/// The number of layers whose taps are `kind.1`, `kind.2`, ….
fn depth_of(taps: &Taps, kind: &'static str) -> Result<usize> {
    let layers = Layers::EveryOf(kind).of(taps);
    let depth = layers.iter().filter(|name| !name.ends_with(".0")).count();
    match depth {
        0 => bail!("a transformer has taps `{kind}.1`, …: this network has none"),
        depth => Ok(depth),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scene;
    use super::*;

    fn loss(text: &str) -> Result<String> {
        let loss = Loss::new(&text.parse().unwrap(), &Scene::of_tokens())?;
        Ok(loss.objective.to_string().replace(['\n', ' '], ""))
    }

    fn error(text: &str) -> String {
        format!("{:#}", loss(text).unwrap_err())
    }

    #[test]
    fn layers_are_found_by_their_names() {
        for (kind, student, teacher) in [
            ("hidden-cosine", &["hidden.2"][..], &["hidden.4"][..]),
            (
                "hidden-states",
                &["hidden.0", "hidden.1", "hidden.2"],
                &["hidden.0", "hidden.2", "hidden.4"],
            ),
            (
                "attention-scores",
                &["attention.1", "attention.2"],
                &["attention.2", "attention.4"],
            ),
            (
                "attention-relation",
                &["attention.2", "value.2"],
                &["attention.4", "value.4"],
            ),
            (
                "self-attention-relations",
                &["query.2", "key.2", "value.2"],
                &["query.4", "key.4", "value.4"],
            ),
            ("patient", &["hidden.1"], &["hidden.2"]),
            (
                "token-flow",
                &["hidden.0", "hidden.2"],
                &["hidden.0", "hidden.4"],
            ),
            ("token-similarity", &["hidden.2"], &["hidden.4"]),
        ] {
            let text = loss(&format!("kind = '{kind}'")).unwrap();
            let named = format!("student:{student:?}teacher:{teacher:?}").replace(' ', "");
            assert!(text.contains(&named), "{kind}: {text}");
        }
    }

    #[test]
    fn projections_are_shared_unless_asked_otherwise() {
        let count = |text: &str| loss(text).unwrap().matches("Linear").count();

        assert_eq!(count("kind = 'hidden-states'"), 1);
        assert_eq!(count("kind = 'hidden-states'\nseparate = true"), 3);
        assert_eq!(count("kind = 'hidden-states'\nseparate = 'embedding'"), 2);
        assert_eq!(count("kind = 'hidden-cosine'"), 0);
        assert_eq!(count("kind = 'hidden-cosine'\nseparate = false"), 1);
        assert_eq!(count("kind = 'token-flow'"), 0);
        assert_eq!(count("kind = 'token-flow'\nseparate = true"), 2);
    }

    #[test]
    fn the_weight_of_the_authors_is_that_of_either_reduction() {
        let sum = loss("kind = 'patient'").unwrap();
        let mean = loss("kind = 'patient'\nreduction = 'MeanAll'").unwrap();

        // 500 / (1 · 48)
        assert!(sum.contains("weight:Constant(10.41"), "{sum}");
        assert!(mean.contains("weight:Constant(500.0)"), "{mean}");
    }

    #[test]
    fn what_does_not_fit_is_refused_before_training() {
        for (text, message) in [
            (
                "kind = 'minilmv2'\nrelation_heads = 5",
                "`relation_heads` should be a divisor of both numbers of features",
            ),
            (
                "kind = 'minilm'\nstudent = ['value.2', 'attention.2']\n\
                 teacher = ['attention.4', 'value.4']",
                "is not attention",
            ),
            (
                "kind = 'tinybert-attention'\nstudent = 'attention.1'",
                "say which belong together",
            ),
            (
                "kind = 'distilbert'\nstudent = 'attention.2'\nteacher = 'attention.4'",
                "it compares sequences of tokens",
            ),
            (
                "kind = 'tinybert-hidden'\nseparate = 1",
                "`separate` should be true, false or",
            ),
            (
                "kind = 'distilbert'\nseparate = 'embedding'",
                "2 projections are not for 1 layers",
            ),
            (
                "kind = 'token-similarity'\nstudent = ['hidden.0', 'hidden.1', 'hidden.2']\n\
                 teacher = ['hidden.0', 'hidden.1', 'hidden.2']",
                "one layer of tokens or two, got 3",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(message), "{text}: {error}");
        }
        let maps = Loss::new(&"kind = 'patient'".parse().unwrap(), &Scene::example());
        let error = format!("{:#}", maps.err().unwrap());
        assert!(
            error.contains("a transformer has taps `hidden.1`"),
            "{error}"
        );
    }
}

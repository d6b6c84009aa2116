use super::{Place, Recipe, RouteBy, TeacherSource};
use anyhow::{Result, bail, ensure};
use burn_distill::core::check;
use burn_distill::strategy::Route;

/// Checks the route of a recipe, if it has one.
pub fn check(recipe: &Recipe) -> Result<()> {
    let Some(route) = &recipe.route else {
        return Ok(());
    };
    let (teacher, student) = (recipe.first_teacher()?, &recipe.student.training);
    ensure!(
        recipe.stages.is_empty(),
        "there are both [route] and [[stage]]: the anchors of a route are its stages, so leave one out"
    );
    ensure!(
        teacher.weights.is_none(),
        "a [route] needs the states of the teacher along its training: leave out `teacher.weights`"
    );
    let TeacherSource::Trained(_, training) = teacher.source().at("teacher")? else {
        bail!(
            "a [route] needs the states of the teacher along its training, but an ONNX file has only the \
             last one: take a `teacher.model` with its training, or leave out the route"
        )
    };
    ensure!(
        training.patience.is_none(),
        "a [route] needs a fixed number of epochs of the teacher: leave out `teacher.training.patience`"
    );
    let (anchors, epochs) = (route.anchors, training.epochs);
    check::ensure(
        (1..=epochs).contains(&anchors),
        "route.anchors",
        format_args!("between 1 and the teacher's epochs, {epochs}"),
        anchors,
    )?;
    match (route.by, route.ratio) {
        (RouteBy::Hardness, None) => {
            bail!(
                "`route.ratio` is missing: give the largest hardness of the next anchor, relative to the current one"
            )
        }
        (RouteBy::Hardness, Some(ratio)) => check::in_range("route.ratio", ratio, 1e-6..=1e9)?,
        (RouteBy::Interval, Some(_)) => {
            bail!("`route.ratio` is for a route by \"hardness\": leave it out")
        }
        (RouteBy::Interval, None) => {
            let anchor_stages = Route::new(anchors, student.epochs).anchor_stages();
            ensure!(
                anchor_stages.len() == anchors,
                "`student.training.epochs` is {}, which leaves epochs for only {} of the {anchors} \
                 anchors: give a multiple of {anchors}",
                student.epochs,
                anchor_stages.len()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::RouteBy;
    use crate::read::tests::{error, recipe};

    const RECIPE: &str = r#"
        name = "test"
        data = { name = "digits" }
        teacher = { model = "mlp-16", training = { epochs = 6 } }
        student = { model = "mlp-8", training = { epochs = 8 } }
        loss = [{ kind = "kd" }]
        route = { anchors = 4 }
    "#;

    #[test]
    fn a_route_is_by_interval_by_default() {
        let by = |changes: &[&str]| recipe(RECIPE, changes).unwrap().route.unwrap().by;

        assert_eq!(by(&[]), RouteBy::Interval);
        assert_eq!(
            by(&["route.by=hardness", "route.ratio=2"]),
            RouteBy::Hardness
        );
        // By hardness, the number of epochs need not be a multiple.
        by(&[
            "route.by=hardness",
            "route.ratio=2",
            "student.training.epochs=9",
        ]);
        by(&["student.training.epochs=10"]);
    }

    #[test]
    fn a_route_that_cannot_be_taken_is_refused() {
        for (change, message) in [
            (
                "route.anchors=0",
                "between 1 and the teacher's epochs, 6, but is 0",
            ),
            (
                "route.anchors=7",
                "between 1 and the teacher's epochs, 6, but is 7",
            ),
            ("route.by=hardness", "`route.ratio` is missing"),
            (
                "route.ratio=2",
                "`route.ratio` is for a route by \"hardness\": leave it out",
            ),
            (
                "route.by=hard",
                "`route.by` should be one of interval, hardness",
            ),
            (
                "student.training.epochs=9",
                "epochs for only 3 of the 4 anchors",
            ),
            ("teacher.weights=a.bpk", "leave out `teacher.weights`"),
            (
                "teacher.training.patience=1",
                "leave out `teacher.training.patience`",
            ),
            ("loss=[]", "there is no loss"),
        ] {
            let error = error(RECIPE, &[change]);
            assert!(error.contains(message), "{change}: {error}");
        }
        let negative = error(RECIPE, &["route.by=hardness", "route.ratio=-1"]);
        assert!(
            negative.contains("`route.ratio` should be from 1e-6 to 1e9, but is -1"),
            "{negative}"
        );
        let file = error(
            RECIPE,
            &["loss=[{ kind = 'learned-temperature', name = 'a/b' }]"],
        );
        assert!(
            file.contains("`loss.0.name` should be of up to 200 letters"),
            "{file}"
        );
        let stages = "stage=[{ name = 'a', epochs = 1, loss = [{ kind = 'kd' }] }]";
        let both = error(&RECIPE.replace("loss =", "# "), &[stages]);
        assert!(both.contains("both [route] and [[stage]]"), "{both}");
    }
}

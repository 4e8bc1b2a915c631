//! The model, how it was trained, and how sure it may be of itself.

use lungfish_data::Channels;

use super::{begin, lacks, picture};
use crate::study::found::Found;
use crate::study::html::{Page, Table, Words, metric, some, with_interval};
use crate::study::part::Part;
use crate::study::picture::Shown;
use crate::{EpochRecord, Error, Recipe};

/// A setting as a recipe has it, such as `seed = 0`.
pub(in crate::study) fn setting(recipe: &Recipe, key: &str) -> String {
    let line = lines(recipe).into_iter().find(|(of, _)| of == key);
    line.map_or_else(String::new, |(key, value)| format!("{key} = {value}"))
}

/// Every key and value, as TOML has them.
fn lines(recipe: &Recipe) -> Vec<(String, String)> {
    let text = recipe.to_toml();
    let line = |line: &str| line.split_once(" = ").map(|(key, value)| (key.to_owned(), value.to_owned()));
    text.lines().filter(|line| !line.starts_with('#')).filter_map(line).collect()
}

pub(super) fn recipe(page: &mut Page, found: &Found) {
    begin(page, Part::Recipe);
    let (model, recipe) = (&found.model, &found.model.recipe);
    let hidden = match model.head.hidden {
        0 => "one linear layer".to_owned(),
        hidden => format!("{hidden} features between two linear layers"),
    };
    let size = model.preprocess.size;
    let colours = match model.preprocess.channels {
        Channels::Gray => "gray values",
        Channels::Rgb => "red, green and blue values",
    };
    let mut terms: Vec<(Words, Words)> = vec![
        ("Network".into(), model.architecture.to_string().into()),
        ("Head".into(), hidden.into()),
        ("What it is given".into(), format!("the {colours} of one film at {size} by {size} pixels").into()),
        ("What it says".into(), "a probability of each class or label".into()),
        ("Weights before the training".into(), Words::default().code(setting(recipe, "weights"))),
        (
            "Classes of which one is rarer".into(),
            Words::default().code(setting(recipe, "class_weights")).and(", ").code(setting(recipe, "prior")),
        ),
    ];
    if !model.members.is_empty() {
        let each: Vec<String> =
            model.members.iter().map(|member| format!("{} (seed {})", member.architecture, member.seed)).collect();
        terms.push(("Members, whose probabilities are averaged".into(), each.join(", ").into()));
    }
    page.terms(terms);
    if let Some(imported) = &model.imported {
        page.caution(format!("Another program trained this model; it was imported from {}.", imported.file));
    }
    let standard = Recipe::default();
    let mut table =
        Table::of_texts("Settings that are not the defaults of this version", ["Key", "This model", "Default"]);
    for difference in standard.differences(recipe) {
        table.row(
            Words::default().code(difference.key),
            [difference.theirs, difference.ours].map(|value| Words::default().code(value)),
        );
    }
    if table.is_empty() {
        page.paragraph("Every setting is the default of this version.");
    } else {
        page.table(&table);
    }
    page.paragraph(
        Words::from("All settings, as ")
            .code("lungfish recipe")
            .and(" explains them and ")
            .code("lungfish train --recipe")
            .and(" takes them:"),
    );
    let all: Vec<String> = lines(recipe).into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    page.lines("The recipe", &all.join("\n"));
}

pub(super) fn epochs(page: &mut Page, found: &Found) -> Result<(), Error> {
    begin(page, Part::Epochs);
    if let Some(best) = &found.model.epoch {
        let why =
            best.why.map(|why| format!("; it was kept {}", why.words(found.model.recipe.best))).unwrap_or_default();
        let auc = best.val_auc.map(|auc| format!(", AUC {auc:.3}")).unwrap_or_default();
        let text = format!(
            "The model is epoch {} of the {} phase, which validation films chose{why}. On them it has accuracy {:.3}{auc} and a negative \
             log-likelihood of {:.3}. These films chose it, so that the numbers are too good for a test.",
            best.epoch, best.phase, best.val_accuracy, best.val_loss
        );
        page.paragraph(text);
        if let Some(seen) = &best.robust {
            page.paragraph(format!(
                "On augmented views of the same films: accuracy {:.3}, AUC {}, negative log-likelihood {:.3}.",
                seen.accuracy,
                metric(seen.auc),
                seen.loss
            ));
        }
    }
    if lacks(page, found.lacks_epochs()) {
        return Ok(());
    }
    if let Shown::Picture(data, films) = found.pictures.learning_curves()? {
        page.picture(
            &data,
            films,
            &curves_in_words(&found.epochs),
            "Learning curves; the same numbers are in the table.",
        );
    }
    let columns = [
        "Phase and epoch",
        "Loss, train",
        "Accuracy, train",
        "Loss, val",
        "Accuracy, val",
        "AUC, val",
        "Learning rate",
        "Seconds",
    ];
    let mut table = Table::new("Each epoch", columns);
    for epoch in &found.epochs {
        table.row(
            format!("{} {}", epoch.phase, epoch.epoch),
            [
                metric(epoch.train_loss),
                metric(epoch.train_accuracy),
                metric(Some(epoch.val_loss)),
                metric(Some(epoch.val_accuracy)),
                metric(epoch.val_auc),
                format!("{:.1e}", epoch.lr),
                format!("{:.0}", epoch.seconds),
            ],
        );
    }
    page.table(&table);
    Ok(())
}

/// What the learning curves show, for those who do not see them.
fn curves_in_words(epochs: &[EpochRecord]) -> String {
    let at = |epoch: &EpochRecord| {
        format!(
            "{} epoch {}: validation loss {:.3}, accuracy {:.3}, AUC {}",
            epoch.phase,
            epoch.epoch,
            epoch.val_loss,
            epoch.val_accuracy,
            metric(epoch.val_auc)
        )
    };
    match epochs {
        [] => String::new(),
        [one] => format!("Learning curves of one epoch. {}.", at(one)),
        [first, .., last] => {
            format!("Learning curves of {} epochs. First, {}. Last, {}.", epochs.len(), at(first), at(last))
        }
    }
}

pub(super) fn calibration(page: &mut Page, found: &Found) -> Result<(), Error> {
    begin(page, Part::Calibration);
    lacks(page, found.lacks_calibration());
    if let Some(calibration) = &found.model.calibration {
        let on = match &calibration.site {
            Some(_) => "films of another site, for which it was calibrated",
            None => "validation films, at the end of the training",
        };
        let mut terms: Vec<(Words, Words)> = vec![
            (
                "Found on".into(),
                format!(
                    "{} of {}: {on}",
                    some(calibration.films, "film", "films"),
                    some(calibration.patients, "patient", "patients")
                )
                .into(),
            ),
            ("Temperature".into(), numbers(&calibration.temperature).into()),
        ];
        if !calibration.intercept.is_empty() {
            terms.push(("Added to the logit".into(), numbers(&calibration.intercept).into()));
        }
        if let (Some(before), Some(after)) = (calibration.nll_before, calibration.nll_after) {
            terms.push((
                "Negative log-likelihood of films that had no part in it".into(),
                format!("{before:.3} before, {after:.3} after").into(),
            ));
        }
        page.terms(terms);
        page.paragraph(
            "Logits are divided by the temperature; 1 leaves them as they are. It is in the weights of the last layer.",
        );
    }
    let Some(test) = found.test() else { return Ok(()) };
    if test.equal_prior {
        page.caution("Probabilities are for classes that are equally frequent; among the films of the test they are not, unless by chance.");
    }
    let error = test.measure("expected calibration error");
    if let Some(error) = error {
        page.paragraph(format!(
            "On the films of the {} split the mean probability lies {} away from the share of positive films, on average over ten bins \
             (expected calibration error with 95 % interval; chance alone leaves some of it).",
            test.split,
            with_interval(error.value, error.interval)
        ));
    }
    let said = |what: &str| {
        let error =
            error.map(|error| format!(" Expected calibration error {}.", with_interval(error.value, error.interval)));
        format!("{what} on the {} split, {} films.{}", test.split, test.films, error.unwrap_or_default())
    };
    let split = test.split.name();
    picture(
        page,
        found.pictures.of_split("reliability", split)?,
        &said("Reliability diagram: the share of positive films against the predicted probability"),
        "Whether of films with a probability of 0.8 eight in ten are positive.",
    );
    picture(
        page,
        found.pictures.of_split("decision-curve", split)?,
        &said(
            "Decision curve: the net benefit of acting by the model against the probability from which on one acts, beside acting on every film and on none",
        ),
        "Whether acting by the model finds more than acting on every film or on none (Vickers and Elkin).",
    );
    Ok(())
}

fn numbers(of: &[f64]) -> String {
    of.iter().map(|number| format!("{number:.3}")).collect::<Vec<_>>().join(", ")
}

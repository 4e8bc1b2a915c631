//! The pictures of a test: how the run learnt, what was taken for what, at which price, and the films themselves.

mod curves;
mod forests;
mod maps;
mod tiles;

use std::path::{Path, PathBuf};

use lungfish_data::synth::is_synthetic_file;
use lungfish_data::{Label, Split, Task};
use lungfish_pictures::{
    Curve, Heading, Picture, PictureError, confusion_matrix, decision_curve, forest, learning_curves, precision_recall,
    reliability, roc,
};
use rayon::prelude::*;

use crate::picture::{PictureFormats, remove_all, write_all};
use crate::recipe::ClassWeights;
use crate::{
    Caveat, CaveatKind, Error, Groups, ModelInfo, PointRule, Prediction, Predictor, StressTest, Watch, positive,
};

/// The pictures that say their split in their names.
const OF_SPLIT: [&str; 10] = [
    "confusion-matrix",
    "roc",
    "precision-recall",
    "reliability",
    "decision-curve",
    "groups",
    "stress",
    "films",
    "worst-errors",
    "worst-errors-cam",
];

/// What was tested, and what came of it.
pub(crate) struct Tested<'a> {
    /// The model.
    pub model: &'a ModelInfo,
    /// What a person calls it.
    pub model_name: String,
    /// The run folder that it lies in.
    pub run: Option<&'a Path>,
    /// What a person calls the films.
    pub data_name: String,
    pub split: Split,
    /// What stands in the names of files: the split, and the epoch where it is not the best.
    pub name: &'a str,
    /// What each film shows.
    pub labels: &'a [Label],
    /// One a film.
    pub predictions: &'a [Prediction],
    /// One-of: `[label][predicted]`, films.
    pub confusion: &'a [Vec<u64>],
    pub accuracy: f64,
    pub auc: Option<f64>,
    /// The metrics by groups, where they were asked for.
    pub groups: &'a [Groups],
    /// What changes of the films do, where that was asked for.
    pub stress: &'a [StressTest],
    /// What must be known beside every picture.
    pub caveats: &'a [Caveat],
}

/// What became of the pictures.
pub(crate) struct Drawn {
    /// Those that were made.
    pub written: Vec<PathBuf>,
    /// Whether one could not be made.
    pub failed: bool,
}

/// Draws a test into a folder: `learning-curves`, and with the split in their names `confusion-matrix`, `roc`,
/// `precision-recall`, `reliability`, `decision-curve`, where they were asked for `groups` and `stress`, `films`, `worst-errors` and,
/// where there are errors, `worst-errors-cam`, each as PNG and SVG, and as PDF if asked for. Gives the PNGs.
///
/// A picture that has nothing to show is left out, and one of that name from an earlier test goes: what lies in the
/// folder is of one test. One that cannot be made is left out too and told as a warning, since the metrics stand
/// without it.
///
/// # Errors
/// [`Error::Stopped`].
pub(crate) fn draw(
    tested: &Tested,
    predictor: &Predictor,
    folder: &Path,
    formats: PictureFormats,
    watch: &mut Watch<'_>,
) -> Result<Drawn, Error> {
    let synthetic = tested.predictions.par_iter().any(|film| is_synthetic_file(&film.path));
    // Pictures of synthetic films say so in words of their own.
    let told = tested.caveats.iter().filter(|caveat| caveat.kind != CaveatKind::Synthetic);
    let caution: String = told.map(|caveat| format!(". Caution: {}", caveat.text)).collect();
    let heading = |title: &str, subtitle: String| {
        let subtitle = Some(format!("{subtitle}{caution}"));
        Heading { title: title.to_owned(), subtitle, synthetic }
    };
    let [roc_curves, precision_recall_curves] = curves::of_classes(tested);
    let one_of = tested.model.task == Task::OneOf;
    let chosen = one_of.then(|| tiles::choose(tested));
    let [films, worst] = if let Some(chosen) = &chosen {
        tiles::tiles(tested, chosen, watch)?
    } else {
        let text = "films that may have any label have no confusion matrix, and no single class to show them by: those \
                    pictures are left out";
        watch.note(text.to_owned());
        Default::default()
    };

    let [
        confusion_name,
        roc_name,
        precision_recall_name,
        reliability_name,
        decision_name,
        groups_name,
        stress_name,
        films_name,
        worst_name,
        maps_name,
    ] = OF_SPLIT.map(|what| format!("{what}-{}", tested.name));
    let (mut written, mut failed) = (Vec::new(), false);
    let mut keep = |name: String, picture: Option<Result<Picture, Error>>| {
        let result = match picture {
            Some(picture) => picture.and_then(|picture| write_all(folder, &name, &picture, formats)),
            None => return remove_all(folder, &name),
        };
        match result {
            Ok(paths) => written.extend(paths.into_iter().next()),
            Err(error) => {
                remove_all(folder, &name);
                failed = true;
                watch.warn(format!("there is no picture {name}: {error}"));
            }
        }
    };
    let mut add = |name: String, picture: Option<Result<Picture, PictureError>>| {
        keep(name, picture.map(|picture| picture.map_err(Error::from)));
    };
    let learning = curves::of_learning(tested).map(|(epochs, best)| {
        let heading = Heading { synthetic: tested.model.synthetic, ..heading("Learning curves", tested.of_learning()) };
        learning_curves(&heading, &epochs, best)
    });
    if tested.run.is_some() {
        add("learning-curves".to_owned(), learning);
    }
    let matrix = one_of.then(|| {
        let heading = heading("Confusion matrix", tested.with_metrics());
        confusion_matrix(&heading, &tested.model.classes, tested.confusion)
    });
    add(confusion_name, matrix);
    let curve = some(roc_curves).map(|curves| roc(&heading(&named("ROC curve", &curves), tested.of_curves()), &curves));
    add(roc_name, curve);
    let curve = some(precision_recall_curves).map(|curves| {
        precision_recall(&heading(&named("Precision-recall curve", &curves), tested.of_curves()), &curves)
    });
    add(precision_recall_name, curve);
    let worth = curves::of_worth(tested);
    let diagram = worth.as_ref().map(|(positive, bins, _)| {
        let heading = heading("Reliability", tested.of_probabilities());
        reliability(&heading, positive, bins, &tested.words_of_calibration())
    });
    add(reliability_name, diagram);
    let curve = worth.as_ref().map(|(positive, _, curve)| {
        decision_curve(&heading("Decision curve", tested.of_probabilities()), positive, curve)
    });
    add(decision_name, curve);
    let by_groups = forests::of_groups(tested).map(|found| {
        let heading = heading(&forests::title(found.measure, tested.split), tested.of_rows());
        forest(&heading, found.measure, &found.groups, found.line.as_ref())
    });
    add(groups_name, by_groups);
    let changed = forests::of_stress(tested).map(|found| {
        let heading = heading("Stress test: films changed where no lung is read", tested.of_rows());
        forest(&heading, found.measure, &found.groups, found.line.as_ref())
    });
    add(stress_name, changed);
    let (title, subtitle) = tiles::words_of_films(tested, films.len());
    add(films_name, some(films).map(|tiles| tiles::grid(&heading(title, subtitle), &tiles)));
    let (title, subtitle) = tiles::words_of_worst(tested, worst.len());
    add(worst_name, some(worst).map(|tiles| tiles::grid(&heading(title, subtitle), &tiles)));
    let errors = chosen.map(|chosen| tiles::errors(tested, chosen)).filter(|errors| !errors.is_empty());
    let maps = errors.map(|errors| {
        let drawn = maps::draw(tested, predictor, &errors, |shown| {
            let (title, subtitle) = tiles::words_of_worst(tested, shown);
            heading(&format!("{title}, and what the network read"), subtitle)
        });
        drawn.transpose()
    });
    keep(maps_name, maps.flatten());
    Ok(Drawn { written, failed })
}

/// Removes what an earlier test of a split drew into a folder. Learning curves stay: they are of the training.
pub(crate) fn remove(name: &str, folder: &Path) {
    for what in OF_SPLIT {
        remove_all(folder, &format!("{what}-{name}"));
    }
}

impl Tested<'_> {
    /// Which model on which films.
    fn on_films(&self) -> String {
        let count = self.predictions.len();
        format!(
            "{} ({}{}) on the {} split of {}, {count} {}",
            self.model_name,
            self.model.architecture,
            if self.model.synthetic { ", trained on synthetic films" } else { "" },
            self.split,
            self.data_name,
            if count == 1 { "film" } else { "films" }
        )
    }

    fn with_metrics(&self) -> String {
        let auc = self.auc.map(|auc| format!(", AUC {auc:.4}")).unwrap_or_default();
        format!("{}: accuracy {:.4}{auc}", self.on_films(), self.accuracy)
    }

    /// What rows with intervals are of.
    fn of_rows(&self) -> String {
        let positive = self.positive().map(|class| format!("; positive is {}", self.model.classes[class]));
        format!("{}{}. Bars are 95 % intervals", self.on_films(), positive.unwrap_or_default())
    }

    fn of_probabilities(&self) -> String {
        let prior = if self.model.for_equal_classes() {
            "; probabilities are for classes that are equally frequent, whatever they are among these films"
        } else {
            ""
        };
        format!("{}{prior}", self.on_films())
    }

    /// What was done about how sure the model is.
    fn words_of_calibration(&self) -> Vec<String> {
        let Some(found) = &self.model.calibration else { return vec!["the model was not calibrated".to_owned()] };
        let on = match &found.site {
            Some(site) => format!("calibrated on {} films of {site}", found.films),
            None => format!("calibrated on {} validation films", found.films),
        };
        let [temperature] = found.temperature[..] else { return vec![on] };
        vec![on, format!("temperature {temperature:.3}")]
    }

    fn of_curves(&self) -> String {
        match (self.model.task, self.model.classes.as_slice()) {
            (Task::AnyOf, _) => {
                format!("{}; each label of the films of which it is known, called at {}", self.on_films(), self.at())
            }
            (Task::OneOf, [_, _]) => {
                let positive = &self.model.classes[self.positive().unwrap_or(1)];
                format!("{}; positive is {positive}, called at {}", self.on_films(), self.at())
            }
            _ => format!("{}; each class against all others", self.on_films()),
        }
    }

    /// Where films are called.
    fn at(&self) -> PointRule {
        self.predictions.first().map_or_else(PointRule::default, |film| film.at)
    }

    /// Of two classes the positive one.
    fn positive(&self) -> Option<usize> {
        positive::of(&self.model.classes, &self.model.recipe.positive).ok().flatten()
    }

    fn of_learning(&self) -> String {
        let Some(best) = &self.model.epoch else { return format!("{} ({})", self.model_name, self.model.architecture) };
        let auc = best.val_auc.map(|auc| format!(", AUC {auc:.4}")).unwrap_or_default();
        let mut text = format!(
            "{} ({}). Best: epoch {} of the {} phase, accuracy {:.4}{auc} on the validation split",
            self.model_name, self.model.architecture, best.epoch, best.phase, best.val_accuracy
        );
        // Without these two the curves are of the same loss and of every part's rate.
        let recipe = &self.model.recipe;
        let mut within = Vec::new();
        within.extend((recipe.class_weights != ClassWeights::None).then_some("class weights"));
        within.extend((recipe.label_smoothing > 0.0).then_some("label smoothing"));
        if !within.is_empty() {
            text.push_str(&format!(
                ". The loss of the training films has {} in it, that of the validation films has not",
                within.join(" and ")
            ));
        }
        if !recipe.part_lr.is_empty() {
            let parts: Vec<&str> = recipe.part_lr.keys().map(String::as_str).collect();
            text.push_str(&format!(". {} had another learning rate than is shown", parts.join(", ")));
        }
        text
    }
}

/// In the plural where there are several.
fn named(title: &str, curves: &[Curve]) -> String {
    if curves.len() == 1 { title.to_owned() } else { format!("{title}s") }
}

/// A list that holds something.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
pub(crate) use tests::model as model_for_tests;

#[cfg(test)]
mod tests {
    use lungfish_data::{Channels, Equalize, Fit, Preprocess};
    use lungfish_models::{Architecture, HeadConfig};

    use super::*;
    use crate::{BestEpoch, Called, Phase, Recipe};

    /// A model of two classes.
    pub(crate) fn model() -> ModelInfo {
        ModelInfo {
            architecture: Architecture::Resnet18,
            head: HeadConfig { hidden: 8, ..HeadConfig::default() },
            task: Task::OneOf,
            classes: vec!["A".to_owned(), "B".to_owned()],
            preprocess: Preprocess {
                channels: Channels::Gray,
                fit: Fit::Crop,
                size: 64,
                equalize: Equalize::None,
                decoding: lungfish_data::Decoding::DEFAULT,
                mean: [0.5; 3],
                std: [0.5; 3],
            },
            epoch: Some(BestEpoch {
                phase: Phase::Frozen,
                epoch: 2,
                val_accuracy: 0.9,
                val_auc: None,
                val_loss: 0.3,
                robust: None,
                why: None,
            }),
            recipe: Recipe { label_smoothing: 0.0, ..Recipe::default() },
            prior_shift: Default::default(),
            calibration: None,
            synthetic: false,
            caveats: Vec::new(),
            ancestors: Vec::new(),
            members: Vec::new(),
            split_file: None,
            imported: None,
            version: "0".to_owned(),
        }
    }

    /// A film of which class B has a probability.
    pub(super) fn prediction(p: f64) -> Prediction {
        Prediction {
            path: "folder/film.png".into(),
            called: Called::Class(if p > 0.5 { "B".to_owned() } else { "A".to_owned() }),
            probabilities: vec![("A".to_owned(), 1.0 - p), ("B".to_owned(), p)],
            spread: Vec::new(),
            uid: None,
            at: crate::PointRule::default(),
            precision: None,
            map: None,
            unlike: None,
        }
    }

    #[test]
    fn headings_say_which_model_on_which_films() {
        let model = model();
        let predictions = [prediction(0.25)];
        let tested = Tested {
            model: &model,
            model_name: "run".to_owned(),
            run: None,
            data_name: "films".to_owned(),
            split: Split::Test,
            name: "test",
            caveats: &[],
            labels: &[Label::Class(0)],
            predictions: &predictions,
            confusion: &[vec![1, 0], vec![0, 0]],
            accuracy: 1.0,
            auc: None,
            groups: &[],
            stress: &[],
        };
        assert_eq!(tested.with_metrics(), "run (resnet18) on the test split of films, 1 film: accuracy 1.0000");
        assert_eq!(
            tested.of_curves(),
            "run (resnet18) on the test split of films, 1 film; positive is B, called at 0.5"
        );
        assert_eq!(
            tested.of_learning(),
            "run (resnet18). Best: epoch 2 of the frozen phase, accuracy 0.9000 on the validation split"
        );
        // With one class there is no curve.
        assert!(curves::of_classes(&tested).iter().all(Vec::is_empty));

        let recipe = Recipe { class_weights: ClassWeights::Balanced, label_smoothing: 0.1, ..Recipe::default() };
        let mut model = ModelInfo { recipe, ..model.clone() };
        model.recipe.set("lr.head=1e-3").unwrap();
        let said = Tested { model: &model, model_name: "run".to_owned(), data_name: "films".to_owned(), ..tested };
        let said = said.of_learning();
        assert!(said.contains("the training films has class weights and label smoothing in it"), "{said}");
        assert!(said.ends_with(". head had another learning rate than is shown"), "{said}");
    }

    #[test]
    fn a_curve_has_the_point_at_which_films_are_called() {
        let model = model();
        let predictions = [0.9, 0.6, 0.4, 0.2].map(prediction);
        let tested = Tested {
            model: &model,
            model_name: String::new(),
            run: None,
            data_name: String::new(),
            split: Split::Test,
            name: "test",
            caveats: &[],
            labels: &[1, 0, 1, 0].map(Label::Class),
            predictions: &predictions,
            confusion: &[vec![1, 1], vec![1, 1]],
            accuracy: 0.5,
            auc: Some(0.75),
            groups: &[],
            stress: &[],
        };
        let [roc, precision_recall] = curves::of_classes(&tested);
        assert_eq!((roc.len(), roc[0].name.as_str(), roc[0].area), (1, "B", Some(0.75)));
        assert_eq!(roc[0].operating, Some([0.5, 0.5]));
        assert!(roc[0].points.contains(&[0.5, 0.5]));
        assert_eq!((precision_recall[0].operating, precision_recall[0].baseline), (Some([0.5, 0.5]), Some(0.5)));
        assert!((precision_recall[0].area.unwrap() - (0.5 + 0.5 * 2.0 / 3.0)).abs() < 1e-12);

        // Any-of: a curve a label, of the films of which it is known.
        let model = ModelInfo { task: Task::AnyOf, ..model.clone() };
        let row = |b: Option<bool>| Label::Row(vec![None, b]);
        let labels = [Some(true), Some(false), None, Some(false)].map(row);
        let label = |p: f64| Prediction {
            called: Called::Labels(if p >= 0.5 { vec!["B".to_owned()] } else { Vec::new() }),
            ..prediction(p)
        };
        let predictions = [0.9, 0.6, 0.4, 0.2].map(label);
        let tested = Tested { model: &model, labels: &labels, predictions: &predictions, confusion: &[], ..tested };
        let [roc, precision_recall] = curves::of_classes(&tested);
        assert_eq!((roc.len(), precision_recall.len(), roc[0].name.as_str(), roc[0].area), (1, 1, "B", Some(1.0)));
        assert_eq!(roc[0].operating, Some([0.5, 1.0]));
        assert!(tested.of_curves().ends_with("each label of the films of which it is known, called at 0.5"));
    }
}

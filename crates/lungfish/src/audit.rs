//! What a data set lets a network get away with: films that lie on two splits, and numbers without lungs that tell its
//! classes apart.

mod leaks;
mod look;
mod near;
mod of_model;
mod shortcuts;
mod suspects;

use std::ops::ControlFlow;
use std::path::PathBuf;

use lungfish_data::display::escape;
use lungfish_data::{ContentHash, Decoding, Film, PatientRule, Split, TableRule, Task};
use rayon::prelude::*;
use serde::Serialize;

use crate::patients::KnownPatients;
use crate::source::Reading;
use crate::{Activity, BadFilm, Caveat, CaveatKind, Error, Event, Watch, positive, sample_bits, source};

pub use leaks::{Copies, Leakage, NearCopy};
pub use of_model::ModelAudit;
pub use shortcuts::{Alone, Separation, Shortcut};
pub use suspects::{Suspect, Suspects};

use look::{Look, Numbers};
use shortcuts::Sides;
use suspects::Sight;

/// Classes or labels that are looked at, the most frequent ones.
const MOST_CLASSES: usize = 20;
/// What tells the classes apart with a lower bound below this is nothing to speak of.
const WEAK: f64 = 0.6;

/// What to look at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditRequest {
    /// The films, in the layout that a training takes.
    pub data: PathBuf,
    /// The patient rule, as in a recipe.
    pub patient: String,
    /// The table of the labels, where they are in one that is not the folder's own `labels.csv`.
    pub labels: Option<PathBuf>,
    /// How it is read.
    pub table: TableRule,
    /// How films are decoded; without `sample_bits` they say it themselves. Where a model is named they are decoded as it wants them.
    pub decoding: Decoding,
    /// Whether doubtful labels are looked for, which a network has to see the films for.
    pub suspects: bool,
    /// A run folder or model file of which is asked which of these films had a part in it, and whether numbers without lungs tell what
    /// it calls.
    pub model: Option<PathBuf>,
    /// The folder that the audit is going to be written to: it may not lie where it would be taken for a class.
    pub out: Option<PathBuf>,
}

impl Audit {
    /// Whether films lie where they must not, or a test split has films that had a part in the model.
    pub fn leaks(&self) -> bool {
        self.leakage.any() || self.model.as_ref().is_some_and(|model| model.known_on_test > 0)
    }
}

impl AuditRequest {
    /// Films whose patients known names tell.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        AuditRequest {
            data: data.into(),
            patient: PatientRule::AUTO.to_owned(),
            labels: None,
            table: TableRule::default(),
            decoding: Decoding::DEFAULT,
            suspects: true,
            model: None,
            out: None,
        }
    }
}

/// What was found. Serialised, it is what `lungfish audit --json` prints.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Audit {
    /// The folder that holds the splits, the classes or the films.
    pub root: String,
    /// What is asked of the films.
    pub task: Task,
    /// Films that can be read.
    pub films: usize,
    /// Films of them that are learnt from: of the train and val splits, or all.
    pub train: usize,
    /// Films of them on the test split.
    pub test: usize,
    /// One sentence: what a model could learn instead of lungs.
    pub verdict: String,
    /// Films that lie where they must not.
    pub leakage: Leakage,
    /// What tells classes apart without lungs, the strongest first.
    pub shortcuts: Vec<Shortcut>,
    /// Whether the films of the test split can be told from the others, and by what.
    pub drift: Option<Shortcut>,
    /// Doubtful labels, of films of classes; none where they were not looked for, or there are too few films.
    pub suspects: Option<Suspects>,
    /// What the data set says of the model that was named.
    pub model: Option<ModelAudit>,
    /// What must be known beside these numbers.
    pub caveats: Vec<Caveat>,
    /// Films that cannot be read.
    #[serde(rename = "unreadable")]
    pub bad: Vec<BadFilm>,
    /// How films were decoded.
    #[serde(skip)]
    pub decoding: Decoding,
}

/// Reads every film once, looks for films of one patient or of the same pixels on two splits or in two classes, and asks
/// how well numbers in which no lung is looked at tell the classes apart: what the file alone tells, ten statistics of the
/// image, its border, the film at 16 by 16 pixels. Boosted trees are fitted to them and asked about films of other
/// patients. For doubtful labels a network with ImageNet's weights sees every film; nothing is trained and no model is asked.
///
/// # Errors
/// No such folder, no classes in it, a patient rule that is none, films none of which can be read; [`Error::Stopped`].
pub fn audit(request: &AuditRequest, watch: &mut Watch<'_>) -> Result<Audit, Error> {
    let set = source::open(
        &request.data,
        &Reading { patient: request.patient.clone(), labels: request.labels.clone(), table: request.table.clone() },
    )?;
    if let Some(out) = &request.out {
        set.refuse_among_classes(out)?;
    }
    source::tell(&set, watch);
    let patients = KnownPatients::of(&set);
    let mut asked = request.model.as_deref().map(of_model::Asked::open).transpose()?;
    let how = asked.as_ref().map_or(request.decoding, of_model::Asked::decoding);
    let (sample_bits, stored) = sample_bits::of_training(&set, how.sample_bits, watch);
    let decoding = Decoding { sample_bits, ..how };

    let listed: Vec<(Option<Split>, &Film)> = set.layout.films().collect();
    let films: Vec<&Film> = listed.iter().map(|(_, film)| *film).collect();
    let doubted = request.suspects && set.task == Task::OneOf;
    let mut sight = if doubted { Some(Sight::new(films.len(), decoding, watch)?) } else { None };
    let (of_model, of_suspects) =
        (asked.as_ref().and_then(of_model::Asked::preprocess), sight.as_ref().map(Sight::wants));
    // The model's own square first, where there are both.
    let wanted = |film: usize| {
        let suspect = of_suspects.as_ref().filter(|(_, chosen)| chosen[film]).map(|(preprocess, _)| *preprocess);
        of_model.into_iter().chain(suspect).collect()
    };
    let looks = look::look(&films, decoding, &wanted, &mut |done, squares| {
        if watch.stopped() {
            return Err(Error::Stopped);
        }
        if let Some(asked) = &mut asked {
            let (films, first) =
                squares.iter().filter(|_| of_model.is_some()).map(|(film, of)| (*film, of[0].clone())).unzip();
            asked.see(films, first)?;
        }
        if let Some(sight) = &mut sight {
            let at = usize::from(of_model.is_some());
            let of_film = |(film, mut of): look::Squares| (of.len() > at).then(|| (film, of.swap_remove(at)));
            let (films, pixels) = squares.into_iter().filter_map(of_film).unzip();
            sight.see(films, pixels)?;
        }
        watch.event(&Event::Progress { task: Activity::Checking, done, total: films.len() });
        Ok(())
    })?;
    let (mut bad, mut good) = (Vec::new(), Vec::new());
    let mut places = Vec::new();
    for (place, ((split, film), look)) in listed.iter().zip(looks).enumerate() {
        match look {
            Ok(look) => {
                good.push((*split, *film, look));
                places.push(place);
            }
            Err(reason) => bad.push(BadFilm::new(&film.path, reason.to_string())),
        }
    }
    if good.is_empty() {
        return Err(Error::refused(format!("none of the {} films in {} can be read", films.len(), escape(&set.root))));
    }
    let seen: Vec<(Option<Split>, &Film, ContentHash)> =
        good.iter().map(|(split, film, look)| (*split, *film, look.pixels)).collect();
    let looks: Vec<&Look> = good.iter().map(|(.., look)| look).collect();
    let mut leakage = leaks::leaks(&seen, &set.patients);
    let small: Vec<&[u8]> = looks.iter().map(|look| &look.small[..]).collect();
    let near = near::near_copies(&small, &|a, b| leaks::apart(&seen, a, b), &mut |done| {
        watch.event(&Event::Progress { task: Activity::Comparing, done, total: small.len() });
        if watch.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    leakage.add_near(&near.ok_or(Error::Stopped)?, &seen);
    let all = look::numbers(&looks);
    let on = |test: bool| {
        let films = good.iter().enumerate().filter(|(_, (split, ..))| (*split == Some(Split::Test)) == test);
        films.map(|(at, _)| at).collect::<Vec<usize>>()
    };
    let sides = Sides {
        train: on(false),
        test: on(true),
        patients: good.iter().map(|(_, film, _)| film.group.as_str()).collect(),
    };
    let wanted = classes(&set.classes, set.task, &seen)?;
    let mut shortcuts = Vec::new();
    for (done, class) in wanted.iter().enumerate() {
        if watch.stopped() {
            return Err(Error::Stopped);
        }
        watch.event(&Event::Progress { task: Activity::Measuring, done, total: wanted.len() });
        let has: Vec<Option<bool>> = seen.iter().map(|(_, film, _)| film.label.has(*class)).collect();
        let told = |numbers: &Numbers| shortcuts::shortcut(numbers, &set.classes[*class], &has, &sides);
        shortcuts.extend(all.par_iter().with_max_len(1).filter_map(told).collect::<Vec<Shortcut>>());
    }
    watch.event(&Event::Progress { task: Activity::Measuring, done: wanted.len(), total: wanted.len() });
    shortcuts.sort_by(|a, b| b.train.auc.total_cmp(&a.train.auc));
    let drift = drift(&all, &sides);
    let model = asked.map(|asked| {
        let good = good.iter().zip(&places).map(|((split, film, look), place)| (*place, *split, *film, look));
        asked.tell(&good.collect::<Vec<_>>(), &all)
    });
    let suspects = sight.and_then(|sight| sight.suspects(&films, &set.classes));
    let (train, test) = (sides.train.len(), sides.test.len());
    let unread = (!bad.is_empty()).then(|| {
        let text = format!("{} of {} films could not be read and are in no number", bad.len(), films.len());
        Caveat::new(CaveatKind::UnreadableFilms, text)
    });
    let cropped = (small.len() > near::MOST_CROPPED).then(|| {
        let text = format!(
            "with more than {} films, copies that show a part of another film are not looked for",
            near::MOST_CROPPED
        );
        Caveat::new(CaveatKind::NotLookedFor, text)
    });
    Ok(Audit {
        root: escape(&set.root),
        task: set.task,
        films: good.len(),
        train,
        test,
        verdict: verdict((&leakage, model.as_ref()), &shortcuts, test > 0),
        model,
        leakage,
        shortcuts,
        drift,
        suspects,
        decoding,
        caveats: unread.into_iter().chain(cropped).chain(stored).chain(patients.caveats()).collect(),
        bad,
    })
}

/// The classes that are asked about: of two the positive one, of several each, the most frequent ones where there are many.
fn classes(names: &[String], task: Task, films: &[(Option<Split>, &Film, ContentHash)]) -> Result<Vec<usize>, Error> {
    if task == Task::OneOf
        && let Some(positive) = positive::of(names, positive::AUTO)?
    {
        return Ok(vec![positive]);
    }
    let count = |class: usize| films.iter().filter(|(_, film, _)| film.label.has(class) == Some(true)).count();
    let mut classes: Vec<usize> = (0..names.len()).collect();
    classes.sort_by_key(|class| std::cmp::Reverse(count(*class)));
    classes.truncate(MOST_CLASSES);
    Ok(classes)
}

/// Whether the films of the test split can be told from those that are learnt from. The best of the numbers that are no
/// pixels.
fn drift(all: &[look::Numbers], sides: &Sides<'_>) -> Option<Shortcut> {
    let mut has = vec![Some(false); sides.patients.len()];
    sides.test.iter().for_each(|film| has[*film] = Some(true));
    let both = Sides { train: (0..sides.patients.len()).collect(), test: Vec::new(), patients: sides.patients.clone() };
    let found = all.iter().filter(|numbers| numbers.names.is_some());
    let found = found.filter_map(|numbers| shortcuts::shortcut(numbers, "the test split", &has, &both));
    found.max_by(|a, b| a.train.auc.total_cmp(&b.train.auc))
}

/// What a model could learn instead of lungs.
fn verdict((leakage, model): (&Leakage, Option<&ModelAudit>), shortcuts: &[Shortcut], tested: bool) -> String {
    let mut sentences = Vec::new();
    if leakage.any() {
        sentences.push("Films lie where they must not, so that a test on these splits would be too good".to_owned());
    }
    if let Some(model) = model.filter(|model| model.known_on_test > 0) {
        let (count, name) = (model.known_on_test, &model.model);
        let films = if count == 1 { "film" } else { "films" };
        sentences.push(format!(
            "{count} {films} of the test split had a part in {name}, so that a test of it here would be too good"
        ));
    }
    // What 16 by 16 pixels tell may be lungs, too.
    let without_lungs: Vec<&Shortcut> = shortcuts.iter().filter(|found| found.what != look::COARSE_FILM).collect();
    match without_lungs.first() {
        Some(strongest) if strongest.train.at_least() >= WEAK => {
            let of_class = without_lungs.iter().filter(|found| found.class == strongest.class);
            let each: Vec<String> =
                of_class.filter(|found| found.train.at_least() >= WEAK).map(|found| told(found)).collect();
            sentences.push(format!(
                "Without a look at lungs, {} can be told from the other films by {}: a model may learn how films were taken, \
                 and a test on films of the same source does not show it",
                strongest.class,
                each.join(", by ")
            ));
        }
        Some(strongest) => sentences.push(format!(
            "Nothing that was looked at tells the classes apart without lungs ({}, the best of it, has an AUC of {}); \
             what was not looked at may",
            strongest.what,
            said(&strongest.train)
        )),
        None => sentences.push(format!(
            "There are too few films of two kinds to ask what tells them apart{}",
            if tested { "" } else { ", and no test split" }
        )),
    }
    sentences.join(". ")
}

/// What tells a class, how well, and which number of it does so alone.
fn told(found: &Shortcut) -> String {
    let test = |test: &Option<Separation>| match test {
        Some(test) => format!(", on the test split {:.2}", test.auc),
        None => String::new(),
    };
    let alone =
        found.alone.first().map(|alone| format!("; {} alone {:.2}{}", alone.name, alone.train.auc, test(&alone.test)));
    format!("{} (AUC {}{}{})", found.what, said(&found.train), test(&found.test), alone.unwrap_or_default())
}

/// An AUC with its interval.
fn said(separation: &Separation) -> String {
    match separation.interval {
        Some([low, high]) => format!("{:.2}, {low:.2} to {high:.2}", separation.auc),
        None => format!("{:.2}", separation.auc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_names_the_strongest_and_how_strong() {
        let separation = |auc: f64| Separation::of_test(auc);
        let shortcut = |what: &str, auc: f64| Shortcut {
            what: what.to_owned(),
            class: "PNEUMONIA".to_owned(),
            train: separation(auc),
            test: Some(separation(auc - 0.1)),
            alone: vec![Alone { name: "sharpness".to_owned(), train: separation(auc - 0.05), test: None }],
        };
        let found = [
            shortcut("the film at 16 by 16 pixels", 0.99),
            shortcut("image statistics", 0.95),
            shortcut("the file alone", 0.55),
        ];
        assert_eq!(
            verdict((&Leakage::default(), None), &found, true),
            "Without a look at lungs, PNEUMONIA can be told from the other films by image statistics (AUC 0.95, 0.94 to 0.96, \
             on the test split 0.85; sharpness alone 0.90): a model may learn how films were taken, and a test on films of \
             the same source does not show it"
        );
        let weak = verdict((&Leakage::default(), None), &[shortcut("the file alone", 0.55)], true);
        assert!(
            weak.starts_with("Nothing that was looked at tells the classes apart without lungs (the file alone"),
            "{weak}"
        );
        let leaky = Leakage { copies_on_two_splits: 2, ..Leakage::default() };
        assert!(verdict((&leaky, None), &[], false).starts_with("Films lie where they must not"));
    }
}

//! Which films a test scores: by their content, wherever they lie and whatever they are called.
//!
//! A folder that holds most of what a run was trained on is that run's data: its `split.csv` says which films are the test
//! split. Any other folder is scored whole. Films that the model, or one that it came from, has seen are refused as a test.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use lungfish_data::display::escape;
use lungfish_data::{CheckedFilm, ContentHash, Layout, Split, Splits};

use crate::data_set::some_of;
use crate::model::Model;
use crate::run_folder::SPLIT;
use crate::{Caveat, CaveatKind, Error};

/// The films to score.
pub(super) struct Chosen {
    pub films: Vec<CheckedFilm>,
    /// Whether the run's split chose them.
    pub own: bool,
    /// What must be known of the choice.
    pub caveats: Vec<Caveat>,
}

/// The films to score, by the run's split where it is the run's data.
pub(super) fn choose(layout: &Layout<CheckedFilm>, split: Split, model: &Model, root: &Path) -> Result<Chosen, Error> {
    let classes = &model.info.classes;
    let splits = match &model.run {
        Some(run) => {
            model.check_split_file(run)?;
            Some(Splits::read_csv(&run.join(SPLIT), root, model.info.task, classes)?)
        }
        None => None,
    };
    let all: Vec<&CheckedFilm> = layout.films().map(|(_, film)| film).collect();
    let here: HashSet<ContentHash> = all.iter().map(|film| film.hash).collect();
    let mut caveats = Vec::new();
    if split != Split::Test {
        let what = if split == Split::Train { "trained the model" } else { "chose the model's epoch" };
        let text = format!("films of the {split} split {what}: the numbers say nothing about other films");
        caveats.push(Caveat::new(CaveatKind::SeenFilms, text));
    }
    if let Some(splits) = &splits {
        let of: HashMap<ContentHash, Split> =
            Split::ALL.into_iter().flat_map(|s| splits.of(s).iter().map(move |film| (film.hash, s))).collect();
        if most(of.keys().filter(|hash| here.contains(*hash)).count(), of.len()) {
            let absent = of.iter().filter(|(hash, s)| **s == split && !here.contains(*hash)).count();
            if absent > 0 {
                let films = if absent == 1 { "1 film" } else { &format!("{absent} films") };
                let text = format!("{films} of the run's {split} split not found in {}, and not scored", escape(root));
                caveats.push(Caveat::new(CaveatKind::MissingFilms, text));
            }
            let films: Vec<CheckedFilm> =
                all.iter().filter(|f| of.get(&f.hash) == Some(&split)).copied().cloned().collect();
            if split == Split::Test {
                // Where the run's own split leaves nothing, all that is there was seen.
                let scored: Vec<&CheckedFilm> = if films.is_empty() { all } else { films.iter().collect() };
                refuse_seen(model, &scored, root)?;
            }
            return Ok(Chosen { films, own: true, caveats });
        }
    }
    if split != Split::Test {
        // Known by the model file alone: the split it remembers. Unknown: the folder's own.
        let of = |film: &CheckedFilm| model.lineage.own_split_of(film);
        let seen: HashSet<ContentHash> = all.iter().filter(|f| of(f).is_some()).map(|f| f.hash).collect();
        if most(seen.len(), model.lineage.own_len()) {
            let films = all.into_iter().filter(|f| of(f) == Some(split)).cloned().collect();
            return Ok(Chosen { films, own: false, caveats });
        }
    }
    let films: Vec<CheckedFilm> = match layout.of(split) {
        Some(films) => films.to_vec(),
        None => {
            return Err(Error::refused(format!(
                "{} has no {split} folder: name one that it has with --split train, val or test",
                escape(root)
            )));
        }
    };
    if split == Split::Test {
        refuse_seen(model, &films.iter().collect::<Vec<_>>(), root)?;
    }
    if let Some(splits) = &splits {
        let trained: HashSet<&str> = splits.train.iter().chain(&splits.val).map(|f| f.film.group.as_str()).collect();
        let again = films.iter().filter(|f| trained.contains(f.film.group.as_str())).count();
        if again > 0 && split == Split::Test {
            let text = format!(
                "{again} of the {} films bear the name of a patient the model was trained on: if it is the same patient, \
                 the numbers are too good",
                films.len()
            );
            caveats.push(Caveat::new(CaveatKind::SamePatients, text));
        }
    }
    Ok(Chosen { films, own: false, caveats })
}

/// Refuses films that the model, or one that it came from, has seen.
pub(crate) fn refuse_seen(model: &Model, films: &[&CheckedFilm], root: &Path) -> Result<(), Error> {
    let seen: Vec<&&CheckedFilm> = films.iter().filter(|f| model.lineage.split_of(f).is_some()).collect();
    let Some(first) = seen.first() else { return Ok(()) };
    let (who, advice) = match model.lineage.own_split_of(first) {
        Some(_) => ("the model was", "score them as what they are with --split train or --split val, or give"),
        None => ("a model that this one came from was", "give"),
    };
    Err(Error::refused(format!(
        "{who} trained on {} of the {} films in {} ({}): {advice} films that are new to it",
        seen.len(),
        films.len(),
        escape(root),
        some_of(seen.iter().map(|f| &f.film.path))
    )))
}

/// Whether a folder is the one a run was trained on.
fn most(found: usize, of: usize) -> bool {
    of > 0 && 2 * found >= of
}

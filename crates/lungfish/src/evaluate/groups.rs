//! The metrics of a test by groups of films: of one view, of women and men, of one maker's machines, of one folder. A mean over all
//! of them may hide one that the model does badly on.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use lungfish_data::display::escape;
use lungfish_data::{ContentHash, Film, dicom_facts, table_column};
use lungfish_models::names::did_you_mean;
use rayon::prelude::*;
use serde::Serialize;

use crate::{Error, Measure, measures};

/// Groups of a column at most; of words the most frequent ones, of numbers thirds.
const MOST: usize = 12;
const THIRDS: usize = 3;
/// Films of each class of which anything can be said.
pub(super) const FEW: usize = 10;
/// What a film that tells nothing is put to.
const UNKNOWN: &str = "unknown";
/// What the files tell.
const OF_FILES: [&str; 7] = ["view", "sex", "age", "manufacturer", "modality", "size", "folder"];

/// A column by which films are put into groups.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Groups {
    /// Its name.
    pub column: String,
    /// The groups, by name.
    pub groups: Vec<Group>,
}

/// Films of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Group {
    /// What they have in common.
    pub name: String,
    /// How many.
    pub films: usize,
    /// Those of the positive class.
    pub positives: usize,
    /// Whether there are fewer than 10 films of a class, so that nothing should be concluded.
    pub too_few: bool,
    /// How the model does on them.
    pub measures: Vec<Measure>,
}

/// Where films' groups are looked for.
pub(super) struct Told<'a> {
    /// The root that `folder` is below.
    pub root: &'a Path,
    /// The table of the labels, if there is one.
    pub table: Option<&'a Path>,
    pub films: &'a [&'a Film],
    /// Width and height of each, by the content of its file.
    pub sizes: &'a HashMap<ContentHash, [usize; 2]>,
    pub hashes: &'a [ContentHash],
}

/// What the model says of the same films, of two classes.
pub(super) struct Said<'a> {
    pub positive: &'a [bool],
    pub probability: &'a [f64],
    pub called: &'a [bool],
    pub patients: &'a [&'a str],
}

/// Refuses what nobody can tell, before anything is scored. A table's columns are asked for there.
pub(super) fn refuse_unknown(columns: &[String], table: Option<&Path>) -> Result<(), Error> {
    for column in columns.iter().filter(|column| !OF_FILES.contains(&column.as_str())) {
        match table {
            Some(table) => drop(table_column(table, column)?),
            None => {
                return Err(Error::refused(format!(
                    "there is no group {}{}: films tell {}, and a table of labels has its columns",
                    escape(column),
                    escape(did_you_mean(column, OF_FILES.into_iter())),
                    OF_FILES.join(", ")
                )));
            }
        }
    }
    Ok(())
}

/// The metrics of each group of each column.
pub(super) fn measure(columns: &[String], told: &Told<'_>, said: &Said<'_>) -> Result<Vec<Groups>, Error> {
    let groups = |column: &String| {
        let names = grouped(&told.values(column)?);
        let mut of: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        names.into_iter().enumerate().for_each(|(film, place)| of.entry(place).or_default().push(film));
        let groups = of.into_iter().map(|(Place(_, name), films)| said.group(name, &films)).collect();
        Ok(Groups { column: column.clone(), groups })
    };
    columns.iter().map(groups).collect()
}

impl Told<'_> {
    /// What a column says of each film; empty where nothing is known.
    fn values(&self, column: &str) -> Result<Vec<String>, Error> {
        if !OF_FILES.contains(&column) {
            let Some(table) = self.table else { return Ok(vec![String::new(); self.films.len()]) };
            let cells = table_column(table, column)?;
            let of = |film: &&Film| film.facts.row.and_then(|row| cells.get(&row).cloned()).unwrap_or_default();
            return Ok(self.films.iter().map(of).collect());
        }
        Ok(match column {
            "folder" => self.films.iter().map(|film| self.folder(film)).collect(),
            "size" => self.hashes.iter().map(|hash| size(self.sizes.get(hash))).collect(),
            _ => self.films.par_iter().map(|film| fact(&film.path, column).unwrap_or_default()).collect(),
        })
    }

    fn folder(&self, film: &Film) -> String {
        let below = film.path.strip_prefix(self.root).unwrap_or(&film.path);
        below.parent().map(escape).unwrap_or_default()
    }
}

/// Films by the length of their longer side.
fn size(size: Option<&[usize; 2]>) -> String {
    match size.map(|sides| sides[0].max(sides[1])) {
        None => String::new(),
        Some(..512) => "below 512 pixels".to_owned(),
        Some(..1024) => "512 to 1023 pixels".to_owned(),
        Some(..2048) => "1024 to 2047 pixels".to_owned(),
        Some(_) => "2048 pixels and more".to_owned(),
    }
}

fn fact(path: &Path, column: &str) -> Option<String> {
    let facts = dicom_facts(path)?;
    match column {
        "view" => facts.view,
        "sex" => facts.sex,
        "manufacturer" => facts.manufacturer,
        "modality" => facts.modality,
        _ => facts.decade.map(|decade| format!("{decade} to {}", decade + 9)),
    }
}

/// A group: where it stands among the others, and its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place(usize, String);

/// The name of each film's group in a column, as `test --groups` makes groups; none of a film of which the column says nothing.
pub(crate) fn names(values: &[String]) -> Vec<Option<String>> {
    let places = grouped(values).into_iter().zip(values);
    places.map(|(Place(_, name), value)| (!value.is_empty()).then_some(name)).collect()
}

/// The group of each film by what its column says.
fn grouped(values: &[String]) -> Vec<Place> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    values.iter().filter(|value| !value.is_empty()).for_each(|value| *counts.entry(value).or_default() += 1);
    let numbers: Option<Vec<f64>> =
        counts.keys().map(|value| value.parse().ok().filter(|number: &f64| number.is_finite())).collect();
    let unknown = Place(usize::MAX, UNKNOWN.to_owned());
    match numbers {
        Some(numbers) if counts.len() > MOST => {
            let cuts = cuts(values, numbers);
            let of = |value: &String| match value.parse::<f64>() {
                Ok(number) => {
                    let third = cuts.partition_point(|cut| *cut < number);
                    let name = match third {
                        0 => format!("up to {}", cuts[0]),
                        at if at == cuts.len() => format!("above {}", cuts[at - 1]),
                        at => format!("above {} to {}", cuts[at - 1], cuts[at]),
                    };
                    Place(third, name)
                }
                Err(_) => unknown.clone(),
            };
            values.iter().map(of).collect()
        }
        numbers => {
            let mut order: Vec<(&str, usize)> = counts.into_iter().collect();
            if let Some(numbers) = numbers {
                // In the order of the numbers, 2 before 10.
                let of: HashMap<&str, f64> = order.iter().map(|(value, _)| *value).zip(numbers).collect();
                order.sort_by(|a, b| of[a.0].total_cmp(&of[b.0]));
            }
            let mut frequent = order.clone();
            frequent.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let rare: Vec<&str> = frequent.iter().skip(MOST - 1).map(|(value, _)| *value).collect();
            let rare = if frequent.len() > MOST { rare } else { Vec::new() };
            let of = |value: &String| match order.iter().position(|(known, _)| known == value) {
                None => unknown.clone(),
                Some(_) if rare.contains(&value.as_str()) => Place(usize::MAX - 1, format!("{} others", rare.len())),
                Some(at) => Place(at, escape(value)),
            };
            values.iter().map(of).collect()
        }
    }
}

/// Where thirds of the films end.
fn cuts(values: &[String], different: Vec<f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().filter_map(|value| value.parse().ok()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut cuts: Vec<f64> = (1..THIRDS).map(|third| sorted[third * sorted.len() / THIRDS]).collect();
    cuts.dedup();
    let most = different.into_iter().fold(f64::NEG_INFINITY, f64::max);
    cuts.retain(|cut| *cut < most);
    cuts
}

impl Said<'_> {
    fn group(&self, name: String, films: &[usize]) -> Group {
        let of = |which: &[bool]| films.iter().map(|film| which[*film]).collect::<Vec<bool>>();
        let probability: Vec<f64> = films.iter().map(|film| self.probability[*film]).collect();
        let patients: Vec<&str> = films.iter().map(|film| self.patients[*film]).collect();
        let (positive, called) = (of(self.positive), of(self.called));
        let positives = positive.iter().filter(|is| **is).count();
        Group {
            name,
            films: films.len(),
            positives,
            too_few: positives.min(films.len() - positives) < FEW,
            measures: measures::of_some(&positive, &probability, &called, &patients),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(values: &[&str]) -> Vec<String> {
        let places = grouped(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        let mut sorted = places.clone();
        sorted.sort();
        sorted.dedup();
        sorted.into_iter().map(|Place(_, name)| name).collect()
    }

    #[test]
    fn words_are_groups_and_many_numbers_are_thirds() {
        assert_eq!(names(&["PA", "AP", "", "PA"]), ["AP", "PA", "unknown"]);
        assert_eq!(names(&["10", "2", "2"]), ["2", "10"]);
        let ages: Vec<String> = (0..90).map(|age| age.to_string()).collect();
        let ages: Vec<&str> = ages.iter().map(String::as_str).collect();
        assert_eq!(names(&ages), ["up to 30", "above 30 to 60", "above 60"]);
        let sites: Vec<String> =
            (0..40).map(|site| format!("site {:02}", site % 20)).chain(["site 07".to_owned()]).collect();
        let sites: Vec<&str> = sites.iter().map(String::as_str).collect();
        let found = names(&sites);
        assert_eq!(found.len(), MOST);
        assert!(found.contains(&"site 07".to_owned()) && found[MOST - 1] == "9 others", "{found:?}");
        assert_eq!(names(&[]), Vec::<String>::new());
        // Nearly all the same number: a third that would be empty is none.
        let same: Vec<String> = (0..100).map(|i| if i < 80 { 5 } else { i }.to_string()).collect();
        let same: Vec<&str> = same.iter().map(String::as_str).collect();
        assert_eq!(names(&same), ["up to 5", "above 5"]);
    }

    #[test]
    fn few_films_are_told_to_be_few() {
        let positive: Vec<bool> = (0..40).map(|film| film % 2 == 0).collect();
        let probability: Vec<f64> = positive.iter().map(|is| if *is { 0.9 } else { 0.2 }).collect();
        let names: Vec<String> = (0..40).map(|film| film.to_string()).collect();
        let patients: Vec<&str> = names.iter().map(String::as_str).collect();
        let said = Said { positive: &positive, probability: &probability, called: &positive, patients: &patients };
        let all = said.group("all".to_owned(), &(0..40).collect::<Vec<_>>());
        assert_eq!((all.films, all.positives, all.too_few), (40, 20, false));
        assert!(all.measures.iter().all(|measure| measure.value == Some(1.0)), "{all:?}");
        assert!(said.group("few".to_owned(), &[0, 1, 2]).too_few);
        let one = said.group("one kind".to_owned(), &[0, 2, 4]);
        assert_eq!(one.measures.iter().map(|measure| measure.value).collect::<Vec<_>>()[2..], [None, None]);
    }

    #[test]
    fn what_nobody_tells_is_refused() {
        let says = |column: &str| refuse_unknown(&[column.to_owned()], None).map_err(|error| error.to_string());
        assert_eq!(says("view"), Ok(()));
        let error = says("veiw").unwrap_err();
        assert!(error.contains("no group veiw") && error.contains("view"), "{error}");
    }
}

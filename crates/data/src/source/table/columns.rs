//! Which column of a table is what: by the names that people give, by the layouts of known data sets, or as asked for.

use serde::{Deserialize, Serialize};

use super::text::Row;
use crate::display::escape;

/// The columns of a table, by their names; `auto` finds one by names in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The file of a film, its name or its name without extension.
    pub path: String,
    /// What it shows: a class, or labels with `|` between.
    pub label: String,
    /// Its patient.
    pub patient: String,
    /// Its split.
    pub split: String,
}

impl Columns {
    /// The word that leaves a column to its name.
    pub const AUTO: &str = "auto";
}

impl Default for Columns {
    fn default() -> Self {
        let auto = || Self::AUTO.to_owned();
        Columns { path: auto(), label: auto(), patient: auto(), split: auto() }
    }
}

/// What is made of a label that is uncertain (-1), after the CheXpert paper (Irvin et al. 2019, arXiv:1901.07031).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uncertain {
    /// Unknown: U-Ignore.
    #[default]
    Ignore,
    /// The film has it: U-Ones.
    Positive,
    /// The film does not have it: U-Zeros.
    Negative,
}

const PATHS: [&str; 17] = [
    "path",
    "filepath",
    "imagepath",
    "filename",
    "file",
    "imagefilename",
    "image",
    "imagename",
    "imageindex",
    "img",
    "imgpath",
    "imageid",
    "xrayimagename",
    "name",
    "id",
    "patientid",
    "dicompath",
];
const LABELS: [&str; 14] = [
    "label",
    "class",
    "classname",
    "target",
    "finding",
    "findinglabels",
    "findings",
    "labels",
    "diagnosis",
    "category",
    "y",
    "disease",
    "classes",
    "tags",
];
/// Of these the ones that hold any number of labels: NIH's, also where a selection has films with one each.
const SEVERAL: [&str; 1] = ["findinglabels"];
const PATIENTS: [&str; 8] = ["patient", "patientid", "subject", "subjectid", "case", "caseid", "group", "person"];
const SPLITS: [&str; 7] = ["split", "datasettype", "dataset", "subset", "partition", "set", "side"];
/// Columns of known data sets that hold numbers and no labels.
const NO_LABELS: [&str; 22] = [
    "sex",
    "age",
    "gender",
    "followup",
    "viewposition",
    "view",
    "frontallateral",
    "appa",
    "patientage",
    "patientgender",
    "index",
    "unnamed0",
    "width",
    "height",
    "offset",
    "x",
    "y",
    "hash",
    "pixels",
    "line",
    "row",
    "originalimagewidthheight",
];

/// A name without what people write differently.
fn key(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What the columns of a table are, by their places.
pub(super) struct Roles {
    pub(super) path: usize,
    pub(super) patient: Option<usize>,
    pub(super) split: Option<usize>,
    pub(super) labels: Labels,
}

/// Where labels stand.
pub(super) enum Labels {
    /// A class, or names of labels with `|` between, in one column.
    Column(usize),
    /// Names of labels in one column, whose name says that there may be several even where no row has more than one.
    Several(usize),
    /// 1, 0, -1 or nothing in a column each.
    Columns(Vec<(String, usize)>),
}

/// Finds the columns of a table by its header and its first rows.
///
/// # Errors
/// What is missing, with the columns that there are.
pub(super) fn roles(header: &[String], rows: &[Row], asked: &Columns) -> Result<Roles, String> {
    let keys: Vec<String> = header.iter().map(|name| key(name)).collect();
    let shown = || header.iter().map(escape).collect::<Vec<_>>().join(", ");
    let find = |role: &str, asked: &str, names: &[&str], not: &[Option<usize>]| -> Result<Option<usize>, String> {
        if asked != Columns::AUTO {
            let at = header.iter().position(|name| name == asked);
            let missing = || format!("there is no column {} (columns.{role}); there are {}", escape(asked), shown());
            return at.map(Some).ok_or_else(missing);
        }
        let at = |name: &&str| keys.iter().position(|own| own == name).filter(|at| !not.contains(&Some(*at)));
        Ok(names.iter().find_map(at))
    };
    let path = find("path", &asked.path, &PATHS, &[])?.ok_or_else(|| {
        format!(
            "no column is that of the films by its name (path, filename, image, ...); there are {}: set columns.path",
            shown()
        )
    })?;
    let label = find("label", &asked.label, &LABELS, &[Some(path)])?;
    let patient = find("patient", &asked.patient, &PATIENTS, &[Some(path), label])?;
    let split = find("split", &asked.split, &SPLITS, &[Some(path), label, patient])?;
    let labels = match label {
        Some(label) if SEVERAL.contains(&keys[label].as_str()) => Labels::Several(label),
        Some(label) => Labels::Column(label),
        None => {
            let taken = [Some(path), patient, split];
            let free = (0..header.len()).filter(|at| !taken.contains(&Some(*at)) && !header[*at].is_empty());
            let names = free.filter(|at| !NO_LABELS.contains(&keys[*at].as_str()) && is_label(rows, *at));
            Labels::Columns(names.map(|at| (header[at].clone(), at)).collect())
        }
    };
    if matches!(&labels, Labels::Columns(names) if names.is_empty()) {
        return Err(format!(
            "no column is that of the labels by its name (label, class, finding, ...) and none holds 1, 0 or nothing; there \
             are {}: set columns.label",
            shown()
        ));
    }
    Ok(Roles { path, patient, split, labels })
}

/// Whether a column holds nothing but 1, 0, -1 and blanks, and is not all blank.
fn is_label(rows: &[Row], at: usize) -> bool {
    let mut any = false;
    let all = rows.iter().filter_map(|row| row.cells.get(at)).all(|cell| match value(cell) {
        Ok(value) => {
            any |= value != Value::Unknown;
            true
        }
        Err(()) => false,
    });
    any && all
}

/// What a cell says of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Yes,
    No,
    Uncertain,
    Unknown,
}

impl Value {
    /// Whether the film has the label; `None` where nobody knows.
    pub(super) fn known(self, uncertain: Uncertain) -> Option<bool> {
        match (self, uncertain) {
            (Self::Yes, _) | (Self::Uncertain, Uncertain::Positive) => Some(true),
            (Self::No, _) | (Self::Uncertain, Uncertain::Negative) => Some(false),
            (Self::Uncertain, Uncertain::Ignore) | (Self::Unknown, _) => None,
        }
    }
}

pub(super) fn value(cell: &str) -> Result<Value, ()> {
    Ok(match cell.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" | "yes" => Value::Yes,
        "0" | "0.0" | "false" | "no" => Value::No,
        "-1" | "-1.0" => Value::Uncertain,
        "" | "nan" | "na" | "n/a" | "null" | "none" | "?" => Value::Unknown,
        _ => return Err(()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::text::rows;
    use super::*;

    /// The columns of path, patient, split and labels.
    type Found = (String, Option<String>, Option<String>, Vec<String>);

    fn of(text: &str, asked: &Columns) -> Result<Found, String> {
        let mut rows = rows(text.as_bytes()).unwrap();
        let header = rows.remove(0).cells;
        let roles = roles(&header, &rows, asked)?;
        let name = |at: usize| header[at].clone();
        let labels = match roles.labels {
            Labels::Column(at) | Labels::Several(at) => vec![name(at)],
            Labels::Columns(names) => names.into_iter().map(|(name, _)| format!("{name}?")).collect(),
        };
        Ok((name(roles.path), roles.patient.map(name), roles.split.map(name), labels))
    }

    #[test]
    fn columns_are_found_by_their_names() {
        let auto = Columns::default();
        let some = |text: &str| Some(text.to_owned());
        let nih = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age\n1.png,Mass|Edema,0,1,57\n";
        let found = of(nih, &auto).unwrap();
        assert_eq!(found, ("Image Index".into(), some("Patient ID"), None, vec!["Finding Labels".into()]));
        let chexpert = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema\nx.jpg,Male,50,Frontal,AP,1.0,-1.0\n";
        assert_eq!(
            of(chexpert, &auto).unwrap(),
            ("Path".into(), None, None, vec!["No Finding?".into(), "Edema?".into()])
        );
        let rsna = "patientId,x,y,width,height,Target\n0004cfab,,,,,0\n";
        assert_eq!(of(rsna, &auto).unwrap(), ("patientId".into(), None, None, vec!["Target".into()]));
        let covid = "patientid,offset,sex,age,finding,view,folder,filename\n2,0,M,65,Pneumonia/Viral/COVID-19,PA,images,a.jpg\n";
        assert_eq!(of(covid, &auto).unwrap(), ("filename".into(), some("patientid"), None, vec!["finding".into()]));
        let plain = "path,label,patient,split\na.png,x,1,train\n";
        assert_eq!(of(plain, &auto).unwrap(), ("path".into(), some("patient"), some("split"), vec!["label".into()]));
        let own = Columns { label: "Befund".into(), path: "Bild".into(), ..Columns::default() };
        assert_eq!(of("Bild,Befund\na.png,krank\n", &own).unwrap().3, ["Befund"]);
        let error = of("Bild,Befund\na.png,krank\n", &auto).unwrap_err();
        assert!(error.ends_with("there are Bild, Befund: set columns.path"), "{error}");
        let error = of("path,Befund\na.png,krank\n", &auto).unwrap_err();
        assert!(error.ends_with("there are path, Befund: set columns.label"), "{error}");
        let error = of("path,label\n", &own).unwrap_err();
        assert_eq!(error, "there is no column Bild (columns.path); there are path, label");
    }
}

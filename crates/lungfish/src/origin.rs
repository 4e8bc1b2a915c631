//! What is known of a table of predictions beyond its rows: which model says it, and what that is worth.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lungfish_data::display::escape;
use lungfish_data::{ContentHash, Split, Uids};
use serde::{Deserialize, Serialize};

use crate::model::NOTICE;
use crate::run_folder::write_atomically;
use crate::table::Column;
use crate::{Caveat, Error, PointRule, PrecisionRule, Predictor, Tta};

/// The origin of a table. It lies beside a CSV file, as JSON, and in a Parquet file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// What kind of table it is.
    pub format: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The model file, as it was named.
    pub model: String,
    /// The first 16 bytes of the SHA-256 of the model file, in hexadecimal digits.
    pub model_hash: String,
    pub architecture: String,
    /// The model's classes or labels, in index order.
    #[serde(default)]
    pub classes: Vec<String>,
    /// The views over which what is said of a film was averaged.
    #[serde(default, skip_serializing_if = "Tta::is_none")]
    pub tta: Tta,
    /// The precision that was asked for, where it is another one than trained the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<PrecisionRule>,
    /// Where films are called.
    #[serde(default)]
    pub at: PointRule,
    /// How the column `uid` tells films; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uids: Option<Uids>,
    /// Of a test, the split that was scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Whether the model has learnt from synthetic films, and says nothing of real ones.
    pub synthetic: bool,
    /// What must be known beside the rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<Caveat>,
    /// The version of lungfish that wrote it.
    pub version: String,
    pub notice: String,
    /// Of a Parquet file of scores, which cannot be gone on with: the content hash of the films' paths, a line each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub films: Option<String>,
    /// And how many of them could not be scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<usize>,
}

impl Origin {
    /// Of a table of what a predictor says.
    pub(crate) fn of(format: &str, predictor: &Predictor, columns: &[Column]) -> Result<Self, Error> {
        let (info, model) = (predictor.info(), predictor.file());
        let bytes = fs::read(model).map_err(|e| Error::io("read", model, e))?;
        let has_uids = columns.iter().any(|column| column.name == UID);
        Ok(Origin {
            format: format.to_owned(),
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            model: escape(model),
            model_hash: ContentHash::of(&bytes).to_string(),
            architecture: info.architecture.to_string(),
            classes: info.classes.clone(),
            tta: predictor.tta(),
            precision: predictor.other_precision(),
            at: predictor.point(),
            uids: has_uids.then_some(predictor.uids()),
            split: None,
            synthetic: info.synthetic,
            caveats: info.caveats.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            notice: NOTICE.to_owned(),
            films: None,
            unreadable: None,
        })
    }

    /// Writes it beside a table.
    pub(crate) fn write_beside(&self, table: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::io("write", table, e.into()))? + "\n";
        write_atomically(&beside(table), text.as_bytes())
    }

    /// Reads what lies beside a table of a kind.
    pub(crate) fn read_beside(table: &Path, format: &str) -> Result<Self, Error> {
        let file = beside(table);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::not_found(format!(
                    "nobody knows which model made {}: {} is not there; name another file",
                    escape(table),
                    escape(&file)
                )));
            }
            read => read.map_err(|e| Error::io("read", &file, e))?,
        };
        let origin: Result<Origin, _> = serde_json::from_str(&text);
        origin.ok().filter(|origin| origin.format == format).ok_or_else(|| unknown(&file, table))
    }

    /// Refuses a table that another model, or the same in other views, has begun.
    pub(crate) fn require_like(&self, ours: &Origin, table: &Path) -> Result<(), Error> {
        let table = escape(table);
        if self.model_hash != ours.model_hash {
            return Err(Error::refused(format!(
                "{table} was made by another model ({}, content {}) than {} (content {}): name another file",
                escape(&self.model),
                self.model_hash,
                ours.model,
                ours.model_hash
            )));
        }
        if self.tta != ours.tta {
            return Err(Error::refused(format!(
                "{table} was made with tta {} and {} is asked for: name another file",
                self.tta, ours.tta
            )));
        }
        if self.precision != ours.precision {
            let told = |rule: Option<PrecisionRule>| rule.map_or("the model's precision", PrecisionRule::name);
            return Err(Error::refused(format!(
                "{table} was made in {} and {} is asked for: name another file",
                told(self.precision),
                told(ours.precision)
            )));
        }
        if self.at != ours.at {
            return Err(Error::refused(format!(
                "{table} has films called at {} and {} is asked for: name another file",
                self.at, ours.at
            )));
        }
        match (self.uids, ours.uids) {
            (Some(theirs), Some(ours)) if theirs != ours => Err(Error::refused(format!(
                "{table} has {} UIDs and {} ones are asked for (--uids): name another file",
                theirs.name(),
                ours.name()
            ))),
            _ => Ok(()),
        }
    }
}

/// The column of the films' UIDs.
pub(crate) const UID: &str = "uid";
/// The column that says how unlike the films of the training a film is.
pub(crate) const UNLIKE: &str = "unlike";

fn unknown(file: &Path, table: &Path) -> Error {
    Error::damaged(format!("{} does not say which model made {}: name another file", escape(file), escape(table)))
}

/// The file that says by which model a table was made.
pub(crate) fn beside(table: &Path) -> PathBuf {
    let mut name = table.file_name().unwrap_or_default().to_owned();
    name.push(".json");
    table.with_file_name(name)
}

#[cfg(feature = "parquet")]
mod key_values {
    use serde_json::{Map, Value};

    use super::*;

    /// What stands before the name of each fact in a Parquet file.
    const OURS: &str = "lungfish.";

    impl Origin {
        /// As a Parquet file has it: a text for each field, of what is no text as JSON.
        pub(crate) fn key_values(&self) -> Vec<(String, String)> {
            let text = |value: Value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            self.fields().into_iter().map(|(key, value)| (format!("{OURS}{key}"), text(value))).collect()
        }

        /// What [`Origin::key_values`] gave, of a file that may be anybody's; `like` is one whose texts are texts.
        pub(crate) fn from_key_values(pairs: &[(String, String)], like: &Origin, file: &Path) -> Result<Self, Error> {
            let like = like.fields();
            let fields = pairs.iter().filter_map(|(key, text)| {
                let key = key.strip_prefix(OURS)?;
                let is_text = like.get(key).is_some_and(Value::is_string);
                let other = serde_json::from_str(text).ok().filter(|_| !is_text);
                Some((key.to_owned(), other.unwrap_or_else(|| Value::String(text.clone()))))
            });
            serde_json::from_value(Value::Object(fields.collect())).map_err(|_| unknown(file, file))
        }

        fn fields(&self) -> Map<String, Value> {
            match serde_json::to_value(self) {
                Ok(Value::Object(fields)) => fields,
                // A struct of texts, lists and numbers is an object.
                _ => Map::new(),
            }
        }
    }
}

#[cfg(test)]
pub(crate) fn origin_for_tests() -> Origin {
    Origin {
        format: "lungfish.scores.1".to_owned(),
        columns: ["path", "A"].map(str::to_owned).to_vec(),
        model: "7".to_owned(),
        model_hash: "12345678901234567890123456789012".to_owned(),
        architecture: "resnet18".to_owned(),
        classes: vec!["A".to_owned()],
        at: PointRule::default(),
        tta: Tta::None,
        precision: None,
        uids: Some(Uids::Hashed),
        split: None,
        synthetic: false,
        caveats: vec![Caveat::new(crate::CaveatKind::NoPatients, "nobody knows whose")],
        version: "0.1.0".to_owned(),
        notice: NOTICE.to_owned(),
        films: None,
        unreadable: Some(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_beside_its_table() {
        assert_eq!(beside(Path::new("a/scores.csv")), Path::new("a/scores.csv.json"));
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn key_values_are_the_fields_of_the_json() {
        let origin = origin_for_tests();
        let pairs = origin.key_values();
        let of = |key: &str| pairs.iter().find(|(own, _)| own == key).map(|(_, text)| text.as_str());
        assert_eq!(of("lungfish.model"), Some("7"));
        assert_eq!(of("lungfish.classes"), Some("[\"A\"]"));
        assert_eq!(of("lungfish.uids"), Some("hashed"));
        assert_eq!((of("lungfish.tta"), of("lungfish.notice")), (None, Some(NOTICE)));
        // Those of other programs are left alone, and numbers that are texts stay texts.
        let foreign = [&[("pandas".to_owned(), "{}".to_owned())], &pairs[..]].concat();
        let back = Origin::from_key_values(&foreign, &Origin { uids: None, ..origin.clone() }, Path::new("x")).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), serde_json::to_string(&origin).unwrap());
        let error = Origin::from_key_values(&foreign[..1], &origin, Path::new("x")).unwrap_err().to_string();
        assert_eq!(error, "x does not say which model made x: name another file");
    }
}

//! The file with one line a film that a test leaves.

use std::path::{Path, PathBuf};

use lungfish_data::display::{cell, escape};

use crate::run_folder::write_atomically;
use crate::{Error, Prediction};

/// `predictions-{name}.csv`: path, label, predicted, one probability a class.
pub(crate) fn write(
    out: &Path,
    name: &str,
    classes: &[String],
    labels: &[usize],
    predictions: &[Prediction],
) -> Result<PathBuf, Error> {
    let mut text = ["path", "label", "predicted"].map(str::to_owned).join(",");
    for class in classes {
        text.push_str(&format!(",{}", cell(class)));
    }
    text.push('\n');
    for (prediction, &label) in predictions.iter().zip(labels) {
        let path = escape(&prediction.path);
        let label = classes.get(label).map_or("", String::as_str);
        text.push_str(&[path.as_str(), label, &prediction.class].map(cell).join(","));
        for (_, probability) in &prediction.probabilities {
            text.push_str(&format!(",{probability}"));
        }
        text.push('\n');
    }
    std::fs::create_dir_all(out).map_err(|e| Error::io("create", out, e))?;
    let file = out.join(format!("predictions-{name}.csv"));
    write_atomically(&file, text.as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_safe_in_a_spreadsheet() {
        let dir = tempfile::tempdir().unwrap();
        let classes = ["A".to_owned(), "=B".to_owned()];
        let prediction = Prediction {
            path: "=cmd,x.png".into(),
            class: "=B".to_owned(),
            probabilities: vec![("A".to_owned(), 0.25), ("=B".to_owned(), 0.75)],
        };
        let file = write(dir.path(), "val", &classes, &[0], &[prediction]).unwrap();
        assert_eq!(file, dir.path().join("predictions-val.csv"));
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text, "path,label,predicted,A,'=B\n\"'=cmd,x.png\",A,'=B,0.25,0.75\n");
    }
}

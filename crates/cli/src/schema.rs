//! What `--json` prints: every object names its schema, and docs/schema describes it.
//!
//! A schema's number rises when a field goes, or changes its type or its meaning; new fields may come without. The files
//! are made from the types that are printed: `LUNGFISH_WRITE_SCHEMAS=1 cargo test -p lungfish-cli
//! schemas` writes them, and without the variable that test compares them. What the commands really print is held against
//! them by the other tests.

use serde::Serialize;

/// What a command prints with `--json`.
pub trait Output: Serialize {
    /// Name and number, as in `lungfish.test.1`; the file is docs/schema/ and the name.
    const SCHEMA: &'static str;
}

/// The object as it is printed.
#[derive(Serialize)]
pub struct Versioned<'a, T: Output> {
    schema: &'static str,
    #[serde(flatten)]
    value: &'a T,
}

impl<'a, T: Output> From<&'a T> for Versioned<'a, T> {
    fn from(value: &'a T) -> Self {
        Versioned { schema: T::SCHEMA, value }
    }
}

macro_rules! outputs {
    ($($type:ty: $schema:literal;)+) => {
        $(impl Output for $type {
            const SCHEMA: &'static str = $schema;
        })+

        /// Every schema.
        #[cfg(all(test, feature = "schema"))]
        fn all() -> Vec<(&'static str, serde_json::Value)> {
            vec![$(($schema, tests::schema::<$type>())),+]
        }
    };
}

outputs! {
    lungfish::Exploration: "lungfish.explore.1";
    lungfish::Audit: "lungfish.audit.1";
    lungfish::TestOutcome: "lungfish.test.1";
    lungfish::ReportOutcome: "lungfish.report.1";
    lungfish::ModelSummary: "lungfish.summary.1";
    lungfish::bench::StepMeasure: "lungfish.bench-step.1";
    lungfish::bench::LoaderMeasure: "lungfish.bench-loader.1";
    crate::commands::doctor::Report: "lungfish.doctor.1";
    crate::commands::fetch::Films: "lungfish.fetch.1";
    crate::commands::fetch::Weights: "lungfish.fetch-weights.1";
}

#[cfg(all(test, feature = "schema"))]
mod tests {
    use std::path::Path;

    use schemars::JsonSchema;
    use schemars::generate::SchemaSettings;
    use serde_json::{Value, json};

    use super::*;

    /// The schema of what is printed: of the value, and before its fields the one that names the schema.
    pub(super) fn schema<T: Output + JsonSchema>() -> Value {
        let of = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
        let mut of = of.to_value();
        of["title"] = json!(T::SCHEMA);
        let mut properties =
            json!({ "schema": { "const": T::SCHEMA, "description": "Name and number of this schema." } });
        properties.as_object_mut().unwrap().extend(of["properties"].as_object().unwrap().clone());
        of["properties"] = properties;
        of["required"].as_array_mut().unwrap().insert(0, json!("schema"));
        of
    }

    #[test]
    fn the_schemas_in_the_docs_are_what_is_printed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
        let write = std::env::var_os("LUNGFISH_WRITE_SCHEMAS").is_some();
        let mut files = Vec::new();
        for (name, schema) in all() {
            let stem = name.strip_prefix("lungfish.").and_then(|name| name.split_once('.')).unwrap().0;
            let path = folder.join(format!("{stem}.json"));
            let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            if write {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let there = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(there == text, "{} is out of date, see the beginning of this file", path.display());
            files.push(path);
        }
        let there = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let mut there = there.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        assert!(there.all(|path| files.contains(&path)), "a schema of nothing lies in docs/schema");
    }
}

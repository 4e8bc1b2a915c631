//! `study.toml`: what only the people behind a study can say of it. Free text by key; nothing in it is interpreted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lungfish_data::display::escape;
use lungfish_models::names::did_you_mean;

use crate::Error;

/// A key of `study.toml` and what it asks for.
pub(super) struct Question {
    pub key: &'static str,
    pub asks: &'static str,
}

const fn ask(key: &'static str, asks: &'static str) -> Question {
    Question { key, asks }
}

/// Every key, in groups with a heading.
pub(super) const QUESTIONS: &[(&str, &[Question])] = &[
    (
        "The work",
        &[
            ask("title", "The title: that a model which learns from images is developed or tested, on whom, for what."),
            ask("authors", "Who did it. A list of texts is possible: [\"A. Author\", \"B. Author\"]."),
            ask("contact", "Where questions go."),
            ask("license", "The licence of the model, as one word such as cc-by-4.0 where it has one."),
            ask("background", "The clinical question, and what models or tests there are for it already."),
            ask("aims", "What was to be found out, and any hypothesis that was there before."),
            ask("intended_use", "What the model is meant for, for whom, and where in the care of patients."),
            ask("users", "Who would use it, and what they must know."),
        ],
    ),
    (
        "The films",
        &[
            ask("dataset", "The name of the data set."),
            ask(
                "data_source",
                "Where the films come from, whether they were taken in routine or for the study, and why these.",
            ),
            ask("dates", "From when to when the films were taken."),
            ask("sites", "Which hospitals or practices, how many, of what kind."),
            ask("design", "Whether films were collected before the study was planned, or for it."),
            ask(
                "recruitment",
                "How people came to be X-rayed, and whether all, a random part or a convenient part of them is here.",
            ),
            ask("inclusion", "Which people and which films were taken, and which were not."),
            ask("characteristics", "Age, sex and other features of the people, on each split where they are known."),
            ask("severity", "How severe the disease was, and what those had who did not have it."),
            ask("treatments", "Treatments, and the time between the film and the reference standard."),
            ask("acquisition", "Makers and models of the machines, views, settings."),
            ask("deidentification", "How names, dates and other marks were taken off the films."),
            ask("sample_size", "How the number of films came about, and why it is enough."),
            ask("representativeness", "How far these films are those of the people the model is meant for."),
        ],
    ),
    (
        "The reference standard",
        &[
            ask("reference_standard", "What says which class a film is, by which rule, and when it was determined."),
            ask("reference_rationale", "Why that, and not another way to find out."),
            ask("annotators", "Who labelled the films, the test films too, with what training and experience."),
            ask("agreement", "How far those who labelled agree, with themselves and with each other."),
            ask("blinding", "What those who labelled knew besides the film, the model's answer included."),
        ],
    ),
    (
        "What follows",
        &[
            ask("inequalities", "Known differences in health or care between groups of people that matter here."),
            ask("fairness", "What was done so that no group is served worse, and what came of it."),
            ask("external_testing", "Films of other places that the model was tested on, and how they differ."),
            ask("interpretation", "What the results mean beside the aims and beside earlier work, and for practice."),
            ask("limitations", "What is weak in it, beyond what the program says itself."),
            ask("adverse_events", "Harm that came of the films, the reference standard or the model."),
            ask("next_steps", "What has to be done before anybody could use it."),
        ],
    ),
    (
        "Formalities",
        &[
            ask("ethics", "Which committee approved it or waived approval, its number, and what about consent."),
            ask("funding", "Who paid, and what part they had in it."),
            ask("conflicts", "Interests of the authors, commercial ones too."),
            ask("registration", "Register and number, or that it is not registered."),
            ask("protocol", "Where the protocol is, or that there is none."),
            ask("data_availability", "Where the films can be had, on what terms."),
            ask("code_availability", "Where the code and the model can be had, on what terms."),
            ask("public_involvement", "What part patients or the public had in it, or that they had none."),
        ],
    ),
];

/// Every key.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    QUESTIONS.iter().flat_map(|(_, questions)| questions.iter().map(|question| question.key))
}

/// What a `study.toml` says. A key that is left out or empty has no answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    given: BTreeMap<String, String>,
}

impl Answers {
    /// Reads a `study.toml`.
    ///
    /// # Errors
    /// A file that cannot be read or is no TOML, a key that is none, a value that is neither text nor a list of texts.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
        Self::parse(&text).map_err(|what| Error::refused(format!("{}: {what}", escape(path))))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            let line = e.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            format!("line {line} is no TOML: {}", escape(e.message()))
        })?;
        let mut given = BTreeMap::new();
        for (key, value) in table {
            if !keys().any(|known| known == key) {
                let meant = did_you_mean(&key, keys());
                let all = keys().collect::<Vec<_>>().join(", ");
                let hint = if meant.is_empty() { format!("; its keys are {all}") } else { meant };
                return Err(format!("a study has no key \"{}\"{hint}", escape(&key)));
            }
            let Some(said) = said(&value) else {
                return Err(format!("{key} = {}: must be a text, or a list of texts", escape(value.to_string())));
            };
            if !said.trim().is_empty() {
                given.insert(key, said.trim().to_owned());
            }
        }
        Ok(Answers { given })
    }

    /// What is said of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.given.get(key).map(String::as_str)
    }

    /// How many keys have an answer.
    pub(super) fn len(&self) -> usize {
        self.given.len()
    }

    /// An empty `study.toml` with a comment for each key.
    pub(super) fn template() -> String {
        let mut text = String::from(
            "# study.toml: what a run cannot know of itself. `lungfish report RUN --study study.toml` prints it as it stands.\n\
             # Leave out or empty what you do not know: the report then says that it is not told. Three quotes (\"\"\") begin\n\
             # and end a text of several lines; an empty line in it begins a new paragraph.\n",
        );
        for (heading, questions) in QUESTIONS {
            text.push_str(&format!("\n# ---- {heading}\n"));
            for Question { key, asks } in *questions {
                text.push_str(&format!("\n# {asks}\n{key} = \"\"\n"));
            }
        }
        text
    }
}

fn said(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Array(list) => {
            let texts: Option<Vec<&str>> = list.iter().map(toml::Value::as_str).collect();
            Some(texts?.join(", "))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_template_has_every_key_once_and_answers_nothing() {
        assert_eq!(keys().collect::<BTreeSet<_>>().len(), keys().count());
        let template = Answers::template();
        assert_eq!(Answers::parse(&template), Ok(Answers::default()));
        let table: toml::Table = template.parse().unwrap();
        assert_eq!(table.len(), keys().count());
        let filled = Answers::parse(&template.replace("title = \"\"", "title = \" A <study> \"")).unwrap();
        assert_eq!((filled.get("title"), filled.get("ethics"), filled.len()), (Some("A <study>"), None, 1));
    }

    #[test]
    fn texts_and_lists_of_texts_are_answers() {
        let answers = Answers::parse("authors = [\"A\", \"B\"]\naims = \"\"\"one\n\ntwo\"\"\"").unwrap();
        assert_eq!((answers.get("authors"), answers.get("aims")), (Some("A, B"), Some("one\n\ntwo")));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_sentence() {
        let says = |text: &str| Answers::parse(text).unwrap_err();
        assert_eq!(says("ethcis = \"x\""), "a study has no key \"ethcis\" (did you mean ethics?)");
        assert!(says("zzz = \"x\"").starts_with("a study has no key \"zzz\"; its keys are title, authors, "));
        assert_eq!(says("title = 3"), "title = 3: must be a text, or a list of texts");
        assert_eq!(says("authors = [\"A\", 1]"), "authors = [\"A\", 1]: must be a text, or a list of texts");
        assert!(says("title = \"a\"\nbroken").starts_with("line 2 is no TOML: "), "{}", says("title = \"a\"\nbroken"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("study.toml");
        assert!(Answers::read(&path).unwrap_err().to_string().contains("cannot read"));
        fs::write(&path, "title = true").unwrap();
        let said = Answers::read(&path).unwrap_err().to_string();
        assert!(said.contains("study.toml: title = true"), "{said}");
    }
}

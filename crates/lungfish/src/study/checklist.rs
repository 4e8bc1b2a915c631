//! What three guidelines ask a report of such a model for, in words of our own, and where it is answered.
//!
//! TRIPOD+AI: Collins et al., BMJ 385 (2024) e078378. CLAIM, 2024 update: Tejani et al., Radiology: Artificial Intelligence 6 (2024)
//! e240300. STARD-AI: Sounderajah et al., Nature Medicine 31 (2025) 3283-3289. Who has to fill in a checklist fills in theirs.

use super::part::Part;

/// Where an item is answered.
pub(super) enum Answer {
    /// On the page, where that part is there.
    Here(Part),
    /// In `study.toml`, by a key.
    You(&'static str),
    /// In part on the page, the rest by a key.
    Both(Part, &'static str),
    /// By how the program is made, the same for each run.
    Always(&'static str),
    /// It does not apply, and why.
    Not(&'static str),
}

/// Something that is asked, with the numbers of the items in each guideline that ask it.
pub(super) struct Item {
    pub asks: &'static str,
    pub tripod: &'static [&'static str],
    pub claim: &'static [&'static str],
    pub stard: &'static [&'static str],
    pub answer: Answer,
}

type Numbers = &'static [&'static str];

const fn item(asks: &'static str, tripod: Numbers, claim: Numbers, stard: Numbers, answer: Answer) -> Item {
    Item { asks, tripod, claim, stard, answer }
}

use Answer::{Always, Both, Here, Not, You};

/// Every item, by what it is about.
#[rustfmt::skip]
pub(super) const ITEMS: &[(&str, &[Item])] = &[
    ("Title, summary and background", &[
        item("The title says what kind of study it is, of what kind of model, on whom and for what", &["1"], &["1"], &["1"], You("title")),
        item("A summary of how it was done and what came of it", &["2"], &["2"], &["2"], Here(Part::Summary)),
        item("The clinical question, and what there is for it already", &["3a"], &["3"], &["3"], You("background")),
        item("For whom the model is meant, where in their care, and what it is for", &["3b"], &["3"], &["3"], You("intended_use")),
        item("Who uses it, what they do with it and what they must know", &["27b"], &[], &["15d"], You("users")),
        item("Known inequalities of health between groups of people", &["3c"], &[], &[], You("inequalities")),
        item("The aims and hypotheses", &["4"], &["4", "6"], &["4"], You("aims")),
    ]),
    ("People and films", &[
        item("Whether the films were collected before the study was planned, or for it", &[], &["5"], &["5"], You("design")),
        item("Where the films come from, and why these", &["5a"], &["7"], &["11"], You("data_source")),
        item("From when to when they were taken", &["5b"], &[], &["9"], You("dates")),
        item("In which places, how many and of what kind", &["6a"], &[], &["9"], You("sites")),
        item("Who and what was taken in, and who and what was not", &["6b"], &["8"], &["7"], Both(Part::Films, "inclusion")),
        item("How people came to be X-rayed, and whether all of them are here or a part", &[], &[], &["8", "10"], You("recruitment")),
        item("Which part of the data was used", &["12a"], &["10"], &[], Here(Part::Films)),
        item("Treatments, and the time between the film and the reference standard", &["6c"], &[], &["27"], You("treatments")),
        item("The machines and how the films were taken", &[], &["13"], &["13", "14"], You("acquisition")),
        item("How names and other marks were taken off", &[], &["11"], &[], You("deidentification")),
        item("How the number of films came about and whether it is enough", &["10"], &["21"], &["22"], You("sample_size")),
        item("What was done where something was missing", &["11"], &["12"], &["20"], Here(Part::Films)),
    ]),
    ("The reference standard", &[
        item("What says which class a film is, and by which rule", &["8a"], &["14"], &["16a", "16c"], You("reference_standard")),
        item("Why that reference standard", &["8a"], &["15"], &["16b"], You("reference_rationale")),
        item("Who labelled the films, those of the test too, and with what experience", &["8b"], &["16", "17"], &["12"], You("annotators")),
        item("How far those who labelled agree", &[], &["18"], &[], You("agreement")),
        item("What those who labelled knew besides the film", &["8c"], &[], &["17b"], You("blinding")),
        item("What the model knows besides the film", &["9a", "9b"], &[], &["17a"], Always("Nothing: all that it is given is the pixels of one film.")),
        item("Who reads what the model is given, and with what experience", &["9c"], &[], &[], Not("nobody reads it for the model, which takes the pixels")),
    ]),
    ("The model and its training", &[
        item("What is done to a film before the network sees it, and how films were checked", &["7", "12b"], &["9"], &["14"], Here(Part::Recipe)),
        item("How films came onto the splits, and what keeps these apart", &["12a"], &["19", "20"], &["15b"], Here(Part::Splits)),
        item("The network, in enough detail to make it again", &["12c", "22"], &["22"], &["15a"], Here(Part::Recipe)),
        item("The software and its version", &[], &["23"], &["13"], Here(Part::Origin)),
        item("What its weights were before the training", &[], &["24"], &[], Here(Part::Recipe)),
        item("How it was trained, with every setting", &["12c"], &["25"], &["15b"], Here(Part::Recipe)),
        item("How the model that was kept was chosen", &["12c"], &["26"], &[], Here(Part::Epochs)),
        item("Whether several networks are one model, and how", &[], &["27"], &[], Here(Part::Recipe)),
        item("What was done about classes of which one is rarer", &["13"], &[], &[], Here(Part::Recipe)),
        item("Whether probabilities were adjusted, for whom, and what came of it", &["12f", "24"], &[], &[], Here(Part::Calibration)),
        item("What the model says, and from which probability on a film is called", &["15"], &[], &["15c"], Here(Part::Points)),
        item("How somebody else gets a probability of a film", &["12g", "22"], &[], &[], Here(Part::Origin)),
    ]),
    ("How it was tested", &[
        item("Which measures and pictures, and why", &["12e"], &["28"], &["18"], Here(Part::Metrics)),
        item("How sure they are, and how that was found", &["12e"], &["29"], &["18"], Here(Part::Metrics)),
        item("What happens to the model where films are altered", &[], &["30"], &["21"], Here(Part::Stress)),
        item("What the network reads in a film", &[], &["31"], &[], Here(Part::Errors)),
        item("A test on films of the same source that it has not seen", &[], &["32"], &[], Here(Part::Metrics)),
        item("A test on films of another source, and how they differ", &["16"], &["33"], &["29"], You("external_testing")),
        item("Differences between places, machines or other groups", &["12d", "23b"], &[], &["21"], Here(Part::Groups)),
        item("Whether any group is served worse, and what was done about it", &["14"], &[], &["23", "35"], Both(Part::Groups, "fairness")),
        item("What was done with results that are neither", &[], &[], &["19"], Always("Every film that can be read has a probability and a call; a label that is unknown has no part in any metric.")),
        item("What happens to a film that is poor or cannot be read", &["27a"], &[], &[], Always("One that cannot be read is named with the reason and has no probability. Whether a film is poor is not asked.")),
        item("Whether what the model said is kept and can be looked at", &[], &[], &["40b"], Always("Each film's probabilities lie in the run folder, beside a line for each time that the test was opened.")),
    ]),
    ("What came of it", &[
        item("Who and what was lost on the way, as a diagram", &["20a"], &["35"], &["24"], Here(Part::Films)),
        item("What the people and films of each split are like", &["20b"], &["36"], &["25"], Both(Part::Splits, "characteristics")),
        item("How the films of the test differ from those of the training", &["20c"], &[], &["28"], Here(Part::Shortcuts)),
        item("How severe the disease was, and what the others had", &[], &[], &["26a", "26b"], You("severity")),
        item("Whether these are the people for whom it is meant", &["5a"], &[], &["28"], You("representativeness")),
        item("How many films of each class there are in each step", &["21"], &["35"], &["15b"], Here(Part::Splits)),
        item("What was called what, as a table", &[], &[], &["30"], Here(Part::Metrics)),
        item("How right the model is, with intervals", &["23a"], &["37", "38"], &["31"], Here(Part::Metrics)),
        item("Where it was wrong", &[], &["39"], &["23"], Here(Part::Errors)),
        item("Harm that came of it", &[], &[], &["32"], You("adverse_events")),
    ]),
    ("What follows", &[
        item("What it means, beside earlier work and for practice", &["25"], &["41"], &["34"], You("interpretation")),
        item("What is weak in it", &["26"], &["40"], &["33"], Both(Part::Limits, "limitations")),
        item("What has to be done next", &["27c"], &[], &[], You("next_steps")),
    ]),
    ("Formalities", &[
        item("Approval and consent", &["17"], &[], &["6"], You("ethics")),
        item("Who paid, and what part they had", &["18a"], &["44"], &["38"], You("funding")),
        item("Interests of the authors, commercial ones too", &["18b"], &[], &["39"], You("conflicts")),
        item("Where the protocol is", &["18c"], &["42"], &["37"], You("protocol")),
        item("Where the study is registered", &["18d"], &["34"], &["36"], You("registration")),
        item("Where the films can be had", &["18e"], &["43"], &["40a"], You("data_availability")),
        item("Where the code and the model can be had", &["18f"], &["43"], &["40a"], You("code_availability")),
        item("What part patients and the public had", &["19"], &[], &[], You("public_involvement")),
    ]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::answers;
    use super::*;

    fn all() -> impl Iterator<Item = &'static Item> {
        ITEMS.iter().flat_map(|(_, items)| *items)
    }

    /// 1, 2, 3a, 3b, ...: numbers up to the last, those with parts as letters.
    fn numbers(last: usize, parts: &[(usize, &str)]) -> BTreeSet<String> {
        let of = |number: usize| match parts.iter().find(|(of, _)| *of == number) {
            Some((_, letters)) => letters.chars().map(|letter| format!("{number}{letter}")).collect(),
            None => vec![number.to_string()],
        };
        (1..=last).flat_map(of).collect()
    }

    #[test]
    fn every_item_of_each_guideline_is_there() {
        let there = |of: fn(&Item) -> Numbers| all().flat_map(of).map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
        let parts = [
            (3, "abc"),
            (5, "ab"),
            (6, "abc"),
            (8, "abc"),
            (9, "abc"),
            (12, "abcdefg"),
            (18, "abcdef"),
            (20, "abc"),
            (23, "ab"),
            (27, "abc"),
        ];
        assert_eq!(there(|item| item.tripod), numbers(27, &parts));
        assert_eq!(there(|item| item.claim), numbers(44, &[]));
        let parts = [(15, "abcd"), (16, "abc"), (17, "ab"), (26, "ab"), (40, "ab")];
        assert_eq!(there(|item| item.stard), numbers(40, &parts));
    }

    #[test]
    fn every_key_of_a_study_is_asked_for() {
        let asked: BTreeSet<&str> = all()
            .filter_map(|item| match item.answer {
                You(key) | Both(_, key) => Some(key),
                _ => None,
            })
            .collect();
        let keys: BTreeSet<&str> = answers::keys().collect();
        assert!(asked.is_subset(&keys), "{:?}", asked.difference(&keys));
        // These are of the page and of the model card, not of the guidelines.
        let rest: Vec<&str> = keys.difference(&asked).copied().collect();
        assert_eq!(rest, ["authors", "contact", "dataset", "license"]);
    }
}

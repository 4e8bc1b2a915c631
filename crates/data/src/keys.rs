//! What random numbers are for: the one list of all keys.
//!
//! Every random number comes from ChaCha8 keyed by four words: the seed, and three that say what it is for and where it
//! falls. So none depends on how many threads ran, what ran before, or whether a run was resumed. [`USES`] has each
//! use's words, a test holds them apart from each other, and the functions here make the keys. Intervals by resampling have keys of their
//! own, in `lungfish_metrics::bootstrap`, which imports nothing from here: of them no pixel and no weight comes.
//!
//! A number here is part of what a seed means: another one gives another shuffle, and a run that is resumed would go on
//! otherwise than it began. Numbers are added and never changed.

use std::ops::RangeInclusive;

use crate::names::Split;

/// Key of a stream of random numbers.
pub type Key = [u64; 4];

/// What a random number is for; the second of the four words. 2 and 3 stand for two uses each, which the third word
/// keeps apart.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Purpose {
    Shuffle = 1,
    ViewOrTestSplit = 2,
    AugmentOrValSplit = 3,
    Dropout = 4,
    Preview = 5,
    Sample = 6,
    ValView = 7,
    Mixing = 8,
    Balance = 9,
    Tuning = 10,
    // Four letters each: patient, film, plan, labels.
    SynthPatient = 0x7061_7469,
    SynthFilm = 0x6669_6c6d,
    SynthPlan = 0x706c_616e,
    SynthLabels = 0x6c61_626c,
}

/// One use of random numbers: the words of its keys after the seed.
#[derive(Clone, Debug)]
pub struct Use {
    /// What is drawn.
    pub what: &'static str,
    /// What the second, third and fourth word may be.
    pub words: [RangeInclusive<u64>; 3],
}

/// Epochs, views, films and steps are counted in 32 bits.
const COUNT: u64 = u32::MAX as u64;
/// A phase and an epoch in one word, see [`shuffle`].
const PLACE: RangeInclusive<u64> = 1..=1 << 32 | COUNT;
const HASH: RangeInclusive<u64> = 0..=u64::MAX;
const NOTHING: RangeInclusive<u64> = 0..=0;

/// The third word of the keys of fresh weights, which `lungfish_engine::initialise` makes: `[seed, hash of the tensor's
/// name, this, 0]`. A package that imports none that knows films has its own copy.
pub const WEIGHTS: u64 = u64::from_le_bytes(*b"weights\0");

const fn only(purpose: Purpose) -> RangeInclusive<u64> {
    purpose as u64..=purpose as u64
}

/// All there are. In the order of the words: what, where, where.
pub const USES: [Use; 17] = [
    Use { what: "the order of an epoch's films", words: [only(Purpose::Shuffle), PLACE, NOTHING] },
    Use { what: "a view of a film in the frozen phase", words: [only(Purpose::ViewOrTestSplit), 1..=COUNT, HASH] },
    Use { what: "a film's augmentation in an epoch", words: [only(Purpose::AugmentOrValSplit), 1..=COUNT, HASH] },
    Use { what: "dropout in a step, a stream a layer", words: [only(Purpose::Dropout), PLACE, HASH] },
    Use { what: "how the films of a step are mixed", words: [only(Purpose::Mixing), PLACE, 0..=COUNT] },
    Use { what: "which films of a class a balanced epoch has", words: [only(Purpose::Balance), PLACE, 0..=COUNT] },
    Use { what: "a trial's value of a key of the recipe", words: [only(Purpose::Tuning), 1..=COUNT, HASH] },
    Use { what: "the order of a preview's films", words: [only(Purpose::Preview), 0..=COUNT, NOTHING] },
    Use { what: "a view of a film that is validated on", words: [only(Purpose::ValView), 1..=COUNT, HASH] },
    Use { what: "the patients of a sample", words: [only(Purpose::Sample), 0..=3, 0..=COUNT] },
    Use { what: "the patients of the test split", words: [only(Purpose::ViewOrTestSplit), NOTHING, 0..=COUNT] },
    Use { what: "the patients of the val split", words: [only(Purpose::AugmentOrValSplit), NOTHING, 0..=COUNT] },
    Use { what: "a fresh tensor of weights", words: [HASH, WEIGHTS..=WEIGHTS, NOTHING] },
    Use { what: "a synthetic patient", words: [only(Purpose::SynthPatient), 0..=COUNT, NOTHING] },
    Use { what: "a synthetic film", words: [only(Purpose::SynthFilm), 0..=COUNT, NOTHING] },
    Use { what: "which synthetic films there are", words: [only(Purpose::SynthPlan), NOTHING, NOTHING] },
    Use { what: "which labels synthetic films have", words: [only(Purpose::SynthLabels), NOTHING, NOTHING] },
];

/// The order of the films in an epoch (from 1) of a phase (0 the frozen one, 1 the other).
pub fn shuffle(seed: u64, phase: u64, epoch: usize) -> Key {
    [seed, Purpose::Shuffle as u64, place(phase, epoch), 0]
}

/// A view (from 1; view 0 is the film as it is) of a film in the frozen phase; `film` is the start of its content hash.
pub fn view(seed: u64, view: usize, film: u64) -> Key {
    [seed, Purpose::ViewOrTestSplit as u64, view as u64, film]
}

/// A view (from 1) of a film that is validated on; `film` is the start of its content hash. No seed is in it, so that all
/// trainings are validated on the same views.
pub fn val_view(view: usize, film: u64) -> Key {
    [0, Purpose::ValView as u64, view as u64, film]
}

/// A film's augmentation in an epoch (from 1) of the unfrozen phase; `film` is the start of its content hash.
pub fn augment(seed: u64, epoch: usize, film: u64) -> Key {
    [seed, Purpose::AugmentOrValSplit as u64, epoch as u64, film]
}

/// The dropout of one step of an epoch (from 1); each layer takes a stream of its own of it.
pub fn dropout(seed: u64, phase: u64, epoch: usize, step: usize) -> Key {
    [seed, Purpose::Dropout as u64, place(phase, epoch), step as u64]
}

/// The dropout of a part (from 0) of a step that goes through in parts, of the step's own key.
pub fn dropout_of_part(key: Key, part: usize) -> Key {
    let [seed, purpose, place, step] = key;
    [seed, purpose, place, (part as u64) << 32 | step]
}

/// How the films of one step of an epoch (from 1) of the unfrozen phase are mixed.
pub fn mixing(seed: u64, epoch: usize, step: usize) -> Key {
    [seed, Purpose::Mixing as u64, place(1, epoch), step as u64]
}

/// Which films of a class an epoch (from 1) has that draws the classes equally often.
pub fn balance(seed: u64, phase: u64, epoch: usize, class: usize) -> Key {
    [seed, Purpose::Balance as u64, place(phase, epoch), class as u64]
}

/// The value of a key of the recipe in a trial (from 1) of a tuning.
pub fn tuning(seed: u64, trial: usize, key: &str) -> Key {
    // FNV-1a, 64 bits.
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    [seed, Purpose::Tuning as u64, trial as u64, hash]
}

/// The order in which a preview goes through the films of a class.
pub fn preview(seed: u64, label: usize) -> Key {
    [seed, Purpose::Preview as u64, label as u64, 0]
}

/// The patients of a class whose films a sample keeps of one split, or of a folder without splits.
pub(crate) fn sample(seed: u64, split: Option<Split>, label: usize) -> Key {
    [seed, Purpose::Sample as u64, split.map_or(0, |split| split as u64 + 1), label as u64]
}

/// The patients of a class that go to a split which is carved out of train.
pub(crate) fn carve(seed: u64, split: Split, label: usize) -> Key {
    let purpose = match split {
        Split::Test => Purpose::ViewOrTestSplit,
        // Nothing carves train out of train.
        Split::Val | Split::Train => Purpose::AugmentOrValSplit,
    };
    [seed, purpose as u64, 0, label as u64]
}

/// What the films of a synthetic patient have in common.
pub(crate) fn synth_patient(seed: u64, patient: usize) -> Key {
    [seed, Purpose::SynthPatient as u64, patient as u64, 0]
}

/// What one synthetic film has of its own.
pub(crate) fn synth_film(seed: u64, film: usize) -> Key {
    [seed, Purpose::SynthFilm as u64, film as u64, 0]
}

/// Which synthetic films there are.
pub(crate) fn synth_plan(seed: u64) -> Key {
    [seed, Purpose::SynthPlan as u64, 0, 0]
}

/// Which synthetic films there are that may have any of several labels.
pub(crate) fn synth_labels(seed: u64) -> Key {
    [seed, Purpose::SynthLabels as u64, 0, 0]
}

fn place(phase: u64, epoch: usize) -> u64 {
    phase << 32 | epoch as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(a: &RangeInclusive<u64>, b: &RangeInclusive<u64>) -> bool {
        a.start() <= b.end() && b.start() <= a.end()
    }

    #[test]
    fn no_key_serves_two_uses() {
        for (i, a) in USES.iter().enumerate() {
            for b in &USES[i + 1..] {
                let same = a.words.iter().zip(&b.words).all(|(a, b)| meet(a, b));
                assert!(!same, "a key can be for {} and for {}", a.what, b.what);
            }
        }
    }

    #[test]
    fn every_key_is_of_the_use_that_it_is_made_for() {
        let film = u64::MAX;
        let keys = [
            ("the order of an epoch's films", vec![shuffle(7, 0, 1), shuffle(7, 1, u32::MAX as usize)]),
            ("a view of a film in the frozen phase", vec![view(7, 1, 0), view(7, 1023, film)]),
            ("a film's augmentation in an epoch", vec![augment(7, 1, 0), augment(7, 99, film)]),
            (
                "dropout in a step, a stream a layer",
                vec![dropout(7, 0, 1, 0), dropout(7, 1, 9, 1 << 20), dropout_of_part(dropout(7, 1, 9, 1 << 20), 63)],
            ),
            ("how the films of a step are mixed", vec![mixing(7, 1, 0), mixing(7, 9, 1 << 20)]),
            ("which films of a class a balanced epoch has", vec![balance(7, 0, 1, 0), balance(7, 1, 9, 65535)]),
            ("a trial's value of a key of the recipe", vec![tuning(7, 1, "lr"), tuning(7, 99, "augment.zoom")]),
            ("the order of a preview's films", vec![preview(7, 0), preview(7, 65535)]),
            ("a view of a film that is validated on", vec![val_view(1, 0), val_view(1024, film)]),
            ("the patients of a sample", vec![sample(7, None, 0), sample(7, Some(Split::Test), 1)]),
            ("the patients of the test split", vec![carve(7, Split::Test, 0), carve(7, Split::Test, 1)]),
            ("the patients of the val split", vec![carve(7, Split::Val, 0), carve(7, Split::Val, 1)]),
            ("a fresh tensor of weights", vec![[7, 1, WEIGHTS, 0]]),
            ("a synthetic patient", vec![synth_patient(7, 0), synth_patient(7, 9)]),
            ("a synthetic film", vec![synth_film(7, 0), synth_film(7, 9)]),
            ("which synthetic films there are", vec![synth_plan(7)]),
            ("which labels synthetic films have", vec![synth_labels(7)]),
        ];
        assert_eq!(keys.len(), USES.len());
        for (what, keys) in keys {
            for key in keys {
                let of = |of: &&Use| of.words.iter().zip(&key[1..]).all(|(words, word)| words.contains(word));
                let uses: Vec<_> = USES.iter().filter(of).map(|of| of.what).collect();
                assert_eq!(uses, [what], "{key:?}");
            }
        }
    }

    #[test]
    fn keys_that_resumed_runs_depend_on_stay_what_they_were() {
        assert_eq!(shuffle(5, 1, 3), [5, 1, 1 << 32 | 3, 0]);
        assert_eq!(view(5, 2, 77), [5, 2, 2, 77]);
        assert_eq!(augment(5, 2, 77), [5, 3, 2, 77]);
        assert_eq!(dropout(5, 0, 2, 11), [5, 4, 2, 11]);
        assert_eq!(dropout_of_part(dropout(5, 0, 2, 11), 0), [5, 4, 2, 11]);
        assert_eq!(dropout_of_part(dropout(5, 0, 2, 11), 3), [5, 4, 2, 3 << 32 | 11]);
        assert_eq!((carve(5, Split::Test, 1), carve(5, Split::Val, 1)), ([5, 2, 0, 1], [5, 3, 0, 1]));
    }
}

//! Films that say two things of one content.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::check::{CheckedFilm, ContentHash};
use crate::film_set::Layout;
use crate::label::Label;

/// The films whose file or pixels another film has too, in another class or with labels that contradict its own, in the
/// order of the layout. A label that is unknown contradicts nothing.
pub fn contradictions(layout: &Layout<CheckedFilm>) -> Vec<PathBuf> {
    let mut of_content: HashMap<ContentHash, Vec<&CheckedFilm>> = HashMap::new();
    for (_, film) in layout.films() {
        for content in [Some(film.hash), film.pixels].into_iter().flatten() {
            of_content.entry(content).or_default().push(film);
        }
    }
    let contradicts = |film: &CheckedFilm| {
        let contents = [Some(film.hash), film.pixels].into_iter().flatten();
        let mut same = contents.filter_map(|content| of_content.get(&content)).flatten();
        same.any(|other| contradict(&film.film.label, &other.film.label))
    };
    let films = layout.films().map(|(_, film)| film);
    films.filter(|film| contradicts(film)).map(|film| film.film.path.clone()).collect()
}

fn contradict(a: &Label, b: &Label) -> bool {
    match (a, b) {
        (Label::Row(a), Label::Row(b)) => a.iter().zip(b).any(|values| matches!(values, (Some(a), Some(b)) if a != b)),
        _ => a != b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::film_set::{Film, FilmFacts};

    #[test]
    fn one_content_with_two_labels_is_found() {
        let film = |name: &str, content: &[u8], label: Label| CheckedFilm {
            film: Film { path: name.into(), label, group: String::new(), facts: FilmFacts::default() },
            hash: ContentHash::of(content),
            pixels: None,
        };
        let class = |class| Label::Class(class);
        let films = [
            film("a", b"1", class(0)),
            film("b", b"1", class(1)),
            film("c", b"2", class(0)),
            film("d", b"2", class(0)),
        ];
        assert_eq!(contradictions(&Layout::Flat(films.to_vec())), ["a", "b"].map(PathBuf::from));
        let row = |values: [Option<bool>; 2]| Label::Row(values.to_vec());
        let films = [
            film("a", b"1", row([Some(true), None])),
            film("b", b"1", row([Some(true), Some(false)])),
            film("c", b"2", row([Some(true), None])),
            film("d", b"2", row([Some(false), None])),
        ];
        let test = Some(films[2..].to_vec());
        let layout = Layout::Splits { train: Some(films[..2].to_vec()), val: None, test };
        assert_eq!(contradictions(&layout), ["c", "d"].map(PathBuf::from));
    }
}

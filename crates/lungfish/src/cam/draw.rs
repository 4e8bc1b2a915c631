//! Maps over films.

use lungfish_data::{Image, Preprocess};
use lungfish_pictures::{Film, Heat, HeatScale, PictureError, percent};

use super::HeatMap;
use super::evidence::LEAST;
use crate::picture::film;

/// What must stand beside every map.
const NOTE: &str = "A map shows what raised or lowered the network's score, not where disease is.";

impl HeatMap {
    fn heat(&self) -> Heat {
        Heat { rows: self.rows, columns: self.columns, values: self.values.clone() }
    }

    /// What it comes to, in two lines.
    pub(crate) fn lines(&self) -> [String; 2] {
        let evidence = self.evidence();
        let against = 0.0 - evidence.opposing;
        let share = match evidence.border {
            Some(share) => format!("{} of what is for it in the border", percent(share)),
            None => "next to nothing is for it".to_owned(),
        };
        [format!("{}: +{:.2}, \u{2212}{against:.2} logits", self.of, evidence.supporting), share]
    }
}

/// The one scale of several maps.
pub(crate) fn scale(maps: &[&HeatMap]) -> HeatScale {
    let heats: Vec<Heat> = maps.iter().map(|map| map.heat()).collect();
    let mut names = maps.iter().map(|map| map.of.as_str());
    let first = names.next().unwrap_or_default();
    let of = if names.all(|name| name == first) { first } else { "what each film is called" };
    let grid = maps.first().map(|map| format!(" ({} x {} cells)", map.columns, map.rows)).unwrap_or_default();
    let same = if maps.len() > 1 { ", one scale for all films" } else { "" };
    HeatScale {
        full: HeatScale::full_of(&heats, LEAST),
        of: of.to_owned(),
        unit: format!("In logits a cell{grid}{same}"),
        note: NOTE.to_owned(),
    }
}

/// A film as the network's square, in as many pixels as are to be drawn, with its map over it.
pub(crate) fn over(
    image: Image,
    preprocess: &Preprocess,
    longest: usize,
    (map, scale): (&HeatMap, &HeatScale),
) -> Result<Film, PictureError> {
    // The same geometry at a multiple of the network's side.
    let size = preprocess.size.max(1) * (longest / preprocess.size.max(1)).max(1);
    let square = Preprocess { size, ..*preprocess }.apply(image);
    map.heat().over(&film(square, longest), scale.full)
}

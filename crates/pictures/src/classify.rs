//! A film beside its probabilities.

use crate::{
    Film, Heading, HeatScale, Picture, PictureError,
    axis::percent,
    canvas::Text,
    font, heat,
    page::{MARGIN, Page},
    palette::{BLUE, GRAY, GRID, GROUND, INK},
};

/// The box of the film.
const FILM: f64 = 480.0;
/// A film narrower than this still gets so much room.
const NARROWEST: f64 = 240.0;
/// Length of a bar of 100 %.
const BAR: f64 = 380.0;
const ROW: f64 = 58.0;
/// Between a film and its map.
const GAP: f64 = 20.0;
/// The most classes that are drawn.
const MOST: usize = 10;

/// The film at the left and a bar a class at the right, the most probable first, ten at most.
///
/// `probabilities` are names and shares from 0 to 1, in any order; what is no number comes last.
///
/// # Errors
/// [`PictureError::Empty`] without a probability, [`PictureError::Film`] for pixels that are no film.
pub fn classify(heading: &Heading, film: &Film, probabilities: &[(String, f64)]) -> Result<Picture, PictureError> {
    drawn(heading, film, probabilities, None)
}

/// A film with a heat map over it, which goes beside the film itself.
#[derive(Clone, Copy, Debug)]
pub struct HeatPanel<'a> {
    /// The film as the network sees it, with the map over it ([`Heat::over`](crate::Heat::over)).
    pub film: &'a Film,
    /// Under it.
    pub scale: &'a HeatScale,
    /// One line more under it.
    pub line: &'a str,
}

/// As [`classify`], with the film's heat map between the film and the bars.
///
/// # Errors
/// As [`classify`].
pub fn classify_with_heat(
    heading: &Heading,
    film: &Film,
    probabilities: &[(String, f64)],
    panel: HeatPanel<'_>,
) -> Result<Picture, PictureError> {
    drawn(heading, film, probabilities, Some(panel))
}

fn drawn(
    heading: &Heading,
    film: &Film,
    probabilities: &[(String, f64)],
    panel: Option<HeatPanel<'_>>,
) -> Result<Picture, PictureError> {
    if probabilities.is_empty() {
        return Err(PictureError::Empty { picture: "probabilities", missing: "class" });
    }
    let mut sorted: Vec<&(String, f64)> = probabilities.iter().collect();
    let rank = |share: f64| if share.is_nan() { f64::NEG_INFINITY } else { share };
    sorted.sort_by(|(_, left), (_, right)| rank(*right).total_cmp(&rank(*left)));
    let (shown, rest) = sorted.split_at(sorted.len().min(MOST));

    let (film_width, film_height) = film.fitted(FILM, FILM)?;
    let column = film_width.max(NARROWEST);
    let map = MARGIN + column + GAP;
    let left = MARGIN + column + 40.0 + if panel.is_some() { GAP + FILM } else { 0.0 };
    let number = Text::new(16.0, INK).bold();
    let widest = number.width("> 99.9 %");
    let width = left + BAR + 10.0 + widest + MARGIN;
    let mut page = Page::new(heading, width);
    let top = page.top;
    let canvas = &mut page.canvas;
    canvas.rect([MARGIN, top, column, film_height.max(NARROWEST)], GROUND);
    film.draw(canvas, [MARGIN, top, column, film_height.max(NARROWEST)])?;
    let mut lowest = top + film_height.max(NARROWEST);
    if let Some(HeatPanel { film, scale, line }) = panel {
        let height = film.fitted(FILM, FILM)?.1;
        film.draw(canvas, [map, top, FILM, height])?;
        let mut y = top + height + 12.0;
        y += heat::legend(canvas, [map, y], FILM, scale) + 16.0;
        canvas.text([map, y], &font::fit(line, FILM, 14.0, false), Text::new(14.0, INK));
        lowest = lowest.max(y + 6.0);
    }

    canvas.text([left, top + 14.0], "Probability of each class", Text::new(15.0, GRAY));
    let rows = top + 30.0;
    for quarter in 0..=4 {
        let x = left + BAR * f64::from(quarter) / 4.0;
        canvas.line([x, rows], [x, rows + shown.len() as f64 * ROW], GRID, 1.0, "");
        let look = Text::new(13.0, GRAY).middle();
        canvas.text([x, rows + shown.len() as f64 * ROW + 18.0], &format!("{} %", quarter * 25), look);
    }
    for (index, (name, share)) in shown.iter().enumerate() {
        let first = index == 0 && share.is_finite();
        let y = rows + index as f64 * ROW;
        let look = if first { Text::new(16.0, INK).bold() } else { Text::new(16.0, INK) };
        let name = font::fit(name, BAR, look.size, look.bold);
        // A ground under the words, so that the grid does not run through them.
        canvas.rect([left - 1.0, y + 4.0, look.width(&name) + 6.0, 22.0], "#ffffff");
        canvas.text([left, y + 21.0], &name, look);
        let length = if share.is_finite() { share.clamp(0.0, 1.0) * BAR } else { 0.0 };
        canvas.rect([left, y + 29.0, BAR, 20.0], "#eeeeee");
        // Even next to nothing is seen to be something.
        let length = if *share > 0.0 { length.max(1.5) } else { 0.0 };
        canvas.rect([left, y + 29.0, length, 20.0], if first { BLUE } else { "#8fa3b3" });
        let number = if first { number } else { Text { bold: false, ..number } };
        canvas.text([left + BAR + 10.0 + widest, y + 39.0 + number.drop()], &percent(*share), number.end());
    }
    let mut bottom = rows + shown.len() as f64 * ROW + 22.0;
    if !rest.is_empty() {
        let least = format!("and {} less probable {}", rest.len(), if rest.len() == 1 { "class" } else { "classes" });
        canvas.text([left, bottom + 22.0], &least, Text::new(14.0, GRAY));
        bottom += 26.0;
    }
    let words = shown.iter().map(|(name, share)| format!("{name} {}", percent(*share)));
    let mut description =
        format!("A film beside the probability of each class: {}.", words.collect::<Vec<_>>().join(", "));
    if let Some(HeatPanel { scale, line, .. }) = panel {
        description.push_str(&format!(" Beside it a map of what speaks for {} and against it: {line}.", scale.of));
    }
    page.finish(bottom.max(lowest), &description)
}

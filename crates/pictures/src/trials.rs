//! The trials of a tuning: what each came to, by the values of what was varied.

use crate::{
    Heading, Picture, PictureError,
    axis::{Axis, Plot, drawable, percent, range},
    canvas::{Canvas, Text},
    font,
    legend::{self, Entry, Sample},
    page::{MARGIN, Page},
    palette::{BLUE, GRAY, INK, Marker, Series, VERMILLION},
};

const WIDTH: f64 = 1160.0;
/// Height of one plot.
const HEIGHT: f64 = 220.0;
/// Left of a plot, for its numbers.
const GUTTER: f64 = 62.0;
/// Panels beside each other.
const COLUMNS: usize = 3;

const ENDED: Series = Series { colour: BLUE, dash: "", marker: Marker::Circle };
const PROMOTED: Series = Series { colour: BLUE, dash: "", marker: Marker::Square };
const BEST: Series = Series { colour: VERMILLION, dash: "", marker: Marker::Diamond };
const BASE: Series = Series { colour: INK, dash: "4 3", marker: Marker::Circle };

/// A trial in one panel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrialPoint {
    /// The key's value, or the place of its category from 0.
    pub place: f64,
    /// What the trial came to, lower being better.
    pub loss: f64,
    /// Whether it went on to longer training.
    pub promoted: bool,
    /// Whether it is the best of all in the end.
    pub best: bool,
}

/// One key that was varied.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialPanel {
    /// Its name.
    pub key: String,
    /// Names of its values where there are few; none for a range of numbers.
    pub categories: Vec<String>,
    /// Whether a range of numbers is drawn on a logarithm.
    pub logarithmic: bool,
    /// Share of the differences between trials that goes with the key, 0 to 1; `None` where there are too few to tell.
    pub share: Option<f64>,
    /// The trials.
    pub points: Vec<TrialPoint>,
}

/// A panel a key, each with all trials; `base` is what the recipe that all began with came to.
///
/// # Errors
/// [`PictureError::Empty`] without a panel.
pub fn trials(heading: &Heading, panels: &[TrialPanel], base: Option<f64>) -> Result<Picture, PictureError> {
    if panels.is_empty() {
        return Err(PictureError::Empty { picture: "trials", missing: "key" });
    }
    let mut page = Page::new(heading, WIDTH);
    let entries = [
        Entry::new(Sample::Line(ENDED, 0.0, Some(true)), "trial that ended here"),
        Entry::new(Sample::Line(PROMOTED, 0.0, Some(false)), "trial that was trained longer"),
        Entry::new(Sample::Line(BEST, 0.0, Some(false)), "best in the end"),
        Entry::new(Sample::Line(BASE, 1.5, None), "the recipe as it was"),
    ];
    let legend = legend::across(&mut page.canvas, [MARGIN, page.top], WIDTH - 2.0 * MARGIN, &entries);
    let losses = panels.iter().flat_map(|panel| panel.points.iter().map(|point| point.loss)).chain(base);
    let mut losses: Vec<f64> = losses.filter_map(drawable).collect();
    losses.sort_by(f64::total_cmp);
    // A few that ran away would leave no room to tell the others apart: they lie at the upper edge.
    let (low, high) = range(losses.iter().copied().take((losses.len() * 9).div_ceil(10).max(2))).unwrap_or((0.0, 1.0));
    let losses = Axis::round(low, high, 4);
    let column = (WIDTH - 2.0 * MARGIN - 30.0 * (COLUMNS - 1) as f64) / COLUMNS as f64;
    let row = 34.0 + HEIGHT + 62.0;
    let top = page.top + legend + 16.0;
    for (index, panel) in panels.iter().enumerate() {
        let left = MARGIN + (index % COLUMNS) as f64 * (column + 30.0);
        let above = top + (index / COLUMNS) as f64 * row;
        panel.draw(&mut page.canvas, [left, above], column, (&losses, high), base);
    }
    let named = panels.iter().map(|panel| format!("{} {}", panel.key, panel.words()));
    let description = format!("Validation loss of the trials by key: {}.", named.collect::<Vec<_>>().join("; "));
    page.finish(top + panels.len().div_ceil(COLUMNS) as f64 * row - 10.0, &description)
}

impl TrialPanel {
    fn words(&self) -> String {
        self.share.map_or_else(
            || "too few trials to tell".to_owned(),
            |share| format!("{} of the differences", percent(share)),
        )
    }

    fn draw(
        &self,
        canvas: &mut Canvas,
        [left, top]: [f64; 2],
        width: f64,
        (losses, high): (&Axis, f64),
        base: Option<f64>,
    ) {
        let title = Text::new(16.0, INK).bold();
        let key = font::fit(&self.key, width * 0.6, 16.0, true);
        canvas.text([left, top + 18.0], &key, title);
        canvas.text([left + title.width(&key) + 10.0, top + 18.0], &self.words(), Text::new(13.0, GRAY));
        let area = [left + GUTTER, top + 34.0, width - GUTTER, HEIGHT];
        let (least, most) = range(self.points.iter().map(|point| point.place)).unwrap_or((0.0, 1.0));
        let x = match (self.categories.len(), self.logarithmic) {
            (0, true) => Axis::powers(least, most),
            (0, false) => Axis::round(least, most, 4),
            (count, _) => Axis::named(&self.categories, count),
        };
        let plot = Plot::new(area, x, losses.clone());
        plot.frame(canvas);
        if let Some(y) = base.and_then(|base| plot.y.at(base.min(high))) {
            canvas.line([area[0], y], [area[0] + area[2], y], BASE.colour, 1.5, BASE.dash);
        }
        let mut points: Vec<&TrialPoint> = self.points.iter().collect();
        points.sort_by_key(|point| (point.best, point.promoted));
        for point in points {
            let Some(at) = plot.at([point.place, point.loss.min(high)]) else { continue };
            let (series, r, fill) = match (point.best, point.promoted) {
                (true, _) => (BEST, 7.0, BEST.colour),
                (_, true) => (PROMOTED, 4.5, PROMOTED.colour),
                _ => (ENDED, 4.5, "#ffffff"),
            };
            series.marker.draw(canvas, at, r, fill, series.colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_has_its_panel() {
        let point = |place, loss| TrialPoint { place, loss, promoted: loss < 0.3, best: loss < 0.2 };
        let panel = |key: &str, categories: &[&str], logarithmic, points: &[TrialPoint]| TrialPanel {
            key: key.to_owned(),
            categories: categories.iter().map(|&name| name.to_owned()).collect(),
            logarithmic,
            share: (points.len() > 3).then_some(0.42),
            points: points.to_vec(),
        };
        let heading = Heading { title: "What mattered".to_owned(), ..Heading::default() };
        let points = [point(1e-4, 0.4), point(1e-3, 0.1), point(2e-3, f64::NAN), point(5e-3, 9.0)];
        let panels = [
            panel("lr", &[], true, &points),
            panel("dropout", &[], false, &points[..2]),
            panel(
                "augment",
                &["robust", "a very long name that has no room at all"],
                false,
                &[point(0.0, 0.2), point(1.0, 0.3)],
            ),
            panel("none", &[], true, &[]),
        ];
        let picture = trials(&heading, &panels, Some(0.35)).unwrap();
        assert!(
            picture.svg().contains("42 % of the differences") || picture.svg().contains("42.0 % of the differences")
        );
        assert!(picture.svg().contains("too few trials to tell") && picture.svg().contains("robust"));
        assert!(trials(&heading, &[], None).is_err());
    }
}

//! Forest plots: an estimate and its interval a row, below each other on one axis.

use crate::{
    Heading, Picture, PictureError,
    axis::{Axis, Plot, range},
    canvas::Text,
    font,
    page::{MARGIN, Page},
    palette::{AXIS, GRAY, INK, series},
};

/// The names of the rows.
const NAMES: f64 = 360.0;
/// The plot.
const PLOT: f64 = 430.0;
/// The numbers, and what is said of them.
const WORDS: f64 = 330.0;
const GAP: f64 = 16.0;
/// Heights of a row and of a group's title.
const ROW: f64 = 27.0;
const TITLE: f64 = 36.0;
const SIZE: f64 = 15.0;
/// How far rows stand in below a title.
const INDENT: f64 = 14.0;

/// An estimate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForestRow {
    /// Of what; shortened where it is too long.
    pub name: String,
    /// The estimate; none where it is undefined.
    pub value: Option<f64>,
    /// Its interval, low and high.
    pub interval: Option<[f64; 2]>,
    /// What else is to be said, after the numbers.
    pub note: String,
    /// Of another kind than the rows about it, such as another split: its marker and colour differ. The place of the kind, from 0.
    pub kind: usize,
}

/// Rows that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForestGroup {
    /// What they are of; without a title there is none.
    pub title: String,
    /// The rows.
    pub rows: Vec<ForestRow>,
}

/// A line to which rows are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct ForestLine {
    /// Where it is.
    pub value: f64,
    /// What it is, in a word or two.
    pub name: String,
}

/// A row an estimate, with its interval and its numbers; `measure` is what they are estimates of. All lie between 0 and 1.
///
/// # Errors
/// [`PictureError::Empty`] without a row, [`PictureError::TooLarge`] for more rows than a viewer opens.
pub fn forest(
    heading: &Heading,
    measure: &str,
    groups: &[ForestGroup],
    line: Option<&ForestLine>,
) -> Result<Picture, PictureError> {
    let rows = || groups.iter().flat_map(|group| &group.rows);
    if rows().next().is_none() {
        return Err(PictureError::Empty { picture: "a forest plot", missing: "row" });
    }
    let mut page = Page::new(heading, MARGIN + NAMES + GAP + PLOT + GAP + WORDS + MARGIN);
    let values = rows().flat_map(|row| row.value.into_iter().chain(row.interval.into_iter().flatten()));
    let (low, high) = range(values.chain(line.map(|line| line.value))).unwrap_or((0.0, 1.0));
    let room = 0.03 * (high - low).max(0.1);
    let axis = Axis::exact((low - room).max(-0.02), (high + room).min(1.02), 5).between(0.0, 1.0);
    let title_height = |group: &ForestGroup| if group.title.is_empty() { 8.0 } else { TITLE };
    let height: f64 = groups.iter().map(|group| title_height(group) + group.rows.len() as f64 * ROW).sum::<f64>() + 8.0;
    let left = MARGIN + NAMES + GAP;
    let top = page.top + if line.is_some() { 22.0 } else { 0.0 };
    // There are no numbers at the side: what a row is says its name.
    let plot = Plot::new([left, top, PLOT, height], axis, Axis::named(&[], 0));
    let canvas = &mut page.canvas;
    plot.frame(canvas);
    plot.name_x(canvas, measure);
    if let Some((line, x)) = line.and_then(|line| Some((line, plot.x.at(line.value)?))) {
        canvas.line([x, top], [x, top + height], AXIS, 1.6, "5 5");
        let look = Text::new(13.0, GRAY);
        let name = font::fit(&line.name, PLOT, look.size, false);
        let half = look.width(&name) / 2.0;
        canvas.text([x.clamp(left + half, left + PLOT - half), top - 8.0], &name, look.middle());
    }
    let mut y = top;
    for group in groups {
        if !group.title.is_empty() {
            let look = Text::new(SIZE, INK).bold();
            canvas.text([MARGIN, y + TITLE - 10.0], &font::fit(&group.title, NAMES, SIZE, true), look);
        }
        y += title_height(group);
        for row in &group.rows {
            let middle = y + ROW / 2.0;
            let look = Text::new(SIZE, INK);
            let indent = if group.title.is_empty() { 0.0 } else { INDENT };
            let name = font::fit(&row.name, NAMES - indent, SIZE, false);
            canvas.text([MARGIN + indent, middle + look.drop()], &name, look);
            let kind = series(row.kind);
            if let Some([from, to]) = row.interval.and_then(|[a, b]| Some([plot.x.at(a)?, plot.x.at(b)?])) {
                canvas.line([from, middle], [to, middle], kind.colour, 2.2, "");
                for end in [from, to] {
                    canvas.line([end, middle - 5.0], [end, middle + 5.0], kind.colour, 1.6, "");
                }
            }
            if let Some(x) = row.value.and_then(|value| plot.x.at(value)) {
                kind.marker.draw(canvas, [x, middle], 5.5, kind.colour, INK);
            }
            let numbers = row.numbers();
            let x = left + PLOT + GAP;
            canvas.text([x, middle + look.drop()], &numbers, look);
            let used = look.width(&numbers) + 10.0;
            let small = Text::new(SIZE - 2.0, GRAY);
            let note = font::fit(&row.note, WORDS - used, small.size, false);
            canvas.text([x + used, middle + small.drop()], &note, small);
            y += ROW;
        }
    }
    let said = groups.iter().flat_map(|group| {
        let of = if group.title.is_empty() { String::new() } else { format!("{}, ", group.title) };
        group.rows.iter().map(move |row| format!("{of}{} {}", row.name, row.numbers()))
    });
    let description = format!("{measure}: {}.", said.collect::<Vec<_>>().join("; "));
    page.finish(top + height + 50.0, &description)
}

impl ForestRow {
    fn numbers(&self) -> String {
        let finite = |value: &f64| value.is_finite();
        match (self.value.filter(finite), self.interval.filter(|ends| ends.iter().all(finite))) {
            (Some(value), Some([low, high])) => format!("{value:.3} ({low:.3} to {high:.3})"),
            (Some(value), None) => format!("{value:.3}"),
            (None, _) => "undefined".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, value: f64, half: f64) -> ForestRow {
        let interval = Some([value - half, (value + half).min(1.0)]);
        ForestRow { name: name.to_owned(), value: Some(value), interval, ..ForestRow::default() }
    }

    #[test]
    fn every_row_has_its_place_its_numbers_and_its_note() {
        let heading = Heading { title: "Groups".to_owned(), ..Heading::default() };
        let few = ForestRow { note: "too few".to_owned(), kind: 1, ..row("AP", 0.7, 0.2) };
        let none = ForestRow { name: "lateral".to_owned(), ..ForestRow::default() };
        let groups = [
            ForestGroup { title: String::new(), rows: vec![row("all films", 0.95, 0.02)] },
            ForestGroup { title: "view".to_owned(), rows: vec![row("PA", 0.97, 0.01), few, none] },
        ];
        let line = ForestLine { value: 0.95, name: "all films".to_owned() };
        let svg = forest(&heading, "AUC", &groups, Some(&line)).unwrap().svg().to_owned();
        for text in ["0.950 (0.930 to 0.970)", "0.700 (0.500 to 0.900)", "too few", "undefined", "lateral"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert!(svg.contains("AUC: all films 0.950"), "it is told in words: {svg}");
    }

    #[test]
    fn numbers_that_are_none_draw_nothing() {
        let heading = Heading::default();
        let odd =
            ForestRow { value: Some(f64::NAN), interval: Some([f64::NAN, f64::INFINITY]), ..row("odd", 0.5, 0.1) };
        let alone = [ForestGroup { title: String::new(), rows: vec![odd] }];
        assert!(forest(&heading, "AUC", &alone, None).unwrap().svg().contains("undefined"));
        assert!(forest(&heading, "AUC", &[], None).is_err());
        assert!(forest(&heading, "AUC", &[ForestGroup::default()], None).is_err(), "a group without a row");
    }
}

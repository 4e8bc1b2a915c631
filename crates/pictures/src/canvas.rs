//! A drawing in the making: marks, one over the other. `svg` and `pdf` write them down.

use crate::{Film, font, palette::rgb};

/// The largest coordinate either way.
const FAR: f64 = 1e6;

/// Where a text stands to its x.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Anchor {
    #[default]
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub size: f64,
    pub bold: bool,
    pub fill: &'a str,
    pub anchor: Anchor,
}

impl<'a> Text<'a> {
    pub(crate) fn new(size: f64, fill: &'a str) -> Self {
        Text { size, bold: false, fill, anchor: Anchor::Start }
    }

    pub(crate) fn bold(self) -> Self {
        Text { bold: true, ..self }
    }

    pub(crate) fn middle(self) -> Self {
        Text { anchor: Anchor::Middle, ..self }
    }

    pub(crate) fn end(self) -> Self {
        Text { anchor: Anchor::End, ..self }
    }

    /// How wide `text` is in this look.
    pub(crate) fn width(self, text: &str) -> f64 {
        font::width(text, self.size, self.bold)
    }

    /// From the middle of a line of capitals and digits down to its baseline.
    pub(crate) fn drop(self) -> f64 {
        self.size * 0.357
    }
}

/// Red, green and blue.
pub(crate) type Rgb = [u8; 3];

/// One thing drawn. Coordinates are pixels, y down, and always finite; areas are left, top, width and height.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// One line of characters that the font has, its baseline at `at`, turned clockwise about it.
    Words { at: [f64; 2], degrees: f64, text: String, size: f64, bold: bool, fill: Rgb, anchor: Anchor },
    /// An area and its outline, either of which may lack.
    Shape { outline: Outline, fill: Option<Rgb>, stroke: Option<Stroke> },
    /// A film stretched to an area.
    Picture { area: [f64; 4], film: Film },
    /// An area filled with colours from its bottom to its top, one running into the next.
    Ramp { area: [f64; 4], colours: Vec<Rgb> },
    /// Marks cut off outside an area.
    Clipped { area: [f64; 4], marks: Vec<Mark> },
    /// Marks that together are seen through.
    Faint { opacity: f64, marks: Vec<Mark> },
}

#[derive(Clone, Debug)]
pub(crate) enum Outline {
    /// With round corners of this radius.
    Rect {
        area: [f64; 4],
        round: f64,
    },
    Circle {
        centre: [f64; 2],
        radius: f64,
    },
    /// Straight lines through two points or more.
    Path {
        points: Vec<[f64; 2]>,
        closed: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Stroke {
    pub colour: Rgb,
    pub thick: f64,
    /// Lengths of dashes and gaps in turn; empty is a solid line.
    pub dash: Vec<f64>,
}

/// Marks drawn so far. What is not finite is drawn at 0, so that no number given can make the drawing unreadable.
#[derive(Default)]
pub(crate) struct Canvas {
    marks: Vec<Mark>,
}

impl Canvas {
    pub(crate) fn into_marks(self) -> Vec<Mark> {
        self.marks
    }

    /// A text with its baseline at `y`. It is cleaned here, so that no caller can forget to.
    pub(crate) fn text(&mut self, [x, y]: [f64; 2], text: &str, look: Text) {
        self.turned_text([x, y], 0.0, text, look);
    }

    /// As [`Self::text`], turned by `degrees` clockwise about (x, y).
    pub(crate) fn turned_text(&mut self, at: [f64; 2], degrees: f64, text: &str, look: Text) {
        let text = font::clean(text);
        let Text { size, bold, fill, anchor } = look;
        if let Some(fill) = rgb(fill)
            && !text.is_empty()
        {
            let (at, size) = (at.map(within), within(size));
            self.marks.push(Mark::Words { at, degrees: within(degrees), text, size, bold, fill, anchor });
        }
    }

    pub(crate) fn rect(&mut self, area: [f64; 4], fill: &str) {
        self.box_of(area, 0.0, fill, "none", 0.0);
    }

    /// A box with round corners of radius `round` and an outline.
    pub(crate) fn box_of(&mut self, area: [f64; 4], round: f64, fill: &str, stroke: &str, thick: f64) {
        self.shape(Outline::Rect { area: area_of(area), round: within(round).max(0.0) }, fill, stroke, thick, "");
    }

    pub(crate) fn circle(&mut self, centre: [f64; 2], radius: f64, fill: &str, stroke: &str, thick: f64) {
        let outline = Outline::Circle { centre: centre.map(within), radius: within(radius).max(0.0) };
        self.shape(outline, fill, stroke, thick, "");
    }

    pub(crate) fn line(&mut self, from: [f64; 2], to: [f64; 2], stroke: &str, thick: f64, dash: &str) {
        self.path(&[from, to], false, "none", stroke, thick, dash);
    }

    pub(crate) fn polygon(&mut self, points: &[[f64; 2]], fill: &str, stroke: &str, thick: f64) {
        self.path(points, true, fill, stroke, thick, "");
    }

    /// A line through `points`, without those that no eye could tell from the one before.
    pub(crate) fn polyline(&mut self, points: &[[f64; 2]], stroke: &str, thick: f64, dash: &str) {
        const NEAR: f64 = 0.3;
        let mut kept: Vec<[f64; 2]> = Vec::new();
        for (index, &[x, y]) in points.iter().enumerate() {
            let far = kept.last().is_none_or(|[left, above]| (x - left).abs() > NEAR || (y - above).abs() > NEAR);
            if far || index + 1 == points.len() {
                kept.push([x, y]);
            }
        }
        self.path(&kept, false, "none", stroke, thick, dash);
    }

    fn path(&mut self, points: &[[f64; 2]], closed: bool, fill: &str, stroke: &str, thick: f64, dash: &str) {
        if points.len() < 2 {
            return;
        }
        let points = points.iter().map(|point| point.map(within)).collect();
        self.shape(Outline::Path { points, closed }, fill, stroke, thick, dash);
    }

    fn shape(&mut self, outline: Outline, fill: &str, stroke: &str, thick: f64, dash: &str) {
        let dash = dash.split_whitespace().filter_map(|length| length.parse().ok()).collect();
        let thick = within(thick);
        let stroke = rgb(stroke).filter(|_| thick > 0.0).map(|colour| Stroke { colour, thick, dash });
        self.marks.push(Mark::Shape { outline, fill: rgb(fill), stroke });
    }

    /// A film, stretched to the box.
    pub(crate) fn film(&mut self, area: [f64; 4], film: Film) {
        self.marks.push(Mark::Picture { area: area_of(area), film });
    }

    /// A box filled with `colours` from its bottom to its top, one running into the next.
    pub(crate) fn ramp(&mut self, area: [f64; 4], colours: &[Rgb]) {
        self.marks.push(Mark::Ramp { area: area_of(area), colours: colours.to_vec() });
    }

    /// What `draw` draws, cut off outside the box.
    pub(crate) fn clipped(&mut self, area: [f64; 4], draw: impl FnOnce(&mut Canvas)) {
        let marks = Canvas::drawn(draw);
        self.marks.push(Mark::Clipped { area: area_of(area), marks });
    }

    /// What `draw` draws, seen through by `opacity`.
    pub(crate) fn faint(&mut self, opacity: f64, draw: impl FnOnce(&mut Canvas)) {
        let marks = Canvas::drawn(draw);
        self.marks.push(Mark::Faint { opacity: within(opacity).clamp(0.0, 1.0), marks });
    }

    fn drawn(draw: impl FnOnce(&mut Canvas)) -> Vec<Mark> {
        let mut canvas = Canvas::default();
        draw(&mut canvas);
        canvas.marks
    }
}

fn within(value: f64) -> f64 {
    if value.is_finite() { value.clamp(-FAR, FAR) } else { 0.0 }
}

fn area_of(area: [f64; 4]) -> [f64; 4] {
    let [x, y, width, height] = area.map(within);
    [x, y, width.max(0.0), height.max(0.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_million_points_is_drawn_with_few() {
        let mut canvas = Canvas::default();
        let points: Vec<_> = (0..1_000_000).map(|index| [f64::from(index) / 1e4, 5.0]).collect();
        canvas.polyline(&points, "#000000", 1.0, "");
        let [Mark::Shape { outline: Outline::Path { points, closed: false }, fill: None, stroke: Some(_) }] =
            &canvas.into_marks()[..]
        else {
            panic!("one line");
        };
        assert!(points.len() < 400 && points.last().is_some_and(|[x, _]| *x > 99.99), "{}", points.len());
    }

    #[test]
    fn nothing_drawn_lies_at_no_number() {
        let mut canvas = Canvas::default();
        canvas.rect([f64::NAN, f64::INFINITY, 1e300, -5.0], "#ffffff");
        let [Mark::Shape { outline: Outline::Rect { area, .. }, fill: Some([255, 255, 255]), stroke: None }] =
            &canvas.into_marks()[..]
        else {
            panic!("one box");
        };
        assert_eq!(*area, [0.0, 0.0, FAR, 0.0]);
    }
}

//! A drawing in the making: SVG elements, one after the other.

use std::fmt::Write as _;

use crate::font;

/// Where a text stands to its x.
#[derive(Clone, Copy, Default)]
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

/// SVG elements written so far. Coordinates are pixels, y down; what is not finite is drawn at 0, so that no number
/// given can make the drawing unreadable.
#[derive(Default)]
pub(crate) struct Canvas {
    body: String,
    names: usize,
}

impl Canvas {
    pub(crate) fn into_body(self) -> String {
        self.body
    }

    /// A text with its baseline at `y`. It is cleaned here, so that no caller can forget to.
    pub(crate) fn text(&mut self, [x, y]: [f64; 2], text: &str, look: Text) {
        self.turned_text([x, y], 0.0, text, look);
    }

    /// As [`Self::text`], turned by `degrees` clockwise about (x, y).
    pub(crate) fn turned_text(&mut self, [x, y]: [f64; 2], degrees: f64, text: &str, look: Text) {
        let text = font::clean(text);
        if text.is_empty() {
            return;
        }
        let (x, y) = (number(x), number(y));
        let _ = write!(self.body, r#"<text x="{x}" y="{y}" font-size="{}" fill="{}""#, number(look.size), look.fill);
        if look.bold {
            self.body.push_str(r#" font-weight="600""#);
        }
        match look.anchor {
            Anchor::Start => {}
            Anchor::Middle => self.body.push_str(r#" text-anchor="middle""#),
            Anchor::End => self.body.push_str(r#" text-anchor="end""#),
        }
        if degrees != 0.0 {
            let _ = write!(self.body, r#" transform="rotate({} {x} {y})""#, number(degrees));
        }
        let _ = write!(self.body, ">{}</text>", escape(&text));
    }

    pub(crate) fn rect(&mut self, [x, y, width, height]: [f64; 4], fill: &str) {
        self.box_of([x, y, width, height], 0.0, fill, "none", 0.0);
    }

    /// A box with round corners of radius `round` and an outline.
    pub(crate) fn box_of(&mut self, [x, y, width, height]: [f64; 4], round: f64, fill: &str, stroke: &str, thick: f64) {
        let (x, y, width, height) = (number(x), number(y), number(width.max(0.0)), number(height.max(0.0)));
        let _ = write!(self.body, r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}""#);
        if round > 0.0 {
            let _ = write!(self.body, r#" rx="{}""#, number(round));
        }
        self.stroke(stroke, thick, "");
    }

    pub(crate) fn circle(&mut self, [x, y]: [f64; 2], radius: f64, fill: &str, stroke: &str, thick: f64) {
        let (x, y, radius) = (number(x), number(y), number(radius));
        let _ = write!(self.body, r#"<circle cx="{x}" cy="{y}" r="{radius}" fill="{fill}""#);
        self.stroke(stroke, thick, "");
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
        self.body.push_str(r#"<path d=""#);
        for (index, &[x, y]) in points.iter().enumerate() {
            let _ = write!(self.body, "{}{} {}", if index == 0 { "M" } else { "L" }, number(x), number(y));
        }
        let _ = write!(self.body, r#"{}" fill="{fill}" stroke-linejoin="round""#, if closed { "Z" } else { "" });
        self.stroke(stroke, thick, dash);
    }

    fn stroke(&mut self, stroke: &str, thick: f64, dash: &str) {
        if thick > 0.0 {
            let _ = write!(self.body, r#" stroke="{stroke}" stroke-width="{}""#, number(thick));
        }
        if !dash.is_empty() {
            let _ = write!(self.body, r#" stroke-dasharray="{dash}""#);
        }
        self.body.push_str("/>");
    }

    /// A picture of PNG bytes (as base64), stretched to the box.
    pub(crate) fn png(&mut self, [x, y, width, height]: [f64; 4], base64: &str) {
        let (x, y, width, height) = (number(x), number(y), number(width), number(height));
        let _ = write!(
            self.body,
            r#"<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" href="data:image/png;base64,{base64}"/>"#
        );
    }

    /// A box filled with `colours` from its bottom to its top, one running into the next.
    pub(crate) fn ramp(&mut self, [x, y, width, height]: [f64; 4], colours: &[String]) {
        let name = self.name();
        let _ = write!(self.body, r#"<linearGradient id="{name}" x1="0" y1="1" x2="0" y2="0">"#);
        for (index, colour) in colours.iter().enumerate() {
            let offset = number(index as f64 / (colours.len().max(2) - 1) as f64);
            let _ = write!(self.body, r#"<stop offset="{offset}" stop-color="{colour}"/>"#);
        }
        self.body.push_str("</linearGradient>");
        self.rect([x, y, width, height], &format!("url(#{name})"));
    }

    /// What `draw` draws, cut off outside the box.
    pub(crate) fn clipped(&mut self, [x, y, width, height]: [f64; 4], draw: impl FnOnce(&mut Canvas)) {
        let (x, y, width, height) = (number(x), number(y), number(width), number(height));
        let name = self.name();
        let _ = write!(
            self.body,
            r#"<clipPath id="{name}"><rect x="{x}" y="{y}" width="{width}" height="{height}"/></clipPath><g clip-path="url(#{name})">"#
        );
        draw(self);
        self.body.push_str("</g>");
    }

    /// What `draw` draws, seen through by `opacity`.
    pub(crate) fn faint(&mut self, opacity: f64, draw: impl FnOnce(&mut Canvas)) {
        let _ = write!(self.body, r#"<g opacity="{}">"#, number(opacity));
        draw(self);
        self.body.push_str("</g>");
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }
}

/// A coordinate as text: two decimals are enough for an eye.
pub(crate) fn number(value: f64) -> String {
    const FAR: f64 = 1e6;
    let value = if value.is_finite() { value.clamp(-FAR, FAR) } else { 0.0 };
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// `text` between two tags or in an attribute.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_always_numbers() {
        assert_eq!([1.0, 0.5, -0.001, 12.345].map(number), ["1", "0.5", "0", "12.35"].map(String::from));
        assert_eq!([f64::NAN, f64::INFINITY, 1e300].map(number), ["0", "0", "1000000"].map(String::from));
        assert_eq!(number(100.0), "100");
    }

    #[test]
    fn a_line_of_a_million_points_is_drawn_with_few() {
        let mut canvas = Canvas::default();
        let points: Vec<_> = (0..1_000_000).map(|index| [f64::from(index) / 1e4, 5.0]).collect();
        canvas.polyline(&points, "#000", 1.0, "");
        let body = canvas.into_body();
        assert!(body.matches('L').count() < 400 && body.contains("L100 5\""), "{}", body.len());
    }
}

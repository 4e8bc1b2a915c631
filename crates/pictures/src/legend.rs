//! Legends: what a line or a marker stands for.

use crate::{
    canvas::{Canvas, Text},
    font,
    palette::{GRAY, INK, Series},
};

pub(crate) const SIZE: f64 = 15.0;
/// Length of a piece of line.
const SAMPLE: f64 = 38.0;
/// Room of a marker alone.
const MARKER: f64 = 16.0;
const GAP: f64 = 9.0;

/// What is shown before the words.
#[derive(Clone, Copy)]
pub(crate) enum Sample {
    /// A line so thick, with its marker if it bears one: `true` is hollow.
    Line(Series, f64, Option<bool>),
    /// Nothing: the words explain others.
    None,
    /// A marker alone.
    Marker(Series),
}

pub(crate) struct Entry {
    pub sample: Sample,
    pub text: String,
    /// Smaller, below.
    pub more: Option<String>,
}

impl Entry {
    pub(crate) fn new(sample: Sample, text: impl Into<String>) -> Entry {
        Entry { sample, text: text.into(), more: None }
    }

    fn draw(&self, canvas: &mut Canvas, [x, y]: [f64; 2], room: f64) {
        let look = Text::new(SIZE, INK);
        let length = self.sample_width();
        match self.sample {
            Sample::Line(series, thick, marker) => {
                canvas.line([x, y], [x + SAMPLE, y], series.colour, thick, series.dash);
                if let Some(hollow) = marker {
                    let fill = if hollow { "#ffffff" } else { series.colour };
                    series.marker.draw(canvas, [x + SAMPLE / 2.0, y], 4.6, fill, series.colour);
                }
            }
            Sample::None => {}
            Sample::Marker(series) => {
                series.marker.draw(canvas, [x + MARKER / 2.0, y], 5.0, series.colour, series.colour);
            }
        }
        let left = x + length;
        let words = room - length;
        canvas.text([left, y + look.drop()], &font::fit(&self.text, words, SIZE, false), look);
        if let Some(more) = &self.more {
            canvas.text([left, y + 24.0], &font::fit(more, words, SIZE - 1.0, false), Text::new(SIZE - 1.0, GRAY));
        }
    }

    /// How wide the sample is, with the gap after it.
    fn sample_width(&self) -> f64 {
        match self.sample {
            Sample::Line(..) => SAMPLE + GAP,
            Sample::None => 0.0,
            Sample::Marker(_) => MARKER + GAP,
        }
    }

    /// How wide the entry would like to be.
    pub(crate) fn width(&self) -> f64 {
        let words = Text::new(SIZE, INK).width(&font::clean(&self.text));
        let more = self.more.as_deref().map_or(0.0, |more| Text::new(SIZE - 1.0, GRAY).width(&font::clean(more)));
        self.sample_width() + words.max(more)
    }

    fn height(&self) -> f64 {
        if self.more.is_some() { 48.0 } else { 26.0 }
    }
}

/// Draws the entries side by side from (x, y), in as many rows as `room` asks for; returns the height.
pub(crate) fn across(canvas: &mut Canvas, [x, y]: [f64; 2], room: f64, entries: &[Entry]) -> f64 {
    let mut pen = [x, y];
    for entry in entries {
        let width = entry.width().min(room);
        if pen[0] > x && pen[0] + width > x + room {
            pen = [x, pen[1] + 26.0];
        }
        entry.draw(canvas, [pen[0], pen[1] + 13.0], width + 1.0);
        pen[0] += width + 30.0;
    }
    if entries.is_empty() { 0.0 } else { pen[1] + 26.0 - y }
}

/// Draws the entries one under the other in columns `width` wide, no taller than `height`; returns the columns used.
pub(crate) fn down(canvas: &mut Canvas, [x, y]: [f64; 2], [width, height]: [f64; 2], entries: &[Entry]) -> usize {
    let mut columns = 1;
    let mut pen = y;
    for entry in entries {
        if pen > y && pen + entry.height() > y + height {
            columns += 1;
            pen = y;
        }
        entry.draw(canvas, [x + (columns - 1) as f64 * (width + 24.0), pen + 13.0], width);
        pen += entry.height();
    }
    columns
}

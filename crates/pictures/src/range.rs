//! A learning-rate range test.

use crate::{
    Heading, Picture, PictureError,
    axis::{Axis, Plot, drawable, range},
    legend::{self, Entry, Sample},
    page::{MARGIN, Page},
    palette::{BLUE, GRAY, INK, Marker, Series},
};

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 380.0;
/// Left of the plot: its numbers and its name.
const GUTTER: f64 = 70.0;

const LOSS: Series = Series { colour: GRAY, dash: "", marker: Marker::Circle };
const SMOOTH: Series = Series { colour: BLUE, dash: "", marker: Marker::Circle };
const FOUND: Series = Series { colour: INK, dash: "4 3", marker: Marker::Diamond };

/// One step of a range test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeStep {
    /// The learning rate of the step.
    pub lr: f64,
    /// The loss of its films before it was taken.
    pub loss: f64,
    /// The loss smoothed over the steps so far.
    pub smoothed: f64,
}

/// Loss against learning rate, with a line at the rate that was found.
///
/// # Errors
/// [`PictureError::Empty`] without a step.
pub fn lr_range(heading: &Heading, steps: &[RangeStep], found: f64) -> Result<Picture, PictureError> {
    if steps.is_empty() {
        return Err(PictureError::Empty { picture: "learning-rate range test", missing: "step" });
    }
    let mut page = Page::new(heading, WIDTH);
    let entries = [
        Entry::new(Sample::Line(LOSS, 1.2, None), "loss of a step"),
        Entry::new(Sample::Line(SMOOTH, 2.4, None), "smoothed"),
        Entry::new(Sample::Line(FOUND, 1.5, None), format!("found: {}", rate(found))),
    ];
    let legend = legend::across(&mut page.canvas, [MARGIN, page.top], WIDTH - 2.0 * MARGIN, &entries);
    let area = [MARGIN + GUTTER, page.top + legend + 16.0, WIDTH - 2.0 * MARGIN - GUTTER, HEIGHT];
    let (low, high) = range(steps.iter().map(|step| step.lr)).unwrap_or((1e-7, 1.0));
    // The fall is what is looked for, and the last steps ran away: they may leave the plot at its top.
    let (least, most) = range(steps.iter().map(|step| step.smoothed)).unwrap_or((0.0, 1.0));
    let first = steps.iter().find_map(|step| drawable(step.smoothed)).unwrap_or(most);
    let fall = (first - least).max(0.05 * first.abs());
    let plot = Plot::new(area, Axis::powers(low, high), Axis::round(least - 0.4 * fall, first + fall, 5));
    let canvas = &mut page.canvas;
    plot.frame(canvas);
    plot.name_x(canvas, "learning rate, logarithmic");
    plot.name_y(canvas, "loss of training films");
    let line = |of: fn(&RangeStep) -> f64| -> Vec<[f64; 2]> {
        steps.iter().filter_map(|step| plot.at([step.lr, drawable(of(step))?])).collect()
    };
    canvas.clipped(area, |canvas| {
        canvas.polyline(&line(|step| step.loss), LOSS.colour, 1.2, LOSS.dash);
        canvas.polyline(&line(|step| step.smoothed), SMOOTH.colour, 2.4, SMOOTH.dash);
    });
    if let Some(x) = plot.x.at(found) {
        canvas.line([x, area[1]], [x, area[1] + HEIGHT], FOUND.colour, 1.5, FOUND.dash);
    }
    let description =
        format!("Loss by learning rate over {} steps; the rate that was found is {}.", steps.len(), rate(found));
    page.finish(area[1] + HEIGHT + 50.0, &description)
}

/// Two digits are as many as such a test can tell.
fn rate(rate: f64) -> String {
    format!("{rate:.1e}").replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_numbers_are_there_is_a_picture_or_an_error() {
        let step = |lr, loss| RangeStep { lr, loss, smoothed: loss };
        let heading = Heading { title: "Range test".to_owned(), ..Heading::default() };
        assert!(lr_range(&heading, &[], 1e-3).is_err());
        let steps = [step(1e-7, 0.7), step(1e-4, 0.5), step(1e-2, f64::NAN), step(1.0, f64::INFINITY)];
        let picture = lr_range(&heading, &steps, 3.2e-4).unwrap();
        assert!(picture.svg().contains("3.2e\u{2212}4"));
        assert!(lr_range(&heading, &[step(0.0, 0.0)], f64::NAN).is_ok());
    }
}

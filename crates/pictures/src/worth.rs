//! What a probability is worth: whether films get what they were given (reliability), and whether acting on it does more good than
//! harm (decision curve).

use crate::{
    Heading, Picture, PictureError,
    axis::{Axis, Plot},
    canvas::Canvas,
    font,
    legend::{self, Entry, Sample},
    page::{MARGIN, Page},
    palette::{AXIS, INK, Marker, Series, series},
};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 560.0;
/// Left of the plot: its numbers and its name.
const GUTTER: f64 = 80.0;
/// The column of the legend.
const COLUMN: f64 = 410.0;
/// The room of a class's name beside an axis.
const NAME: f64 = 260.0;
const GUIDE: Series = Series { colour: AXIS, dash: "5 5", marker: Marker::Circle };
const NONE: Series = Series { colour: INK, dash: "", marker: Marker::Circle };

/// Films with about the same probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Their mean probability, 0 to 1.
    pub probability: f64,
    /// The share of them that is positive, 0 to 1.
    pub share: f64,
    /// The interval of that share.
    pub interval: [f64; 2],
    /// How many they are.
    pub films: u64,
}

/// A reliability diagram: the share of positive films (y) against the mean probability of bins of as many films each (x), with the
/// interval of each share and the diagonal on which they would lie if probabilities came true. `words` are further lines of the
/// legend.
///
/// # Errors
/// [`PictureError::Empty`] without a bin.
pub fn reliability(
    heading: &Heading,
    positive: &str,
    bins: &[ReliabilityBin],
    words: &[String],
) -> Result<Picture, PictureError> {
    if bins.is_empty() {
        return Err(PictureError::Empty { picture: "reliability", missing: "bin" });
    }
    let positive = &font::fit(positive, NAME, legend::SIZE, false);
    let mut page = Page::new(heading, MARGIN + GUTTER + WIDTH + 36.0 + COLUMN + MARGIN);
    let axis = || Axis::exact(-0.015, 1.015, 6).between(0.0, 1.0);
    let plot = Plot::new([MARGIN + GUTTER, page.top, WIDTH, HEIGHT], axis(), axis());
    let canvas = &mut page.canvas;
    plot.frame(canvas);
    plot.name_x(canvas, &format!("probability of {positive}"));
    plot.name_y(canvas, &format!("share of films that are {positive}"));
    line(canvas, &plot, &[[0.0, 0.0], [1.0, 1.0]], GUIDE, 1.5);
    let own = series(0);
    for bin in bins {
        let [low, high] = bin.interval;
        line(canvas, &plot, &[[bin.probability, low], [bin.probability, high]], own, 1.6);
    }
    let points: Vec<[f64; 2]> = bins.iter().map(|bin| [bin.probability, bin.share]).collect();
    line(canvas, &plot, &points, own, 2.6);
    for point in points.iter().filter_map(|point| plot.at(*point)) {
        own.marker.draw(canvas, point, 7.0, "#ffffff", "#ffffff");
        own.marker.draw(canvas, point, 5.0, own.colour, INK);
    }
    let films: u64 = bins.iter().map(|bin| bin.films).sum();
    let (least, most) =
        bins.iter().fold((u64::MAX, 0), |(least, most), bin| (least.min(bin.films), most.max(bin.films)));
    let each = if least == most { least.to_string() } else { format!("{least} to {most}") };
    let mut entries = vec![
        Entry::new(Sample::Line(own, 2.6, Some(true)), format!("{films} films in {} bins of {each}", bins.len())),
        Entry::new(Sample::None, "bars: 95 % intervals of each share"),
        Entry::new(Sample::Line(GUIDE, 1.5, None), "as probable as it is often so"),
    ];
    entries.extend(words.iter().map(|text| Entry::new(Sample::None, text)));
    legend::down(canvas, [MARGIN + GUTTER + WIDTH + 36.0, plot.area[1]], [COLUMN, HEIGHT], &entries);
    let said = bins.iter().map(|bin| format!("{:.2} of films with a probability of {:.2}", bin.share, bin.probability));
    let description = format!("Share of films that are {positive}: {}.", said.collect::<Vec<_>>().join("; "));
    page.finish(plot.area[1] + HEIGHT + 50.0, &description)
}

/// The net benefit at a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Benefit {
    /// The probability from which one would act, 0 to below 1.
    pub threshold: f64,
    /// Of acting by the model.
    pub model: f64,
    /// Of acting on every film.
    pub all: f64,
}

/// A decision curve: the net benefit (y) of acting from a probability on (x), by the model, on every film, on none. What lies below
/// minus a tenth of the largest benefit is not drawn.
///
/// # Errors
/// [`PictureError::Empty`] without a point.
pub fn decision_curve(heading: &Heading, positive: &str, curve: &[Benefit]) -> Result<Picture, PictureError> {
    if curve.is_empty() {
        return Err(PictureError::Empty { picture: "a decision curve", missing: "threshold" });
    }
    let positive = &font::fit(positive, NAME, legend::SIZE, false);
    let top = curve.iter().flat_map(|point| [point.model, point.all]).filter(|y| y.is_finite()).fold(0.01, f64::max);
    let bottom = -top / 10.0;
    let mut page = Page::new(heading, MARGIN + GUTTER + WIDTH + 36.0 + COLUMN + MARGIN);
    let x = Axis::exact(-0.015, 1.015, 6).between(0.0, 1.0);
    let y = Axis::exact(bottom * 1.05, top * 1.05, 6);
    let plot = Plot::new([MARGIN + GUTTER, page.top, WIDTH, HEIGHT], x, y);
    let canvas = &mut page.canvas;
    plot.frame(canvas);
    plot.name_x(canvas, &format!("probability of {positive} from which one would act"));
    plot.name_y(canvas, "net benefit (cases found, a film)");
    let (own, other) = (series(0), series(1));
    line(canvas, &plot, &[[0.0, 0.0], [1.0, 0.0]], NONE, 1.5);
    let of = |value: fn(&Benefit) -> f64| -> Vec<[f64; 2]> {
        // A line that leaves the plot ends where it does.
        let ends = curve.iter().position(|point| value(point) < bottom).unwrap_or(curve.len());
        let mut points: Vec<[f64; 2]> = curve[..ends].iter().map(|point| [point.threshold, value(point)]).collect();
        if let (Some([x, y]), Some(next)) = (points.last().copied(), curve.get(ends)) {
            let along = (y - bottom) / (y - value(next)).max(1e-12);
            points.push([x + along * (next.threshold - x), bottom]);
        }
        points
    };
    line(canvas, &plot, &of(|point| point.all), other, 2.2);
    line(canvas, &plot, &of(|point| point.model), own, 2.8);
    let entries = [
        Entry::new(Sample::Line(own, 2.8, None), "acting by the model"),
        Entry::new(Sample::Line(other, 2.2, None), "acting on every film"),
        Entry::new(Sample::Line(NONE, 1.5, None), "acting on none"),
        Entry::new(Sample::None, "acting for nothing costs threshold / (1 \u{2212} threshold)"),
    ];
    legend::down(canvas, [MARGIN + GUTTER + WIDTH + 36.0, plot.area[1]], [COLUMN, HEIGHT], &entries);
    let better = curve.iter().filter(|point| point.model > point.all.max(0.0)).map(|point| point.threshold);
    let (low, high) = better.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), t| (low.min(t), high.max(t)));
    let description = if low.is_finite() {
        format!(
            "Net benefit: acting by the model is worth more than acting on all or none between thresholds of {low:.2} and {high:.2}."
        )
    } else {
        "Net benefit: acting by the model is worth more than acting on all or none at no threshold.".to_owned()
    };
    page.finish(plot.area[1] + HEIGHT + 50.0, &description)
}

fn line(canvas: &mut Canvas, plot: &Plot, points: &[[f64; 2]], series: Series, width: f64) {
    let points: Vec<[f64; 2]> = points.iter().filter_map(|point| plot.at(*point)).collect();
    canvas.polyline(&points, series.colour, width, series.dash);
}

//! ROC and precision-recall curves.

use crate::{
    Heading, Picture, PictureError,
    axis::{Axis, Plot, percent},
    canvas::Canvas,
    font,
    legend::{self, Entry, Sample},
    page::{MARGIN, Page},
    palette::{AXIS, GRAY, INK, Marker, Series, series},
};

/// Side of the square plot.
const SIDE: f64 = 600.0;
/// Left of the plot: its numbers and its name.
const GUTTER: f64 = 70.0;
/// A column of the legend.
const NARROWEST: f64 = 250.0;
const WIDEST: f64 = 400.0;
/// Curves past this many share one look: nobody could tell them apart.
const MOST: usize = 28;
/// Up to this many curves, each says in words where it operates and what its baseline is.
const FEW: usize = 4;
const REST: Series = Series { colour: "#b5b5b5", dash: "", marker: Marker::Circle };
const CHANCE: Series = Series { colour: AXIS, dash: "5 5", marker: Marker::Circle };

/// One curve, of a class or of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// What the curve is of.
    pub name: String,
    /// Its points, in the order of the threshold: `[1 - specificity, sensitivity]` for [`roc`], `[recall, precision]` for
    /// [`precision_recall`]; all 0 to 1.
    pub points: Vec<[f64; 2]>,
    /// The area under the ROC curve, or the average precision; `None` where it is undefined.
    pub area: Option<f64>,
    /// The point of the threshold that is used.
    pub operating: Option<[f64; 2]>,
    /// For [`precision_recall`]: the precision of guessing, which is the share of the positive films.
    pub baseline: Option<f64>,
}

/// ROC curves: sensitivity (y) against 1 - specificity (x), with the diagonal of guessing.
///
/// # Errors
/// [`PictureError::Empty`] without a curve.
pub fn roc(heading: &Heading, curves: &[Curve]) -> Result<Picture, PictureError> {
    if curves.is_empty() {
        return Err(PictureError::Empty { picture: "ROC curves", missing: "curve" });
    }
    draw(
        heading,
        curves,
        &Kind {
            x: "1 \u{2212} specificity (false positive rate)",
            y: "sensitivity (true positive rate)",
            area: "AUC",
            area_in_full: "AUC",
            stepped: false,
            chance: true,
            words: |[x, y]| format!("sensitivity {}, specificity {}", percent(y), percent(1.0 - x)),
        },
    )
}

/// Precision-recall curves: precision (y) against recall (x), each with the dashed line of guessing. Drawn in steps, which
/// is what average precision is the area of.
///
/// # Errors
/// [`PictureError::Empty`] without a curve.
pub fn precision_recall(heading: &Heading, curves: &[Curve]) -> Result<Picture, PictureError> {
    if curves.is_empty() {
        return Err(PictureError::Empty { picture: "precision-recall curves", missing: "curve" });
    }
    draw(
        heading,
        curves,
        &Kind {
            x: "recall (sensitivity)",
            y: "precision (positive predictive value)",
            area: "AP",
            area_in_full: "average precision",
            stepped: true,
            chance: false,
            words: |[x, y]| format!("precision {}, recall {}", percent(y), percent(x)),
        },
    )
}

struct Kind {
    x: &'static str,
    y: &'static str,
    area: &'static str,
    /// In full, where there is room for it.
    area_in_full: &'static str,
    stepped: bool,
    chance: bool,
    words: fn([f64; 2]) -> String,
}

fn draw(heading: &Heading, curves: &[Curve], kind: &Kind) -> Result<Picture, PictureError> {
    let entries = entries(curves, kind);
    let column = entries.iter().map(Entry::width).fold(NARROWEST, f64::max).min(WIDEST) + 2.0;
    // Only the columns are counted here.
    let columns = legend::down(&mut Canvas::default(), [0.0; 2], [column, SIDE], &entries);
    let legend_left = MARGIN + GUTTER + SIDE + 36.0;
    let width = legend_left + columns as f64 * (column + 24.0) - 24.0 + MARGIN;
    let mut page = Page::new(heading, width);
    let area = [MARGIN + GUTTER, page.top, SIDE, SIDE];
    // A little beyond 0 and 1, so that a curve along the frame is seen whole.
    let axis = || Axis::exact(-0.015, 1.015, 6).between(0.0, 1.0);
    let plot = Plot::new(area, axis(), axis());
    let canvas = &mut page.canvas;
    plot.frame(canvas);
    plot.name_x(canvas, kind.x);
    plot.name_y(canvas, kind.y);
    let line = |from, to| Some([plot.at(from)?, plot.at(to)?]);
    if kind.chance
        && let Some([from, to]) = line([0.0, 0.0], [1.0, 1.0])
    {
        canvas.line(from, to, CHANCE.colour, 1.5, CHANCE.dash);
    }
    // The first curve lies on top.
    for (index, curve) in curves.iter().enumerate().rev() {
        let series = if index < MOST { series(index) } else { REST };
        if let Some([from, to]) = curve.baseline.filter(|_| !kind.chance).and_then(|y| line([0.0, y], [1.0, y])) {
            let few = curves.len() <= FEW;
            canvas.line(from, to, if few { series.colour } else { REST.colour }, 1.5, CHANCE.dash);
        }
        let points: Vec<[f64; 2]> =
            curve.points.iter().map(|point| point.map(within)).filter_map(|point| plot.at(point)).collect();
        let points = if kind.stepped { steps(&points) } else { points };
        canvas.polyline(&points, series.colour, if index < MOST { 2.6 } else { 1.2 }, series.dash);
    }
    for (index, curve) in curves.iter().enumerate().take(MOST).rev() {
        if let Some(point) = curve.operating.and_then(|point| plot.at(point.map(within))) {
            series(index).marker.draw(canvas, point, 8.0, "#ffffff", "#ffffff");
            series(index).marker.draw(canvas, point, 6.0, series(index).colour, INK);
        }
    }
    legend::down(canvas, [legend_left, page.top], [column, SIDE], &entries);
    let named = curves.iter().take(FEW).map(|curve| format!("{} {}", curve.name, area_text(curve, kind.area_in_full)));
    let description = format!("{} against {}: {}.", kind.y, kind.x, named.collect::<Vec<_>>().join("; "));
    page.finish(area[1] + SIDE + 50.0, &description)
}

fn entries(curves: &[Curve], kind: &Kind) -> Vec<Entry> {
    let few = curves.len() <= FEW;
    let mut entries: Vec<Entry> = Vec::new();
    for (index, curve) in curves.iter().take(MOST).enumerate() {
        // The figure must stay legible, so it is the name that is shortened, or has a line to itself.
        let figure = area_text(curve, if few { kind.area_in_full } else { kind.area });
        let width = |text: &str| font::width(text, legend::SIZE, false);
        let room = WIDEST - 50.0 - width(&figure) - width(": ");
        let sample = Sample::Line(series(index), 2.6, None);
        if few && width(&font::clean(&curve.name)) > room {
            entries.push(Entry { more: Some(figure), ..Entry::new(sample, &curve.name) });
        } else {
            let name = font::fit(&curve.name, room, legend::SIZE, false);
            entries.push(Entry::new(sample, format!("{name}: {figure}")));
        }
        if let Some(point) = curve.operating.filter(|point| few && point.iter().all(|value| value.is_finite())) {
            let mut entry = Entry::new(Sample::Marker(series(index)), "at the threshold used:");
            entry.more = Some((kind.words)(point));
            entries.push(entry);
        }
        if let Some(share) = curve.baseline.filter(|share| few && !kind.chance && share.is_finite()) {
            let look = Series { colour: series(index).colour, ..CHANCE };
            entries
                .push(Entry::new(Sample::Line(look, 1.5, None), format!("guessing: {} are positive", percent(share))));
        }
    }
    if curves.len() > MOST {
        entries.push(Entry::new(Sample::Line(REST, 1.2, None), format!("{} more", curves.len() - MOST)));
    }
    if kind.chance {
        entries.push(Entry::new(Sample::Line(CHANCE, 1.5, None), "guessing: AUC 0.5"));
    } else if !few && curves.iter().any(|curve| curve.baseline.is_some()) {
        let look = Series { colour: REST.colour, ..CHANCE };
        entries.push(Entry::new(Sample::Line(look, 1.5, None), "guessing: the share of each class"));
    }
    if !few && kind.area != kind.area_in_full {
        entries.push(Entry::new(Sample::None, format!("{}: {}", kind.area, kind.area_in_full)));
    }
    if !few && curves.iter().take(MOST).any(|curve| curve.operating.is_some()) {
        let look = Series { colour: GRAY, dash: "", marker: Marker::Circle };
        entries.push(Entry::new(Sample::Marker(look), "at the threshold used"));
    }
    entries
}

fn area_text(curve: &Curve, name: &str) -> String {
    match curve.area {
        // Rounded up it would be said to be without a fault.
        Some(area) if (0.9995..1.0).contains(&area) => format!("{name} > 0.999"),
        Some(area) if area.is_finite() => format!("{name} {area:.3}"),
        _ => format!("{name} undefined"),
    }
}

/// Shares lie between 0 and 1; what is no number stays none.
fn within(value: f64) -> f64 {
    if value.is_nan() { value } else { value.clamp(0.0, 1.0) }
}

/// Points in pixels joined in steps: each precision holds from its own recall down to the next lower one.
fn steps(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let falling = points.first().zip(points.last()).is_some_and(|(first, last)| first[0] > last[0]);
    let ordered: Vec<[f64; 2]> = if falling { points.to_vec() } else { points.iter().rev().copied().collect() };
    let mut stepped = Vec::with_capacity(2 * ordered.len());
    for (index, &[x, y]) in ordered.iter().enumerate() {
        if index > 0 {
            stepped.push([x, ordered[index - 1][1]]);
        }
        stepped.push([x, y]);
    }
    stepped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_holds_down_to_the_next_lower_recall() {
        let expected = vec![[9.0, 1.0], [5.0, 1.0], [5.0, 2.0], [0.0, 2.0], [0.0, 3.0]];
        assert_eq!(steps(&[[9.0, 1.0], [5.0, 2.0], [0.0, 3.0]]), expected);
        assert_eq!(steps(&[[0.0, 3.0], [5.0, 2.0], [9.0, 1.0]]), expected);
        assert!(steps(&[]).is_empty());
    }

    #[test]
    fn an_area_never_claims_perfection_it_has_not() {
        let said = |area| area_text(&Curve { area, ..Curve::default() }, "AUC");
        let areas = [Some(1.0), Some(0.9996), Some(0.9994), Some(0.5), Some(f64::NAN), None];
        let expected = ["AUC 1.000", "AUC > 0.999", "AUC 0.999", "AUC 0.500", "AUC undefined", "AUC undefined"];
        assert_eq!(areas.map(said), expected);
    }
}

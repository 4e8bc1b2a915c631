//! Learning curves.

use crate::{
    Heading, Picture, PictureError,
    axis::{Axis, Plot, drawable, percent, range},
    canvas::{Canvas, Text},
    font,
    legend::{self, Entry, Sample},
    page::{MARGIN, Page},
    palette::{BLUE, GRAY, GREEN, INK, Marker, Series, VERMILLION},
};

const WIDTH: f64 = 1160.0;
/// Height of one plot.
const HEIGHT: f64 = 240.0;
/// Left of a plot, for its numbers.
const GUTTER: f64 = 62.0;
/// The strip above a plot that names the phases.
const STRIP: f64 = 22.0;
/// Past this many epochs only some of them bear a marker.
const MOST_MARKERS: usize = 24;
/// The least that a panel of shares spans.
const LEAST: f64 = 0.04;

const TRAIN: Series = Series { colour: BLUE, dash: "7 4", marker: Marker::Circle };
const VALIDATION: Series = Series { colour: VERMILLION, dash: "", marker: Marker::Square };
const SEEN: Series = Series { colour: GREEN, dash: "2 3", marker: Marker::Triangle };
const RATE: Series = Series { colour: INK, dash: "", marker: Marker::Diamond };
const TINTS: [(&str, &str); 2] = [("#f1f4f8", "#dbe3ee"), ("#ffffff", "#ececec")];

/// One epoch of a run, as a line of its log says.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// The phase of training it belongs to ("frozen"); each phase is shaded and named.
    pub phase: String,
    /// Its number within the phase. A phase that begins with 0 has been validated before its first step.
    pub epoch: usize,
    /// The mean cross-entropy over the training films in nats; `None` before the first step.
    pub train_loss: Option<f64>,
    /// The mean cross-entropy over the validation films in nats.
    pub val_loss: f64,
    /// The share of the training films that were right, 0 to 1.
    pub train_accuracy: Option<f64>,
    /// The share of the validation films that were right, 0 to 1.
    pub val_accuracy: f64,
    /// The area under the ROC curve on the validation films, 0 to 1; `None` where it is undefined.
    pub val_auc: Option<f64>,
    /// Loss, accuracy and AUC on augmented views of the validation films; `None` without any.
    pub augmented: Option<Augmented>,
    /// The learning rate.
    pub lr: f64,
}

/// Metrics on augmented views of the validation films.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augmented {
    /// The mean cross-entropy in nats.
    pub loss: f64,
    /// The share of the views that were right, 0 to 1.
    pub accuracy: f64,
    /// The area under the ROC curve, 0 to 1; `None` where it is undefined.
    pub auc: Option<f64>,
}

/// Loss, accuracy, AUC and learning rate by epoch, in one picture of four panels. Epochs are counted through all phases;
/// `best` is the index of the epoch that was kept as the model.
///
/// # Errors
/// [`PictureError::Empty`] without an epoch.
pub fn learning_curves(heading: &Heading, epochs: &[Epoch], best: Option<usize>) -> Result<Picture, PictureError> {
    if epochs.is_empty() {
        return Err(PictureError::Empty { picture: "learning curves", missing: "epoch" });
    }
    let run = Run::new(epochs, best);
    let mut page = Page::new(heading, WIDTH);
    let mut entries = vec![
        Entry::new(Sample::Line(TRAIN, 2.2, Some(true)), "training films"),
        Entry::new(Sample::Line(VALIDATION, 2.2, Some(false)), "validation films"),
    ];
    if epochs.iter().any(|epoch| epoch.augmented.is_some()) {
        entries.push(Entry::new(Sample::Line(SEEN, 2.2, Some(false)), "validation films, augmented"));
    }
    if let Some(best) = run.best {
        let text = format!("best epoch, kept as the model: {}", run.name(best));
        entries.push(Entry::new(Sample::Line(BEST, 1.5, None), text));
    }
    let legend = legend::across(&mut page.canvas, [MARGIN, page.top], WIDTH - 2.0 * MARGIN, &entries);

    let augmented = |epoch: &Epoch| epoch.augmented;
    let loss = |epoch: &Epoch| [epoch.train_loss, Some(epoch.val_loss), augmented(epoch).map(|seen| seen.loss)];
    let accuracy =
        |epoch: &Epoch| [epoch.train_accuracy, Some(epoch.val_accuracy), augmented(epoch).map(|seen| seen.accuracy)];
    let area = |epoch: &Epoch| [epoch.val_auc, augmented(epoch).and_then(|seen| seen.auc)];
    let losses: Vec<f64> = epochs.iter().flat_map(loss).flatten().collect();
    let rates: Vec<f64> = epochs.iter().map(|epoch| epoch.lr).filter(|rate| *rate > 0.0).collect();
    let (low, high) = range(rates.iter().copied()).unwrap_or((1e-4, 1e-3));
    let panels = [
        Panel {
            title: "Loss",
            unit: "cross-entropy in nats, lower is better",
            axis: loss_axis(&losses),
            lines: vec![
                (TRAIN, run.line(|epoch| epoch.train_loss)),
                (VALIDATION, run.line(|epoch| Some(epoch.val_loss))),
                (SEEN, run.line(|epoch| augmented(epoch).map(|seen| seen.loss))),
            ],
        },
        Panel {
            title: "Accuracy",
            unit: "share of films that are right",
            axis: share_axis(epochs.iter().flat_map(accuracy).flatten()),
            lines: vec![
                (TRAIN, run.line(|epoch| epoch.train_accuracy)),
                (VALIDATION, run.line(|epoch| Some(epoch.val_accuracy))),
                (SEEN, run.line(|epoch| augmented(epoch).map(|seen| seen.accuracy))),
            ],
        },
        Panel {
            title: "AUC",
            unit: "area under the ROC curve, validation films",
            axis: area_axis(epochs.iter().flat_map(area).flatten()),
            lines: vec![
                (VALIDATION, run.line(|epoch| epoch.val_auc)),
                (SEEN, run.line(|epoch| augmented(epoch).and_then(|seen| seen.auc))),
            ],
        },
        Panel {
            title: "Learning rate",
            unit: "logarithmic",
            axis: Axis::powers(low, high),
            lines: vec![(RATE, run.line(|epoch| (epoch.lr > 0.0).then_some(epoch.lr)))],
        },
    ];
    let column = (WIDTH - 2.0 * MARGIN - 36.0) / 2.0;
    let row = 34.0 + STRIP + HEIGHT + 72.0;
    let top = page.top + legend + 16.0;
    for (index, panel) in panels.iter().enumerate() {
        let left = MARGIN + (index % 2) as f64 * (column + 36.0);
        let above = top + (index / 2) as f64 * row;
        panel.draw(&mut page.canvas, &run, [left, above], column);
    }
    let last = &epochs[epochs.len() - 1];
    let description = format!(
        "Learning curves of {} epochs: validation loss {:.4} and accuracy {} after the last.",
        run.end,
        last.val_loss,
        percent(last.val_accuracy)
    );
    page.finish(top + 2.0 * row - 14.0, &description)
}

const BEST: Series = Series { colour: INK, dash: "4 3", marker: Marker::Diamond };

/// The epochs with their places on the common axis.
struct Run<'a> {
    epochs: &'a [Epoch],
    places: Vec<f64>,
    /// Each phase: its name and where it begins and ends.
    phases: Vec<(&'a str, f64, f64)>,
    best: Option<usize>,
    start: f64,
    end: f64,
}

impl<'a> Run<'a> {
    fn new(epochs: &'a [Epoch], best: Option<usize>) -> Run<'a> {
        // Numbers that do not grow within a phase are no numbers to draw by.
        let sound = epochs.windows(2).all(|pair| pair[0].phase != pair[1].phase || pair[0].epoch < pair[1].epoch)
            && epochs.iter().all(|epoch| epoch.epoch < 10_000_000);
        let mut places: Vec<f64> = Vec::with_capacity(epochs.len());
        let mut phases: Vec<(&str, f64, f64)> = Vec::new();
        let mut offset = 0.0;
        for (index, epoch) in epochs.iter().enumerate() {
            if phases.last().is_none_or(|(name, ..)| *name != epoch.phase) {
                offset = places.last().copied().unwrap_or(0.0);
                phases.push((&epoch.phase, offset, offset));
            }
            let place = if sound { offset + epoch.epoch as f64 } else { (index + 1) as f64 };
            places.push(place);
            if let Some(phase) = phases.last_mut() {
                phase.2 = place;
            }
        }
        let end = places.last().copied().unwrap_or(1.0);
        let start = places.first().copied().unwrap_or(0.0).min(1.0);
        Run { epochs, places, phases, best: best.filter(|best| *best < epochs.len()), start, end }
    }

    /// An epoch in words.
    fn name(&self, index: usize) -> String {
        let epoch = &self.epochs[index];
        if self.phases.len() < 2 { format!("{}", epoch.epoch) } else { format!("{} {}", epoch.phase, epoch.epoch) }
    }

    /// The points of one figure, in pieces: a new one after a gap and in a new phase.
    fn line(&self, figure: impl Fn(&Epoch) -> Option<f64>) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut joined = false;
        for (index, epoch) in self.epochs.iter().enumerate() {
            joined &= index > 0 && self.epochs[index - 1].phase == epoch.phase;
            match figure(epoch).and_then(drawable) {
                Some(value) => {
                    let point = (index, [self.places[index], value]);
                    match pieces.last_mut() {
                        Some(piece) if joined => piece.push(point),
                        _ => pieces.push(vec![point]),
                    }
                    joined = true;
                }
                None => joined = false,
            }
        }
        pieces
    }
}

/// From 0 where the values reach down to it, on a logarithm where they span more than a linear axis can show.
fn loss_axis(values: &[f64]) -> Axis {
    let (low, high) = range(values.iter().copied()).unwrap_or((0.0, 1.0));
    if low > 0.0 && high / low > 200.0 { Axis::powers(low, high) } else { Axis::round(low.min(0.0), high, 4) }
}

fn share_axis(values: impl IntoIterator<Item = f64>) -> Axis {
    area_axis(values).rewritten(|value| {
        let text = format!("{:.1}", value * 100.0);
        format!("{} %", text.trim_end_matches(".0"))
    })
}

/// Of values from 0 to 1: the part that is used, up to 1 where they come near it.
fn area_axis(values: impl IntoIterator<Item = f64>) -> Axis {
    let (low, high) = range(values.into_iter().map(|value| value.clamp(0.0, 1.0))).unwrap_or((0.0, 1.0));
    // Less than four points in a hundred filling the panel would look like a great change.
    let spread = ((LEAST - (high - low)) / 2.0).max(0.1 * (high - low));
    Axis::round((low - spread).max(0.0), (high + spread).min(1.0), 4)
}

/// Points without a gap: the index of the epoch, its place and its value.
type Piece = Vec<(usize, [f64; 2])>;

/// One figure by epoch.
struct Panel {
    title: &'static str,
    unit: &'static str,
    axis: Axis,
    lines: Vec<(Series, Vec<Piece>)>,
}

impl Panel {
    fn draw(&self, canvas: &mut Canvas, run: &Run, [left, top]: [f64; 2], width: f64) {
        let title = Text::new(17.0, INK).bold();
        canvas.text([left, top + 18.0], self.title, title);
        canvas.text([left + title.width(self.title) + 12.0, top + 18.0], self.unit, Text::new(14.0, GRAY));

        let strip = top + 34.0;
        let area = [left + GUTTER, strip + STRIP, width - GUTTER, HEIGHT];
        let pad = ((run.end - run.start) * 0.03).max(0.25);
        let x = Axis::whole(run.start - pad, run.end + pad, 10);
        let plot = Plot::new(area, x, self.axis.clone());
        for (index, (name, from, to)) in run.phases.iter().enumerate() {
            // The first and last phase reach to the frame.
            let from = if index == 0 { area[0] } else { plot.x.at(*from).unwrap_or(area[0]) };
            let to = if index + 1 == run.phases.len() { area[0] + area[2] } else { plot.x.at(*to).unwrap_or(from) };
            let (ground, head) = TINTS[index % TINTS.len()];
            canvas.rect([from, area[1], to - from, HEIGHT], ground);
            canvas.rect([from, strip, to - from, STRIP], head);
            let text = font::fit(name, to - from - 10.0, 13.0, false);
            // An ellipsis and a letter or two name nothing.
            if !text.contains('…') || text.chars().count() > 4 {
                let look = Text::new(13.0, INK).middle();
                canvas.text([f64::midpoint(from, to), strip + STRIP / 2.0 + look.drop()], &text, look);
            }
        }
        plot.frame(canvas);
        plot.name_x(canvas, "epoch");
        if self.lines.iter().all(|(_, pieces)| pieces.is_empty()) {
            let look = Text::new(15.0, GRAY).middle();
            canvas.text([area[0] + area[2] / 2.0, area[1] + HEIGHT / 2.0], "undefined in every epoch", look);
            return;
        }
        if let Some(x) = run.best.and_then(|best| plot.x.at(run.places[best])) {
            canvas.line([x, area[1]], [x, area[1] + HEIGHT], BEST.colour, 1.5, BEST.dash);
        }
        let every = run.epochs.len().div_ceil(MOST_MARKERS);
        // A share above 1 is none, and stays outside; a marker upon the frame is seen whole.
        let [x, y, width, height] = area;
        canvas.clipped([x - 6.0, y - 6.0, width + 12.0, height + 12.0], |canvas| {
            for (series, pieces) in &self.lines {
                for piece in pieces {
                    let points: Vec<_> =
                        piece.iter().filter_map(|(index, point)| Some((*index, plot.at(*point)?))).collect();
                    let line: Vec<_> = points.iter().map(|(_, point)| *point).collect();
                    canvas.polyline(&line, series.colour, 2.2, series.dash);
                    for (index, point) in points {
                        if index % every == 0 || piece.len() == 1 {
                            // The ring of one stays seen about the square of the other.
                            let hollow = matches!(series.marker, Marker::Circle);
                            let (r, fill) = if hollow { (4.6, "#ffffff") } else { (3.5, series.colour) };
                            series.marker.draw(canvas, point, r, fill, series.colour);
                        }
                    }
                }
            }
        });
    }
}

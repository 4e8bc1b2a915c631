//! Axes: from values to pixels, and the frame about a plot.

use crate::{
    canvas::{Canvas, Text},
    palette::{AXIS, GRAY, GRID, INK},
};

/// Size of the numbers at an axis.
pub(crate) const TICK_SIZE: f64 = 14.0;
/// Beyond this a value is drawn as if it were this: the differences of two values stay finite.
const HUGE: f64 = 1e15;
/// Decades left free at both ends of a logarithmic axis.
const ROOM: f64 = 0.15;

/// A value that can be drawn; `None` for what is not a number or not finite.
pub(crate) fn drawable(value: f64) -> Option<f64> {
    value.is_finite().then(|| value.clamp(-HUGE, HUGE))
}

/// The smallest and largest of the drawable values; `None` without any.
pub(crate) fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter_map(drawable).fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// One direction of a plot: from `low` to `high`, with the places of its numbers.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<(f64, String)>,
    /// Pixels of `low` and of `high`.
    from: f64,
    to: f64,
}

impl Axis {
    /// From `low` to `high` exactly, with round numbers in about `count` places.
    pub(crate) fn exact(low: f64, high: f64, count: usize) -> Axis {
        let (low, high) = widened(low, high);
        let step = round_step((high - low) / count.max(1) as f64);
        let first = (low / step - 1e-9).ceil();
        let ticks = (0..=4 * count.max(1))
            .map(|index| (first + index as f64) * step)
            .take_while(|value| *value <= high + step * 1e-9)
            .map(|value| (value, label(value, step)))
            .collect();
        Axis { low, high, logarithmic: false, ticks, from: 0.0, to: 1.0 }
    }

    /// As [`Axis::exact`], from the round number below `low` to the one above `high`.
    pub(crate) fn round(low: f64, high: f64, count: usize) -> Axis {
        let (low, high) = widened(low, high);
        let step = round_step((high - low) / count.max(1) as f64);
        Axis::exact((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step, count)
    }

    /// Whole numbers from `low` to `high`, at most `count` of them written.
    pub(crate) fn whole(low: f64, high: f64, count: usize) -> Axis {
        let step = round_step((high - low).max(1.0) / count.max(1) as f64).max(1.0).ceil();
        let mut axis = Axis::exact(low, high, count);
        let first = (low / step).ceil();
        axis.ticks = (0..=2 * count.max(1))
            .map(|index| (first + index as f64) * step)
            .take_while(|value| *value <= high)
            .map(|value| (value, label(value, step)))
            .collect();
        axis
    }

    /// Powers of ten about the positive values from `low` to `high`.
    pub(crate) fn powers(low: f64, high: f64) -> Axis {
        let (low, high) = (low.clamp(1e-15, HUGE).log10(), high.clamp(1e-15, HUGE).log10());
        let (low, high) = (low.min(high), low.max(high));
        let (mut first, mut last) = (low.floor(), high.ceil());
        if first == last {
            (first, last) = (first - 1.0, last + 1.0);
        }
        let step = ((last - first) / 5.0).ceil();
        let ticks = (0..=5).map(|index| first + f64::from(index) * step).take_while(|power| *power <= last);
        let ticks = ticks.map(|power| (power, format!("1e{power:.0}").replace('-', "\u{2212}"))).collect();
        // A value at a power of ten does not lie on the frame.
        let (low, high) = (first.min(low - ROOM), last.max(high + ROOM));
        Axis { low, high, logarithmic: true, ticks, from: 0.0, to: 1.0 }
    }

    /// The places 0, 1 and so on of things that have names, with room beside the first and the last.
    pub(crate) fn named(names: &[String], count: usize) -> Axis {
        let last = count.saturating_sub(1) as f64;
        let ticks = names.iter().take(count).enumerate().map(|(place, name)| (place as f64, name.clone())).collect();
        Axis { low: -0.5, high: last + 0.5, logarithmic: false, ticks, from: 0.0, to: 1.0 }
    }

    /// Without the numbers outside `low` to `high`, where the axis reaches beyond what can occur.
    pub(crate) fn between(mut self, low: f64, high: f64) -> Axis {
        self.ticks.retain(|(value, _)| (low - 1e-9..=high + 1e-9).contains(value));
        self
    }

    /// The axis laid from pixel `from` (its low end) to pixel `to`.
    pub(crate) fn on(self, from: f64, to: f64) -> Axis {
        Axis { from, to, ..self }
    }

    /// The pixel of `value`; `None` where it cannot be drawn. Outside the ends it is past them.
    pub(crate) fn at(&self, value: f64) -> Option<f64> {
        let value = drawable(value)?;
        if self.logarithmic && value <= 0.0 {
            return None;
        }
        let value = if self.logarithmic { value.log10() } else { value };
        Some(self.place(value))
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The largest width of a number at this axis.
    pub(crate) fn label_width(&self) -> f64 {
        let look = Text::new(TICK_SIZE, GRAY);
        self.ticks.iter().map(|(_, text)| look.width(text)).fold(0.0, f64::max)
    }

    /// Each number multiplied for the eye and given a unit: `axis.rewritten(|value| ...)`.
    pub(crate) fn rewritten(mut self, write: impl Fn(f64) -> String) -> Axis {
        for (value, text) in &mut self.ticks {
            *text = write(*value);
        }
        self
    }
}

/// Two ends that differ: one value alone gets room on both sides.
fn widened(low: f64, high: f64) -> (f64, f64) {
    let (low, high) = (low.clamp(-HUGE, HUGE), high.clamp(-HUGE, HUGE));
    let (low, high) = if low <= high { (low, high) } else { (high, low) };
    let least = (low.abs().max(high.abs()) * 1e-6).max(1e-12);
    if high - low >= least {
        (low, high)
    } else {
        let middle = f64::midpoint(low, high);
        let half = if middle.abs() < 1e-9 { 0.5 } else { middle.abs() * 0.1 };
        (middle - half, middle + half)
    }
}

/// 1, 2 or 5 times a power of ten, not below `step`.
fn round_step(step: f64) -> f64 {
    let step = if step.is_finite() && step > 1e-300 { step } else { 1.0 };
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| step <= factor * power * (1.0 + 1e-9)).unwrap_or(10.0);
    factor * power
}

/// `value` with the decimals that a step of `step` needs.
fn label(value: f64, step: f64) -> String {
    let value = if value.abs() < step * 1e-9 { 0.0 } else { value };
    if value != 0.0 && (value.abs() >= 1e6 || step < 1e-5) {
        return format!("{value:.1e}");
    }
    let decimals = (-step.log10() - 1e-9).ceil().max(0.0) as usize;
    if decimals == 0 { thousands(value) } else { format!("{value:.decimals$}").replace('-', "\u{2212}") }
}

/// A whole number with its thousands apart: `5,216`.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 { format!("\u{2212}{text}") } else { text }
}

/// A share as a percentage that never claims more than it is: 1 is `100 %`, 0.9996 is `> 99.9 %`.
pub fn percent(share: f64) -> String {
    match share {
        _ if !share.is_finite() => "–".to_owned(),
        _ if share.abs() >= 10.0 => format!("{:.0e} %", share * 100.0),
        _ if share > 0.0 && share < 0.001 => "< 0.1 %".to_owned(),
        _ if share > 0.999 && share < 1.0 => "> 99.9 %".to_owned(),
        _ if share == 0.0 || share == 1.0 => format!("{:.0} %", share * 100.0),
        _ => format!("{:.1} %", share * 100.0),
    }
}

/// The box in which data are drawn: left, top, width and height, with its two axes.
pub(crate) struct Plot {
    pub area: [f64; 4],
    pub x: Axis,
    pub y: Axis,
}

impl Plot {
    pub(crate) fn new(area: [f64; 4], x: Axis, y: Axis) -> Plot {
        let [left, top, width, height] = area;
        Plot { area, x: x.on(left, left + width), y: y.on(top + height, top) }
    }

    /// The pixel of a point; `None` where it cannot be drawn.
    pub(crate) fn at(&self, [x, y]: [f64; 2]) -> Option<[f64; 2]> {
        Some([self.x.at(x)?, self.y.at(y)?])
    }

    /// The grid, the axes and their numbers.
    pub(crate) fn frame(&self, canvas: &mut Canvas) {
        let [left, top, width, height] = self.area;
        let (right, bottom) = (left + width, top + height);
        let look = Text::new(TICK_SIZE, GRAY);
        for (value, text) in &self.y.ticks {
            let y = crisp(self.y.place(*value));
            canvas.line([left, y], [right, y], GRID, 1.0, "");
            canvas.text([left - 8.0, y + look.drop()], text, look.end());
        }
        let mut free = f64::NEG_INFINITY;
        for (value, text) in &self.x.ticks {
            let x = crisp(self.x.place(*value));
            canvas.line([x, top], [x, bottom], GRID, 1.0, "");
            canvas.line([x, bottom], [x, bottom + 5.0], AXIS, 1.0, "");
            // A number that would touch the one before is left out.
            let half = look.width(text) / 2.0;
            if x - half > free {
                canvas.text([x, bottom + 21.0], text, look.middle());
                free = x + half + 6.0;
            }
        }
        canvas.line([crisp(left), top], [crisp(left), bottom], AXIS, 1.0, "");
        canvas.line([left, crisp(bottom)], [right, crisp(bottom)], AXIS, 1.0, "");
    }

    /// What the x axis is, below its numbers.
    pub(crate) fn name_x(&self, canvas: &mut Canvas, text: &str) {
        let [left, top, width, height] = self.area;
        canvas.text([left + width / 2.0, top + height + 44.0], text, Text::new(15.0, INK).middle());
    }

    /// What the y axis is, turned, left of its numbers.
    pub(crate) fn name_y(&self, canvas: &mut Canvas, text: &str) {
        let [left, top, _, height] = self.area;
        let x = left - 8.0 - self.y.label_width() - 14.0;
        canvas.turned_text([x, top + height / 2.0], -90.0, text, Text::new(15.0, INK).middle());
    }
}

/// The middle of the pixel: there a line one pixel thick is sharp.
fn crisp(value: f64) -> f64 {
    value.floor() + 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(labels(&Axis::exact(0.0, 1.0, 5)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::round(0.013, 0.69, 4)), ["0.0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(labels(&Axis::exact(0.91, 0.99, 4)), ["0.92", "0.94", "0.96", "0.98"]);
        assert_eq!(labels(&Axis::whole(1.0, 5.0, 8)), ["1", "2", "3", "4", "5"]);
        assert_eq!(labels(&Axis::whole(0.0, 60.0, 8)), ["0", "10", "20", "30", "40", "50", "60"]);
        assert_eq!(labels(&Axis::powers(3e-6, 2e-3)), ["1e−6", "1e−5", "1e−4", "1e−3", "1e−2"]);
        assert_eq!(labels(&Axis::exact(0.0, 5216.0, 3)), ["0", "2,000", "4,000"]);
        assert_eq!(labels(&Axis::exact(-1.0, 1.0, 2)), ["\u{2212}1", "0", "1"]);
    }

    #[test]
    fn a_value_lands_where_it_belongs() {
        let axis = Axis::exact(0.0, 10.0, 5).on(100.0, 200.0);
        assert_eq!([0.0, 5.0, 10.0, 11.0].map(|value| axis.at(value).unwrap()), [100.0, 150.0, 200.0, 210.0]);
        assert_eq!(axis.at(f64::NAN), None);
        let axis = Axis::powers(1e-4, 1e-2).on(0.0, 100.0);
        assert!((axis.at(1e-3).unwrap() - 50.0).abs() < 1e-9 && axis.at(1e-4).unwrap() > 5.0);
        assert_eq!((axis.at(0.0), axis.at(-1.0)), (None, None));
    }

    #[test]
    fn any_two_ends_make_an_axis() {
        let ends = [0.0, -0.0, 1.0, -1.0, 1e-320, 1e15, -1e300, f64::MAX, 0.3, 0.300_000_000_1];
        for low in ends {
            for high in ends {
                for axis in [Axis::exact(low, high, 5), Axis::round(low, high, 5), Axis::powers(low, high)] {
                    assert!(
                        axis.high > axis.low && !axis.ticks.is_empty() && axis.ticks.len() < 25,
                        "{low} {high} {axis:?}"
                    );
                    assert!(axis.at(0.5).is_some_and(f64::is_finite), "{low} {high} {axis:?}");
                }
            }
        }
    }

    #[test]
    fn a_percentage_never_claims_certainty_it_has_not() {
        let shares = [0.0, 0.000_4, 0.5, 0.999_6, 1.0, f64::NAN, -1e300];
        assert_eq!(
            shares.map(percent),
            ["0 %", "< 0.1 %", "50.0 %", "> 99.9 %", "100 %", "–", "-1e302 %"].map(String::from)
        );
        assert_eq!(
            [0.0, 999.0, 1000.0, 1_234_567.0].map(thousands),
            ["0", "999", "1,000", "1,234,567"].map(String::from)
        );
    }
}

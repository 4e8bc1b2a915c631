//! Colours, dashes and markers: none of them means anything alone.

use crate::canvas::Canvas;

pub(crate) const INK: &str = "#1a1a1a";
/// Second-rank text: 7 to 1 against white.
pub(crate) const GRAY: &str = "#565656";
pub(crate) const AXIS: &str = "#767676";
pub(crate) const GRID: &str = "#e4e4e4";
/// Beside a film that is not square: light, so that nobody takes it for a part of the film.
pub(crate) const GROUND: &str = "#e6e8eb";

pub(crate) const BLUE: &str = "#0072B2";
pub(crate) const VERMILLION: &str = "#D55E00";
pub(crate) const GREEN: &str = "#009E73";

/// Okabe and Ito's colours in an order of contrast against white, without their yellow, which is too light for a line.
const LINES: [&str; 7] = [BLUE, VERMILLION, GREEN, "#CC79A7", "#000000", "#E69F00", "#56B4E9"];
const DASHES: [&str; 4] = ["", "9 4", "2.5 3.5", "11 4 2.5 4"];
const MARKERS: [Marker; 6] =
    [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::Cross, Marker::Down];

/// The look of series number `index`: neighbours differ in colour, dash and marker.
pub(crate) fn series(index: usize) -> Series {
    Series {
        colour: LINES[index % LINES.len()],
        // A dash of its own for neighbours, and another for the same colour a round later.
        dash: DASHES[(index % LINES.len() + index / LINES.len()) % DASHES.len()],
        marker: MARKERS[index % MARKERS.len()],
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Series {
    pub colour: &'static str,
    /// An SVG dash array; empty is a solid line.
    pub dash: &'static str,
    pub marker: Marker,
}

#[derive(Clone, Copy)]
pub(crate) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Down,
}

impl Marker {
    /// Draws the marker about (x, y), `r` its half width, with a `fill` and an outline of `stroke`.
    pub(crate) fn draw(self, canvas: &mut Canvas, [x, y]: [f64; 2], r: f64, fill: &str, stroke: &str) {
        let polygon = |canvas: &mut Canvas, points: &[[f64; 2]]| {
            let points: Vec<_> = points.iter().map(|[dx, dy]| [x + dx * r, y + dy * r]).collect();
            canvas.polygon(&points, fill, stroke, 1.5);
        };
        match self {
            Marker::Circle => canvas.circle([x, y], r, fill, stroke, 1.5),
            Marker::Square => polygon(canvas, &[[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),
            Marker::Triangle => polygon(canvas, &[[0.0, -1.2], [1.1, 0.8], [-1.1, 0.8]]),
            Marker::Down => polygon(canvas, &[[0.0, 1.2], [1.1, -0.8], [-1.1, -0.8]]),
            Marker::Diamond => polygon(canvas, &[[0.0, -1.3], [1.1, 0.0], [0.0, 1.3], [-1.1, 0.0]]),
            Marker::Cross => {
                canvas.line([x - r, y - r], [x + r, y + r], stroke, 2.0, "");
                canvas.line([x - r, y + r], [x + r, y - r], stroke, 2.0, "");
            }
        }
    }
}

/// White to dark blue, evenly darker (ColorBrewer's Blues), for a share from 0 to 1.
pub(crate) fn sequential(share: f64) -> [u8; 3] {
    const STOPS: [[f64; 3]; 9] = [
        [247.0, 251.0, 255.0],
        [222.0, 235.0, 247.0],
        [198.0, 219.0, 239.0],
        [158.0, 202.0, 225.0],
        [107.0, 174.0, 214.0],
        [66.0, 146.0, 198.0],
        [33.0, 113.0, 181.0],
        [8.0, 81.0, 156.0],
        [8.0, 48.0, 107.0],
    ];
    let place = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let below = (place as usize).min(STOPS.len() - 2);
    let part = place - below as f64;
    std::array::from_fn(|channel| {
        (STOPS[below][channel] * (1.0 - part) + STOPS[below + 1][channel] * part).round() as u8
    })
}

pub(crate) fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The colour that `#rrggbb` names; `none` has none.
pub(crate) fn rgb(name: &str) -> Option<[u8; 3]> {
    let digits = name.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let colour = u32::from_str_radix(digits, 16).ok()?;
    Some([16, 8, 0].map(|shift| (colour >> shift) as u8))
}

/// Black or white, whichever is easier to read on `background` (WCAG 2's contrast).
pub(crate) fn text_on(background: [u8; 3]) -> &'static str {
    let light = luminance(background);
    if (light + 0.05) / (luminance([0x1a; 3]) + 0.05) >= 1.05 / (light + 0.05) { INK } else { "#ffffff" }
}

/// The relative luminance of an sRGB colour, as WCAG 2 defines it.
fn luminance(colour: [u8; 3]) -> f64 {
    let linear = colour.map(|value| {
        let value = f64::from(value) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_legible_on_every_shade() {
        for step in 0..=100 {
            let shade = sequential(f64::from(step) / 100.0);
            let text = if text_on(shade) == INK { luminance([0x1a; 3]) } else { 1.0 };
            let (light, dark) = (luminance(shade).max(text), luminance(shade).min(text));
            assert!((light + 0.05) / (dark + 0.05) >= 4.0, "{shade:?}");
        }
    }

    #[test]
    fn a_colour_is_read_as_it_is_written() {
        assert_eq!(rgb("#0072B2"), Some([0x00, 0x72, 0xb2]));
        assert_eq!(rgb(&hex([213, 94, 0])), Some([213, 94, 0]));
        assert_eq!(["none", "#fff", "#12345x", "url(#n1)"].map(rgb), [None; 4]);
    }

    #[test]
    fn shades_grow_darker_all_the_way() {
        let shades: Vec<f64> = (0..=200).map(|step| luminance(sequential(f64::from(step) / 200.0))).collect();
        assert!(shades.windows(2).all(|pair| pair[1] <= pair[0]));
    }

    #[test]
    fn the_first_28_series_all_look_different() {
        let looks: std::collections::HashSet<_> =
            (0..28).map(|index| (series(index).colour, series(index).dash)).collect();
        assert_eq!(looks.len(), 28);
    }
}

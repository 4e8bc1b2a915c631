//! A data set at a glance.

use crate::{
    Heading, Picture, PictureError,
    axis::{Axis, Plot, drawable, percent, range, thousands},
    canvas::{Canvas, Text},
    font,
    legend::{self, Entry, Sample},
    page::{MARGIN, Page},
    palette::{GRAY, INK, series},
};

const WIDTH: f64 = 1160.0;
const ROW: f64 = 40.0;
/// Height of the two plots.
const HEIGHT: f64 = 360.0;
const GUTTER: f64 = 74.0;
/// Dark to light: the splits of a data set.
const SPLITS: [&str; 5] = ["#08519c", "#4292c6", "#9ecae1", "#636363", "#bdbdbd"];
/// More films than this are thinned out: marks upon marks show nothing.
const MOST_MARKS: usize = 1500;
/// The most splits that get a column of numbers.
const MOST_SPLITS: usize = 5;

/// What is known of the films of one class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassOverview {
    /// The class.
    pub name: String,
    /// Splits (`train`, `val`, `test`) and their numbers of films.
    pub counts: Vec<(String, usize)>,
    /// Width and height in pixels of films, or of a sample of them.
    pub sizes: Vec<[u32; 2]>,
    /// The share of the pixels at each intensity from black (0) to white (255), 0 to 1 each; or any other number of bins.
    pub intensity: Vec<f64>,
}

/// Films a class and split, their sizes, and how bright their pixels are, class by class.
///
/// # Errors
/// [`PictureError::Empty`] without a class.
pub fn overview(heading: &Heading, classes: &[ClassOverview]) -> Result<Picture, PictureError> {
    if classes.is_empty() {
        return Err(PictureError::Empty { picture: "a data set", missing: "class" });
    }
    let mut page = Page::new(heading, WIDTH);
    let mut y = page.top;
    title(&mut page.canvas, [MARGIN, y], "Films", "by class and split");
    y += 34.0;
    y = counts(&mut page.canvas, y, classes) + 26.0;

    let entries: Vec<Entry> = classes
        .iter()
        .enumerate()
        .map(|(index, class)| {
            Entry::new(
                Sample::Line(series(index), 2.2, Some(false)),
                font::fit(&class.name, 240.0, legend::SIZE, false),
            )
        })
        .collect();
    let column = (WIDTH - 2.0 * MARGIN - 40.0) / 2.0;
    let right = MARGIN + column + 40.0;
    y += legend::across(&mut page.canvas, [MARGIN, y], WIDTH - 2.0 * MARGIN, &entries) + 14.0;
    let known = classes.iter().map(|class| class.sizes.len()).sum::<usize>();
    let every = known.div_ceil(MOST_MARKS).max(1);
    let unit = if every == 1 { "one mark a film".to_owned() } else { format!("one mark a film, one film in {every}") };
    title(&mut page.canvas, [MARGIN, y], "Sizes", &unit);
    title(&mut page.canvas, [right, y], "Intensities", "how bright the pixels are");
    y += 34.0;
    sizes(&mut page.canvas, [MARGIN + GUTTER, y, column - GUTTER, HEIGHT], classes, every);
    let note = intensities(&mut page.canvas, [right + GUTTER, y, column - GUTTER, HEIGHT], classes);
    y += HEIGHT + 54.0;
    if let Some(note) = note {
        let note = font::fit(&note, column, 13.0, false);
        page.canvas.text([right, y + 14.0], &note, Text::new(13.0, GRAY));
        y += 18.0;
    }
    let totals = classes.iter().map(|class| format!("{} {}", class.name, thousands(total(class))));
    page.finish(y, &format!("Films a class: {}.", totals.collect::<Vec<_>>().join(", ")))
}

fn title(canvas: &mut Canvas, [x, y]: [f64; 2], title: &str, unit: &str) {
    let look = Text::new(17.0, INK).bold();
    canvas.text([x, y + 16.0], title, look);
    canvas.text([x + look.width(title) + 12.0, y + 16.0], unit, Text::new(14.0, GRAY));
}

/// As a float: the sum could pass usize.
fn total(class: &ClassOverview) -> f64 {
    class.counts.iter().map(|(_, count)| *count as f64).sum()
}

/// A bar a class, its splits one after the other, and the numbers in columns; returns where it ends.
fn counts(canvas: &mut Canvas, top: f64, classes: &[ClassOverview]) -> f64 {
    let mut splits: Vec<&str> = Vec::new();
    for (split, _) in classes.iter().flat_map(|class| &class.counts) {
        if !splits.contains(&split.as_str()) {
            splits.push(split);
        }
    }
    let of = |class: &ClassOverview, split: &str| -> f64 {
        class.counts.iter().filter(|(name, _)| name == split).map(|(_, count)| *count as f64).sum()
    };
    let all: f64 = classes.iter().map(total).sum();
    let most = classes.iter().map(total).fold(0.0, f64::max);

    let name = Text::new(15.0, INK);
    let names = classes.iter().map(|class| name.width(&font::clean(&class.name))).fold(60.0, f64::max).min(230.0);
    // A single split is its own sum.
    let (columned, sum) = match splits[..] {
        [split] => (0, split),
        _ => (splits.len().min(MOST_SPLITS), "all"),
    };
    let number = 84.0;
    let bar_left = MARGIN + names + 16.0;
    let table = WIDTH - MARGIN - (columned as f64 + 2.0) * number;
    let bar = table - bar_left - 10.0;
    let small = Text::new(14.0, GRAY);
    let right_of = |index: usize| table + (index as f64 + 1.0) * number;
    for (index, split) in splits.iter().take(columned).enumerate() {
        let text = font::fit(split, number - 32.0, small.size, false);
        canvas.text([right_of(index), top + 12.0], &text, small.end());
        let width = small.width(&text);
        canvas.rect([right_of(index) - width - 20.0, top, 14.0, 14.0], SPLITS[index % SPLITS.len()]);
    }
    let sum = font::fit(sum, number - 10.0, small.size, true);
    canvas.text([right_of(columned), top + 12.0], &sum, small.bold().end());
    canvas.text([right_of(columned + 1), top + 12.0], "share", small.end());

    let mut y = top + 22.0;
    for class in classes {
        let middle = y + ROW / 2.0;
        canvas.line([MARGIN, y], [WIDTH - MARGIN, y], "#ececec", 1.0, "");
        canvas.text([MARGIN, middle + name.drop()], &font::fit(&class.name, names, name.size, false), name);
        let mut x = bar_left;
        for (index, split) in splits.iter().enumerate() {
            let width = if most > 0.0 { of(class, split) / most * bar } else { 0.0 };
            canvas.rect([x, middle - 11.0, width, 22.0], SPLITS[index % SPLITS.len()]);
            // A white line between two splits, where there is room for one.
            if width > 4.0 && x > bar_left {
                canvas.line([x, middle - 11.0], [x, middle + 11.0], "#ffffff", 1.5, "");
            }
            x += width;
        }
        for (index, split) in splits.iter().take(columned).enumerate() {
            let text = thousands(of(class, split));
            let look = Text::new(font::shrunk(&text, number - 10.0, 15.0, false), INK).end();
            canvas.text([right_of(index), middle + look.drop()], &text, look);
        }
        let sum = total(class);
        let text = thousands(sum);
        let look = Text::new(font::shrunk(&text, number - 10.0, 15.0, true), INK).bold().end();
        canvas.text([right_of(columned), middle + look.drop()], &text, look);
        let share = if all > 0.0 { percent(sum / all) } else { "–".to_owned() };
        canvas.text([right_of(columned + 1), middle + small.drop()], &share, small.end());
        y += ROW;
    }
    canvas.line([MARGIN, y], [WIDTH - MARGIN, y], "#ececec", 1.0, "");
    y
}

/// Width against height, a mark a film.
fn sizes(canvas: &mut Canvas, area: [f64; 4], classes: &[ClassOverview], every: usize) {
    let side =
        |which: usize| classes.iter().flat_map(move |class| class.sizes.iter().map(move |size| f64::from(size[which])));
    let axis = |which: usize| {
        let (low, high) = range(side(which)).unwrap_or((0.0, 1.0));
        let pad = ((high - low) * 0.06).max(high * 0.02).max(1.0);
        Axis::round((low - pad).max(0.0), high + pad, 5)
    };
    let plot = Plot::new(area, axis(0), axis(1));
    plot.frame(canvas);
    plot.name_x(canvas, "width in pixels");
    plot.name_y(canvas, "height in pixels");
    let [left, top, width, height] = area;
    if side(0).next().is_none() {
        let look = Text::new(15.0, GRAY).middle();
        canvas.text([left + width / 2.0, top + height / 2.0], "no film's size is known", look);
        return;
    }
    if let [Some((width, same_width)), Some((height, same_height))] = [range(side(0)), range(side(1))]
        && width == same_width
        && height == same_height
    {
        let text = format!("every film is {width:.0} × {height:.0} pixels");
        canvas.text([left + area[2] / 2.0, top + 24.0], &text, Text::new(15.0, GRAY).middle());
    }
    // The class with the most films first, so that the rare ones lie on top.
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(classes[index].sizes.len()));
    for index in order {
        let look = series(index);
        let films = &classes[index].sizes;
        let mut seen: Vec<[i64; 2]> = Vec::new();
        let opacity = if films.len() > 200 { 0.55 } else { 0.8 };
        canvas.faint(opacity, |canvas| {
            for size in films.iter().step_by(every) {
                let Some(point) = plot.at(size.map(f64::from)) else { continue };
                // Films of one size, or nearly, would only be the same mark again.
                let place = point.map(|value| (value * 0.5).round() as i64);
                if !seen.contains(&place) {
                    seen.push(place);
                    look.marker.draw(canvas, point, 3.4, "none", look.colour);
                }
            }
        });
    }
}

/// A line a class; returns what has been cut off at the top.
fn intensities(canvas: &mut Canvas, area: [f64; 4], classes: &[ClassOverview]) -> Option<String> {
    let values = |class: &ClassOverview| -> Vec<f64> {
        class.intensity.iter().map(|share| drawable(*share).map_or(0.0, |share| share.clamp(0.0, 1.0))).collect()
    };
    // Pure black and pure white (borders, letters) would flatten all else: the axis ends above what lies between.
    let inner = |class: &ClassOverview| {
        let values = values(class);
        let edge = usize::from(values.len() > 2);
        range(values[edge..values.len() - edge].iter().copied()).map_or(0.0, |(_, high)| high)
    };
    let inside = classes.iter().map(inner).fold(0.0, f64::max);
    let whole = classes.iter().flat_map(values).fold(0.0, f64::max);
    let high = if inside > 0.0 {
        inside * 1.15
    } else if whole > 0.0 {
        whole
    } else {
        1.0
    };
    let y = Axis::round(0.0, high * 100.0, 5);
    let plot = Plot::new(area, Axis::exact(-3.0, 258.0, 6).between(0.0, 255.0), y);
    plot.frame(canvas);
    plot.name_x(canvas, "intensity, 0 black to 255 white");
    plot.name_y(canvas, "share of the pixels in %");
    if whole == 0.0 {
        let [left, top, width, height] = area;
        let look = Text::new(15.0, GRAY).middle();
        canvas.text([left + width / 2.0, top + height / 2.0], "no pixel is known", look);
        return None;
    }
    canvas.clipped(area, |canvas| {
        for (index, class) in classes.iter().enumerate().rev() {
            let values = values(class);
            let step = 255.0 / (values.len().max(2) - 1) as f64;
            let points: Vec<_> = values
                .iter()
                .enumerate()
                .filter_map(|(bin, share)| plot.at([bin as f64 * step, share * 100.0]))
                .collect();
            let look = series(index);
            canvas.polyline(&points, look.colour, 2.0, look.dash);
            for point in points.iter().skip(14 + 9 * (index % 5)).step_by(48) {
                look.marker.draw(canvas, *point, 3.6, look.colour, look.colour);
            }
        }
    });
    let top = classes
        .iter()
        .flat_map(|class| {
            let values = values(class);
            let last = values.len().saturating_sub(1);
            [(0, 0), (last, 255)]
                .into_iter()
                .filter_map(move |(bin, intensity)| Some((*values.get(bin)?, intensity, class)))
        })
        .filter(|(share, ..)| plot.y.at(share * 100.0).is_some_and(|pixel| pixel < area[1]))
        .max_by(|left, right| left.0.total_cmp(&right.0));
    top.map(|(share, intensity, class)| {
        format!("Cut off above: intensity {intensity} is up to {} of the pixels ({}).", percent(share), class.name)
    })
}

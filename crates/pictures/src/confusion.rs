//! Confusion matrices.

use crate::{
    Heading, Picture, PictureError,
    axis::{percent, thousands},
    canvas::Text,
    font,
    page::{MARGIN, Page},
    palette::{GRAY, INK, hex, sequential, text_on},
};

/// What the cells together would like to be wide.
const SIDE: f64 = 620.0;
const LABEL: f64 = 15.0;
/// The most room a class name gets.
const LONGEST: f64 = 240.0;
/// The side of a cell that holds a count and its share.
const BOTH: f64 = 56.0;
/// Up to this many classes an empty cell says 0; beyond it the ground says it better.
const ZEROS: usize = 6;
/// Names that do not fit below their column are turned by this.
const TURN: f64 = -40.0;

/// Counts by true class (rows) and predicted class (columns), each cell with its count and its share of the row.
///
/// `counts` are `[label][predicted]`, as many rows and columns as `classes`.
///
/// # Errors
/// [`PictureError::Empty`] without a class, [`PictureError::Counts`] where the counts are not square.
pub fn confusion_matrix(heading: &Heading, classes: &[String], counts: &[Vec<u64>]) -> Result<Picture, PictureError> {
    let n = classes.len();
    if n == 0 {
        return Err(PictureError::Empty { picture: "a confusion matrix", missing: "class" });
    }
    if counts.len() != n || counts.iter().any(|row| row.len() != n) {
        return Err(PictureError::Counts { classes: n });
    }
    // As floats: the sum of a row could pass u64.
    let totals: Vec<f64> = counts.iter().map(|row| row.iter().map(|&count| count as f64).sum()).collect();
    // Up to 16 classes the shares are written too, whatever room they take.
    let cell = (SIDE / n as f64).floor().clamp(if n <= 16 { BOTH } else { 28.0 }, 170.0);
    let side = cell * n as f64;
    let look = Text::new(LABEL, INK);
    let widest = classes.iter().map(|name| look.width(&font::clean(name))).fold(0.0, f64::max);
    // Wide columns hold long names on several lines.
    let lines = if cell >= 100.0 { 3 } else { 1 };
    let turned = lines == 1 && widest > cell - 10.0;
    let label = LABEL.min(cell * 0.5);
    let names = widest.min(LONGEST);
    let films: Vec<String> = totals.iter().map(|total| films(*total)).collect();
    let films_width = films.iter().map(|text| Text::new(13.0, GRAY).width(text)).fold(0.0, f64::max);

    // From the left: the axis' name, the classes (their numbers of films below), the cells, the scale.
    let left = MARGIN + 28.0 + names.max(films_width) + 12.0;
    let scale = left + side + 34.0;
    let width = (scale + 86.0 + MARGIN).max(520.0);
    let mut page = Page::new(heading, width);
    let top = page.top + 4.0;
    let canvas = &mut page.canvas;

    canvas.turned_text([MARGIN + 14.0, top + side / 2.0], -90.0, "true class", Text::new(16.0, INK).bold().middle());
    for (index, name) in classes.iter().enumerate() {
        let y = top + (index as f64 + 0.5) * cell;
        let number = Text::new(13.0, GRAY).end();
        let block = font::wrap(name, names, label, false, lines);
        let height = if cell >= 40.0 { 18.0 * block.len() as f64 + 18.0 } else { 18.0 };
        let mut line = y - height / 2.0 + 9.0;
        for text in &block {
            canvas.text([left - 12.0, line + look.drop()], text, Text { size: label, ..look }.end());
            line += 18.0;
        }
        if cell >= 40.0 {
            canvas.text([left - 12.0, line + number.drop()], &films[index], number);
        }
    }
    for (truth, row) in counts.iter().enumerate() {
        for (predicted, &count) in row.iter().enumerate() {
            let (x, y) = (left + predicted as f64 * cell, top + truth as f64 * cell);
            let share = (totals[truth] > 0.0).then(|| count as f64 / totals[truth]);
            let shade = share.map_or([0xee; 3], sequential);
            canvas.rect([x, y, cell, cell], &hex(shade));
            let ink = text_on(shade);
            let (middle, centre) = (x + cell / 2.0, y + cell / 2.0);
            if count == 0 && n > ZEROS {
                continue;
            }
            let number = thousands(count as f64);
            let room = cell - 8.0;
            if cell >= BOTH {
                let large =
                    Text { size: font::shrunk(&number, room, (cell * 0.26).min(26.0), true), ..Text::new(0.0, ink) };
                canvas.text([middle, centre - 2.0], &number, large.bold().middle());
                let text = share.map_or("–".to_owned(), percent);
                let small = Text::new(font::shrunk(&text, room, (cell * 0.2).clamp(12.0, 16.0), false), ink).middle();
                canvas.text([middle, centre + small.size + 3.0], &text, small);
            } else {
                let number = number.replace(',', "");
                let look = Text::new(font::shrunk(&number, cell - 5.0, 14.0, false), ink).middle();
                canvas.text([middle, centre + look.drop()], &number, look);
            }
        }
    }
    for line in 0..=n {
        let at = line as f64 * cell;
        canvas.line([left + at, top], [left + at, top + side], "#ffffff", 2.0, "");
        canvas.line([left, top + at], [left + side, top + at], "#ffffff", 2.0, "");
    }
    canvas.box_of([left - 0.5, top - 0.5, side + 1.0, side + 1.0], 0.0, "none", "#767676", 1.0);

    let mut bottom = top + side + 10.0;
    let mut deepest = 20.0;
    for (index, name) in classes.iter().enumerate() {
        let x = left + (index as f64 + 0.5) * cell;
        let look = Text { size: label, ..look };
        if turned {
            let name = font::fit(name, names, label, false);
            canvas.turned_text([x + 4.0, bottom + 10.0], TURN, &name, look.end());
        } else {
            for (line, text) in font::wrap(name, cell - 10.0, label, false, lines).iter().enumerate() {
                canvas.text([x, bottom + 14.0 + 18.0 * line as f64], text, look.middle());
                deepest = f64::max(deepest, 20.0 + 18.0 * line as f64);
            }
        }
    }
    bottom += if turned { 20.0 + names * (-TURN).to_radians().sin() } else { deepest };
    canvas.text([left + side / 2.0, bottom + 22.0], "predicted class", Text::new(16.0, INK).bold().middle());

    let shades: Vec<String> = (0..=16).map(|step| hex(sequential(f64::from(step) / 16.0))).collect();
    let tall = side.min(SIDE);
    canvas.ramp([scale, top, 16.0, tall], &shades);
    canvas.box_of([scale - 0.5, top - 0.5, 17.0, tall + 1.0], 0.0, "none", "#767676", 1.0);
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let y = top + tall * (1.0 - share);
        let look = Text::new(13.0, GRAY);
        let y = y.clamp(top + 5.0, top + tall - 5.0);
        canvas.text([scale + 22.0, y + look.drop()], &format!("{:.0} %", share * 100.0), look);
    }
    let look = Text::new(14.0, GRAY).middle();
    canvas.turned_text([scale + 82.0, top + tall / 2.0], -90.0, "share of the true class", look);

    let right: f64 = (0..n).map(|index| counts[index][index] as f64).sum();
    let all: f64 = totals.iter().sum();
    let description =
        format!("Confusion matrix of {n} classes: {} of {} films are right.", thousands(right), thousands(all));
    page.finish(bottom + 24.0, &description)
}

fn films(count: f64) -> String {
    format!("{} {}", thousands(count), if count == 1.0 { "film" } else { "films" })
}

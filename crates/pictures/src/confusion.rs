//! Confusion matrices.

use crate::{
    Heading, Picture, PictureError,
    axis::{percent, thousands},
    canvas::{Canvas, Text},
    font,
    page::{MARGIN, Page},
    palette::{AXIS, GRAY, INK, hex, sequential, text_on},
    picture::check_size,
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
/// Between two lines of a name.
const STEP: f64 = 18.0;
/// Right of the cells: the scale, its numbers and its name.
const SCALE: f64 = 120.0;
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
    let matrix = Matrix::new(classes, counts);
    // From the left: the axis' name, the classes, the cells, the scale.
    let width = (matrix.left + matrix.side + SCALE + MARGIN).max(520.0);
    check_size(width, matrix.side)?;
    let mut page = Page::new(heading, width);
    let top = page.top + 4.0;
    matrix.rows(&mut page.canvas, top);
    matrix.cells(&mut page.canvas, top);
    let bottom = matrix.columns(&mut page.canvas, top + matrix.side + 10.0);
    matrix.scale(&mut page.canvas, top);

    let right: f64 = (0..n).map(|index| counts[index][index] as f64).sum();
    let all: f64 = matrix.totals.iter().sum();
    let description =
        format!("Confusion matrix of {n} classes: {} of {} films are right.", thousands(right), thousands(all));
    page.finish(bottom + 24.0, &description)
}

/// The counts and the measures of their drawing.
struct Matrix<'a> {
    classes: &'a [String],
    counts: &'a [Vec<u64>],
    /// Films of each true class. As floats: the sum of a row could pass u64.
    totals: Vec<f64>,
    /// Where the cells begin, the side of one and of all.
    left: f64,
    cell: f64,
    side: f64,
    /// Room for a name at the left, the size of its letters and its lines at most.
    names: f64,
    label: f64,
    lines: usize,
    /// The names of the columns are turned.
    turned: bool,
}

impl<'a> Matrix<'a> {
    fn new(classes: &'a [String], counts: &'a [Vec<u64>]) -> Matrix<'a> {
        let n = classes.len();
        let totals: Vec<f64> = counts.iter().map(|row| row.iter().map(|&count| count as f64).sum()).collect();
        // Up to 16 classes the shares are written too, whatever room they take.
        let cell = (SIDE / n as f64).floor().clamp(if n <= 16 { BOTH } else { 28.0 }, 170.0);
        let widest = classes.iter().map(|name| font::width(&font::clean(name), LABEL, false)).fold(0.0, f64::max);
        let films_width = totals.iter().map(|total| font::width(&films(*total), 13.0, false)).fold(0.0, f64::max);
        // Wide columns hold long names on several lines.
        let lines = if cell >= 100.0 { 3 } else { 1 };
        let names = widest.min(LONGEST);
        Matrix {
            classes,
            counts,
            totals,
            left: MARGIN + 28.0 + names.max(films_width) + 12.0,
            cell,
            side: cell * n as f64,
            names,
            label: LABEL.min(cell * 0.5),
            lines,
            turned: lines == 1 && widest > cell - 10.0,
        }
    }

    /// The true classes with their numbers of films, at the left of the cells.
    fn rows(&self, canvas: &mut Canvas, top: f64) {
        let middle = top + self.side / 2.0;
        canvas.turned_text([MARGIN + 14.0, middle], -90.0, "true class", Text::new(16.0, INK).bold().middle());
        let (name_look, number) = (Text::new(self.label, INK).end(), Text::new(13.0, GRAY).end());
        let right = self.left - 12.0;
        let numbered = self.cell >= 40.0;
        for (index, name) in self.classes.iter().enumerate() {
            let block = font::wrap(name, self.names, self.label, false, self.lines);
            let height = STEP * (block.len() + usize::from(numbered)).max(1) as f64;
            let mut line = top + (index as f64 + 0.5) * self.cell - height / 2.0 + STEP / 2.0;
            for text in &block {
                canvas.text([right, line + name_look.drop()], text, name_look);
                line += STEP;
            }
            if numbered {
                canvas.text([right, line + number.drop()], &films(self.totals[index]), number);
            }
        }
    }

    fn cells(&self, canvas: &mut Canvas, top: f64) {
        let (left, cell, side) = (self.left, self.cell, self.side);
        for (truth, row) in self.counts.iter().enumerate() {
            for (predicted, &count) in row.iter().enumerate() {
                let corner = [left + predicted as f64 * cell, top + truth as f64 * cell];
                let share = (self.totals[truth] > 0.0).then(|| count as f64 / self.totals[truth]);
                self.draw_cell(canvas, corner, count, share);
            }
        }
        for line in 0..=self.classes.len() {
            let at = line as f64 * cell;
            canvas.line([left + at, top], [left + at, top + side], "#ffffff", 2.0, "");
            canvas.line([left, top + at], [left + side, top + at], "#ffffff", 2.0, "");
        }
        canvas.box_of([left - 0.5, top - 0.5, side + 1.0, side + 1.0], 0.0, "none", AXIS, 1.0);
    }

    /// One cell: its ground says the share of its row, its words the count and, where there is room, the share.
    fn draw_cell(&self, canvas: &mut Canvas, [x, y]: [f64; 2], count: u64, share: Option<f64>) {
        let cell = self.cell;
        let shade = share.map_or([0xee; 3], sequential);
        canvas.rect([x, y, cell, cell], &hex(shade));
        if count == 0 && self.classes.len() > ZEROS {
            return;
        }
        let ink = text_on(shade);
        let (middle, centre) = (x + cell / 2.0, y + cell / 2.0);
        let number = thousands(count as f64);
        if cell >= BOTH {
            let room = cell - 8.0;
            let large = Text::new(font::shrunk(&number, room, (cell * 0.26).min(26.0), true), ink).bold().middle();
            canvas.text([middle, centre - 2.0], &number, large);
            let text = share.map_or("–".to_owned(), percent);
            let small = Text::new(font::shrunk(&text, room, (cell * 0.2).clamp(12.0, 16.0), false), ink).middle();
            canvas.text([middle, centre + small.size + 3.0], &text, small);
        } else {
            let number = number.replace(',', "");
            let look = Text::new(font::shrunk(&number, cell - 5.0, 14.0, false), ink).middle();
            canvas.text([middle, centre + look.drop()], &number, look);
        }
    }

    /// The predicted classes below the cells; returns where they end.
    fn columns(&self, canvas: &mut Canvas, top: f64) -> f64 {
        let look = Text::new(self.label, INK);
        let mut deepest = 20.0;
        for (index, name) in self.classes.iter().enumerate() {
            let x = self.left + (index as f64 + 0.5) * self.cell;
            if self.turned {
                let name = font::fit(name, self.names, self.label, false);
                canvas.turned_text([x + 4.0, top + 10.0], TURN, &name, look.end());
            } else {
                let block = font::wrap(name, self.cell - 10.0, self.label, false, self.lines);
                for (line, text) in block.iter().enumerate() {
                    canvas.text([x, top + 14.0 + STEP * line as f64], text, look.middle());
                    deepest = f64::max(deepest, 20.0 + STEP * line as f64);
                }
            }
        }
        let bottom = top + if self.turned { 20.0 + self.names * (-TURN).to_radians().sin() } else { deepest };
        let middle = self.left + self.side / 2.0;
        canvas.text([middle, bottom + 22.0], "predicted class", Text::new(16.0, INK).bold().middle());
        bottom
    }

    /// What the shades mean, at the right of the cells.
    fn scale(&self, canvas: &mut Canvas, top: f64) {
        let left = self.left + self.side + 34.0;
        let tall = self.side.min(SIDE);
        let shades: Vec<[u8; 3]> = (0..=16).map(|step| sequential(f64::from(step) / 16.0)).collect();
        canvas.ramp([left, top, 16.0, tall], &shades);
        canvas.box_of([left - 0.5, top - 0.5, 17.0, tall + 1.0], 0.0, "none", AXIS, 1.0);
        let look = Text::new(13.0, GRAY);
        for quarter in 0..=4 {
            let share = f64::from(quarter) / 4.0;
            let y = (top + tall * (1.0 - share)).clamp(top + 5.0, top + tall - 5.0);
            canvas.text([left + 22.0, y + look.drop()], &format!("{:.0} %", share * 100.0), look);
        }
        let look = Text::new(14.0, GRAY).middle();
        canvas.turned_text([left + 82.0, top + tall / 2.0], -90.0, "share of the true class", look);
    }
}

fn films(count: f64) -> String {
    format!("{} {}", thousands(count), if count == 1.0 { "film" } else { "films" })
}

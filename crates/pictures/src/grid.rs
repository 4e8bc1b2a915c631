//! Films in rows and columns.

use crate::{
    Film, Heading, HeatScale, Picture, PictureError,
    canvas::{Canvas, Text},
    font, heat,
    page::{MARGIN, Page},
    palette::{GRAY, GREEN, GROUND, INK, VERMILLION},
    picture::check_size,
};

/// Between two tiles.
const GAP: f64 = 20.0;
/// Between the two films of a pair.
const PAIR_GAP: f64 = 8.0;
/// A film's words.
const SIZE: f64 = 14.0;
const LINE: f64 = 20.0;
/// The name of its file.
const NAME: f64 = 12.5;
/// A frame told by colour and by its mark.
const FRAME: f64 = 4.0;
/// Room of the mark before the first line.
const MARK: f64 = 24.0;
/// What a picture of many columns would like to be wide.
const WIDTH: f64 = 1100.0;

/// What a tile says of its film.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// The prediction is right: a green frame and a tick.
    Right,
    /// The prediction is wrong: a vermillion frame and a cross.
    Wrong,
}

impl Tone {
    fn colour(self) -> Option<&'static str> {
        match self {
            Tone::Plain => None,
            Tone::Right => Some(GREEN),
            Tone::Wrong => Some(VERMILLION),
        }
    }
}

/// A film with the words under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The film.
    pub film: Film,
    /// Lines under it, the first the most important; each is shortened to the tile's width.
    pub lines: Vec<String>,
    /// The name of its file, under the lines, shortened in its middle. Names of files may be names of people: who draws
    /// decides whether a picture tells them.
    pub name: Option<String>,
    /// Whether it is marked as right or wrong.
    pub tone: Tone,
}

/// Films in `columns` columns, in the order given, row by row, each with its lines under it.
///
/// # Errors
/// [`PictureError::Empty`] without a tile, [`PictureError::Film`] for pixels that are no film,
/// [`PictureError::TooLarge`] for more rows than a viewer opens.
pub fn film_grid(heading: &Heading, tiles: &[Tile], columns: usize) -> Result<Picture, PictureError> {
    in_grid(heading, tiles, columns, None)
}

/// As [`film_grid`], of films that have heat maps over them ([`Heat::over`](crate::Heat::over)), with the legend of their scale above.
///
/// # Errors
/// As [`film_grid`].
pub fn heat_grid(
    heading: &Heading,
    tiles: &[Tile],
    columns: usize,
    scale: &HeatScale,
) -> Result<Picture, PictureError> {
    in_grid(heading, tiles, columns, Some(scale))
}

fn in_grid(
    heading: &Heading,
    tiles: &[Tile],
    columns: usize,
    scale: Option<&HeatScale>,
) -> Result<Picture, PictureError> {
    if tiles.is_empty() {
        return Err(PictureError::Empty { picture: "films", missing: "film" });
    }
    let columns = columns.clamp(1, tiles.len());
    let side = side(columns as f64, 0.0);
    let height = height(tiles, side)?;
    check_size(columns as f64 * side, tiles.len().div_ceil(columns) as f64 * height)?;
    let width = width(columns as f64 * (side + GAP) - GAP);
    let mut page = Page::new(heading, width);
    let mut y = page.top;
    if let Some(scale) = scale {
        y += heat::legend(&mut page.canvas, [MARGIN, y], width - 2.0 * MARGIN, scale) + GAP;
    }
    for row in tiles.chunks(columns) {
        for (column, tile) in row.iter().enumerate() {
            tile.draw(&mut page.canvas, [MARGIN + column as f64 * (side + GAP), y, side, height])?;
        }
        y += height + words(row) + GAP;
    }
    let told = scale.map(|scale| format!(" Over each what speaks for {} and against it.", scale.of));
    page.finish(y - GAP, &format!("{} films in {columns} columns.{}", tiles.len(), told.unwrap_or_default()))
}

/// Pairs of films side by side under the words `left` and `right`: the same film before and after something.
///
/// # Errors
/// As [`film_grid`].
pub fn film_pairs(heading: &Heading, left: &str, right: &str, pairs: &[(Tile, Tile)]) -> Result<Picture, PictureError> {
    if pairs.is_empty() {
        return Err(PictureError::Empty { picture: "films", missing: "pair of films" });
    }
    let columns = if pairs.len() > 3 { 2 } else { 1 };
    let side = side(2.0 * columns as f64, PAIR_GAP - GAP);
    let pair = 2.0 * side + PAIR_GAP;
    let height = height(pairs.iter().flat_map(|(before, after)| [before, after]), side)?;
    check_size(columns as f64 * pair, pairs.len().div_ceil(columns) as f64 * height)?;
    let gap = 1.6 * GAP;
    let mut page = Page::new(heading, width(columns as f64 * (pair + gap) - gap));
    let look = Text::new(15.0, INK).bold().middle();
    for column in 0..columns {
        let x = MARGIN + column as f64 * (pair + gap) + side / 2.0;
        for (index, text) in [left, right].into_iter().enumerate() {
            let text = font::fit(text, side, look.size, true);
            page.canvas.text([x + index as f64 * (side + PAIR_GAP), page.top + 12.0], &text, look);
        }
    }
    let mut y = page.top + 24.0;
    for row in pairs.chunks(columns) {
        for (column, (before, after)) in row.iter().enumerate() {
            let x = MARGIN + column as f64 * (pair + gap);
            before.draw(&mut page.canvas, [x, y, side, height])?;
            after.draw(&mut page.canvas, [x + side + PAIR_GAP, y, side, height])?;
        }
        let lines = row.iter().flat_map(|(before, after)| [before, after]);
        y += height + lines.map(|tile| words(std::slice::from_ref(tile))).fold(0.0, f64::max) + GAP;
    }
    page.finish(y - GAP, &format!("{} pairs of films: {left}, {right}.", pairs.len()))
}

/// The side of a film's box, so that `columns` of them make a picture about as wide as a page.
fn side(columns: f64, correction: f64) -> f64 {
    ((WIDTH + GAP) / columns - GAP - correction / 2.0).floor().clamp(150.0, 340.0)
}

/// The height of every film's box: what the tallest film needs, so that wide films leave no gaps between their rows.
fn height<'a>(tiles: impl IntoIterator<Item = &'a Tile>, side: f64) -> Result<f64, PictureError> {
    tiles.into_iter().try_fold(0.0, |tallest: f64, tile| {
        let frame = 2.0 * tile.frame();
        Ok(tallest.max(tile.film.fitted(side - frame, side - frame)?.1 + frame))
    })
}

/// A heading needs some room even over a single film.
fn width(contents: f64) -> f64 {
    (contents + 2.0 * MARGIN).max(520.0)
}

/// The height of the words under a row of tiles.
fn words(row: &[Tile]) -> f64 {
    let lines = row.iter().map(|tile| tile.lines.len() + usize::from(tile.name.is_some())).max().unwrap_or(0);
    if lines == 0 { 0.0 } else { 8.0 + lines as f64 * LINE }
}

impl Tile {
    /// How thick its frame is.
    fn frame(&self) -> f64 {
        if self.tone == Tone::Plain { 0.0 } else { FRAME }
    }

    fn draw(&self, canvas: &mut Canvas, [x, y, width, height]: [f64; 4]) -> Result<(), PictureError> {
        canvas.rect([x, y, width, height], GROUND);
        let frame = self.frame();
        self.film.draw(canvas, [x + frame, y + frame, width - 2.0 * frame, height - 2.0 * frame])?;
        let mut mark = 0.0;
        if let Some(colour) = self.tone.colour() {
            let half = FRAME / 2.0;
            canvas.box_of([x + half, y + half, width - FRAME, height - FRAME], 0.0, "none", colour, FRAME);
            self.tone.mark(canvas, [x + 9.0, y + height + 8.0 + LINE / 2.0], colour);
            mark = MARK;
        }
        let middle = |index: usize| y + height + 8.0 + (index as f64 + 0.5) * LINE;
        for (index, line) in self.lines.iter().enumerate() {
            let left = if index == 0 { mark } else { 0.0 };
            let look = if index == 0 { Text::new(SIZE, INK).bold() } else { Text::new(SIZE, GRAY) };
            let text = font::fit(line, width - left, SIZE, look.bold);
            canvas.text([x + left, middle(index) + look.drop()], &text, look);
        }
        if let Some(name) = &self.name {
            // Never level with the mark, which stands for the first line.
            let (index, look) = (self.lines.len().max(usize::from(mark > 0.0)), Text::new(NAME, GRAY));
            let text = font::fit_name(name, width, NAME, false);
            canvas.text([x, middle(index) + look.drop()], &text, look);
        }
        Ok(())
    }
}

impl Tone {
    /// A disc with a tick or a cross.
    fn mark(self, canvas: &mut Canvas, [x, y]: [f64; 2], colour: &str) {
        canvas.circle([x, y], 9.0, colour, "none", 0.0);
        match self {
            Tone::Plain => {}
            Tone::Right => {
                canvas.polyline(&[[x - 4.5, y + 0.2], [x - 1.4, y + 3.6], [x + 4.6, y - 3.6]], "#ffffff", 2.4, "");
            }
            Tone::Wrong => {
                canvas.line([x - 3.6, y - 3.6], [x + 3.6, y + 3.6], "#ffffff", 2.4, "");
                canvas.line([x - 3.6, y + 3.6], [x + 3.6, y - 3.6], "#ffffff", 2.4, "");
            }
        }
    }
}

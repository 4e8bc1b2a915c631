//! What every picture has: a title above, a word on what it is below.

use crate::{
    PictureError,
    canvas::{Canvas, Text},
    font,
    palette::{GRAY, INK},
    picture::Picture,
};

/// Free on all four sides.
pub(crate) const MARGIN: f64 = 28.0;
const TITLE: f64 = 23.0;
const SUBTITLE: f64 = 15.0;
const NOTE: f64 = 13.0;
const FOOTER: &str = "lungfish – a research tool, not a diagnosis";
const SYNTHETIC: &str = "Synthetic films, not real ones";

/// What stands above a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    /// What the picture shows, in a few words; two lines at most.
    pub title: String,
    /// Of which model, films and date; three lines at most.
    pub subtitle: Option<String>,
    /// The films were made by a program: the picture then says so.
    pub synthetic: bool,
}

/// A picture in the making, its heading drawn.
pub(crate) struct Page<'a> {
    heading: &'a Heading,
    width: f64,
    pub canvas: Canvas,
    /// Where the contents begin.
    pub top: f64,
}

impl<'a> Page<'a> {
    pub(crate) fn new(heading: &'a Heading, width: f64) -> Page<'a> {
        let mut canvas = Canvas::default();
        let room = width - 2.0 * MARGIN;
        let mut y = MARGIN - 6.0;
        let title = Text::new(TITLE, INK).bold();
        for line in font::wrap(&heading.title, room, TITLE, true, 2) {
            y += 28.0;
            canvas.text([MARGIN, y], &line, title);
        }
        y += 3.0;
        for line in font::wrap(heading.subtitle.as_deref().unwrap_or_default(), room, SUBTITLE, false, 3) {
            y += 22.0;
            canvas.text([MARGIN, y], &line, Text::new(SUBTITLE, GRAY));
        }
        if heading.synthetic {
            let look = Text::new(NOTE + 1.0, "#7a3600").bold();
            y += 12.0;
            canvas.box_of([MARGIN, y, look.width(SYNTHETIC) + 22.0, 26.0], 4.0, "#fdeee2", "#D55E00", 1.5);
            canvas.text([MARGIN + 11.0, y + 13.0 + look.drop()], SYNTHETIC, look);
            y += 26.0;
        }
        Page { heading, width, canvas, top: y + 20.0 }
    }

    /// Closes the picture below `bottom`, where the contents end. `description` says in words what is to be seen.
    pub(crate) fn finish(mut self, bottom: f64, description: &str) -> Result<Picture, PictureError> {
        let baseline = bottom + 32.0;
        self.canvas.text([MARGIN, baseline], FOOTER, Text::new(NOTE, GRAY));
        let description =
            if self.heading.synthetic { format!("{description} {SYNTHETIC}.") } else { description.to_owned() };
        let description = format!("{description} {FOOTER}.");
        // A float beyond u32 becomes u32::MAX, which is refused.
        let size = (self.width.ceil() as u32, (baseline + 18.0).ceil() as u32);
        Picture::new(size, self.canvas.into_marks(), &self.heading.title, &description)
    }
}

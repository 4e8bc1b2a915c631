//! Pictures of films and metrics, from what the other rooms know to what `lungfish_pictures` draws, and to files.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use lungfish_data::Image;
use lungfish_data::display::escape;
use lungfish_data::preprocess::resize;
use lungfish_pictures::{Film, Picture, Print, is_picture};

use crate::Error;
use crate::run_folder::write_atomically;

/// How pictures are written besides their usual size for a screen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PictureFormats {
    /// As PDF too, beside each picture.
    pub pdf: bool,
    /// For paper: PNGs have the pixels of this print, PDFs its width; none is a screen's PNG and a PDF as wide as that one
    /// says it is.
    pub print: Option<Print>,
}

/// A film to be drawn, its longer side at most `longest` pixels, in its own shape.
pub(crate) fn film(image: Image, longest: usize) -> Film {
    let (width, height) = (image.width, image.height);
    let long = width.max(height).max(1);
    let shrink = |side: usize| (side * longest / long).max(1);
    let image = if long > longest { resize(image, shrink(width), shrink(height)) } else { image };
    Film { width: image.width, height: image.height, channels: image.channels.count(), pixels: image.pixels }
}

/// Writes `{name}.png` and `{name}.svg`, and `{name}.pdf` if it is asked for; gives their paths. A PDF of an earlier time
/// goes where none is asked for.
pub(crate) fn write_all(
    folder: &Path,
    name: &str,
    picture: &Picture,
    formats: PictureFormats,
) -> Result<Vec<PathBuf>, Error> {
    remove_pdf(folder, name);
    let svg = folder.join(format!("{name}.svg"));
    let mut written = write(&folder.join(format!("{name}.png")), picture, formats)?;
    write(&svg, picture, PictureFormats::default())?;
    written.insert(1, svg);
    Ok(written)
}

/// Removes the pictures that were written under a name at an earlier time; nothing is lost where that fails.
pub(crate) fn remove_all(folder: &Path, name: &str) {
    remove_pdf(folder, name);
    for extension in ["png", "svg"] {
        let _ = std::fs::remove_file(folder.join(format!("{name}.{extension}")));
    }
}

/// Removes `{name}.pdf` if it is a picture of lungfish.
fn remove_pdf(folder: &Path, name: &str) {
    let pdf = folder.join(format!("{name}.pdf"));
    if may_be_replaced(&pdf) {
        let _ = std::fs::remove_file(pdf);
    }
}

/// Writes a picture as SVG where the file's name ends so, else as PNG; and as PDF beside it if that is asked for. The
/// folder is made where there is none. Gives the paths.
///
/// # Errors
/// A file that cannot be written, a PDF that would take the place of what lungfish did not draw.
pub(crate) fn write(to: &Path, picture: &Picture, formats: PictureFormats) -> Result<Vec<PathBuf>, Error> {
    let pdf = formats.pdf.then(|| to.with_extension("pdf"));
    if let Some(pdf) = pdf.as_ref().filter(|pdf| !may_be_replaced(pdf)) {
        let name = escape(pdf);
        return Err(Error::refused(format!("{name} is there and no picture of lungfish: it is not replaced")));
    }
    write_one(to, picture, formats.print)?;
    if let Some(pdf) = &pdf {
        let width = formats.print.map_or(picture.width_mm(), Print::width_mm);
        write_atomically(pdf, &picture.pdf(width)?)?;
    }
    Ok(std::iter::once(to.to_owned()).chain(pdf).collect())
}

/// Whether nothing lies there, or a picture of an earlier time: another folder's film may have this film's name.
pub(crate) fn may_be_replaced(picture: &Path) -> bool {
    match std::fs::metadata(picture) {
        // Opening a pipe may never end.
        Ok(metadata) => metadata.is_file() && start_of(picture).is_ok_and(|start| is_picture(&start)),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

fn start_of(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    std::fs::File::open(file)?.take(2048).read_to_end(&mut start)?;
    Ok(start)
}

fn write_one(to: &Path, picture: &Picture, print: Option<Print>) -> Result<(), Error> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    }
    if has_extension(to, "svg") {
        write_atomically(to, picture.svg().as_bytes())
    } else {
        let png = print.map_or_else(|| picture.png(), |print| picture.png_at(print))?;
        write_atomically(to, &png)
    }
}

/// Whether a name ends in an extension, in any case.
pub(crate) fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension))
}

/// The last part of a path as a person knows it, for `.` that of the folder itself.
pub(crate) fn name_of(path: &Path) -> String {
    let real = || std::fs::canonicalize(path).ok();
    match path.file_name() {
        Some(name) => escape(name),
        None => real().and_then(|path| path.file_name().map(escape)).unwrap_or_else(|| escape(path)),
    }
}

#[cfg(test)]
mod tests {
    use lungfish_data::Channels;

    use super::*;

    #[test]
    fn a_film_keeps_its_shape_and_a_small_one_its_pixels() {
        let small = Image { width: 3, height: 2, channels: Channels::Gray, pixels: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(film(small.clone(), 3), Film { width: 3, height: 2, channels: 1, pixels: small.pixels });
        let wide = film(Image::black(900, 300, Channels::Rgb), 300);
        assert_eq!((wide.width, wide.height, wide.channels, wide.pixels.len()), (300, 100, 3, 90_000));
        let thread = film(Image::black(1, 5000, Channels::Gray), 100);
        assert_eq!((thread.width, thread.height), (1, 100));
    }

    #[test]
    fn names_are_of_the_last_part() {
        assert_eq!(name_of(Path::new("a/run")), "run");
        assert_eq!(name_of(Path::new("a/b\u{1b}")), "b\\x1b");
        let here = std::env::current_dir().unwrap();
        assert_eq!(name_of(Path::new(".")), here.file_name().unwrap().to_str().unwrap());
    }
}

//! Pictures of films and metrics, from what the other rooms know to what `lungfish_pictures` draws, and to files.

use std::path::{Path, PathBuf};

use lungfish_data::Image;
use lungfish_data::display::escape;
use lungfish_data::preprocess::resize;
use lungfish_pictures::{Film, Picture};

use crate::Error;
use crate::run_folder::write_atomically;

/// A film to be drawn, its longer side at most `longest` pixels, in its own shape.
pub(crate) fn film(image: Image, longest: usize) -> Film {
    let (width, height) = (image.width, image.height);
    let long = width.max(height).max(1);
    let shrink = |side: usize| (side * longest / long).max(1);
    let image = if long > longest { resize(image, shrink(width), shrink(height)) } else { image };
    Film { width: image.width, height: image.height, channels: image.channels.count(), pixels: image.pixels }
}

/// Writes `{name}.png` and `{name}.svg`; gives the path of the PNG.
pub(crate) fn write_both(folder: &Path, name: &str, picture: &Picture) -> Result<PathBuf, Error> {
    let png = folder.join(format!("{name}.png"));
    write(&png, picture)?;
    write(&png.with_extension("svg"), picture)?;
    Ok(png)
}

/// Writes a picture as SVG where the file's name ends so, else as PNG. Its folder is made where there is none.
pub(crate) fn write(to: &Path, picture: &Picture) -> Result<(), Error> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    }
    if has_extension(to, "svg") {
        write_atomically(to, picture.svg().as_bytes())
    } else {
        write_atomically(to, &picture.png()?)
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

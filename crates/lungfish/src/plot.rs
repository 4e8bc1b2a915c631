//! A film beside its probabilities, for `lungfish predict --plot`: one picture, or one a film in a folder.

use std::path::{Path, PathBuf};

use lungfish_data::display::escape;
use lungfish_data::folder::real;
use lungfish_data::synth::is_synthetic_file;
use lungfish_data::{decode_file, is_npz};
use lungfish_pictures::{Heading, HeatPanel, HeatScale, classify, classify_with_heat, percent};
use rayon::prelude::*;

use crate::cam::{self, file_names};
use crate::picture::{PictureFormats, film, has_extension, may_be_replaced, name_of, write};
use crate::{Activity, Called, Error, Event, ModelInfo, Prediction, Watch};

/// The longer side of the film in pixels: twice the size at which it is drawn.
const LONGEST: usize = 960;
/// Pictures made between two looks at the stop flag.
const CHUNK: usize = 8;

/// Where the pictures of a prediction go.
#[derive(Clone, Debug, PartialEq)]
pub struct PlotTarget {
    place: Place,
    formats: PictureFormats,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Folder(PathBuf),
}

impl PlotTarget {
    /// `to` is one picture where its name ends in `.png` or `.svg` and no folder lies there; anything else is a folder,
    /// with one PNG a film. `inputs` are the films and folders that will be predicted. Asked before the work is done.
    ///
    /// # Errors
    /// One sentence: a picture of another format, one picture for a folder or several films, a picture in the place of its film, or pictures among
    /// the films, where they would be taken for films the next time.
    pub fn new(to: &Path, inputs: &[PathBuf]) -> Result<Self, Error> {
        let one = !to.is_dir() && (has_extension(to, "png") || has_extension(to, "svg"));
        let other = ["jpg", "jpeg", "tif", "tiff", "bmp", "gif", "webp", "pdf"];
        if !to.is_dir() && other.iter().any(|extension| has_extension(to, extension)) {
            let name = escape(to);
            return Err(Error::refused(format!("{name} is no name for a picture: end it in .png or .svg")));
        }
        let place = real(to);
        if one {
            let [input] = inputs else {
                return Err(Error::refused(format!(
                    "{} is one picture and there are {} films: name a folder for their pictures",
                    escape(to),
                    inputs.len()
                )));
            };
            if input.is_dir() || is_npz(input) {
                let what = if input.is_dir() { "is a folder of films" } else { "holds many films" };
                return Err(Error::refused(format!(
                    "{} is one picture and {} {what}: name a folder for their pictures",
                    escape(to),
                    escape(input)
                )));
            }
            if place.is_some() && place == real(input) {
                return Err(Error::refused(format!("the picture {} would replace its film", escape(to))));
            }
            return Ok(PlotTarget::at(Place::File(to.to_owned())));
        }
        let Some(place) = place else { return Ok(PlotTarget::at(Place::Folder(to.to_owned()))) };
        let among = |input: &&PathBuf| {
            real(input).is_some_and(|input| {
                if input.is_dir() { place.starts_with(&input) } else { input.parent() == Some(place.as_path()) }
            })
        };
        if let Some(input) = inputs.iter().find(among) {
            return Err(Error::refused(format!(
                "pictures in {} would lie among the films of {}: name another folder",
                escape(to),
                escape(input)
            )));
        }
        Ok(PlotTarget::at(Place::Folder(to.to_owned())))
    }

    fn at(place: Place) -> PlotTarget {
        PlotTarget { place, formats: PictureFormats::default() }
    }

    /// The same target, its pictures written so.
    #[must_use]
    pub fn with_formats(self, formats: PictureFormats) -> PlotTarget {
        PlotTarget { formats, ..self }
    }

    /// Draws each prediction, the maps of those that have one on one scale for all. Gives the pictures, in the order of the predictions. In a folder a picture has the name of
    /// its film, with a number after it where two films have the same.
    ///
    /// # Errors
    /// A film that cannot be read any more, a picture that cannot be written or would take the place of what lungfish did
    /// not draw, [`Error::Stopped`].
    pub fn draw(
        &self,
        model: &ModelInfo,
        predictions: &[Prediction],
        watch: &mut Watch<'_>,
    ) -> Result<Vec<PathBuf>, Error> {
        let pictures: Vec<PathBuf> = match &self.place {
            Place::File(file) => predictions.iter().take(1).map(|_| file.clone()).collect(),
            Place::Folder(folder) => file_names(predictions, "png").into_iter().map(|name| folder.join(name)).collect(),
        };
        if let Place::Folder(folder) = &self.place
            && let Some(there) = pictures.iter().find(|picture| !may_be_replaced(picture))
        {
            return Err(Error::refused(format!(
                "{} is there and no picture of lungfish: it is not replaced, name another folder than {}",
                escape(there),
                escape(folder)
            )));
        }
        let maps: Vec<_> = predictions.iter().filter_map(|film| film.map.as_ref()).collect();
        let scale = cam::scale(&maps);
        let pairs: Vec<(&Prediction, &PathBuf)> = predictions.iter().zip(&pictures).collect();
        let mut done = 0;
        for chunk in pairs.chunks(CHUNK) {
            if watch.stopped() {
                return Err(Error::Stopped);
            }
            chunk
                .par_iter()
                .with_max_len(1)
                .try_for_each(|(film, to)| plot(model, film, to, (&scale, self.formats)))?;
            done += chunk.len();
            watch.event(&Event::Progress { task: Activity::Drawing, done, total: pairs.len() });
        }
        Ok(pictures)
    }
}

/// Draws a film beside the probabilities of its classes: an SVG where the name of `to` ends so, else a PNG. The folder is
/// made where there is none.
///
/// # Errors
/// A film that cannot be read, a picture that cannot be written.
pub fn plot_prediction(model: &ModelInfo, prediction: &Prediction, to: &Path) -> Result<(), Error> {
    let maps: Vec<_> = prediction.map.iter().collect();
    plot(model, prediction, to, (&cam::scale(&maps), PictureFormats::default()))
}

fn plot(
    model: &ModelInfo,
    prediction: &Prediction,
    to: &Path,
    (scale, formats): (&HeatScale, PictureFormats),
) -> Result<(), Error> {
    let path = &prediction.path;
    let image = decode_file(path, model.preprocess.decode_options())
        .map_err(|error| Error::refused(format!("{} cannot be drawn: {error}", escape(path))))?;
    let synthetic = is_synthetic_file(path);
    let mut subtitle = match &prediction.called {
        Called::Class(class) => {
            let called = prediction.probabilities.iter().find(|(name, _)| name == class);
            let probability = percent(called.map_or(f64::NAN, |(_, probability)| *probability));
            format!("{} calls it {class}, {probability}", model.architecture)
        }
        labels => {
            format!("{} finds {} of {} labels", model.architecture, labels.words(), prediction.probabilities.len())
        }
    };
    if prediction.is_unlike() {
        subtitle.push_str(". Unlike the films of the training: not to be relied on");
    }
    if model.synthetic && !synthetic {
        subtitle.push_str(". The model has learnt from synthetic films and knows nothing of real ones");
    }
    let heading = Heading { title: name_of(path), subtitle: Some(subtitle), synthetic };
    let picture = match &prediction.map {
        Some(map) => {
            let over = cam::over(image.clone(), &model.preprocess, LONGEST, (map, scale))?;
            let panel = HeatPanel { film: &over, scale, line: &map.lines().join("; ") };
            classify_with_heat(&heading, &film(image, LONGEST), &prediction.probabilities, panel)?
        }
        None => classify(&heading, &film(image, LONGEST), &prediction.probabilities)?,
    };
    write(to, &picture, formats)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_never_take_the_place_of_films() {
        let dir = tempfile::tempdir().unwrap();
        let films = dir.path().join("films");
        std::fs::create_dir(&films).unwrap();
        let [film, other] = ["f.png", "g.jpeg"].map(|name| films.join(name));
        std::fs::write(&film, b"").unwrap();
        std::fs::write(&other, b"").unwrap();
        let target = |to: &Path, inputs: &[&PathBuf]| {
            let inputs: Vec<PathBuf> = inputs.iter().map(|path| (*path).clone()).collect();
            PlotTarget::new(to, &inputs).map_err(|error| error.to_string())
        };
        let refused = |to: &Path, inputs: &[&PathBuf], part: &str| {
            let error = target(to, inputs).unwrap_err();
            assert!(error.contains(part) && error.contains(to.to_str().unwrap()), "{error}");
        };
        let file = |path: PathBuf| Ok(PlotTarget::at(Place::File(path)));
        let folder = |path: PathBuf| Ok(PlotTarget::at(Place::Folder(path)));

        for name in ["out.png", "out.SVG", "films/out.png"] {
            assert_eq!(target(&dir.path().join(name), &[&film]), file(dir.path().join(name)));
        }
        refused(&dir.path().join("films/../films/f.png"), &[&film], "would replace its film");
        refused(&dir.path().join("out.png"), &[&film, &other], "one picture and there are 2 films");
        refused(&dir.path().join("out.png"), &[&films], "is a folder of films");

        for name in ["plots", "plots.v2", "films/plots"] {
            assert_eq!(target(&dir.path().join(name), &[&film, &other]), folder(dir.path().join(name)));
        }
        refused(&dir.path().join("films/plots"), &[&films], "among the films");
        refused(&films, &[&film, &other], "among the films");
        // A folder that looks like a picture is a folder.
        let odd = dir.path().join("odd.png");
        std::fs::create_dir(&odd).unwrap();
        assert_eq!(target(&odd, &[&film, &other]), folder(odd.clone()));
    }
}

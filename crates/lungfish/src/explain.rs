//! One film in memory, explained: what a model says of it, the film as it was decoded, and what the network read in it.

use lungfish_data::preprocess::resize;
use lungfish_data::{Image, decode_with_facts, film_uid_of};

use crate::{Error, Prediction, Predictor};

/// What [`Predictor::explain_bytes`] makes of a film.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explained {
    /// What the model says, with the map of what it read.
    pub prediction: Prediction,
    /// Pixels a row, and rows, of the film.
    pub size: [usize; 2],
    /// `JPEG`, `PNG`, `TIFF`, `DICOM` and the like.
    pub format: &'static str,
    /// The film as the network was given it before it was cut to a square, made smaller where it is larger than asked for.
    pub picture: Image,
    /// Where the network's square, and so the map, lies on it: left, top, width and height in shares of the film's. Beyond 0 to 1
    /// the square has margins.
    pub square: [f64; 4],
}

impl Predictor {
    /// Scores an image in memory, as [`Predictor::predict_bytes`] does, and says which places of it raised and lowered the score. The
    /// longer side of the picture has at most `longest` pixels.
    ///
    /// # Errors
    /// As [`Predictor::predict_bytes`]; memory that is not there.
    pub fn explain_bytes(&mut self, bytes: &[u8], longest: usize) -> Result<Explained, Error> {
        self.decode_for(bytes);
        let preprocess = self.info().preprocess;
        let (image, facts) = decode_with_facts(bytes, preprocess.decode_options())
            .map_err(|reason| Error::damaged(format!("the image cannot be read: {reason}")))?;
        let (width, height) = (image.width, image.height);
        let long = width.max(height).max(1);
        let shrunk = |side: usize| (side * longest.max(1) / long).max(1);
        let picture = if long > longest { resize(image.clone(), shrunk(width), shrunk(height)) } else { image.clone() };
        let prediction = self.predict_with(preprocess.apply(image), true)?;
        Ok(Explained {
            prediction: Prediction { uid: film_uid_of(bytes, self.uids()), ..prediction },
            size: [width, height],
            format: facts.source.format,
            picture,
            square: preprocess.square_on(width, height),
        })
    }
}

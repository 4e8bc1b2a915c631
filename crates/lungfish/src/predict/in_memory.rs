//! Films that are in memory: the bytes of a file, or pixels.

use std::path::Path;

use lungfish_data::decode::MAX_PIXELS;
use lungfish_data::{Image, decode, film_uid_of};

use super::{Prediction, Predictor, prediction};
use crate::cam::Cam;
use crate::{Error, sample_bits};

impl Predictor {
    /// Scores an image in memory: the bytes of a JPEG, PNG, TIFF or BMP file. The probabilities are, to the bit, those of
    /// the file predicted alone.
    ///
    /// # Errors
    /// Bytes that are no image that can be read, weights that give no numbers.
    pub fn predict_bytes(&mut self, bytes: &[u8]) -> Result<Prediction, Error> {
        self.decode_for(bytes);
        let image = decode(bytes, self.model.info.preprocess.decode_options())
            .map_err(|reason| Error::damaged(format!("the image cannot be read: {reason}")))?;
        let uid = film_uid_of(bytes, self.uids);
        Ok(Prediction { uid, ..self.predict_square(image)? })
    }

    /// Decodes from now on as an image in memory wants it.
    pub(crate) fn decode_for(&mut self, bytes: &[u8]) {
        self.decode_as(sample_bits::of_bytes(self.learnt, bytes));
    }

    /// Scores decoded pixels: one byte a sample, 0 black and 255 white, row by row from the top, `[height, width]` for
    /// gray or `[height, width, 3]` for red, green and blue. They may be of any size and either kind: the model's own
    /// preprocessing makes its input of them, as of a file that holds them, and gives the same probabilities to the bit.
    ///
    /// # Errors
    /// Pixels that are not as many as the size says, none at all, or more than 100 million; weights that give no numbers.
    pub fn predict_pixels(&mut self, image: Image) -> Result<Prediction, Error> {
        let Image { width, height, channels, ref pixels } = image;
        let area = (width as u64).checked_mul(height as u64).filter(|area| (1..=MAX_PIXELS).contains(area));
        if area.map(|area| area * channels.count() as u64) != Some(pixels.len() as u64) {
            return Err(Error::refused(format!(
                "an image of {width}x{height} pixels and {} bytes a pixel with {} bytes: it has 1 to {MAX_PIXELS} pixels \
                 and so many bytes for each",
                channels.count(),
                pixels.len()
            )));
        }
        self.predict_square(image.into_channels(self.model.info.preprocess.channels))
    }

    fn predict_square(&mut self, image: Image) -> Result<Prediction, Error> {
        let square = self.model.info.preprocess.apply(image);
        let maps = self.maps;
        self.predict_with(square, maps)
    }

    /// What is said of a square, with a map or without.
    pub(crate) fn predict_with(&mut self, square: Image, map: bool) -> Result<Prediction, Error> {
        let rows = self.scorer.score_squares(&mut self.model.stores, vec![square.pixels.clone()])?;
        let row = rows.into_iter().next().unwrap_or_default();
        let mut prediction = prediction(self.names(), self.model.file(), Path::new(""), &row)?;
        if map {
            let cam = match &mut self.cam {
                Some(cam) => cam,
                none => none.insert(Cam::new(&self.model, self.model.device())?),
            };
            prediction.map = cam.maps(&[&prediction], &[square.pixels])?.pop();
        }
        Ok(prediction)
    }
}

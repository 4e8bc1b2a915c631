//! The worst errors with maps of what the network read.

use lungfish_data::decode_file;
use lungfish_pictures::{Heading, Picture, Tile, Tone, heat_grid};
use rayon::prelude::*;

use super::Tested;
use super::tiles::{COLUMNS, LONGEST, file_name};
use crate::{Error, Predictor, cam};

/// The films by their index, in that order, each under its map; one scale for all. None where no film can be read any
/// more.
pub(super) fn draw(
    tested: &Tested,
    predictor: &Predictor,
    films: &[usize],
    heading: impl FnOnce(usize) -> Heading,
) -> Result<Option<Picture>, Error> {
    let mut predictions: Vec<_> = films.iter().map(|&film| tested.predictions[film].clone()).collect();
    predictor.cam()?.add(&mut predictions)?;
    let maps: Vec<_> = predictions.iter().filter_map(|film| film.map.as_ref()).collect();
    let scale = cam::scale(&maps);
    let preprocess = &tested.model.preprocess;
    let tile = |(&film, prediction): (&usize, &crate::Prediction)| {
        let map = prediction.map.as_ref()?;
        let image = decode_file(&prediction.path, preprocess.decode_options()).ok()?;
        let mut lines = tested.lines(film);
        lines.extend(map.lines());
        let tile = |film| Tile { film, lines, name: Some(file_name(&prediction.path)), tone: Tone::Plain };
        Some(cam::over(image, preprocess, LONGEST, (map, &scale)).map(tile))
    };
    let pairs: Vec<_> = films.iter().zip(&predictions).collect();
    let tiles: Vec<Tile> = pairs.into_par_iter().with_max_len(1).filter_map(tile).collect::<Result<_, _>>()?;
    if tiles.is_empty() {
        return Ok(None);
    }
    Ok(Some(heat_grid(&heading(tiles.len()), &tiles, COLUMNS, &scale)?))
}

//! Heat maps: which places of a film raised or lowered what a network says of it, in logits.
//!
//! [`GradCam`] gives the numbers; here is decided of which score they are, and films are read for them. Of two classes it
//! is the log-odds of the positive one, whatever a film is called, so that the films of a page can be compared; of several
//! the logit of the class that a film is called; of labels, of which any may hold, the log-odds of the most probable one. Who asks
//! for a class or label gets the map of that one on every film.
//! Of an ensemble a map is the mean of its members' maps. A film is looked at as it is, however many views score it.

mod arrays;
#[cfg(feature = "pictures")]
mod draw;
mod evidence;

use lungfish_data::{Decoding, Pipeline, Task};
use lungfish_engine::Store;
use lungfish_models::GradCam;
#[cfg(feature = "pictures")]
use rayon::prelude::*;

pub use arrays::MapsFolder;
#[cfg(feature = "pictures")]
pub(crate) use arrays::file_names;
#[cfg(feature = "pictures")]
pub(crate) use draw::{over, scale};
pub use evidence::{Evidence, HeatMap};

use crate::compute::Compute;
use crate::model::{self, Model, normalization};
use crate::scorer::{AT_ONCE, input};
use crate::{Error, Prediction, positive};

/// The networks of a model, ready to map films. Their weights are a copy: the model's own may be at work.
pub(crate) struct Cam {
    members: Vec<(GradCam<Compute>, Store<Compute>)>,
    pipeline: Pipeline,
    classes: Vec<String>,
    /// The class or label that is mapped on every film: of two classes the positive one, unless another one is asked for.
    fixed: Option<usize>,
    /// Of two classes log-odds are mapped: the other one's logit is taken off.
    odds: bool,
    grid: [usize; 2],
}

impl Cam {
    /// # Errors
    /// Memory that is not there, an ensemble whose networks have maps of different sizes.
    pub(crate) fn new(model: &Model, backend: &Compute) -> Result<Self, Error> {
        let preprocess = model.info.preprocess;
        let mut members = Vec::new();
        for ((network, weights), precision) in model.networks.iter().zip(&model.stores).zip(&model.precisions) {
            // In that of the score: a map comes to the very logits that it is a map of.
            let asked = (normalization(&preprocess), *precision);
            let cam = GradCam::new(backend, network, AT_ONCE, preprocess.size, asked)?;
            let mut store = Store::new(backend, &network.graph)?;
            model::restore(&mut store, &model::capture(weights)?)?;
            members.push((cam, store));
        }
        let grid = members.first().map_or([0, 0], |(cam, _)| cam.grid());
        if members.iter().any(|(cam, _)| cam.grid() != grid) {
            return Err(Error::refused(
                "the networks of this ensemble have maps of different sizes, which have no mean",
            ));
        }
        let classes = model.info.classes.clone();
        let odds = model.info.task == Task::OneOf && classes.len() == 2;
        // Who asked for a class that is not there was told so when the model was trained.
        let positive = || positive::of(&classes, &model.info.recipe.positive).ok().flatten().unwrap_or(1);
        let fixed = odds.then(positive);
        let pipeline = Pipeline { preprocess, augment: None, side: None, cache: None };
        Ok(Cam { members, pipeline, classes, fixed, odds, grid })
    }

    /// Maps this class or label on every film from now on.
    pub(crate) fn ask(&mut self, class: usize) {
        self.fixed = Some(class);
    }

    /// How films are decoded from now on.
    pub(crate) fn decode_as(&mut self, decoding: Decoding) {
        self.pipeline.preprocess.decoding = decoding;
    }

    /// Gives each film its map; one that cannot be read any more gets none. For pictures of a test, whose films were read before.
    #[cfg(feature = "pictures")]
    pub(crate) fn add<'a>(&mut self, films: impl IntoIterator<Item = &'a mut Prediction>) -> Result<(), Error> {
        let mut films: Vec<&mut Prediction> = films.into_iter().collect();
        for batch in films.chunks_mut(AT_ONCE) {
            let square = |film: &&mut Prediction| self.pipeline.square(&film.path, None).ok().map(|image| image.pixels);
            let squares: Vec<Option<Vec<u8>>> = batch.par_iter().with_max_len(1).map(square).collect();
            let read: Vec<(&mut &mut Prediction, Vec<u8>)> =
                batch.iter_mut().zip(squares).filter_map(|(film, square)| Some((film, square?))).collect();
            let (read, squares): (Vec<&mut Prediction>, Vec<Vec<u8>>) =
                read.into_iter().map(|(film, square)| (&mut **film, square)).unzip();
            self.add_of(read, &squares)?;
        }
        Ok(())
    }

    /// Gives films their maps of which the network's squares are there already, in the same order.
    pub(crate) fn add_of(&mut self, mut films: Vec<&mut Prediction>, squares: &[Vec<u8>]) -> Result<(), Error> {
        for (films, squares) in films.chunks_mut(AT_ONCE).zip(squares.chunks(AT_ONCE)) {
            let maps = self.maps(&films.iter().map(|film| &**film).collect::<Vec<_>>(), squares)?;
            for (film, map) in films.iter_mut().zip(maps) {
                film.map = Some(map);
            }
        }
        Ok(())
    }

    /// The maps of films that are the network's squares already, [`AT_ONCE`] at most, by what is said of each.
    pub(crate) fn maps(&mut self, said: &[&Prediction], squares: &[Vec<u8>]) -> Result<Vec<HeatMap>, Error> {
        let Cam { members, pipeline, classes, fixed, odds, grid: [rows, columns] } = self;
        let (n, places) = (squares.len(), *rows * *columns);
        if n == 0 {
            return Ok(Vec::new());
        }
        let target = |film: &&Prediction| {
            let probabilities: Vec<f64> = film.probabilities.iter().map(|(_, p)| *p).collect();
            fixed.unwrap_or_else(|| lungfish_metrics::argmax(&probabilities))
        };
        let targets: Vec<usize> = said.iter().map(target).collect();
        let mut score = Vec::with_capacity(n * classes.len());
        for target in &targets {
            // Of two classes the other one's logit is taken off.
            let other = if *odds { -1.0 } else { 0.0 };
            score.extend((0..classes.len()).map(|class| if class == *target { 1.0 } else { other }));
        }
        let pixels = squares.concat();
        let mut sums = vec![0.0_f64; n * places];
        for (cam, store) in members.iter_mut() {
            let maps = cam.maps(store, n, input(&pixels, pipeline.preprocess.channels), &score)?;
            sums.iter_mut().zip(maps).for_each(|(sum, value)| *sum += f64::from(value));
        }
        let of_film = |(sums, target): (&[f64], usize)| HeatMap {
            of: classes.get(target).cloned().unwrap_or_default(),
            rows: *rows,
            columns: *columns,
            values: sums.iter().map(|sum| (sum / members.len() as f64) as f32).collect(),
        };
        Ok(sums.chunks_exact(places.max(1)).zip(targets).map(of_film).collect())
    }
}

//! Says what a model makes of films, given as files and folders:
//!
//!     cargo run --release -p lungfish --example predict -- RUN FILM...

// An example is a program: it prints.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use lungfish::{FilmList, Predictor, Silent, Watch};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1).map(PathBuf::from);
    let Some(model) = args.next() else {
        return Err("paths are needed: a run folder or model file, then films or folders of films".into());
    };
    let films = FilmList::new(&args.collect::<Vec<_>>());
    let mut predictor = Predictor::open(&model)?;

    // An image in memory; `predict_pixels` takes one that is decoded already.
    if let Some(first) = films.paths().find(|path| path.is_file()) {
        let said = predictor.predict_bytes(&std::fs::read(first)?)?;
        println!("the first alone: {} {:?}", said.called.words(), said.probabilities);
    }

    // Many films: some at a time, in order, as soon as they are scored.
    let (mut quiet, stop) = (Silent, AtomicBool::new(false));
    predictor.predict_each(&films, 0, &mut Watch::new(&mut quiet, &stop), |batch| {
        for outcome in batch {
            match outcome {
                Ok(film) => println!("{}: {} {:?}", film.path.display(), film.called.words(), film.probabilities),
                Err(film) => println!("{}: {}", film.path.display(), film.reason),
            }
        }
        Ok::<(), lungfish::Error>(())
    })?;
    Ok(())
}

//! Tests a model on films that it was not trained on:
//!
//!     cargo run --release -p lungfish --example test -- RUN DIR OUT

// An example is a program: it prints.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::atomic::AtomicBool;

use lungfish::{ErrorKind, Silent, TestRequest, Watch, test};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(model), Some(films), Some(out)) = (args.next(), args.next(), args.next()) else {
        return Err("three paths are needed: a run folder or model file, a folder of films, a folder to write".into());
    };

    let mut request = TestRequest::new(model, films);
    request.out = Some(out.into());
    request.pictures = false;

    let (mut quiet, stop) = (Silent, AtomicBool::new(false));
    let outcome = match test(&request, &mut Watch::new(&mut quiet, &stop)) {
        Ok(outcome) => outcome,
        // The message is for a person; the kind is for a program.
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(format!("look again: {error}").into()),
        Err(error) => return Err(error.into()),
    };

    println!("{} films, accuracy {:.3}, AUC {:.3?}", outcome.films, outcome.accuracy, outcome.auc);
    for class in &outcome.classes {
        println!("{}: precision {:.3?}, recall {:.3?}", class.name, class.precision, class.recall);
    }
    println!("each film: {}", outcome.predictions.display());
    Ok(())
}

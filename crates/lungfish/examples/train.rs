//! Trains on a folder of films, `DIR/{train,val,test}/{CLASS}/*` or `DIR/{CLASS}/*`:
//!
//!     cargo run --release -p lungfish --example train -- DIR RUN

// An example is a program: it prints.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::atomic::AtomicBool;

use lungfish::{Changes, Event, TrainRequest, Watch, train};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(films), Some(run)) = (args.next(), args.next()) else {
        return Err("two paths are needed: a folder of films, and a run folder to write".into());
    };

    // The default recipe, but for these keys; `lungfish recipe` prints all of them.
    let mut changes = Changes::default();
    for setting in ["frozen_epochs=4", "epochs=2", "unfreeze=stage7,top"] {
        changes.set(setting)?;
    }
    let mut request = TrainRequest::new(films, run);
    request.changes = changes;

    // The library prints nothing; it tells what happens, and asks a flag whether to stop.
    let mut tell = |event: &Event| match event {
        Event::EpochDone { record, of, .. } => {
            println!("{} {}/{of}: accuracy {:.3}", record.phase, record.epoch, record.val_accuracy);
        }
        Event::Warning(text) => println!("warning: {text}"),
        _ => {}
    };
    let stop = AtomicBool::new(false);
    let outcome = train(&request, &mut Watch::new(&mut tell, &stop))?;

    if let (Some(model), Some(best)) = (outcome.model, outcome.best) {
        println!("{}: accuracy {:.3} on the validation split", model.display(), best.val_accuracy);
    }
    Ok(())
}

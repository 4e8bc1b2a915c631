//! Times the decoding of the films of a folder, in gray and in colour: `... --example decoding -- DIR [ROUNDS]`.

#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use std::time::Instant;

use lungfish_data::decode::read_film;
use lungfish_data::folder::films_in;
use lungfish_data::{Channels, decode};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let root = args.next().ok_or("say which folder")?;
    let rounds: u32 = args.next().map_or(Ok(5), |text| text.parse())?;
    let films = films_in(root.as_ref())?;
    let films: Vec<Vec<u8>> = films.iter().map(|path| read_film(path)).collect::<Result<_, _>>()?;
    for channels in [Channels::Gray, Channels::Rgb] {
        // The best of the rounds: what else the machine does only makes them longer.
        let mut best = f64::INFINITY;
        for _ in 0..rounds {
            let begun = Instant::now();
            for film in &films {
                std::hint::black_box(decode(film, channels)?);
            }
            best = best.min(begun.elapsed().as_secs_f64());
        }
        println!("{channels:?}: {:.0} microseconds a film, {} films", 1e6 * best / films.len() as f64, films.len());
    }
    Ok(())
}

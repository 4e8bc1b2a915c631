//! `lungfish bench loader`: films a second, from their files and from a training's cache.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use clap::ValueHint::DirPath;
use lungfish::bench::{LoaderMeasure, LoaderRequest};

use super::{pace, tell, threads};
use crate::commands::train::workers;
use crate::{flags, print};
use lungfish::Watch;

/// Time reading films: films a second from their files, and kept decoded as in later epochs
///
/// Reads all films of a folder as a training by the default recipe does: decoded, made 224 pixels wide, turned and
/// mirrored by chance, in batches. Three passes read the films' own files and fill a cache anew each time, nine read
/// that cache, which lies in the system's folder for temporary files as long as this runs; the median pass counts.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish bench loader --data chest_xray
  lungfish bench loader --data chest_xray --workers 1 --json")]
pub struct Args {
    /// Folder of films: DIR/{train,val,test}/{CLASS}/* or DIR/{CLASS}/*
    #[arg(long, value_name = "DIR", value_hint = DirPath)]
    data: PathBuf,
    /// Threads that decode films [default: as --threads]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    #[arg(value_parser = flags::whole(0..=usize::from(crate::MOST_THREADS)), allow_negative_numbers = true)]
    workers: usize,
    /// Print it as one JSON object; docs/schema/bench-loader.json says what is in it
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, threads: Option<usize>) -> anyhow::Result<ExitCode> {
    let mut request = LoaderRequest::new(&args.data);
    request.workers = workers(args.workers, threads);
    tell(
        |printer| lungfish::bench::loader(&request, &mut Watch::new(printer, &AtomicBool::new(false))),
        lines,
        args.json,
    )
}

fn lines(m: &LoaderMeasure) -> Vec<String> {
    let threads = threads(m.workers);
    let line = |what: &str, median: f64, min: f64, max: f64, passes: usize| {
        format!("{what:<24} {:>6} films/s, {} to {} in {passes} passes", pace(median), pace(min), pace(max))
    };
    vec![
        format!("{}, {}, {} pixels wide, {threads}", print::films(m.films), print::size(m.bytes), m.image_size),
        line("first pass, from files", m.films_per_s, m.films_per_s_min, m.films_per_s_max, m.passes),
        line(
            "later, from the cache",
            m.cached_films_per_s,
            m.cached_films_per_s_min,
            m.cached_films_per_s_max,
            m.cached_passes,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_measured() {
        let measure = LoaderMeasure {
            films: 200,
            bytes: 45_100_000,
            workers: 2,
            batch: 32,
            image_size: 224,
            passes: 3,
            films_per_s: 512.3,
            films_per_s_min: 99.94,
            films_per_s_max: 530.0,
            cached_passes: 9,
            cached_films_per_s: 9876.5,
            cached_films_per_s_min: 9000.0,
            cached_films_per_s_max: 10_100.0,
        };
        assert_eq!(
            lines(&measure),
            [
                "200 films, 45.1 MB, 224 pixels wide, 2 threads",
                "first pass, from files      512 films/s, 99.9 to 530 in 3 passes",
                "later, from the cache      9876 films/s, 9000 to 10100 in 9 passes",
            ]
        );
        let one = LoaderMeasure { workers: 1, films: 1, ..measure };
        assert!(lines(&one)[0].starts_with("1 film, ") && lines(&one)[0].ends_with(", 1 thread"));
    }
}

//! Lists a data set and says how long that took and how much memory: `... --example listing -- DIR [TABLE]`.

#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use std::time::Instant;

use lungfish_data::{FilmSource, PatientRule, TableRule};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let root = args.next().ok_or("say which folder")?;
    let begun = Instant::now();
    let source = match args.next() {
        Some(table) => FilmSource::table(&root, table, TableRule::default()),
        None => FilmSource::find(root.as_ref())?,
    };
    let set = source.list(&PatientRule::default())?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!(
        "{} films, {} classes, {:.2} s, {peak}",
        set.layout.len(),
        set.classes.len(),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

//! Decodes films and writes their levels beside them, for comparison with other programs:
//! `cargo run -p lungfish-data --example levels -- OUT FILE...` writes OUT/{number}.gray and prints what each film is.

#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use std::path::Path;

use lungfish_data::{Channels, decode};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = args.next().ok_or("say where to write")?;
    for (number, file) in args.enumerate() {
        match decode(&std::fs::read(&file)?, Channels::Gray) {
            Ok(image) => {
                std::fs::write(Path::new(&out).join(format!("{number}.gray")), &image.pixels)?;
                println!("{number}\t{}\t{}\t{file}", image.width, image.height);
            }
            Err(error) => println!("{number}\t0\t0\t{file}\t{error}"),
        }
    }
    Ok(())
}

//! Real films against Pillow and torchvision, on a machine that has both: set LUNGFISH_FILMS to a folder of films and,
//! where `python3` is not the one, LUNGFISH_PYTHON to a Python with Pillow and torchvision.

#![allow(clippy::print_stdout, reason = "a test says what it measured and what it skipped")]

use std::env;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lungfish_data::augment::rotate;
use lungfish_data::folder::films_in;
use lungfish_data::{Channels, Decoding, Equalize, Fit, Image, Preprocess, decode_file};

/// What `golden/data/films.py` answers for a film: a picture with its width and height before it.
fn read_image(from: &mut impl Read, channels: Channels) -> Image {
    let mut sides = [0; 8];
    from.read_exact(&mut sides).unwrap();
    let side = |at: usize| u32::from_le_bytes(sides[at..at + 4].try_into().unwrap()) as usize;
    let mut image = Image::black(side(0), side(4), channels);
    from.read_exact(&mut image.pixels).unwrap();
    image
}

/// The largest difference, and the share of pixels that differ at all.
fn difference(a: &Image, b: &Image, path: &Path) -> (u8, f64) {
    assert_eq!((a.width, a.height, a.channels), (b.width, b.height, b.channels), "{}", path.display());
    let pairs = || a.pixels.iter().zip(&b.pixels);
    let most = pairs().map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    (most, pairs().filter(|(a, b)| a != b).count() as f64 / a.pixels.len() as f64)
}

#[test]
fn real_films_are_pillows() {
    let Some(folder) = env::var_os("LUNGFISH_FILMS").map(PathBuf::from).filter(|folder| folder.is_dir()) else {
        println!("skipped: LUNGFISH_FILMS names no folder of real films");
        return;
    };
    let python = env::var_os("LUNGFISH_PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/data/films.py");
    let has_pillow = Command::new(&python).args(["-c", "import PIL, torchvision"]).stderr(Stdio::null()).status();
    if !has_pillow.is_ok_and(|status| status.success()) {
        println!("skipped: {} has no Pillow and torchvision (set LUNGFISH_PYTHON)", python.display());
        return;
    }
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ask = child.stdin.take().unwrap();
    let mut answer = BufReader::new(child.stdout.take().unwrap());
    let preprocess = |fit| Preprocess {
        channels: Channels::Gray,
        fit,
        size: 224,
        equalize: Equalize::None,
        decoding: Decoding::DEFAULT,
        mean: [0.5; 3],
        std: [0.5; 3],
    };

    let films = films_in(&folder).unwrap();
    let (mut gray, mut rgb, mut later) = ((0, 0.0f64), (0, 0.0f64), 0);
    for path in &films {
        writeln!(ask, "{}", path.display()).unwrap();
        ask.flush().unwrap();
        let expected = read_image(&mut answer, Channels::Gray);
        for (channels, expected, worst) in
            [(Channels::Gray, &expected, &mut gray), (Channels::Rgb, &read_image(&mut answer, Channels::Rgb), &mut rgb)]
        {
            let ours = decode_file(path, channels).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let (most, share) = difference(&ours, expected, path);
            assert!(most <= 2, "{} as {channels:?}: {most} levels", path.display());
            *worst = (worst.0.max(most), worst.1.max(share));
        }
        // Later steps from Pillow's own pixels, so that only they are compared.
        for fit in [Fit::Crop, Fit::Squash] {
            let ours = preprocess(fit).apply(expected.clone());
            let steps = [(ours.clone(), "fit"), (rotate(&ours, 13.7), "rotation")];
            for (ours, step) in steps {
                let (most, _) = difference(&ours, &read_image(&mut answer, Channels::Gray), path);
                assert!(most <= 1, "{}, {fit:?}, {step}: {most} levels", path.display());
                later = later.max(most);
            }
        }
    }
    drop(ask);
    assert!(child.wait().unwrap().success());
    println!("{} films; most levels apart (and the largest share of a film's bytes that differ):", films.len());
    println!("gray {} ({:.5}), RGB {} ({:.5}), later steps {later}", gray.0, gray.1, rgb.0, rgb.1);
}

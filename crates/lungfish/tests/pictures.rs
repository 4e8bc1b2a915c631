//! The pictures of a test and of a prediction.
#![cfg(feature = "pictures")]

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::*;
use lungfish::{
    Activity, Event, PictureFormats, PlotTarget, Predictor, Print, Silent, TestOutcome, TestRequest, Watch,
    plot_prediction, test,
};

/// What a picture says to who cannot see it; asserts that both files are there and of their kind.
fn words(png: &Path) -> String {
    assert!(fs::read(png).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"), "{}", png.display());
    words_of_svg(&png.with_extension("svg"))
}

fn words_of_svg(svg: &Path) -> String {
    let text = fs::read_to_string(svg).unwrap();
    assert!(text.starts_with("<svg"), "{}", svg.display());
    text[text.find("<title>").unwrap()..text.find("</desc>").unwrap()].to_owned()
}

fn names(pictures: &[PathBuf]) -> Vec<&str> {
    pictures.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
}

/// A small picture that nobody drew with lungfish.
fn gray_bmp(path: &Path) {
    let mut bytes = b"BM".to_vec();
    let (side, offset) = (40_u32, 54_u32);
    for word in [offset + 3 * side * side, 0, offset, 40, side, side, 1 | 24 << 16, 0, 0, 0, 0, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend((0..3 * side * side).map(|i| (i / 3 % side * 6) as u8));
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_test_is_drawn_beside_its_predictions() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 60), dir.path().join("run"));
    trained(&data, &run, &["image_size=64", "frozen_epochs=2", "frozen_views=1", "batch_size=8"]);
    let pdf = Cell::new(false);
    let tested = |model: &Path, data: &Path, out: Option<&Path>, warnings: &mut Vec<String>| -> TestOutcome {
        let mut request = TestRequest::new(model, data);
        request.out = out.map(Path::to_owned);
        request.formats.pdf = pdf.get();
        let mut drawing = 0;
        let mut observer = |event: &Event| match event {
            Event::Warning(text) => warnings.push(text.clone()),
            Event::Progress { task: Activity::Drawing, done, total } => drawing = total - done + 1,
            _ => {}
        };
        let outcome = test(&request, &mut Watch::new(&mut observer, &GO)).unwrap();
        assert_eq!(drawing, 1, "progress was told, to its end");
        outcome
    };
    let mut warnings = Vec::new();
    let outcome = tested(&run, &data, None, &mut warnings);
    assert_eq!(warnings, Vec::<String>::new());
    let mut all = vec![
        "learning-curves.png",
        "confusion-matrix-test.png",
        "roc-test.png",
        "precision-recall-test.png",
        "reliability-test.png",
        "decision-curve-test.png",
        "films-test.png",
        "worst-errors-test.png",
    ];
    let errors: u64 = outcome.confusion[0][1] + outcome.confusion[1][0];
    if errors > 0 {
        all.push("worst-errors-cam-test.png");
    }
    assert_eq!(names(&outcome.pictures), all);
    for picture in &outcome.pictures {
        assert_eq!(picture.parent(), Some(run.as_path()));
        let words = words(picture);
        assert!(words.contains("Synthetic films") && words.contains("not a diagnosis"), "{words}");
    }
    let shown = words(&outcome.pictures[7]);
    let (title, count) = match errors {
        0 => ("Highest losses", outcome.films.min(16)),
        errors => ("Worst errors", errors.min(16) as usize),
    };
    assert!(shown.contains(title) && shown.contains(&format!("{count} films in")), "{shown}");
    let shown = words(&outcome.pictures[6]);
    assert!(shown.contains(&format!("{} films in 4 columns", outcome.films.min(16))), "{shown}");

    // The model alone has no log. Of one class there are no curves, and what an earlier test left of them goes.
    let (alone, out) = (dir.path().join("model.safetensors"), dir.path().join("out"));
    fs::copy(run.join("best.safetensors"), &alone).unwrap();
    pdf.set(true);
    let outcome = tested(&alone, &data, Some(&out), &mut warnings);
    pdf.set(false);
    assert_eq!(names(&outcome.pictures), all[1..]);
    for picture in &outcome.pictures {
        assert!(fs::read(picture.with_extension("pdf")).unwrap().starts_with(b"%PDF"), "{}", picture.display());
    }
    let one = dir.path().join("one");
    copy(&data.join("test/NORMAL"), &one.join("NORMAL"));
    let outcome = tested(&alone, &one, Some(&out), &mut warnings);
    assert_eq!(names(&outcome.pictures)[..3], [all[1], all[6], all[7]]);
    assert!(!out.join("roc-test.png").exists() && !out.join("roc-test.svg").exists());
    // Nor is a PDF of the earlier test left beside a picture of this one.
    assert!(!out.join("roc-test.pdf").exists() && !out.join("films-test.pdf").exists());

    // A picture that cannot be written costs no metric, and does not leave that of an earlier test in its place.
    let blocked = dir.path().join("blocked");
    fs::create_dir_all(blocked.join("films-test.png")).unwrap();
    fs::write(blocked.join("films-test.svg"), "earlier").unwrap();
    fs::write(blocked.join("roc-test.pdf"), "%PDF of somebody else").unwrap();
    warnings.clear();
    let outcome = tested(&alone, &data, Some(&blocked), &mut warnings);
    // Neither learning curves nor the films.
    assert_eq!(outcome.pictures.len(), all.len() - 2);
    assert!(warnings.len() == 1 && warnings[0].contains("films-test"), "{warnings:?}");
    assert!(!blocked.join("films-test.svg").exists());
    assert_eq!(fs::read(blocked.join("roc-test.pdf")).unwrap(), b"%PDF of somebody else");
}

#[test]
fn a_prediction_is_drawn_beside_its_film() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 20), dir.path().join("run"));
    trained(&data, &run, &["image_size=64", "frozen_epochs=1", "frozen_views=1", "batch_size=8"]);
    let mut predictor = Predictor::open(&run).unwrap();
    assert!(predictor.info().synthetic);
    let films = films_below(&data.join("test"));
    let other = dir.path().join("other.bmp");
    gray_bmp(&other);
    let inputs = [data.join("test"), other.clone()];
    let scored = predictor.predict(&inputs, &mut Watch::new(&mut Silent, &GO)).unwrap();

    let plots = dir.path().join("deep/plots");
    let target = PlotTarget::new(&plots, &inputs).unwrap();
    let pictures = target.draw(predictor.info(), &scored.films, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!(pictures.len(), films.len() + 1);
    for (picture, film) in pictures.iter().zip(&films) {
        assert_eq!(picture.file_stem(), film.file_stem());
        assert!(fs::read(picture).unwrap().starts_with(b"\x89PNG"));
    }
    // For paper: 90 mm wide, and a PDF beside each.
    let paper = PictureFormats { pdf: true, print: Some(Print::new(90.0, 300).unwrap()) };
    let paper = PlotTarget::new(&plots, &inputs).unwrap().with_formats(paper);
    paper.draw(predictor.info(), &scored.films, &mut Watch::new(&mut Silent, &GO)).unwrap();
    for picture in &pictures {
        assert_eq!(fs::read(picture).unwrap()[16..20], 1063_u32.to_be_bytes());
        assert!(fs::read(picture.with_extension("pdf")).unwrap().starts_with(b"%PDF"));
    }
    let own = pictures[0].with_extension("pdf");
    fs::write(&own, "%PDF of somebody else").unwrap();
    let error = paper.draw(predictor.info(), &scored.films, &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string();
    assert!(error.contains(own.to_str().unwrap()) && error.contains("is not replaced"), "{error}");
    assert_eq!(fs::read(&own).unwrap(), b"%PDF of somebody else");
    // Another time they are replaced; what is no picture of ours is not, whatever its name.
    target.draw(predictor.info(), &scored.films, &mut Watch::new(&mut Silent, &GO)).unwrap();
    fs::copy(&films[0], &pictures[0]).unwrap();
    let error =
        target.draw(predictor.info(), &scored.films, &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string();
    assert!(error.contains("is not replaced") && error.contains(pictures[0].to_str().unwrap()), "{error}");
    assert_eq!(fs::read(&pictures[0]).unwrap(), fs::read(&films[0]).unwrap());
    // By its extension an SVG; synthetic films and others are told apart.
    let svg = dir.path().join("one.SVG");
    for (prediction, is_synthetic) in [(&scored.films[0], true), (scored.films.last().unwrap(), false)] {
        plot_prediction(predictor.info(), prediction, &svg).unwrap();
        let words = words_of_svg(&svg);
        assert!(words.contains(prediction.path.file_name().unwrap().to_str().unwrap()), "{words}");
        assert!(words.contains("NORMAL") && words.contains("PNEUMONIA"), "{words}");
        assert_eq!(words.contains("Synthetic films"), is_synthetic, "{words}");
    }
    fs::remove_file(&other).unwrap();
    let error = plot_prediction(predictor.info(), scored.films.last().unwrap(), &svg).unwrap_err().to_string();
    assert!(error.contains("other.bmp") && error.contains("cannot be drawn"), "{error}");
}

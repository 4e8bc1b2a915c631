//! Predictions of many films, of bytes and of pixels, and the table that they are kept in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::*;
use lungfish::{
    Channels, Error, ErrorKind, Event, FilmList, Image, Outcome, Prediction, Predictor, ScoresFile, Silent, Tta, Uids,
    Watch, decode,
};

/// Films and a run on them, made once; nobody changes them.
static MADE: LazyLock<(tempfile::TempDir, PathBuf, PathBuf)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 90), dir.path().join("run"));
    trained(&data, &run, &["image_size=64", "frozen_epochs=1", "frozen_views=1", "batch_size=8"]);
    (dir, data, run)
});

fn predictor() -> Predictor {
    Predictor::open(&MADE.2).unwrap()
}

/// The bits of a prediction.
fn bits(film: &Prediction) -> Vec<u64> {
    film.probabilities.iter().map(|(_, p)| p.to_bits()).collect()
}

fn each(films: &FilmList, from: usize) -> (Vec<usize>, Vec<Outcome>) {
    let (mut batches, mut all) = (Vec::new(), Vec::new());
    predictor()
        .predict_each(films, from, &mut Watch::new(&mut Silent, &GO), |batch| {
            batches.push(batch.len());
            all.extend(batch);
            Ok::<(), Error>(())
        })
        .unwrap();
    (batches, all)
}

/// A folder without a film, films, a bad one among them, and something absent at the end.
fn request(dir: &Path) -> Vec<PathBuf> {
    let (empty, bad) = (dir.join("empty"), dir.join("bad.png"));
    fs::create_dir(&empty).unwrap();
    fs::write(&bad, b"").unwrap();
    let mut paths = vec![empty.clone()];
    paths.extend(films_below(&MADE.1.join("train")));
    paths.insert(12, bad);
    paths.insert(50, empty);
    paths.push(dir.join("absent.jpeg"));
    paths
}

#[test]
fn films_come_in_order_and_as_soon_as_a_batch_is_scored() {
    let dir = tempfile::tempdir().unwrap();
    let paths = request(dir.path());
    let films = FilmList::new(&paths);
    assert!(films.len() > 64 && films.paths().eq(paths.iter().map(PathBuf::as_path)));
    let (batches, whole) = each(&films, 0);
    assert_eq!(batches.len(), (films.len() - 2).div_ceil(32), "{batches:?}");
    for (path, outcome) in paths.iter().zip(&whole) {
        let (said, bad) = match outcome {
            Ok(film) => (&film.path, false),
            Err(film) => (&film.path, true),
        };
        assert_eq!((said, bad), (path, !path.starts_with(&MADE.1)));
    }
    // All of them at once are the same.
    let mut watch = (Silent, AtomicBool::new(false));
    let at_once = predictor().predict(&paths, &mut Watch::new(&mut watch.0, &watch.1)).unwrap();
    assert_eq!(at_once.films, whole.iter().flatten().cloned().collect::<Vec<_>>());
    assert_eq!(at_once.bad.len(), 4);
    // Going on anywhere gives the same bits.
    for from in [1, 12, 13, 31, 34, 35, 51, 66, whole.len() - 1, whole.len()] {
        let rest = each(&films, from).1;
        assert_eq!(rest.len(), whole.len() - from);
        assert!(rest == whole[from..], "from {from}");
        let ours = rest.iter().flatten().map(bits);
        assert!(ours.eq(whole[from..].iter().flatten().map(bits)), "from {from}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let films = FilmList::new(&[MADE.1.join("train")]);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| each(&films, 0).1.iter().flatten().map(bits).collect::<Vec<_>>())
    };
    let one = with(1);
    assert!(one.len() > 32 && [2, 3, 5].into_iter().all(|threads| with(threads) == one));
}

#[test]
fn a_stop_keeps_what_was_scored_and_a_sink_may_fail() {
    let films = FilmList::new(&[MADE.1.join("train")]);
    let stop = AtomicBool::new(false);
    let mut scored = 0;
    let ended = predictor().predict_each(&films, 0, &mut Watch::new(&mut Silent, &stop), |batch| {
        scored += batch.len();
        stop.store(true, Ordering::Relaxed);
        Ok::<(), Error>(())
    });
    assert_eq!((ended.unwrap_err().kind(), scored), (ErrorKind::Stopped, 32));
    let ended = predictor().predict_each(&films, 0, &mut Watch::new(&mut Silent, &GO), |_| Err(Error::Stopped));
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Stopped);
    let mut told = Vec::new();
    let mut look = |event: &Event| {
        if let Event::Progress { done, total, .. } = event {
            told.push((*done, *total));
        }
    };
    predictor().predict_each(&films, 40, &mut Watch::new(&mut look, &GO), |_| Ok::<(), Error>(())).unwrap();
    assert_eq!(told[0], (64, films.len()));
    assert_eq!(told.last(), Some(&(films.len(), films.len())));
}

#[test]
fn bytes_and_pixels_are_scored_as_their_file() {
    let mut predictor = predictor();
    let film = films_below(&MADE.1.join("test"))[0].clone();
    let file =
        predictor.predict(std::slice::from_ref(&film), &mut Watch::new(&mut Silent, &GO)).unwrap().films.remove(0);
    let bytes = fs::read(&film).unwrap();
    let of_bytes = predictor.predict_bytes(&bytes).unwrap();
    assert_eq!((bits(&of_bytes), &of_bytes.called, of_bytes.path), (bits(&file), &file.called, PathBuf::new()));
    for channels in [Channels::Gray, Channels::Rgb] {
        let image = decode(&bytes, channels).unwrap();
        assert_eq!(bits(&predictor.predict_pixels(image).unwrap()), bits(&file), "{channels:?}");
    }

    let error = predictor.predict_bytes(b"no film").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("not an image"), "{error}");
    let whole = Image { width: 3, height: 2, channels: Channels::Rgb, pixels: vec![0; 18] };
    predictor.predict_pixels(whole.clone()).unwrap();
    for image in [
        Image { pixels: vec![0; 17], ..whole.clone() },
        Image { channels: Channels::Gray, ..whole.clone() },
        Image { width: 0, pixels: Vec::new(), ..whole.clone() },
        Image { width: usize::MAX, height: usize::MAX, ..whole },
    ] {
        assert_eq!(predictor.predict_pixels(image).unwrap_err().kind(), ErrorKind::BadInput);
    }
}

/// Scores into a table from where it is; stops after so many batches.
/// A film with its mirror image: the mean of what is said of each. The square is mirrored after the preprocessing, so the
/// film is one that is the network's square already.
#[test]
fn views_of_a_film_are_averaged_in_probability() {
    let mut image = Image::black(64, 64, Channels::Gray);
    image.pixels.iter_mut().enumerate().for_each(|(i, level)| *level = (i % 64 * 3 + i / 64) as u8);
    let mut mirrored = image.clone();
    mirrored.pixels.chunks_exact_mut(64).for_each(<[u8]>::reverse);
    let says = |predictor: Predictor, image: &Image| {
        let mut predictor = predictor;
        predictor.predict_pixels(image.clone()).unwrap().probabilities[1].1
    };
    let [one, other] = [&image, &mirrored].map(|image| says(predictor(), image));
    let both = says(predictor().with_tta(Tta::Flip), &image);
    assert!((one - other).abs() > 1e-4 && (both - f64::midpoint(one, other)).abs() < 1e-5, "{one} {other} {both}");
    let crops = says(predictor().with_tta(Tta::Crops), &image);
    assert!(crops != both && (0.0..=1.0).contains(&crops));

    // A table in other views is not gone on with, and from files the views are the same.
    let dir = tempfile::tempdir().unwrap();
    let films = FilmList::new(&[MADE.1.join("val")]);
    let table = dir.path().join("scores.csv");
    ScoresFile::create(&table, &predictor().with_tta(Tta::Flip), &films).unwrap();
    let error = ScoresFile::resume(&table, &predictor(), &films).unwrap_err().to_string();
    assert!(error.contains("was made with tta flip and none is asked for"), "{error}");
    let file = films_below(&MADE.1.join("val")).swap_remove(0);
    let bytes = fs::read(&file).unwrap();
    let mut flip = predictor().with_tta(Tta::Flip);
    let of_file = flip.predict(&[file], &mut Watch::new(&mut Silent, &GO)).unwrap().films.swap_remove(0);
    assert_eq!(bits(&of_file), bits(&flip.predict_bytes(&bytes).unwrap()));
}

fn write(file: &Path, films: &FilmList, batches: usize) -> Result<(), Error> {
    write_with(file, films, batches, predictor())
}

fn write_with(file: &Path, films: &FilmList, batches: usize, mut predictor: Predictor) -> Result<(), Error> {
    let mut scores = ScoresFile::resume(file, &predictor, films)?;
    let (stop, mut left) = (AtomicBool::new(batches == 0), batches);
    let ended = predictor.predict_each(films, scores.rows(), &mut Watch::new(&mut Silent, &stop), |batch| {
        left -= 1;
        stop.store(left == 0, Ordering::Relaxed);
        scores.append(&batch)
    });
    scores.finish()?;
    ended
}

#[test]
fn a_table_that_was_interrupted_ends_as_one_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let films = FilmList::new(&request(dir.path()));
    let whole = dir.path().join("deep/whole.csv");
    write(&whole, &films, usize::MAX).unwrap();
    let expected = fs::read(&whole).unwrap();
    let text = String::from_utf8(expected.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "path,predicted,NORMAL,PNEUMONIA,error");
    assert_eq!(lines.len(), films.len() + 1);
    assert!(lines.iter().all(|line| line.split(',').count() == 5), "{text}");
    assert!(lines[1].ends_with("empty,,,,a folder with no film in it") && lines[13].contains("bad.png,,,,the file is"));
    let origin: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.path().join("deep/whole.csv.json")).unwrap()).unwrap();
    assert_eq!(origin["columns"], serde_json::json!(["path", "predicted", "NORMAL", "PNEUMONIA", "error"]));
    assert!(origin["synthetic"].as_bool().unwrap() && origin["notice"].as_str().unwrap().contains("medical device"));

    // Stopped and gone on with, twice; a stop before the first film keeps what is there.
    let file = dir.path().join("scores.csv");
    for _ in 0..2 {
        assert_eq!(write(&file, &films, 1).unwrap_err().kind(), ErrorKind::Stopped);
    }
    assert_eq!(write(&file, &films, 0).unwrap_err().kind(), ErrorKind::Stopped);
    let rows = fs::read_to_string(&file).unwrap().lines().count() - 1;
    assert!((64..films.len()).contains(&rows), "{rows}");
    write(&file, &films, usize::MAX).unwrap();
    assert!(fs::read(&file).unwrap() == expected);

    // Killed in the middle of a line, in the head, between two rows, at the end.
    let rows: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    for cut in
        [0, 5, rows[0] - 1, rows[0], rows[0] + 3, rows[33], rows[40] - 1, rows[40] + 1, text.len() - 1, text.len()]
    {
        fs::write(&file, &expected[..cut]).unwrap();
        write(&file, &films, usize::MAX).unwrap();
        assert!(fs::read(&file).unwrap() == expected, "cut at {cut}");
    }
    // A file that was made longer and never written, as a power cut leaves it.
    fs::write(&file, [&expected[..rows[20]], &[0; 4096]].concat()).unwrap();
    write(&file, &films, usize::MAX).unwrap();
    assert!(fs::read(&file).unwrap() == expected);
}

#[test]
fn a_table_of_other_films_or_another_model_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let films = FilmList::new(&films_below(&MADE.1.join("test")));
    let file = dir.path().join("scores.csv");
    write(&file, &films, usize::MAX).unwrap();
    let left = fs::read(&file).unwrap();
    let refused = |films: &FilmList, parts: &[&str]| {
        let error = write(&file, films, usize::MAX).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)) && error.contains(file.to_str().unwrap()), "{error}");
    };
    let predictor = predictor();
    let error = ScoresFile::create(&file, &predictor, &films).unwrap_err();
    assert!(error.kind() == ErrorKind::BadInput && error.to_string().contains("--resume"), "{error}");
    let held = ScoresFile::resume(&file, &predictor, &films).unwrap();
    assert_eq!((held.rows(), held.bad()), (films.len(), 0));
    refused(&films, &["another process is writing"]);
    drop(held);

    let paths: Vec<PathBuf> = films.paths().map(Path::to_owned).collect();
    let [mut swapped, fewer] = [paths.clone(), paths[1..].to_vec()];
    swapped.swap(2, 3);
    refused(&FilmList::new(&swapped), &["row 3 of", "is not of", paths[3].to_str().unwrap()]);
    refused(&FilmList::new(&fewer), &["row 1 of"]);
    refused(&FilmList::new(&paths[..2]), &["row 3 of", "was not asked for"]);
    assert!(fs::read(&file).unwrap() == left);

    let text = String::from_utf8(left.clone()).unwrap();
    fs::write(&file, text.replacen("NORMAL,", "OTHER,", 1)).unwrap();
    refused(&films, &["has the columns path,predicted,OTHER,PNEUMONIA,error"]);
    fs::write(&file, text.replacen(",\n", "\n", 2)).unwrap();
    refused(&films, &["row 1 of", "has 4 cells and not 5"]);
    fs::write(&file, &left).unwrap();

    let origin = dir.path().join("scores.csv.json");
    let known = fs::read_to_string(&origin).unwrap();
    let mut other: serde_json::Value = serde_json::from_str(&known).unwrap();
    other["model_hash"] = "00112233445566778899aabbccddeeff".into();
    fs::write(&origin, other.to_string()).unwrap();
    refused(&films, &["was made by another model", "00112233445566778899aabbccddeeff"]);
    fs::write(&origin, "{").unwrap();
    refused(&films, &["does not say which model"]);
    fs::remove_file(&origin).unwrap();
    refused(&films, &["nobody knows which model"]);
    assert!(fs::read(&file).unwrap() == left);
}

#[test]
fn a_parquet_file_has_the_rows_of_the_csv_file_and_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let films = FilmList::new(&request(dir.path()));
    let (csv, deep) = (dir.path().join("scores.csv"), dir.path().join("deep"));
    let (parquet, part) = (deep.join("scores.Parquet"), deep.join("scores.Parquet.part.csv"));
    write(&csv, &films, usize::MAX).unwrap();

    // Until all is scored the rows are in a CSV file, which is gone on with as any.
    assert_eq!(write(&parquet, &films, 1).unwrap_err().kind(), ErrorKind::Stopped);
    assert!(!parquet.exists() && deep.join("scores.Parquet.part.csv.json").exists());
    let error = ScoresFile::create(&parquet, &predictor(), &films).unwrap_err().to_string();
    assert!(error.contains(&format!("{} is there already", part.display())) && error.contains("--resume"), "{error}");
    let begun = fs::read(&part).unwrap();
    fs::write(&part, &begun[..begun.len() - 3]).unwrap();
    let other = predictor().with_tta(Tta::Flip);
    let error = ScoresFile::resume(&parquet, &other, &films).unwrap_err().to_string();
    assert!(error.contains("was made with tta none and flip is asked for"), "{error}");
    write(&parquet, &films, usize::MAX).unwrap();
    let left = fs::read_dir(&deep).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(left.collect::<Vec<_>>(), std::slice::from_ref(&parquet));

    let (head, rows) = csv_rows(&csv);
    let (columns, read) = parquet_rows(&parquet);
    assert_eq!(columns.iter().map(|(name, _)| name).collect::<Vec<_>>(), head.iter().collect::<Vec<_>>());
    let types: Vec<&str> = columns.iter().map(|(_, of)| of.as_str()).collect();
    assert_eq!(types, ["BYTE_ARRAY String", "BYTE_ARRAY String", "DOUBLE", "DOUBLE", "BYTE_ARRAY String"]);
    assert!(read.len() > 64 && read == rows);
    let facts = parquet_facts(&parquet);
    let beside: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.path().join("scores.csv.json")).unwrap()).unwrap();
    for (key, value) in beside.as_object().unwrap() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(facts.get(&format!("lungfish.{key}")), Some(&text), "{key}");
    }
    assert_eq!(facts["lungfish.classes"], r#"["NORMAL","PNEUMONIA"]"#);
    assert!(facts["lungfish.notice"].contains("must not be used to diagnose"));

    // The same, byte for byte, as one that nothing interrupted.
    let whole = dir.path().join("whole.parquet");
    write(&whole, &films, usize::MAX).unwrap();
    let bytes = fs::read(&parquet).unwrap();
    assert!(fs::read(&whole).unwrap() == bytes);

    // A finished one is known as finished, and others are refused; it stays as it is.
    fs::write(&part, &begun).unwrap();
    let scores = ScoresFile::resume(&parquet, &predictor(), &films).unwrap();
    assert_eq!((scores.rows(), scores.bad(), scores.rows_file()), (films.len(), 4, parquet.as_path()));
    scores.finish().unwrap();
    assert!(!part.exists(), "what a kill at the end left behind goes");
    assert!(ScoresFile::create(&parquet, &predictor(), &films).unwrap_err().to_string().contains("is there already"));
    let fewer = FilmList::new(&request_again(&films)[1..]);
    let error = ScoresFile::resume(&parquet, &predictor(), &fewer).unwrap_err().to_string();
    assert!(error.contains(&format!("has {} rows, and not those of the films", films.len())), "{error}");
    let error = ScoresFile::resume(&parquet, &other, &films).unwrap_err().to_string();
    assert!(error.contains("was made with tta none and flip is asked for"), "{error}");
    assert!(fs::read(&parquet).unwrap() == bytes);
    fs::write(&parquet, &bytes[..bytes.len() / 2]).unwrap();
    let error = ScoresFile::resume(&parquet, &predictor(), &films).unwrap_err();
    assert!(error.kind() == ErrorKind::Damaged && error.to_string().contains("is no Parquet file"), "{error}");
}

fn request_again(films: &FilmList) -> Vec<PathBuf> {
    films.paths().map(Path::to_owned).collect()
}

#[test]
fn dicom_films_are_told_by_their_uids() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("films");
    fs::create_dir(&folder).unwrap();
    let put = |name: &str, dicom: &str| fs::copy(golden(&format!("dicom/{dicom}.dcm")), folder.join(name)).unwrap();
    put("IM1", "plain");
    put("b.dcm", "truncated");
    put("c.dcm", "window");
    let film = films_below(&MADE.1.join("test"))[0].clone();
    fs::copy(&film, folder.join("d").with_extension(film.extension().unwrap())).unwrap();
    let told: serde_json::Value = serde_json::from_slice(&fs::read(golden("dicom_uids.json")).unwrap()).unwrap();
    let expected = |at: usize| -> Vec<String> {
        let of = |name: &str| told[name][at].as_str().unwrap().to_owned();
        vec![of("plain"), of("truncated"), of("window"), String::new()]
    };
    let films = FilmList::new(std::slice::from_ref(&folder));
    let [hashed, plain] = ["hashed", "plain"].map(|name| dir.path().join(name).with_extension("csv"));
    write(&hashed, &films, usize::MAX).unwrap();
    write_with(&plain, &films, usize::MAX, predictor().with_uids(Uids::Plain)).unwrap();
    for (file, at) in [(&hashed, 1), (&plain, 0)] {
        let (head, rows) = csv_rows(file);
        assert_eq!(head, ["path", "predicted", "NORMAL", "PNEUMONIA", "error", "uid"]);
        assert_eq!(rows.iter().map(|row| row[5].clone()).collect::<Vec<_>>(), expected(at));
        assert!(rows[1][4].contains("the file ends before the pixels do"), "{rows:?}");
    }
    let text = fs::read_to_string(&hashed).unwrap();
    assert!(!text.contains("1.2.826") && !text.contains("GOLDEN") && !text.contains("Made"), "{text}");

    // What is handed on has it too, as bad films have.
    let said = predictor().predict(&[folder], &mut Watch::new(&mut Silent, &GO)).unwrap();
    let uids: Vec<Option<String>> = said.films.iter().map(|film| film.uid.clone()).collect();
    let of = |at: usize| Some(expected(1)[at].clone());
    assert_eq!((uids, &said.bad[0].uid), (vec![of(0), of(2), None], &of(1)));

    // A table is not gone on with in another way, nor one that an older version began without the column.
    let resumed =
        |file: &Path, uids| ScoresFile::resume(file, &predictor().with_uids(uids), &films).unwrap_err().to_string();
    assert!(resumed(&hashed, Uids::Plain).contains("has hashed UIDs and plain ones are asked for (--uids)"));
    assert!(resumed(&plain, Uids::Hashed).contains("has plain UIDs and hashed ones are asked for (--uids)"));
    let old: String = text.lines().map(|line| format!("{}\n", line.rsplit_once(',').unwrap().0)).collect();
    fs::write(&hashed, old).unwrap();
    let error = resumed(&hashed, Uids::Hashed);
    assert!(error.contains("has the columns path,predicted,NORMAL,PNEUMONIA,error and not path,predicted,"), "{error}");
    write(&dir.path().join("uids.parquet"), &films, usize::MAX).unwrap();
    let (_, rows) = parquet_rows(&dir.path().join("uids.parquet"));
    assert_eq!(rows.iter().map(|row| row[5].clone()).collect::<Vec<_>>(), expected(1));
}

#[test]
fn the_films_of_an_npz_are_scored_as_films_of_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (npz, copy) = (golden("npz/pneumoniamnist.npz"), dir.path().join("images.npz"));
    fs::copy(golden("npz/images_only.npz"), &copy).unwrap();
    let films = FilmList::new(&[npz.clone(), copy.clone()]);
    let paths = request_again(&films);
    assert_eq!((paths.len(), &paths[0], &paths[27]), (28, &npz.join("train/000000"), &copy.join("test/000005")));
    let said = predictor().predict(std::slice::from_ref(&npz), &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert!(said.bad.is_empty() && said.films.iter().map(|film| &film.path).eq(&paths[..22]));
    let image = lungfish::decode_file(&paths[13], Channels::Gray).unwrap();
    let alone = predictor().predict_pixels(image).unwrap();
    assert!((alone.probabilities[1].1 - said.films[13].probabilities[1].1).abs() < 1e-6);

    let broken = dir.path().join("broken.npz");
    fs::write(&broken, b"PK\x03\x04").unwrap();
    let error = predictor().predict(std::slice::from_ref(&broken), &mut Watch::new(&mut Silent, &GO)).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let begin =
        format!("nothing to predict: {} is a .npz without films: it is no .npz that can be read: ", broken.display());
    assert!(text.starts_with(&begin), "{text}");
    let said = predictor().predict(&[broken, copy], &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!((said.films.len(), said.bad.len()), (6, 1));
}

#[test]
fn what_lies_beside_films_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let film = films_below(&MADE.1.join("test"))[0].clone();
    for name in ["a/1.txt", "a/2.txt", "b/3.txt"] {
        fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        fs::write(dir.path().join(name), b"no film").unwrap();
    }
    fs::write(dir.path().join("b/.DS_Store"), b"x").unwrap();
    let folder = [dir.path().to_owned()];
    let error = predictor().predict(&folder, &mut Watch::new(&mut Silent, &GO)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = error.to_string();
    assert!(text.contains("no film in it") && text.contains("3 files were passed over: 3 .txt (first: "), "{text}");
    fs::copy(&film, dir.path().join("a/film.jpeg")).unwrap();
    let found = predictor().predict(&folder, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!((found.films.len(), found.bad.len(), found.passed_over.len()), (1, 0, 1));
    let [over] = &found.passed_over[..] else { panic!("one kind") };
    assert_eq!((over.kind.as_str(), over.count, over.may_be_films), (".txt", 3, false));
    assert_eq!(over.first, dir.path().join("a/1.txt"));
}

#[test]
fn errors_have_a_kind() {
    let dir = tempfile::tempdir().unwrap();
    let kind = |model: &Path| Predictor::open(model).unwrap_err().kind();
    let damaged = dir.path().join("damaged.safetensors");
    let mut bytes = fs::read(MADE.2.join("best.safetensors")).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&damaged, bytes).unwrap();
    assert_eq!(kind(&damaged), ErrorKind::Damaged);
    assert_eq!(kind(&dir.path().join("absent")), ErrorKind::NotFound);
    assert_eq!(kind(&MADE.2.join("last.safetensors")), ErrorKind::Damaged);
    let train = |settings: &[&str], data: &Path| {
        let request = crate::common::request(data, &dir.path().join("run"), settings);
        lungfish::train(&request, &mut Watch::new(&mut Silent, &GO)).unwrap_err().kind()
    };
    assert_eq!(train(&[], &dir.path().join("absent")), ErrorKind::NotFound);
    assert_eq!(train(&["unfreeze=nothing", "epochs=1"], &MADE.1), ErrorKind::BadInput);
}

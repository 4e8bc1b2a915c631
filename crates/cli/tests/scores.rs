//! Predictions of many films: told as they come, kept, stopped and gone on with.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::{FILMS, RUN, arg, copy, done, files, jsonl, lungfish, refused, run, said, temporary, text};

fn rows(file: &Path) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.lines().count().saturating_sub(1))
}

#[test]
fn a_table_is_written_and_gone_on_with() {
    let folder = temporary();
    let (whole, scores, films) = (folder.path().join("whole.csv"), folder.path().join("s.csv"), FILMS.join("train"));
    let predict = |file: &Path| ["predict", "--model", arg(&RUN), arg(&films), "--out", arg(file)].map(str::to_owned);
    let args = |file: &Path, more: &[&str]| -> Vec<String> {
        predict(file).into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
    };
    let call = |args: &[String]| run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let output = call(&args(&whole, &[]));
    assert!(output.status.success(), "{}", said(&output));
    let count = files(&films).len();
    let printed = text(&output.stdout);
    assert!(printed.starts_with(&format!("Scores: {count} films in {}\n", whole.display())), "{printed}");
    assert!(printed.contains("not a diagnosis") && output.stderr.is_empty(), "{}", said(&output));
    let expected = fs::read_to_string(&whole).unwrap();
    assert_eq!(expected.lines().next(), Some("path,predicted,NORMAL,PNEUMONIA,error"));
    assert_eq!(expected.lines().count(), count + 1);
    // What is printed without --out is the same.
    let json = jsonl(&done(&["predict", "--model", arg(&RUN), "--json", arg(&films)]));
    for (row, line) in expected.lines().skip(1).zip(&json) {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!([cells[0], cells[1]], ["path", "class"].map(|key| line[key].as_str().unwrap()));
        assert_eq!(cells[2].parse::<f64>().unwrap(), line["probabilities"]["NORMAL"].as_f64().unwrap());
    }

    // What is there is never written over, and a table that was cut ends as the one that was not.
    refused(&call(&args(&whole, &[])), &[arg(&whole), "is there already", "--resume"]);
    let output = call(&args(&scores, &["--resume"]));
    assert!(output.status.success(), "{}", said(&output));
    fs::write(&scores, &expected[..expected.len() / 2]).unwrap();
    let output = call(&args(&scores, &["--resume"]));
    assert!(output.status.success(), "{}", said(&output));
    assert!(text(&output.stdout).starts_with(&format!("Scores: {count} films in ")), "{}", said(&output));
    assert_eq!(fs::read_to_string(&scores).unwrap(), expected);

    // Another model.
    let other = folder.path().join("other");
    let trained = crate::common::train(&FILMS, &other, &["--seed", "9"]).output().unwrap();
    assert!(trained.status.success(), "{}", said(&trained));
    let mut foreign = args(&scores, &["--resume"]);
    foreign[2] = arg(&other).to_owned();
    refused(&call(&foreign), &[arg(&scores), "made by another model"]);
    assert_eq!(fs::read_to_string(&scores).unwrap(), expected);
}

#[test]
fn bad_films_have_their_rows_and_the_status_says_so() {
    let folder = temporary();
    let films = folder.path().join("films");
    copy(&FILMS.join("test"), &films);
    fs::write(films.join("half.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    fs::write(films.join("notes.txt"), b"x").unwrap();
    for name in ["1.2.840.1", "1.2.840.2"] {
        fs::write(films.join(name), [&[0; 128][..], b"DICM"].concat()).unwrap();
    }
    let scores = folder.path().join("scores.csv");
    let output = run(&["predict", "--model", arg(&RUN), arg(&films), "--out", arg(&scores)]);
    let sentence = refused(&output, &["3 of ", "could not be read"]);
    assert!(!sentence.contains("passed over"), "{sentence}");
    let errors = text(&output.stderr);
    assert!(errors.contains("\n1 file was passed over: 1 .txt (first: ") && errors.contains("bad film "), "{errors}");
    let table = fs::read_to_string(&scores).unwrap();
    let bad: Vec<&str> = table.lines().filter(|line| line.contains("half.png")).collect();
    assert!(bad.len() == 1 && bad[0].contains("half.png,,,,the PNG is "), "{bad:?}");
    // All is scored: the second time says the same.
    refused(&run(&["predict", "--model", arg(&RUN), arg(&films), "--out", arg(&scores), "--resume"]), &["3 of "]);
    assert_eq!(fs::read_to_string(&scores).unwrap(), table);

    let output = run(&["predict", "--model", arg(&RUN), "--json", arg(&films)]);
    refused(&output, &["3 of "]);
    let lines = jsonl(&text(&output.stdout));
    let over = &lines.last().unwrap()["passed_over"];
    assert_eq!(
        (&over[0]["kind"], &over[0]["count"], &over[0]["may_be_films"]),
        (&".txt".into(), &1.into(), &false.into())
    );
    assert!(
        lines.iter().any(|line| line["error"].as_str().is_some_and(|text| text.contains("a DICOM without pixels")))
    );
    assert!(lines.iter().any(|line| line["error"].as_str().is_some_and(|text| text.contains("PNG"))));

    // A text beside films is told, and no failure.
    fs::remove_file(films.join("half.png")).unwrap();
    for name in ["1.2.840.1", "1.2.840.2"] {
        fs::remove_file(films.join(name)).unwrap();
    }
    let output = run(&["predict", "--model", arg(&RUN), arg(&films)]);
    assert!(output.status.success() && text(&output.stderr).contains("1 .txt"), "{}", said(&output));
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_scored() {
    let folder = temporary();
    let (scores, whole) = (folder.path().join("scores.csv"), folder.path().join("whole.csv"));
    // So many that nobody is through before the signal comes.
    let films: Vec<String> = vec![arg(&FILMS.join("train")).to_owned(); 40];
    let command = |file: &Path, more: &[&str]| {
        let mut command = lungfish(&["predict", "--model", arg(&RUN), "--out", arg(file)]);
        command.args(more).args(&films);
        command
    };
    let mut child = command(&scores, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while rows(&scores) < 64 {
        assert!(begun.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none(), "no rows came");
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let all = 40 * files(&FILMS.join("train")).len();
    let kept = rows(&scores);
    assert!((64..all).contains(&kept), "{kept} of {all}: the signal came too late");
    let errors = text(&output.stderr);
    let kept_in = format!("are scored and in {}; go on with the same command and --resume", scores.display());
    assert!(errors.contains(&kept_in), "{errors}");

    assert!(command(&scores, &["--resume"]).output().unwrap().status.success());
    assert!(command(&whole, &[]).output().unwrap().status.success());
    assert!(fs::read(&scores).unwrap() == fs::read(&whole).unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_whole_rows() {
    let folder = temporary();
    let scores = folder.path().join("scores.csv");
    let films = FILMS.join("train");
    // 4 blocks of 1024 bytes: room for the first rows.
    let script = "ulimit -f 4; exec \"$@\"";
    let predict = [env!("CARGO_BIN_EXE_lungfish"), "predict", "--model", arg(&RUN), arg(&films), "--out", arg(&scores)];
    let output = std::process::Command::new("bash").args(["-c", script, "bash"]).args(predict).output().unwrap();
    refused(&output, &["cannot write", arg(&scores)]);
    let table = fs::read_to_string(&scores).unwrap();
    assert!(table.ends_with('\n') && table.len() <= 4096, "{}", table.len());
    let output = run(&["predict", "--model", arg(&RUN), arg(&films), "--out", arg(&scores), "--resume"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(rows(&scores), files(&films).len());
}

#[test]
fn parquet_comes_of_the_name_and_npz_films_have_their_rows() {
    let folder = temporary();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/data");
    let npz = golden.join("npz/images_only.npz");
    let scores = folder.path().join("scores.parquet");
    let predict = ["predict", "--model", arg(&RUN), arg(&npz), "--out", arg(&scores)];
    let printed = done(&predict);
    assert!(printed.starts_with(&format!("Scores: 6 films in {}\n", scores.display())), "{printed}");
    assert_eq!(files(folder.path()), std::slice::from_ref(&scores));
    let bytes = fs::read(&scores).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    refused(&run(&predict), &[arg(&scores), "is there already", "--resume"]);
    assert!(done(&[&predict[..], &["--resume"]].concat()).starts_with("Scores: 6 films in "));
    assert!(fs::read(&scores).unwrap() == bytes);
    let lines = jsonl(&done(&["predict", "--model", arg(&RUN), arg(&npz), "--json"]));
    assert_eq!(lines[5]["path"], arg(&npz.join("test/000005")));

    // UIDs are written as they are only where they are asked for, and only where they are written at all.
    let dicom = golden.join("dicom/plain.dcm");
    let uid = |more: &[&str]| {
        let args = ["predict", "--model", arg(&RUN), arg(&dicom), "--json"];
        jsonl(&done(&[&args[..], more].concat()))[0]["uid"].as_str().unwrap().to_owned()
    };
    assert!(uid(&[]).starts_with("dicom-") && uid(&["--uids"]).starts_with("1.2.826.0.1.3680043.8.498."));
    refused(&run(&["predict", "--model", arg(&RUN), arg(&dicom), "--uids"]), &["--uids is for --out and --json"]);
    let plot = folder.path().join("film.png");
    refused(&run(&["predict", "--model", arg(&RUN), arg(&npz), "--plot", arg(&plot)]), &["holds many films"]);
}

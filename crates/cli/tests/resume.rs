//! A run that was killed, stopped or moved comes to the very weights of a run that was not.

#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::{FILMS, arg, copy, log, lungfish, refused, said, temporary, tensors, text, train};

/// Both phases, rates that move with each step and differ between parts, a checkpoint inside the long epochs.
const BOTH: [&str; 12] = [
    "--epochs",
    "2",
    "--unfreeze",
    "all",
    "--set",
    "checkpoint_seconds=1",
    "--set",
    "frozen_schedule=one-cycle",
    "--set",
    "schedule=one-cycle",
    "--set",
    "lr.stage7=1e-5",
];

/// The run that nobody disturbed.
static UNDISTURBED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("undisturbed");
    let _ = fs::remove_dir_all(&folder);
    let output = train(&FILMS, &folder, &BOTH).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    folder
});

fn assert_same(run: &Path) {
    for file in ["best.safetensors", "last.safetensors"] {
        let (ours, expected) = (tensors(&run.join(file)), tensors(&UNDISTURBED.join(file)));
        assert_eq!(ours.0, expected.0, "{file}");
        assert!(ours.1 == expected.1, "{file} has other bits");
    }
    assert_eq!(log(run), log(&UNDISTURBED));
}

fn resume(run: &Path) {
    let output = lungfish(&["train", "--out", arg(run), "--resume"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// Waits for a line of standard output that begins so; false where the program ended before.
fn wait_for(child: &mut Child, lines: &[&str]) -> bool {
    let mut printed = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    lines.iter().all(|wanted| printed.any(|line| line.is_ok_and(|line| line.starts_with(wanted))))
}

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Waits until there is a file, another one than an earlier program may have left there.
fn wait_for_file(child: &mut Child, path: &Path) {
    let which = || fs::metadata(path).ok().map(|file| (file.ino(), file.mtime(), file.mtime_nsec()));
    let (left, until) = (which(), Instant::now() + Duration::from_secs(60));
    while which().is_none_or(|file| left == Some(file)) && child.try_wait().unwrap().is_none() && Instant::now() < until
    {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills a training. Whether that came in time: the signal ended it, and epochs are left that it did not come to. A
/// training that was done already has nothing to say about being killed.
fn kill(mut child: Child, run: &Path) -> bool {
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let unfinished = !run.join("log.jsonl").exists() || log(run).len() < log(&UNDISTURBED).len();
    assert!(status.signal() == Some(9) || status.success(), "{status}");
    status.signal() == Some(9) && unfinished
}

/// Starts a training in a new folder and kills it when `wait` has come to its end; again, with ever less patience, where
/// that was too late (`wait` is given 0 for the first time, then 1, ...). Gives the folder in which it was in time.
fn killed(mut wait: impl FnMut(&mut Child, &Path, u32), in_time: impl Fn(&Path) -> bool) -> (TempDir, PathBuf) {
    // Not while a training waits to be killed.
    LazyLock::force(&UNDISTURBED);
    for time in 0..4 {
        let folder = temporary();
        let run = folder.path().join("run");
        let mut child = spawn(train(&FILMS, &run, &BOTH));
        wait(&mut child, &run, time);
        if kill(child, &run) && in_time(&run) {
            return (folder, run);
        }
    }
    panic!("the training was four times ahead of the signal that was to kill it");
}

#[test]
fn a_killed_run_comes_to_the_same_weights() {
    let frozen = "Epoch 1/2";
    let unfrozen = ["328450 trainable", "Before the first step", "Epoch 1/2"];
    // Lines to wait for, milliseconds to wait then: before anything, in the frozen phase, between the phases, at the
    // beginning and in the middle of an unfrozen epoch, in the last one.
    let moments: [(&[&str], u64); 7] = [
        (&["Dataset train"], 0),
        (&[frozen], 0),
        (&[frozen, "val Loss"], 5),
        (&unfrozen[..2], 0),
        (&unfrozen, 300),
        (&unfrozen, 1500),
        (&["328450 trainable", "Before the first step", "Epoch 2/2"], 100),
    ];
    for (lines, wait) in moments {
        let patience = |child: &mut Child, _: &Path, time: u32| {
            assert!(wait_for(child, lines), "{lines:?}");
            std::thread::sleep(Duration::from_millis(wait >> (2 * time)));
        };
        let (_folder, run) = killed(patience, |_| true);
        resume(&run);
        assert_same(&run);
    }
}

#[test]
fn a_run_killed_before_its_first_checkpoint_remembers_what_was_asked_for() {
    let (_folder, run) = killed(
        |child, run, _| wait_for_file(child, &run.join("recipe.toml")),
        |run| run.join("recipe.toml").exists() && !run.join("last.safetensors").exists(),
    );
    let data = ["train", "--data", arg(&FILMS), "--out", arg(&run), "--resume"];
    let output = lungfish(&[&data[..], &["--batch", "4"]].concat()).output().unwrap();
    refused(&output, &["batch_size"]);
    let output = lungfish(&data).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_same(&run);
}

#[test]
fn a_run_killed_again_and_again_comes_to_the_same_weights() {
    let folder = temporary();
    let run = folder.path().join("run");
    LazyLock::force(&UNDISTURBED);
    let mut child = spawn(train(&FILMS, &run, &BOTH));
    // In the middle of writing: as soon as half a checkpoint lies there.
    for time in 0..4 {
        wait_for_file(&mut child, &run.join(".last.safetensors.tmp"));
        if !kill(child, &run) {
            // Each time may bring it on by a checkpoint or two, of some eight.
            assert!(time > 1, "it was done before it could be killed twice");
        }
        // The whole command again: the first of these comes before there is a checkpoint that knows where the films are.
        child = spawn(train(&FILMS, &run, &[&BOTH[..], &["--resume"]].concat()));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_same(&run);
    // A run that is over says so and changes nothing.
    resume(&run);
    assert_same(&run);
}

#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let folder = temporary();
    // With a name that has to be quoted, and a folder of films that is somewhere else afterwards.
    let (run, films, moved) = (folder.path().join("my run"), folder.path().join("films"), folder.path().join("moved"));
    copy(&FILMS, &films);
    let mut child = spawn(train(&films, &run, &BOTH));
    assert!(wait_for(&mut child, &["Before the first step", "Epoch 1/2"]));
    std::thread::sleep(Duration::from_millis(200));
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(log(&run).len() < log(&UNDISTURBED).len(), "the signal came too late to stop anything");
    let errors = text(&output.stderr);
    assert!(
        errors.contains(&format!("lungfish train --data {} --out '{}' --resume", films.display(), run.display())),
        "{errors}"
    );

    fs::rename(&films, &moved).unwrap();
    let gone = lungfish(&["train", "--out", arg(&run), "--resume"]).output().unwrap();
    refused(&gone, &[arg(&films)]);
    let output = lungfish(&["train", "--out", arg(&run), "--resume", "--data", arg(&moved)]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_same(&run);
}

#[test]
fn a_training_whose_reader_goes_away_saves_and_is_not_done() {
    let folder = temporary();
    let run = folder.path().join("run");
    let mut child = spawn(train(&FILMS, &run, &BOTH));
    assert!(wait_for(&mut child, &["Epoch 1/2"]));
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    // `lungfish train ... | head && next` must not take half a training for one.
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(text(&output.stderr).starts_with("stopped and saved; go on with: lungfish train"), "{}", said(&output));
    assert!(log(&run).len() < log(&UNDISTURBED).len());
    resume(&run);
    assert_same(&run);
}

#[test]
fn a_run_is_trained_by_one_program_at_a_time() {
    let folder = temporary();
    let run = folder.path().join("run");
    let mut child = spawn(train(&FILMS, &run, &BOTH));
    assert!(wait_for(&mut child, &["Epoch 1/2"]));
    let second = lungfish(&["train", "--out", arg(&run), "--resume"]).output().unwrap();
    refused(&second, &[arg(&run), "another process"]);
    assert!(kill(child, &run), "the first was done when the second was refused");
}

#[test]
fn threads_and_workers_do_not_change_a_bit() {
    for (threads, workers) in [("1", "1"), ("3", "4")] {
        let folder = temporary();
        let run = folder.path().join("run");
        let output = train(&FILMS, &run, &BOTH).args(["--threads", threads, "--workers", workers]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert_same(&run);
    }
}

#[test]
fn a_disk_that_fills_keeps_the_last_good_state() {
    let folder = temporary();
    let run = folder.path().join("run");
    // A limit on the size of one file, in blocks of 512 bytes or, for some shells, 1024, stands for a full disk.
    let limited = |command: Command, blocks: u64| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", &blocks.to_string()]);
        shell.arg(command.get_program()).args(command.get_args()).output().unwrap()
    };
    let no_half_file = || !crate::common::files(&run).iter().any(|file| file.to_str().unwrap().ends_with(".tmp"));
    let resumed = || train(&FILMS, &run, &[&BOTH[..], &["--resume"]].concat());

    // Not even the first checkpoint fits.
    refused(&limited(train(&FILMS, &run, &BOTH), 200), &[arg(&run)]);
    assert!(no_half_file());
    // The first checkpoint fits; one with the weights and the moments of a whole network does not.
    let model = fs::metadata(UNDISTURBED.join("best.safetensors")).unwrap().len();
    refused(&limited(resumed(), model * 11 / 10 / 512), &[arg(&run)]);
    assert!(no_half_file() && run.join("last.safetensors").is_file());
    let output = resumed().output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_same(&run);
}

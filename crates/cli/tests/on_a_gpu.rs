//! The whole job on the GPU there is: one that the processor plays, where this machine has no other.
//!
//! Where there is no adapter the tests say so in one line and pass.

// A test that cannot run says so.
#![allow(clippy::print_stdout)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use crate::common::{FILMS, arg, copy, done, jsonl, lungfish, refused, run, said, split, temporary, tensors};

/// What `--device` calls the adapter.
static GPU: LazyLock<Option<String>> = LazyLock::new(|| {
    let report: Value = serde_json::from_str(&done(&["doctor", "--json"])).unwrap();
    let adapters = report["adapters"].as_array().unwrap();
    // The last is one that the processor plays, where there is one: its numbers are those of every change.
    let device = adapters.last().map(|adapter| adapter["device"].as_str().unwrap().to_owned());
    if device.is_none() {
        println!("skipped: there is no adapter to compute on; Debian's mesa-vulkan-drivers has one");
    }
    device
});

/// A few steps of each phase. Such small images that what plays a GPU has done with them in seconds.
const SMALL: [&str; 16] = [
    "--frozen-epochs",
    "1",
    "--epochs",
    "1",
    "--batch",
    "4",
    "--limit",
    "24",
    "--set",
    "image_size=32",
    "--set",
    "sizes=32",
    "--set",
    "frozen_views=1",
    "--set",
    "augment.preset=notebook",
];

fn command(device: &str, out: &Path, more: &[&str]) -> Command {
    lungfish(&[&["train", "--data", arg(&FILMS), "--out", arg(out), "--device", device], &SMALL[..], more].concat())
}

fn train(device: &str, out: &Path, more: &[&str]) -> Output {
    command(device, out, more).output().unwrap()
}

/// A training on the GPU that nobody disturbed.
static TRAINED: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let device = GPU.as_ref()?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trained-on-a-gpu");
    let _ = std::fs::remove_dir_all(&folder);
    let output = train(device, &folder, &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("computing on "), "{}", said(&output));
    Some(folder)
});

#[test]
fn a_gpu_that_is_not_there_is_refused_with_those_that_are() {
    let there = GPU.as_ref().map_or("there is none", String::as_str);
    refused(&run(&["recipe", "--device", "gpu:77"]), &["--device gpu:77: no such GPU", there]);
    refused(&run(&["recipe", "--device", "dx12:77"]), &["--device dx12:77: no such GPU"]);
    // The environment asks, where no flag does.
    let asked = |device: &str, flags: &[&str]| {
        lungfish(&[&["recipe"], flags].concat()).env("LUNGFISH_DEVICE", device).output().unwrap()
    };
    refused(&asked("gpu:77", &[]), &["--device gpu:77: no such GPU", there]);
    assert!(asked("gpu:77", &["--device", "cpu"]).status.success());
    assert_eq!(asked("mps", &[]).status.code(), Some(2));
    let wrong = run(&["recipe", "--device", "cuda:0"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    assert!(said(&wrong).contains("PyTorch's word"), "{}", said(&wrong));
}

#[test]
fn a_killed_run_comes_to_the_same_bits_and_may_go_on_elsewhere() {
    let (Some(device), Some(first)) = (GPU.as_ref(), TRAINED.as_ref()) else { return };
    let folder = temporary();
    let killed = folder.path().join("killed");
    let mut child = command(device, &killed, &[]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    // In the first epoch of the second phase.
    assert!(lines.any(|line| line.unwrap().starts_with("Before the first step")));
    child.kill().unwrap();
    child.wait().unwrap();
    let moved = folder.path().join("moved");
    copy(&killed, &moved);

    let output = lungfish(&["train", "--out", arg(&killed), "--resume", "--device", device]).output().unwrap();
    assert!(output.status.success() && said(&output).contains("going on from the "), "{}", said(&output));
    for file in ["best.safetensors", "last.safetensors"] {
        let (a, b) = (tensors(&first.join(file)), tensors(&killed.join(file)));
        assert!(a.0 == b.0 && a.1 == b.1, "{file} has other bits");
    }

    let output = lungfish(&["train", "--out", arg(&moved), "--resume", "--device", "cpu"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("the run was computed with ") && said(&output).contains("rounds otherwise"));
    let lines = |run: &Path| std::fs::read_to_string(run.join("log.jsonl")).unwrap().lines().count();
    assert_eq!(lines(&moved), lines(first));
}

#[test]
fn a_model_says_on_a_gpu_what_it_says_on_the_cpu() {
    let (Some(device), Some(model)) = (GPU.as_ref(), TRAINED.as_ref()) else { return };
    let films = split(&FILMS, "test");
    let films: Vec<&str> = films.iter().take(6).map(|film| arg(film)).collect();
    let on = |device: &str| {
        let args = [&["predict", "--model", arg(model), "--json", "--device", device], &films[..]].concat();
        jsonl(&done(&args))
    };
    let (cpu, gpu) = (on("cpu"), on(device));
    assert_eq!(cpu.len(), gpu.len());
    let mut compared = 0;
    for (cpu, gpu) in cpu.iter().zip(&gpu).filter(|(cpu, _)| cpu["probabilities"].is_object()) {
        for (class, p) in cpu["probabilities"].as_object().unwrap() {
            let (p, q) = (p.as_f64().unwrap(), gpu["probabilities"][class].as_f64().unwrap());
            assert!((p - q).abs() < 1e-4, "{class}: {p} on the CPU, {q} on the GPU");
            compared += 1;
        }
    }
    assert_eq!(compared, 12);

    // Tests and maps, too.
    let folder = temporary();
    let measured = |device: &str| -> Value {
        let out = folder.path().join(device.replace(':', "-"));
        let args =
            ["test", "--model", arg(model), "--data", arg(&FILMS), "--split", "val", "--json", "--device", device];
        serde_json::from_str(&done(&[&args[..], &["--out", arg(&out)]].concat())).unwrap()
    };
    let (cpu, gpu) = (measured("cpu"), measured(device));
    let [a, b] = [&cpu, &gpu].map(|measured| measured["loss"].as_f64().unwrap());
    assert!((a - b).abs() < 1e-5 && cpu["films"] == gpu["films"], "{cpu}\n{gpu}");
    let map = folder.path().join("map.png");
    done(&["predict", "--model", arg(model), films[0], "--plot", arg(&map), "--device", device]);
    assert!(std::fs::metadata(&map).unwrap().len() > 10_000);
}

#[test]
fn bf16_is_refused_where_it_is_asked_for() {
    let Some(device) = GPU.as_ref() else { return };
    let folder = temporary();
    let output = train(device, &folder.path().join("run"), &["--set", "precision=bf16"]);
    refused(&output, &["computes in fp32 alone", "--device cpu"]);
    let args = ["bench", "step", "--device", device, "--precision", "bf16", "--runs", "1", "--batch", "1"];
    refused(&run(&args), &["computes in fp32 alone"]);
}

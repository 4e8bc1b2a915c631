//! The whole job on the GPU there is: one that the processor plays, where this machine has no other.
//!
//! Where there is no adapter the tests say so in one line and pass.

// A test that cannot run says so.
#![allow(clippy::print_stdout)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use lungfish_models::ModelFile;
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

/// A few steps of each phase. Such small images, and such a short way back, that what plays a GPU has done with them in seconds;
/// whole networks go backward in crates/lungfish/tests/gpu.
const SMALL: [&str; 18] = [
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
    "--set",
    "unfreeze=stage6",
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
    refused(&output, &["does not compute in bf16", "--device cpu"]);
    let args = ["bench", "step", "--device", device, "--precision", "bf16", "--runs", "1", "--batch", "1"];
    refused(&run(&args), &["does not compute in bf16"]);
}

/// The device, where it has f16; else `None`, said.
fn with_f16() -> Option<&'static str> {
    let device = GPU.as_ref()?;
    let report: Value = serde_json::from_str(&done(&["doctor", "--json"])).unwrap();
    let adapters = report["adapters"].as_array().unwrap();
    let features = adapters.last().unwrap()["features"].as_array().unwrap();
    let has = features.iter().any(|feature| feature == "f16");
    if !has {
        println!("skipped: {device} has no f16 (shader-f16)");
    }
    has.then_some(device)
}

/// What a training in f16 is asked for: a phase whose backward pass is short.
const IN_F16: [&str; 6] = ["--set", "precision=f16", "--set", "unfreeze=stage7", "--set", "clip_norm=1"];

/// A training in f16 that nobody disturbed, with what it said.
static TRAINED_IN_F16: LazyLock<Option<(PathBuf, String)>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trained-in-f16");
    let _ = std::fs::remove_dir_all(&folder);
    let output = train(with_f16()?, &folder, &IN_F16);
    assert!(output.status.success(), "{}", said(&output));
    Some((folder, said(&output)))
});

/// The state of a checkpoint, and what `change` makes of it.
fn changed_state(run: &Path, change: impl FnOnce(&mut Value)) -> Value {
    let path = run.join("last.safetensors");
    let mut file = ModelFile::read(&path).unwrap();
    let mut state: Value = serde_json::from_str(&file.metadata["state"]).unwrap();
    change(&mut state);
    if file.metadata.insert("state".to_owned(), state.to_string()) != Some(state.to_string()) {
        std::fs::write(&path, file.to_bytes().unwrap()).unwrap();
    }
    state
}

#[test]
fn a_run_in_f16_is_gone_on_with_to_the_same_bits_and_skips_what_is_too_large() {
    let (Some(device), Some((first, told))) = (with_f16(), TRAINED_IN_F16.as_ref()) else { return };
    assert!(told.contains("computing in f16 (precision), with a loss that is scaled"), "{told}");
    let scale = changed_state(first, |_| {})["loss_scale"].clone();
    assert!(scale["scale"].as_f64().unwrap() > 1.0 && scale["good"].as_u64().unwrap() > 0, "{scale}");
    let folder = temporary();
    let (killed, large) = (folder.path().join("killed"), folder.path().join("large"));
    let mut child = command(device, &killed, &IN_F16).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("Before the first step")));
    child.kill().unwrap();
    child.wait().unwrap();
    copy(&killed, &large);
    let resume = |run: &Path, device: &str| {
        lungfish(&["train", "--out", arg(run), "--resume", "--device", device]).output().unwrap()
    };
    refused(&resume(&killed, "cpu"), &["the run computes in f16, which", "(--device gpu)"]);
    let output = resume(&killed, device);
    assert!(output.status.success() && said(&output).contains("going on from the "), "{}", said(&output));
    for file in ["best.safetensors", "last.safetensors"] {
        let (a, b) = (tensors(&first.join(file)), tensors(&killed.join(file)));
        assert!(a.0 == b.0 && a.1 == b.1, "{file} has other bits");
    }
    assert_eq!(changed_state(&killed, |_| {})["loss_scale"], scale);

    // A loss that is scaled beyond all measure: every step is skipped, and teaches nothing.
    let beyond = 2.0_f64.powi(60);
    changed_state(&large, |state| state["loss_scale"] = serde_json::json!({ "scale": beyond, "good": 1990 }));
    let before = parameters(&large);
    let output = resume(&large, device);
    assert!(output.status.success(), "{}", said(&output));
    let state = changed_state(&large, |_| {});
    let skipped = (beyond / state["loss_scale"]["scale"].as_f64().unwrap()).log2() as usize;
    assert!(skipped >= 3, "{skipped}");
    let sentence = format!("{skipped} steps of this epoch were skipped: gradients were too large for f16");
    assert!(said(&output).contains(&sentence), "{}", said(&output));
    assert_eq!((&state["loss_scale"]["good"], &state["optimizer_step"]), (&0.into(), &0.into()));
    assert!(parameters(&large) == before, "a skipped step changes no weight");
    assert!(parameters(&killed) != before);
    // A scale that no training comes to.
    changed_state(&large, |state| state["loss_scale"]["scale"] = 3.0.into());
    refused(&resume(&large, device), &["is damaged: its loss is scaled by 3"]);
}

/// The bytes of what is learnt, of a checkpoint.
fn parameters(run: &Path) -> Vec<(String, Vec<u8>)> {
    let (header, data) = tensors(&run.join("last.safetensors"));
    let learnt = |name: &str| !name.contains("running_") && !name.contains('/');
    let tensors = header.as_object().unwrap().iter().filter(|(name, _)| learnt(name));
    let place = |tensor: &Value, end: usize| tensor["data_offsets"][end].as_u64().unwrap() as usize;
    tensors.map(|(name, tensor)| (name.clone(), data[place(tensor, 0)..place(tensor, 1)].to_vec())).collect()
}

#[test]
fn a_model_of_f16_is_asked_in_f16_where_there_is_one_and_in_fp32_elsewhere() {
    let (Some(device), Some((model, _))) = (with_f16(), TRAINED_IN_F16.as_ref()) else { return };
    let films = split(&FILMS, "test");
    let films: Vec<&str> = films.iter().take(4).map(|film| arg(film)).collect();
    let on = |device: &str, more: &[&str]| {
        let args = [&["predict", "--model", arg(model), "--json", "--device", device], more, &films[..]].concat();
        jsonl(&done(&args)).into_iter().filter(|film| film["probabilities"].is_object()).collect::<Vec<Value>>()
    };
    let (gpu, cpu) = (on(device, &[]), on("cpu", &[]));
    let single = on(device, &["--precision", "fp32"]);
    assert_eq!((gpu.len(), cpu.len(), single.len()), (4, 4, 4));
    for ((gpu, cpu), single) in gpu.iter().zip(&cpu).zip(&single) {
        assert!(gpu["precision"].is_null(), "{gpu}");
        assert_eq!((&cpu["precision"], &single["precision"]), (&"fp32".into(), &"fp32".into()));
        for (class, p) in gpu["probabilities"].as_object().unwrap() {
            let p = p.as_f64().unwrap();
            let [of_cpu, of_single] = [cpu, single].map(|film| film["probabilities"][class].as_f64().unwrap());
            // Eleven bits of precision are enough for two digits of a probability.
            assert!((p - of_cpu).abs() < 0.01 && (of_single - of_cpu).abs() < 1e-4, "{p}, {of_cpu}, {of_single}");
        }
    }
    let out = temporary();
    let args = ["test", "--model", arg(model), "--data", arg(&FILMS), "--split", "val", "--json", "--out"];
    let measured: Value = serde_json::from_str(&done(&[&args[..], &[arg(out.path())]].concat())).unwrap();
    assert_eq!(measured["precision"], "fp32");
    let map = out.path().join("map.png");
    done(&["predict", "--model", arg(model), films[0], "--plot", arg(&map), "--device", device]);
    assert!(std::fs::metadata(&map).unwrap().len() > 10_000);
}

#[test]
fn f16_is_refused_on_the_cpu_by_every_command_that_is_asked_for_it() {
    let folder = temporary();
    let run_folder = folder.path().join("run");
    let sentence = ["f16 is for GPUs", "--device gpu"];
    let output = train("cpu", &run_folder, &["--set", "precision=f16"]);
    refused(&output, &sentence);
    assert!(!run_folder.join("last.safetensors").exists());
    refused(&run(&["bench", "step", "--precision", "f16", "--runs", "1", "--batch", "1"]), &sentence);
    let Some(model) = TRAINED.as_ref() else { return };
    let film = split(&FILMS, "test")[0].clone();
    refused(&run(&["predict", "--model", arg(model), "--precision", "f16", arg(&film)]), &sentence);
    let asked = ["test", "--model", arg(model), "--data", arg(&FILMS), "--split", "val", "--precision", "f16"];
    refused(&run(&asked), &sentence);
    refused(&run(&["serve", "--model", arg(model), "--precision", "f16", "--port", "0"]), &sentence);
}

//! What the program says of the machine that it runs on: doctor, bench, and the kernels that are chosen.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{FILMS, arg, conforms, done, lungfish, refused, run, temporary, text};

#[test]
fn doctor_knows_the_machine() {
    let report: Value = serde_json::from_str(&done(&["doctor", "--json", "--threads", "3"])).unwrap();
    conforms(&report, "doctor");
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["threads"], 3);
    assert!(report["cores"].as_u64().unwrap() >= 1);
    let kernels = report["kernels"].as_str().unwrap();
    let features: Vec<&str> = report["features"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    assert!(
        kernels != "avx2+fma" || (features.contains(&"avx2") && features.contains(&"fma")),
        "{kernels} {features:?}"
    );
    assert!(report["device"] == "cpu" || report["device"] == "auto", "{report}");
    let precision = report["precision"].as_str().unwrap();
    let may_be = if kernels == "avx512" && features.contains(&"avx512bf16") { "bf16" } else { "fp32" };
    assert_eq!(precision, may_be, "{features:?}");
    assert!(done(&["doctor"]).contains(&format!("precision   {precision} for trainings (auto): ")));
    assert!(report["gpus"].is_array());
    let weights = report["weights"].as_array().unwrap();
    let lite = weights.iter().find(|of| of["architecture"] == "efficientnet-lite0").unwrap();
    assert_eq!((&lite["shipped"], &lite["download"]), (&Value::Bool(true), &Value::Null));
    assert!(done(&["doctor"]).contains("shipped with the program"));

    // Weights in torch hub's folder are found where PyTorch would look.
    let home = temporary();
    let hub = home.path().join("hub/checkpoints");
    fs::create_dir_all(&hub).unwrap();
    fs::write(hub.join("resnet34-b627a593.pth"), "").unwrap();
    let output = lungfish(&["doctor", "--json"]).env("TORCH_HOME", home.path()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = report["weights"].as_array().unwrap().iter().find(|of| of["architecture"] == "resnet34").unwrap();
    assert!(found["file"].as_str().unwrap().ends_with("resnet34-b627a593.pth"), "{found}");
}

#[test]
fn bench_times_steps() {
    let small = ["bench", "step", "--arch", "resnet18", "--batch", "1", "--runs", "3"];
    let args = |mode| [&small[..], &["--mode", mode, "--threads", "1", "--json"]].concat();
    let [train, infer] = ["train", "infer"].map(|mode| {
        let measure: Value = serde_json::from_str(&done(&args(mode))).unwrap();
        let number = |key: &str| measure[key].as_f64().unwrap_or_else(|| panic!("no {key} in {measure}"));
        assert_eq!((&measure["arch"], &measure["mode"]), (&Value::from("resnet18"), &Value::from(mode)));
        for (key, expected) in [("batch", 1.0), ("image_size", 224.0), ("runs", 3.0), ("threads", 1.0)] {
            assert_eq!(number(key), expected, "{key}");
        }
        assert!(["avx512", "avx2+fma", "neon", "scalar"].contains(&measure["simd"].as_str().unwrap()));
        assert_eq!(measure["kernels"], "fast");
        assert!(["fp32", "bf16"].contains(&measure["precision"].as_str().unwrap()));
        let films_per_s = number("films_per_s");
        assert!(0.0 < number("films_per_s_min") && number("films_per_s_min") <= films_per_s);
        assert!(films_per_s <= number("films_per_s_max") && number("films_per_s_max") < 1e5);
        assert!((1.0..10_000.0).contains(&number("peak_gflops")));
        assert!((0.001..4.0).contains(&number("share_of_peak")), "{measure}");
        if cfg!(target_os = "linux") {
            // The weights alone are 45 MB.
            assert!(number("peak_bytes") > number("plan_bytes") + 45e6, "{measure}");
        }
        films_per_s
    });
    assert!(train < infer, "{train} {infer}");

    let output = lungfish(&args("infer")).env("LUNGFISH_SIMD", "scalar").env("LUNGFISH_KERNELS", "plain").output();
    let measure: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!((&measure["simd"], &measure["kernels"]), (&Value::from("scalar"), &Value::from("plain")));

    let said = done(&small);
    assert!(said.starts_with("resnet18, train, batch 1, ") && said.contains("films/s"), "{said}");
    let errors = text(&run(&["bench", "step", "--arch", "resnet43"]).stderr);
    assert!(errors.contains("resnet34") && errors.contains("similar"), "{errors}");
}

#[test]
fn bench_times_films() {
    let dir = temporary();
    let args = ["bench", "loader", "--data", arg(&FILMS), "--workers", "2"];
    let measured = |more: &[&str]| {
        let output = lungfish(&[&args[..], more].concat()).env("TMPDIR", dir.path()).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        text(&output.stdout)
    };
    let measure: Value = serde_json::from_str(&measured(&["--json"])).unwrap();
    conforms(&measure, "bench-loader");
    let number = |key: &str| measure[key].as_f64().unwrap_or_else(|| panic!("no {key} in {measure}"));
    let films = lungfish_data::folder::films_in(&FILMS).unwrap();
    let bytes: u64 = films.iter().map(|film| fs::metadata(film).unwrap().len()).sum();
    for (key, expected) in [("films", films.len() as f64), ("bytes", bytes as f64), ("workers", 2.0)] {
        assert_eq!(number(key), expected, "{key}");
    }
    for pace in ["films_per_s", "cached_films_per_s"] {
        let (min, median, max) = (number(&format!("{pace}_min")), number(pace), number(&format!("{pace}_max")));
        assert!(10.0 < min && min <= median && median <= max && max < 1e6, "{measure}");
    }
    assert!(measured(&[]).contains("from the cache"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "the cache does not stay");

    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let refuses = |parts: &[&str]| refused(&run(&["bench", "loader", "--data", arg(&empty)]), parts);
    refuses(&["no class folder"]);
    fs::create_dir(empty.join("NORMAL")).unwrap();
    fs::write(empty.join("NORMAL/a.png"), "no film").unwrap();
    refuses(&["no film of", "could be read"]);
}

/// A limit on the size of files stands for a disk without room.
#[cfg(target_os = "linux")]
#[test]
fn bench_refuses_a_temporary_folder_that_is_full() {
    let dir = temporary();
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$@\"";
    let args = [env!("CARGO_BIN_EXE_lungfish"), "bench", "loader", "--data", arg(&FILMS), "--json"];
    let output = std::process::Command::new("sh")
        .args(["-c", script, "sh"])
        .args(args)
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .output();
    refused(&output.unwrap(), &["cannot write", arg(dir.path()), "lungfish-bench-"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// A stand-in for the driver's own program: what it answers is shown, and the CPU computes all the same.
#[cfg(unix)]
#[test]
fn a_gpu_is_seen_and_not_pretended_to_be_of_use() {
    use std::os::unix::fs::PermissionsExt;
    let folder = temporary();
    let program = folder.path().join("nvidia-smi");
    fs::write(&program, "#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15'\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());

    let output = lungfish(&["doctor", "--json"]).env("PATH", &path).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["gpus"][0], "NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15");
    // Another one than those that it can compute on.
    let shown =
        report["adapters"].as_array().unwrap().iter().any(|adapter| adapter["name"].to_string().contains("H100"));
    assert!(report["computes_on_gpus"] == true && !shown, "{report}");
}

/// What the kernels compute with can be chosen, and `doctor` says what it is.
#[test]
fn kernels_are_chosen_by_name() {
    let doctor = |variable: &str, value: &str| lungfish(&["doctor"]).env(variable, value).output().unwrap();
    assert!(text(&doctor("LUNGFISH_SIMD", "scalar").stdout).contains("kernels     scalar"));
    for (variable, value) in [("LUNGFISH_SIMD", "mmx"), ("LUNGFISH_KERNELS", "slow")] {
        refused(&doctor(variable, value), &[&format!("{variable}={value}: must be ")]);
    }
}

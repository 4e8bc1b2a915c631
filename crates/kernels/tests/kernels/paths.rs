//! Every way the kernels can go on this machine: the same tests in a process for each.

// A test that has nothing to run says so.
#![allow(clippy::print_stdout)]

use std::process::Command;

use lungfish_kernels::machine;

/// What was asked for is what runs: without it, the tests of a path could pass on another.
#[test]
fn what_is_asked_for_runs() {
    assert_eq!(machine::check(), Ok(()));
    if let Some(asked) = std::env::var("LUNGFISH_SIMD").ok().filter(|asked| !asked.is_empty()) {
        assert_eq!(machine::simd(), asked);
    }
    assert!(machine::paths().contains(&machine::path()));
    assert_eq!(machine::plain(), std::env::var("LUNGFISH_KERNELS").is_ok_and(|asked| asked == "plain"));
}

/// The tests of this program once more for each worse instruction set, and for the plain kernels.
#[test]
fn every_path_passes_the_same_tests() {
    if ["LUNGFISH_SIMD", "LUNGFISH_KERNELS"].iter().any(|name| std::env::var_os(name).is_some()) {
        println!("skipped: one path is asked for");
        return;
    }
    let paths = machine::paths();
    let worse = paths.iter().skip(1).filter(|path| !path.ends_with("/plain")).map(|simd| ("LUNGFISH_SIMD", *simd));
    for (variable, value) in worse.chain([("LUNGFISH_KERNELS", "plain")]) {
        let tests = std::env::current_exe().unwrap();
        let output = Command::new(tests).env(variable, value).args(["--quiet"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{variable}={value}:\n{said}");
        println!("{variable}={value}:{}", said.lines().rev().find(|line| line.starts_with("test result")).unwrap());
    }
    // Values in bfloat16 with and without tiles, whichever this machine takes by itself.
    for value in ["tiles", "vectors"] {
        let tests = std::env::current_exe().unwrap();
        let output = Command::new(tests).env("LUNGFISH_KERNELS", value).args(["--quiet", "halves"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains(" 10 passed"), "LUNGFISH_KERNELS={value}:\n{said}");
    }
}

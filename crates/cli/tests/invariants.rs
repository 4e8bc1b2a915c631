//! The house's rules, checked by a machine and not by good will.

// A test that cannot run says so.
#![allow(clippy::print_stdout)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Imports run from a higher floor to a lower one, never up and never sideways.
const FLOORS: [(&str, u32); 9] = [
    ("lungfish-cli", 4),
    ("lungfish", 3),
    ("lungfish-models", 2),
    ("lungfish-engine", 1),
    ("lungfish-kernels", 0),
    ("lungfish-data", 0),
    ("lungfish-metrics", 0),
    ("lungfish-pictures", 0),
    ("lungfish-fetch", 0),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn packages() -> Vec<Value> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Files under version control, as paths from the root; `None` outside a clone (a tarball).
fn tracked() -> Option<Vec<String>> {
    let out = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().ok()?;
    let files: Vec<String> = String::from_utf8(out.stdout).ok()?.split_terminator('\0').map(str::to_owned).collect();
    if !out.status.success() || files.is_empty() {
        println!("skipped: this is no git clone, so what is committed is not known");
        return None;
    }
    // A file removed but not yet committed is still listed.
    Some(files.into_iter().filter(|file| root().join(file).is_file()).collect())
}

/// The lines of code of every file under `crates/{each of crates}/src`, without comments and without what follows
/// `#[cfg(test)]`: (place, line before, line).
fn library_lines(crates: &[&str]) -> Vec<(String, String, String)> {
    let mut lines = Vec::new();
    for name in crates {
        let mut folders = vec![root().join("crates").join(name).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    let mut before = String::new();
                    for (number, line) in text.lines().enumerate() {
                        if line.trim_start().starts_with("#[cfg(test)]") {
                            break;
                        }
                        if !line.trim_start().starts_with("//") {
                            lines.push((format!("{}:{}", path.display(), number + 1), before, line.to_owned()));
                        }
                        before = line.to_owned();
                    }
                }
            }
        }
    }
    assert!(!lines.is_empty());
    lines
}

const LIBRARIES: [&str; 8] = ["kernels", "data", "metrics", "pictures", "fetch", "engine", "models", "lungfish"];

/// Fails with the offending places, all of them at once.
fn none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn imports_never_climb_a_floor() {
    let floor = |name: &str| FLOORS.iter().find(|(package, _)| *package == name).map(|(_, floor)| *floor);
    let packages = packages();
    assert_eq!(packages.len(), FLOORS.len(), "each package of the workspace has its floor in this test");
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let own = floor(name).unwrap_or_else(|| panic!("{name} has no floor in this test"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let dependency = dependency["name"].as_str().unwrap();
            if let Some(theirs) = floor(dependency) {
                assert!(theirs < own, "{name} (floor {own}) imports {dependency} (floor {theirs})");
            }
        }
    }
}

#[test]
fn anyhow_and_flags_live_in_the_command_only() {
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let dependency = dependency["name"].as_str().unwrap();
            let of_the_command = ["anyhow", "clap", "indicatif", "ctrlc"].contains(&dependency);
            assert!(!of_the_command || name == "lungfish-cli", "{name} imports {dependency}");
        }
    }
}

#[test]
fn unsafe_code_is_one_hint_to_the_processor() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\"") && manifest.contains("undocumented_unsafe_blocks = \"deny\""));
    for package in packages() {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{} takes the workspace's lints", manifest.display());
    }
    let crates = ["kernels", "data", "metrics", "pictures", "fetch", "engine", "models", "lungfish", "cli"];
    let allowed: Vec<String> = library_lines(&crates)
        .into_iter()
        .filter(|(_, _, line)| line.contains("allow(unsafe_code") || line.contains("expect(unsafe_code"))
        .map(|(place, ..)| place)
        .collect();
    assert_eq!(allowed.len(), 1, "{allowed:?}");
    assert!(allowed[0].contains("crates/kernels/src/prefetch.rs"), "{allowed:?}");
    let room = fs::read_to_string(root().join("crates/kernels/src/prefetch.rs")).unwrap();
    assert_eq!(room.matches("unsafe {").count(), 1, "one block");
    assert!(room.contains("// SAFETY: "));
}

#[test]
fn libraries_never_print() {
    let prints = ["println!(", "print!(", "eprintln!(", "eprint!(", "dbg!(", "clippy::print_std"];
    none(
        "a library prints",
        library_lines(&LIBRARIES)
            .into_iter()
            .filter(|(_, _, line)| prints.iter().any(|print| line.contains(print)))
            .map(|(place, ..)| place)
            .collect(),
    );
}

#[test]
fn libraries_never_unwrap_what_can_fail() {
    none(
        "an unwrap without a `// cannot fail:` on its line or the line before",
        library_lines(&LIBRARIES)
            .into_iter()
            .filter(|(_, _, line)| line.contains(".unwrap()") || line.contains(".expect("))
            .filter(|(_, before, line)| ![before, line].iter().any(|text| text.contains("// cannot fail:")))
            .map(|(place, _, line)| format!("{place}: {}", line.trim()))
            .collect(),
    );
}

#[test]
fn large_files_are_accounted_for() {
    let Some(files) = tracked() else { return };
    let sources = fs::read_to_string(root().join("SOURCES.md")).unwrap_or_default();
    none(
        "over 1 MiB and not named in SOURCES.md",
        files
            .into_iter()
            .filter(|file| fs::metadata(root().join(file)).unwrap().len() > 1 << 20 && !sources.contains(file.as_str()))
            .collect(),
    );
}

#[test]
fn golden_values_lie_beside_the_script_that_made_them() {
    let Some(files) = tracked() else { return };
    let golden: Vec<&String> = files.iter().filter(|file| file.starts_with("golden/")).collect();
    assert!(!golden.is_empty());
    let area = |file: &str| file.split('/').nth(1).unwrap_or_default().to_owned();
    none(
        "no script beside these values",
        golden
            .iter()
            .filter(|file| !golden.iter().any(|other| other.ends_with(".py") && area(other) == area(file)))
            .map(ToString::to_string)
            .collect(),
    );
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let Some(files) = tracked() else { return };
    // Put together here so that this file does not name them either.
    let places = [["/wo", "rk/"], ["/tmp/", "plan"], ["/opt/", "venv"], [".lib", "rary/"], ["../sha", "red"]];
    let places = places.map(|halves| halves.concat());
    none(
        "a path of somebody's machine",
        files
            .into_iter()
            .filter_map(|file| Some((fs::read_to_string(root().join(&file)).ok()?.to_lowercase(), file)))
            .filter(|(text, _)| places.iter().any(|place| text.contains(place.as_str())))
            .map(|(_, file)| file)
            .collect(),
    );
}

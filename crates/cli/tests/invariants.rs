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
const FLOORS: [(&str, u32); 11] = [
    ("lungfish-cli", 5),
    ("lungfish-serve", 4),
    ("lungfish", 3),
    ("lungfish-models", 2),
    ("lungfish-gpu", 2),
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

const LIBRARIES: [&str; 10] =
    ["kernels", "data", "metrics", "pictures", "fetch", "engine", "gpu", "models", "lungfish", "serve"];

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
            // Of its own it may ask for what its tests want built.
            if let Some(theirs) = floor(dependency).filter(|_| dependency != name) {
                assert!(theirs < own, "{name} (floor {own}) imports {dependency} (floor {theirs})");
            }
        }
    }
}

/// The rows of ARCHITECTURE.md's table of floors: floor, package, and what it says the package depends on.
fn table_of_floors() -> Vec<(u32, String, Vec<String>)> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("| floor |")).skip(2);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, floor, package, .., depends, _] = cells.as_slice() else { panic!("no row of floors: {line}") };
        let package = package.split('`').nth(1).unwrap().to_owned();
        // What stands in brackets says what for; names go without the family's.
        let outside = depends.split('(').map(|part| part.split_once(')').map_or(part, |(_, after)| after));
        let names = outside.collect::<String>();
        let full = |name: &str| if name == "lungfish" { name.to_owned() } else { format!("lungfish-{name}") };
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(full).collect();
        (floor.parse().unwrap(), package, names)
    };
    table.take_while(|line| line.starts_with('|')).map(row).collect()
}

#[test]
fn the_table_of_floors_says_what_depends_on_what() {
    let table = table_of_floors();
    let floors: Vec<(&str, u32)> = table.iter().map(|(floor, package, _)| (package.as_str(), *floor)).collect();
    assert_eq!(floors, FLOORS);
    let packages = packages();
    for (_, name, mut says) in table {
        let package = packages.iter().find(|package| package["name"] == name.as_str()).unwrap();
        let of_the_house = |dependency: &&Value| {
            // Not those of tests.
            dependency["kind"].is_null() && FLOORS.iter().any(|(package, _)| dependency["name"] == *package)
        };
        let dependencies = package["dependencies"].as_array().unwrap().iter().filter(of_the_house);
        let mut has: Vec<String> = dependencies.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        has.sort();
        says.sort();
        assert_eq!(says, has, "ARCHITECTURE.md (left) and the Cargo.toml of {name} (right)");
        // And it uses each of them.
        let folder = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().file_name().unwrap();
        let lines = library_lines(&[folder.to_str().unwrap()]);
        for dependency in has {
            let module = dependency.replace('-', "_") + "::";
            let uses = lines.iter().any(|(_, _, line)| line.contains(&module));
            assert!(uses, "{name} depends on {dependency} and does not use it");
        }
    }
}

#[test]
fn random_numbers_come_from_the_list_of_keys() {
    // Who makes a generator out of a key, and where the key comes from. What it is for is in `lungfish_data::keys`, whose
    // own tests hold the uses apart.
    let rooms = [
        // The list itself is beside this one.
        "crates/data/src/random.rs",
        // The list's keys, shuffled with.
        "crates/lungfish/src/keys.rs",
        // The key of a step, as the list has it, is handed down to it.
        "crates/engine/src/ops/dropout.rs",
        // Knows no films and so not the list: its own third word is in it.
        "crates/engine/src/init.rs",
        // Resamples of numbers, of no films and no training.
        "crates/metrics/src/random.rs",
    ];
    let (root, mut found) = (root(), Vec::new());
    for (place, _, line) in library_lines(&[&LIBRARIES[..], &["cli"]].concat()) {
        if ["from_seed(", "seed_from_u64(", "from_rng(", "thread_rng(", "rand::rng("]
            .iter()
            .any(|made| line.contains(made))
        {
            let file = place.rsplit_once(':').unwrap().0;
            found.push(Path::new(file).strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    let mut rooms = rooms.map(str::to_owned);
    rooms.sort();
    assert_eq!(found, rooms);
    let weights = fs::read_to_string(root.join("crates/engine/src/init.rs")).unwrap();
    assert!(weights.contains("[seed, hash, u64::from_le_bytes(*b\"weights\\0\"), 0]"));
    assert_eq!(lungfish_data::keys::WEIGHTS, u64::from_le_bytes(*b"weights\0"));
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
fn unsafe_code_is_where_decisions_say_that_it_is() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\"") && manifest.contains("undocumented_unsafe_blocks = \"deny\""));
    for package in packages() {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{} takes the workspace's lints", manifest.display());
    }
    let crates = [&LIBRARIES[..], &["cli"]].concat();
    let allowed: Vec<String> = library_lines(&crates)
        .into_iter()
        .filter(|(_, _, line)| line.contains("allow(unsafe_code") || line.contains("expect(unsafe_code"))
        .map(|(place, ..)| place)
        .collect();
    // Put together here so that this file does not have it.
    let keyword = ["uns", "afe "].concat();
    let decisions = ["0012-weights-are-asked-for-beforehand.md", "0023-bf16-as-autocast-does.md", "0025-tiles.md"];
    let named = decisions.map(|name| {
        let decision = fs::read_to_string(root().join("docs/decisions").join(name)).unwrap().replace('\n', " ");
        let is_file = |part: &&str| part.starts_with("crates/kernels/src/") && part.ends_with(".rs");
        let named = decision.split('`').find(is_file).unwrap().to_owned();
        let room = fs::read_to_string(root().join(&named)).unwrap();
        let blocks = room.matches(&format!("{keyword}{{")).count();
        let number = ["no", "one", "two", "three", "four", "five", "six"][blocks];
        let said = format!("`{named}` has {number} `unsafe` block{}", if blocks == 1 { "" } else { "s" });
        assert!(decision.contains(&said), "{named}: {blocks}");
        assert_eq!(room.matches("// SAFETY: ").count(), blocks, "{named}");
        named
    });
    assert!(allowed.iter().all(|place| named.iter().any(|named| place.contains(named))), "{allowed:?}");
    // Tests and examples too, which the lint would let through where they allow it themselves.
    let Some(files) = tracked() else { return };
    none(
        "unsafe code elsewhere",
        files
            .into_iter()
            .filter(|file| file.ends_with(".rs") && !named.contains(file))
            .filter(|file| {
                let text = fs::read_to_string(root().join(file)).unwrap();
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                code.into_iter().any(|line| {
                    let mut words = line.match_indices(&keyword).map(|(at, word)| &line[at + word.len()..]);
                    words.any(|after| ["{", "fn ", "impl ", "trait ", "extern "].iter().any(|of| after.starts_with(of)))
                })
            })
            .collect(),
    );
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

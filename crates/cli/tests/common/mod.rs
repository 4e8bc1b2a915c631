//! Running the real program and looking at what it left.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

/// The program, with nothing on its standard input.
pub fn lungfish(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lungfish"));
    // Whatever GPU this machine has: bits are compared with the processor's.
    command.args(args).stdin(Stdio::null()).env("LUNGFISH_DEVICE", "cpu");
    // Mesa looks for a desktop, and complains on standard error where there is none.
    command.env("NODEVICE_SELECT", "1");
    command
}

/// Runs it to its end.
pub fn run(args: &[&str]) -> Output {
    lungfish(args).output().unwrap()
}

/// Runs it and wants exit status 0; gives standard output.
pub fn done(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(0), "lungfish {}\n{}", args.join(" "), said(&output));
    text(&output.stdout)
}

/// Wants exit status 1 and one sentence, the last line on standard error, with all of `parts` in it; gives the sentence.
pub fn refused(output: &Output, parts: &[&str]) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    let errors = text(&output.stderr);
    let sentence = errors.lines().last().unwrap_or_default().to_owned();
    assert!(sentence.starts_with("error: "), "{errors}");
    assert_eq!(errors.matches("error: ").count(), 1, "{errors}");
    for part in parts {
        assert!(sentence.contains(part), "{part:?} is not in {sentence:?}");
    }
    sentence
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn said(output: &Output) -> String {
    format!("{}\nstdout:\n{}\nstderr:\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Synthetic films, made once for each test program; tests that change films copy them.
pub static FILMS: LazyLock<PathBuf> = LazyLock::new(|| {
    // Statics are never dropped, so the folder lies where cargo clears up.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!("films-", env!("CARGO_CRATE_NAME")));
    let _ = fs::remove_dir_all(&folder);
    done(&["synth", "--out", arg(&folder), "--films", "120", "--seed", "3"]);
    folder
});

/// The settings of a training that takes a second or two.
pub const SMALL: [&str; 8] =
    ["--frozen-epochs", "2", "--batch", "8", "--set", "image_size=64", "--set", "frozen_views=2"];

/// `train` with [`SMALL`] settings and more.
pub fn train(data: &Path, out: &Path, more: &[&str]) -> Command {
    let mut args = vec!["train", "--data", arg(data), "--out", arg(out)];
    args.extend(SMALL);
    args.extend(more);
    lungfish(&args)
}

/// A trained run on [`FILMS`], made once for each test program; nobody trains it on, but tests of it are written down in it.
pub static RUN: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!("run-", env!("CARGO_CRATE_NAME")));
    let _ = fs::remove_dir_all(&folder);
    copy(&UNTESTED, &folder);
    folder
});

/// The same run as the training left it: to be copied.
pub static UNTESTED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!("untested-", env!("CARGO_CRATE_NAME")));
    let _ = fs::remove_dir_all(&folder);
    let output = train(&FILMS, &folder, &[]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    folder
});

pub fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Every file below a folder, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// The films of one split of a folder of films.
pub fn split(films: &Path, split: &str) -> Vec<PathBuf> {
    files(&films.join(split))
}

/// Copies a folder of films.
pub fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
    }
}

/// The tensors of a safetensors file: header without its metadata, and the bytes.
pub fn tensors(path: &Path) -> (Value, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    header.as_object_mut().unwrap().remove("__metadata__");
    (header, bytes[8 + length..].to_vec())
}

/// The lines of log.jsonl without what a clock measured.
pub fn log(run: &Path) -> Vec<Value> {
    let mut lines = jsonl(&fs::read_to_string(run.join("log.jsonl")).unwrap());
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        assert!(line.remove("seconds").is_some() && line.remove("films_per_s").is_some());
    }
    lines
}

pub fn jsonl(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every command that the program has, as its help lists them; those of a command as two words, `bench step`.
pub fn commands() -> Vec<String> {
    let listed = |of: &str| {
        let help = help(of);
        let list = help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap();
        let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
        names.filter(|name| name != "help").collect::<Vec<_>>()
    };
    let within = |name: String| {
        let inner: Vec<String> = listed(&name).iter().map(|inner| format!("{name} {inner}")).collect();
        std::iter::once(name).chain(inner)
    };
    listed("").into_iter().flat_map(within).collect()
}

/// The help of a command of one word or more.
pub fn help(command: &str) -> String {
    let mut args: Vec<&str> = command.split_whitespace().collect();
    args.push("--help");
    done(&args)
}

/// Wants a printed object to be what docs/schema/{name}.json describes.
pub fn conforms(value: &Value, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/schema/{name}.json"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert!(value["schema"].as_str().unwrap().starts_with(&format!("lungfish.{name}.")), "{value}");
    fits(value, &schema, &schema, name);
}

/// As much of JSON Schema as the schemas of this program use; a word that is not known here is a failure.
fn fits(value: &Value, schema: &Value, root: &Value, at: &str) {
    let Some(rules) = schema.as_object() else { return assert_eq!(schema, true, "{at}") };
    for (rule, of) in rules {
        match rule.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "default" => {}
            "$ref" => {
                let of = root.pointer(of.as_str().unwrap().strip_prefix('#').unwrap()).unwrap();
                fits(value, of, root, at);
            }
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("{at}: no type {other}"),
                };
                let one = of.as_array().map_or_else(|| is(of), |any| any.iter().any(is));
                assert!(one, "{at}: {value} is not of type {of}");
            }
            "const" => assert_eq!(value, of, "{at}"),
            "enum" => assert!(of.as_array().unwrap().contains(value), "{at}: {value}"),
            "anyOf" | "oneOf" => {
                let fit = |of: &&Value| std::panic::catch_unwind(|| fits(value, of, root, at)).is_ok();
                assert!(of.as_array().unwrap().iter().any(|of| fit(&of)), "{at}: {value} is none of {of}");
            }
            "minimum" => assert!(value.as_f64().is_none_or(|n| n >= of.as_f64().unwrap()), "{at}: {value}"),
            "maximum" => assert!(value.as_f64().is_none_or(|n| n <= of.as_f64().unwrap()), "{at}: {value}"),
            "minItems" => assert!(value.as_array().is_none_or(|all| all.len() as u64 >= of.as_u64().unwrap()), "{at}"),
            "maxItems" => assert!(value.as_array().is_none_or(|all| all.len() as u64 <= of.as_u64().unwrap()), "{at}"),
            "required" => {
                for key in of.as_array().unwrap() {
                    assert!(value.get(key.as_str().unwrap()).is_some(), "{at} has no {key}");
                }
            }
            "items" => {
                for value in value.as_array().into_iter().flatten() {
                    fits(value, of, root, &format!("{at}[]"));
                }
            }
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let of = of.get(key).or_else(|| rules.get("additionalProperties"));
                    fits(
                        value,
                        of.unwrap_or_else(|| panic!("{at}: {key} is not described")),
                        root,
                        &format!("{at}.{key}"),
                    );
                }
            }
            "additionalProperties" if rules.contains_key("properties") => {}
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    fits(value, of, root, &format!("{at}.{key}"));
                }
            }
            other => panic!("{at}: {other} is not known to this test"),
        }
    }
}

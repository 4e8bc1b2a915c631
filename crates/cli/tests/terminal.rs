//! What a shell and a terminal are given: completions, manual pages, colours.

// A test that cannot run says so.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{arg, commands, done, help, lungfish, refused, run, said, temporary, text};

/// The long flags that the help of a command names, such as `--out`.
fn flags(command: &str) -> BTreeSet<String> {
    let help = help(command);
    let options = help.split("Options:\n").nth(1).unwrap();
    let lines = options.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    // A value that may be left out is written as `--flag[=<VALUE>]`.
    let flags = lines.flat_map(|line| line.split([' ', ',', '[']).find(|word| word.starts_with("--")));
    flags.map(str::to_owned).collect()
}

/// Whether a program is there to be asked.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: there is no {program} here");
    }
    found
}

#[test]
fn every_shell_completes_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = done(&["completions", shell]);
        for command in commands() {
            let word = command.split(' ').next_back().unwrap();
            assert!(script.contains(word), "{shell}: {command}");
            for flag in flags(&command) {
                // fish names a flag without its dashes.
                let name = if shell == "fish" { format!("-l {}", &flag[2..]) } else { flag };
                assert!(script.contains(&name), "{shell}: {command} {name}");
            }
        }
        let networks = ["resnet18", "resnet34", "resnet50", "efficientnet-lite0", "efficientnet-lite2"];
        assert!(shell == "powershell" || shell == "elvish" || networks.iter().all(|name| script.contains(name)));
    }
}

/// What bash offers for the last of these words.
fn offered(script: &Path, words: &[&str]) -> Vec<String> {
    let program = r#"
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _lungfish "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let output = Command::new("bash").args(["-c", program, "bash", arg(script)]).args(words).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    if !has("bash") {
        return;
    }
    let folder = temporary();
    let script = folder.path().join("lungfish.bash");
    fs::write(&script, done(&["completions", "bash"])).unwrap();
    assert_eq!(offered(&script, &["lungfish", "tra"]), ["train"]);
    assert_eq!(offered(&script, &["lungfish", "train", "--unf"]), ["--unfreeze"]);
    let lite = ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"];
    assert_eq!(offered(&script, &["lungfish", "train", "--arch", "eff"]), lite);
    assert_eq!(offered(&script, &["lungfish", "test", "--split", ""]), ["train", "val", "test"]);
    assert_eq!(offered(&script, &["lungfish", "bench", "step", "--mode", ""]), ["train", "infer"]);
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = temporary();
    let pages = folder.path().join("share/man1");
    done(&["man", "--out", arg(&pages)]);
    let groff = has("groff");
    let mut names: BTreeSet<String> =
        fs::read_dir(&pages).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    for command in std::iter::once(String::new()).chain(commands()) {
        let word = command.replace(' ', "-");
        let name = if command.is_empty() { "lungfish.1".to_owned() } else { format!("lungfish-{word}.1") };
        let page = fs::read_to_string(pages.join(&name)).unwrap();
        assert!(names.remove(&name));
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"] {
            assert!(page.contains(&format!(".SH {section}\n")), "{name} has no {section}\n{page}");
        }
        let ask: Vec<&str> = ["man", &word].into_iter().filter(|word| !word.is_empty()).collect();
        assert_eq!(done(&ask).trim_end(), page.trim_end());
        let example = if command.is_empty() { "  lungfish demo".to_owned() } else { format!("  lungfish {command}") };
        assert!(page.contains(&example), "{page}");
        if !command.is_empty() {
            let plain = page.replace("\\-", "-");
            for flag in flags(&command) {
                assert!(plain.contains(&flag), "{name} does not name {flag}");
            }
        }
        if groff {
            let path = pages.join(&name);
            let output = Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8", arg(&path)]).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
        }
    }
    assert!(names.is_empty(), "{names:?}");
    let main = done(&["man"]);
    assert!(main.contains("EXIT STATUS") && main.contains(".SH ENVIRONMENT") && main.contains("NO_COLOR"), "{main}");

    refused(&run(&["man", "tarin"]), &["\"tarin\" (did you mean train?); the commands are "]);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    refused(&run(&["man", "--out", arg(&file)]), &[arg(&file)]);
}

#[test]
fn colours_are_for_terminals_and_never_with_no_color() {
    // The program's own error, clap's error, and clap's help.
    let asked: [&[&str]; 3] = [&["predict", "--model", "absent", "film.png"], &["tarin"], &["--help"]];
    let coloured = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = lungfish(args);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        [output.stdout, output.stderr].concat().contains(&0x1b)
    };
    for args in asked {
        assert!(!coloured(args, &[]), "{args:?}: no terminal");
        assert!(coloured(args, &[("CLICOLOR_FORCE", "1")]), "{args:?}: asked for");
        assert!(!coloured(args, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), "{args:?}: asked not to");
        assert!(!coloured(args, &[("CLICOLOR", "0")]), "{args:?}");
    }
}

/// On a real terminal, as `script` makes one: colours, unless they are not wanted, and then bars all the same.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_without_colours_still_has_bars() {
    if !has("script") {
        return;
    }
    let folder = temporary();
    let on_terminal = |variables: &[(&str, &str)], words: &[&str]| {
        let line: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let line = format!("'{}' {}", env!("CARGO_BIN_EXE_lungfish"), line.join(" "));
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).env("TERM", "xterm-256color");
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        text(&command.envs(variables.iter().copied()).output().unwrap().stdout)
    };
    let wrong = ["predict", "--model", "absent", "film.png"];
    assert!(on_terminal(&[], &wrong).contains("\x1b[31merror:"));
    let plain = on_terminal(&[("NO_COLOR", "1")], &wrong);
    assert!(plain.contains("error:") && !plain.contains('\x1b'), "{plain:?}");

    let (films, out) = (folder.path().join("films"), folder.path().join("run"));
    done(&["synth", "--out", arg(&films), "--films", "40"]);
    let train = ["train", "--data", arg(&films), "--out", arg(&out), "--frozen-epochs", "1", "--set", "image_size=64"];
    let told = on_terminal(&[("NO_COLOR", "1")], &train);
    assert!(told.contains("checking [") && told.contains("Training complete"), "{told:?}");
    // Moving the cursor is no colour: what sets one ends with an m.
    let colours = told
        .split('\x1b')
        .skip(1)
        .filter(|code| code.trim_start_matches(|c: char| c == '[' || c == ';' || c.is_ascii_digit()).starts_with('m'));
    assert_eq!(colours.count(), 0, "{told:?}");
}

/// Each variable that the source asks for is one that the help tells about.
#[test]
fn the_help_names_every_variable_of_the_environment() {
    let help = done(&["--help"]);
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut asked = BTreeSet::new();
    for source in crate::common::files(&crates) {
        let inside = source.components().any(|part| part.as_os_str() == "src");
        if !inside || source.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let code = fs::read_to_string(&source).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap().split("#[cfg(all(test").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for name in line.split('"').skip(1).step_by(2) {
                let like_ours = ["LUNGFISH_", "KAGGLE_"].iter().any(|start| name.starts_with(start));
                let variable = name.len() > 4 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
                let of_others = name.ends_with("_HOME") || name.ends_with("_PROXY") || name.ends_with("_COLOR");
                if variable && (like_ours || of_others) {
                    asked.insert(name.to_owned());
                }
            }
        }
    }
    assert!(asked.contains("TORCH_HOME"), "{asked:?}");
    let untold: Vec<&String> = asked.iter().filter(|name| !help.contains(name.as_str())).collect();
    assert!(untold.is_empty(), "not in the help: {untold:?}");
}

//! Flags, help, exit statuses, and one clear sentence for what cannot be done.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use crate::common::{
    FILMS, RUN, arg, commands, copy, done, help, lungfish, refused, run, said, split, temporary, text, train,
};
use lungfish_models::ModelFile;

#[test]
fn every_command_helps_with_a_worked_example() {
    let commands = commands();
    assert!(["demo", "train", "man", "bench step"].iter().all(|known| commands.iter().any(|command| command == known)));
    for command in &commands {
        let help = help(command);
        assert!(help.contains("Example") && help.contains(&format!("  lungfish {command}")), "{help}");
        assert!(help.contains("--threads"), "{help}");
    }
    assert!(done(&["--version"]).starts_with("lungfish "));
    for command in ["--help", "test", "predict"] {
        let args = if command == "--help" { vec![command] } else { vec![command, "--help"] };
        assert!(done(&args).contains("not a diagnosis"), "{command}");
    }
}

#[test]
fn help_says_where_json_is_described() {
    let mut described = Vec::new();
    for command in commands() {
        let help = help(&command);
        // What predict prints is one line a film and has no schema yet.
        if !help.contains("--json\n") && !help.contains("--json ") || command == "predict" {
            continue;
        }
        let named: Vec<&str> = help
            .split_whitespace()
            .flat_map(|word| word.strip_prefix("docs/schema/").or_else(|| word.contains("fetch-").then_some(word)))
            .filter(|word| word.ends_with(".json"))
            .collect();
        let name = command.replace(' ', "-") + ".json";
        assert!(named.contains(&name.as_str()) || command == "bench", "{help}");
        described.extend(named.into_iter().map(str::to_owned));
    }
    described.sort();
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    let there =
        crate::common::files(&there).into_iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned());
    let mut there: Vec<String> = there.filter(|file| file.ends_with(".json")).collect();
    there.sort();
    assert_eq!(described, there);
}

#[test]
fn wrong_usage_is_status_2() {
    let wrong: [&[&str]; 27] = [
        &[],
        &["tarin"],
        &["train"],
        &["train", "--out", "run"],
        &["train", "--data", "films", "--out", "run", "--arch", "vgg16"],
        &["train", "--data", "films", "--out", "run", "--device", "tpu"],
        &["train", "--data", "films", "--out", "run", "--epochs", "-1"],
        &["train", "--data", "films", "--out", "run", "--lr", "much"],
        &["doctor", "--threads", "0"],
        &["doctor", "--threads", "-2"],
        &["doctor", "--threads", "100000"],
        &["test", "--model", "run", "--data", "films", "--split", "left"],
        &["predict", "--model", "run"],
        &["predict", "--model", "run", "film.png", "--resume"],
        &["predict", "--model", "run", "film.png", "--out", "scores.csv", "--json"],
        &["completions", "tcsh"],
        &["man", "train", "--out", "pages"],
        &["summary"],
        &["summary", "--arch", "resnet34", "--model", "run"],
        &["summary", "--model", "run", "--classes", "3"],
        &["summary", "--arch", "resnet34", "--depth", "0"],
        &["bench"],
        &["bench", "step", "--batch", "0"],
        &["bench", "step", "--runs", "0"],
        &["bench", "loader"],
        &["bench", "loader", "--data", "films", "--workers", "-1"],
        &["bench", "step", "--mode", "predict"],
    ];
    for args in wrong {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "lungfish {}\n{}", args.join(" "), said(&output));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[test]
fn a_number_that_is_none_is_told_what_would_do() {
    let train = ["train", "--data", "films", "--out", "run"];
    let whole = "whole number";
    let wrong: [(&[&str], &str, &str); 9] = [
        (&train, "--epochs=x", whole),
        (&train, "--frozen-epochs=-3", whole),
        (&train, "--limit=1.5", whole),
        (&train, "--seed=-1", whole),
        (&train, "--batch=0", "from 1 to 65536"),
        (&train, "--lr=0,001", "such as 0.001"),
        (&train, "--lr=0", "above 0"),
        (&["doctor"], "--threads=0", "from 1 to 1024"),
        (&["synth", "--out", "films"], "--films=1000000000000", "from 20 to"),
    ];
    for (command, flag, expected) in wrong {
        let (flag, value) = flag.split_once('=').unwrap();
        // Both ways of writing a value: a minus sign is no flag.
        for last in [vec![flag, value], vec![&format!("{flag}={value}")]] {
            let output = run(&[command, &last].concat());
            let errors = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{errors}");
            let first = errors.lines().next().unwrap();
            assert!(first.contains(flag) && first.contains(value) && first.contains(expected), "{errors}");
        }
    }
}

#[test]
fn a_recipe_is_printed_and_read_back() {
    let folder = temporary();
    let recipe = done(&["recipe"]);
    let path = folder.path().join("my.toml");
    fs::write(&path, recipe.replace("seed = 0", "seed = 5")).unwrap();
    // Whatever else is wrong, the recipe is not.
    let output = run(&["train", "--data", "absent", "--out", "absent-run", "--recipe", arg(&path)]);
    refused(&output, &["absent"]);

    fs::write(&path, "bach_size = 3\n").unwrap();
    let output = run(&["train", "--data", "absent", "--out", "absent-run", "--recipe", arg(&path)]);
    refused(&output, &["bach_size", "batch_size"]);
    fs::write(&path, "fit = \"stretch\"\n").unwrap();
    let output = run(&["train", "--data", "absent", "--out", "absent-run", "--recipe", arg(&path)]);
    refused(&output, &[arg(&path), "fit", "stretch"]);
    let output = run(&["train", "--data", "absent", "--out", "absent-run", "--set", "fit"]);
    refused(&output, &["KEY=VALUE", "such as"]);
    let output = run(&["train", "--data", "absent", "--out", "absent-run", "--set", "fit=stretch"]);
    refused(&output, &["fit", "stretch", "crop, pad or squash"]);
    let output = run(&["train", "--data", "absent", "--out", "absent-run", "--set", "lr.layer4=fast"]);
    refused(&output, &["lr.layer4", "fast", "a number above 0"]);
    let output = train(&FILMS, &folder.path().join("run"), &["--set", "lr.staeg7=1e-5"]).output().unwrap();
    refused(&output, &["staeg7", "did you mean stage7?"]);
    let output = run(&["train", "--data", "absent", "--out", "absent-run", "--recipe", "no-recipe.toml"]);
    refused(&output, &["no-recipe.toml"]);
}

#[test]
fn flags_override_the_recipe_and_the_run_keeps_what_came_of_it() {
    let folder = temporary();
    let (recipe, out) = (folder.path().join("my.toml"), folder.path().join("run"));
    fs::write(&recipe, "seed = 5\nbatch_size = 16\nfit = \"pad\"\nrotation = 7.5\n").unwrap();
    let more = ["--recipe", arg(&recipe), "--lr", "0.002", "--set", "fit=squash", "--frozen-epochs", "1"];
    let small = ["--batch", "8", "--set", "image_size=64", "--set", "frozen_views=1"];
    let mut args = vec!["train", "--data", arg(&FILMS), "--out", arg(&out)];
    args.extend(more.iter().chain(&small));
    done(&args);
    let kept = fs::read_to_string(out.join("recipe.toml")).unwrap();
    let expected = [
        "seed = 5",
        "batch_size = 8",
        "fit = \"squash\"",
        "augment.rotation = 7.5",
        "augment.zoom = [0.7, 1.05]",
        "lr = 0.002",
        "frozen_lr = 0.002",
        "frozen_epochs = 1",
    ];
    for line in expected {
        assert!(kept.lines().any(|kept| kept == line), "{line} is not in\n{kept}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_a_full_device_is() {
    let mut child = lungfish(&["recipe"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));

    #[cfg(target_os = "linux")]
    {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = lungfish(&["recipe"]).stdout(full).output().unwrap();
        refused(&output, &["cannot write to standard output"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_on_the_size_of_files_is_told() {
    let folder = temporary();
    let out = folder.path().join("run");
    let training = train(&FILMS, &out, &[]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -f 2000; exec \"$@\"", "sh"]).arg(training.get_program()).args(training.get_args());
    command.envs(training.get_envs().filter_map(|(name, value)| Some((name, value?))));
    refused(&command.output().unwrap(), &[arg(&out.join("last.safetensors"))]);
    assert!(!out.join(".last.safetensors.tmp").exists(), "half a file is cleared away");
}

#[test]
fn folders_that_cannot_be_trained_on_are_refused() {
    let folder = temporary();
    let root = folder.path();
    let out = root.join("run");
    let absent = root.join("absent");
    refused(&train(&absent, &out, &[]).output().unwrap(), &[arg(&absent)]);

    let empty = root.join("empty");
    fs::create_dir(&empty).unwrap();
    refused(&train(&empty, &out, &[]).output().unwrap(), &[arg(&empty), "class"]);

    let one = root.join("one");
    copy(&FILMS.join("train/NORMAL"), &one.join("train/NORMAL"));
    refused(&train(&one, &out, &[]).output().unwrap(), &[arg(&one), "NORMAL"]);

    let hollow = root.join("hollow");
    copy(&FILMS, &hollow);
    fs::create_dir_all(hollow.join("train/TUBERCULOSIS")).unwrap();
    refused(&train(&hollow, &out, &[]).output().unwrap(), &["TUBERCULOSIS"]);

    // A class folder itself, splits by other names, a file.
    let class = FILMS.join("train/NORMAL");
    refused(&train(&class, &out, &[]).output().unwrap(), &[arg(&class), "name the folder above"]);
    let other = root.join("other");
    for (ours, theirs) in [("train", "Train"), ("test", "Testing")] {
        copy(&FILMS.join(ours), &other.join(theirs));
    }
    refused(&train(&other, &out, &[]).output().unwrap(), &["Testing, Train", "train, val and test"]);
    let film = split(&FILMS, "test")[0].clone();
    refused(&train(&film, &out, &[]).output().unwrap(), &[arg(&film), "is a file, not a folder"]);

    // A run among the class folders would be a class the next time.
    let among = FILMS.join("train/run");
    refused(&train(&FILMS, &among, &[]).output().unwrap(), &[arg(&among), "class"]);
    assert!(!among.exists());

    // What was refused leaves nothing in the way of the next try.
    let output = train(&FILMS, &out, &["--frozen-epochs", "1", "--set", "patient=("]).output().unwrap();
    refused(&output, &["patient"]);
}

#[test]
fn run_folders_that_cannot_be_used_are_refused() {
    let folder = temporary();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    refused(&train(&FILMS, &file, &[]).output().unwrap(), &[arg(&file)]);
    refused(&train(&FILMS, &file.join("run"), &[]).output().unwrap(), &[arg(&file)]);
    refused(&train(&FILMS, &RUN, &[]).output().unwrap(), &[arg(&RUN), "--resume"]);
    let absent = folder.path().join("absent");
    refused(&run(&["train", "--out", arg(&absent), "--resume"]), &[arg(&absent)]);
    let taken = run(&["synth", "--out", arg(&file), "--films", "30"]);
    refused(&taken, &[arg(&file)]);
    // Somebody's own folder is never taken for a demo's.
    fs::write(folder.path().join("thesis.txt"), "").unwrap();
    refused(&run(&["demo", "--out", arg(folder.path())]), &[arg(folder.path())]);
    assert!(folder.path().join("thesis.txt").is_file());
}

#[test]
fn a_run_goes_on_only_as_it_began() {
    let folder = temporary();
    let resumed = folder.path().join("run");
    copy(&RUN, &resumed);
    let output = run(&["train", "--out", arg(&resumed), "--resume", "--batch", "4"]);
    refused(&output, &["batch_size", "8", "4", "go on without them"]);
    let output = run(&["train", "--data", arg(&FILMS), "--out", arg(&resumed), "--resume", "--device", "gpu:77"]);
    refused(&output, &["no such GPU"]);
    // Films that have gone are asked for.
    let gone = folder.path().join("gone");
    let moved = folder.path().join("moved");
    copy(&FILMS, &gone);
    let begun = folder.path().join("begun");
    done(&["train", "--data", arg(&gone), "--out", arg(&begun), "--frozen-epochs", "1", "--set", "image_size=64"]);
    fs::rename(&gone, &moved).unwrap();
    refused(&run(&["train", "--out", arg(&begun), "--resume"]), &[arg(&gone), "where they are"]);
    done(&["train", "--out", arg(&begun), "--resume", "--data", arg(&moved)]);
    // Other films are not those that it began on.
    let other = folder.path().join("other");
    done(&["synth", "--out", arg(&other), "--films", "60", "--seed", "4"]);
    refused(&run(&["train", "--data", arg(&other), "--out", arg(&resumed), "--resume"]), &[arg(&other)]);
}

#[test]
fn models_that_are_none_are_refused() {
    let folder = temporary();
    let film = split(&FILMS, "test")[0].clone();
    let predict = |model: &std::path::Path| run(&["predict", "--model", arg(model), arg(&film)]);

    let absent = folder.path().join("absent");
    refused(&predict(&absent), &["no run folder or model file", arg(&absent)]);
    refused(&predict(folder.path()), &[arg(folder.path()), "is no run folder", "best.safetensors"]);
    refused(&predict(&film), &[arg(&film), "it is a", "picture"]);
    let last = RUN.join("last.safetensors");
    refused(&predict(&last), &[arg(&last), "the model is best.safetensors beside it"]);

    let whole = fs::read(RUN.join("best.safetensors")).unwrap();
    let broken = folder.path().join("broken.safetensors");
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&broken, &whole[..length]).unwrap();
        refused(&predict(&broken), &[arg(&broken)]);
    }
    // A header that claims a length no file has.
    let mut lying = whole.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&broken, &lying).unwrap();
    refused(&predict(&broken), &[arg(&broken)]);
    // A bit of a weight that flipped on the disk.
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&broken, &flipped).unwrap();
    refused(&predict(&broken), &[arg(&broken), "it is damaged"]);
    // Weights that are no numbers: not a class, but a sentence.
    let file = ModelFile::from_bytes(&whole).unwrap();
    let mut undefined = file.clone();
    undefined.tensors.values_mut().for_each(|tensor| tensor.data.fill(f32::NAN));
    fs::write(&broken, undefined.to_bytes().unwrap()).unwrap();
    refused(&predict(&broken), &[arg(&broken), "damaged"]);
    let out = arg(folder.path());
    let output = run(&["test", "--model", arg(&broken), "--data", arg(&FILMS), "--out", out, "--json"]);
    refused(&output, &[arg(&broken), "damaged"]);
    let output = train(&FILMS, &absent, &["--weights", arg(&broken)]).output().unwrap();
    refused(&output, &[arg(&broken), "not finite"]);
    // The name of another network in the metadata.
    let mut other = file;
    other.metadata.insert("architecture".to_owned(), "efficientnet-lite7".to_owned());
    fs::write(&broken, other.to_bytes().unwrap()).unwrap();
    refused(&predict(&broken), &["efficientnet-lite7"]);

    let output = train(&FILMS, &absent, &["--weights", arg(&film)]).output().unwrap();
    refused(&output, &[arg(&film)]);
    let output = train(&FILMS, &absent, &["--weights", "imagenett"]).output().unwrap();
    refused(&output, &["no weights file imagenett", "imagenet"]);
    let output = train(&FILMS, &absent, &["--weights", arg(&RUN)]).output().unwrap();
    refused(&output, &[arg(&RUN), "it is a folder"]);
    let lite = RUN.join("best.safetensors");
    let output = train(&FILMS, &absent, &["--arch", "resnet18", "--weights", arg(&lite)]).output().unwrap();
    refused(&output, &[arg(&lite), "look like efficientnet-lite0"]);
}

#[test]
fn weights_that_are_not_there_are_told_with_their_address() {
    let (folder, home) = (temporary(), temporary());
    let mut command = train(&FILMS, &folder.path().join("run"), &["--arch", "resnet34"]);
    let output = command.env("TORCH_HOME", home.path()).output().unwrap();
    refused(&output, &["https://download.pytorch.org/models/resnet34-b627a593.pth", arg(home.path())]);
}

#[test]
fn standard_error_is_quiet_without_a_terminal() {
    let output = lungfish(&["test", "--model", arg(&RUN), "--data", arg(&FILMS), "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(text(&output.stderr), "");
}

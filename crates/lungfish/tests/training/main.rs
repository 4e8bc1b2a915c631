//! Trainings on synthetic films, from the recipe to the run folder, and stopped and resumed on the way.

#[path = "../common/mod.rs"]
mod common;
mod film_cache;
mod film_memory;
mod precision;
mod sample_bits;

use std::fs;
use std::path::Path;

use common::*;
use lungfish::{Activity, Changes, Error, Event, Phase, Silent, TrainRequest, Watch, train};
use lungfish_models::ModelFile;

/// Both phases, with everything that has a state or a random number in it.
const BOTH_PHASES: &[&str] = &[
    "image_size=32",
    "hidden=16",
    "batch_size=8",
    "frozen_epochs=2",
    "epochs=2",
    "frozen_views=2",
    "dropout=0.3",
    "label_smoothing=0.1",
    "class_weights=balanced",
    "weight_decay=0.01",
    "optimizer=adamw",
    "clip_norm=1",
    "val_fraction=0.2",
    "best=auc",
    "val_views=1",
    "lr=1e-4",
    "schedule=cosine",
    "swa_epochs=1",
];

#[test]
fn a_run_leaves_what_it_promises() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 60), dir.path().join("run"));
    let mut events = Vec::new();
    let settings = ["image_size=64", "frozen_epochs=3", "frozen_views=2", "batch_size=8", "fit=squash", "hidden=256"];
    let outcome =
        train(&request(&data, &run, &settings), &mut Watch::new(&mut |e: &Event| events.push(e.clone()), &GO)).unwrap();
    assert!(!outcome.stopped);
    assert_eq!(outcome.model, Some(run.join("best.safetensors")));

    let log = log_without_times(&run);
    assert_eq!(log.len(), 3);
    for (i, record) in log.iter().enumerate() {
        assert_eq!((record["phase"].as_str(), record["epoch"].as_u64()), (Some("frozen"), Some(i as u64 + 1)));
        for key in ["train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr"] {
            assert!(record[key].as_f64().is_some_and(f64::is_finite), "{key} in {record}");
        }
    }
    let recipe = lungfish::Recipe::read(&run.join("recipe.toml")).unwrap();
    assert_eq!((recipe.image_size, recipe.frozen_epochs, recipe.seed), (64, 3, 0));

    let table = fs::read_to_string(run.join("split.csv")).unwrap();
    assert!(table.starts_with("path,label,group,split,hash,pixels\n") && table.contains(",val,"));
    let model = ModelFile::read(&run.join("best.safetensors")).unwrap();
    assert_eq!(model.metadata["architecture"], "efficientnet-lite0");
    assert_eq!(model.metadata["input_size"], "[3,64,64]");
    assert_eq!(model.metadata["output_size"], "2");
    assert!(model.metadata["class_to_idx"].contains("\":0,\"") && model.metadata["preprocess"].contains("squash"));
    assert!(model.metadata["notice"].contains("not a medical device"));
    assert_eq!(model.tensors["_fc.fc1.weight"].shape, [256, 1280]);
    let trained_on = table.lines().filter(|l| l.contains(",train,")).count();
    assert_eq!(model.bytes["films.train"].len(), 16 * trained_on);

    let names = |wanted: fn(&Event) -> bool| events.iter().filter(|e| wanted(e)).count();
    assert!(names(|e| matches!(e, Event::Dataset { .. })) >= 2);
    assert_eq!(names(|e| matches!(e, Event::EpochDone { .. })), 3);
    let passes =
        |e: &Event| matches!(e, Event::Progress { task: Activity::Features { .. }, done, total } if done == total);
    assert_eq!(
        events.iter().filter(|e| passes(e)).count(),
        5,
        "two views of train, the val films as they are and two views of them, once each"
    );
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::PhaseStarted { phase: Phase::Frozen, trainable_parameters: 328_450, .. }))
    );
    let last = events.iter().rev().find_map(|e| match e {
        Event::EpochDone { seconds_left, .. } => Some(*seconds_left),
        _ => None,
    });
    assert_eq!(last, Some(Some(0.0)));
}

#[test]
fn the_second_phase_starts_from_the_best_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 60), dir.path().join("run"));
    let outcome = trained(&data, &run, BOTH_PHASES);
    let log = log_without_times(&run);
    let phases: Vec<_> = log.iter().map(|r| (r["phase"].as_str().unwrap(), r["epoch"].as_u64().unwrap())).collect();
    assert_eq!(phases, [("frozen", 1), ("frozen", 2), ("unfrozen", 0), ("unfrozen", 1), ("unfrozen", 2)]);
    assert!(log[2]["train_loss"].is_null());
    let first = |key: &str| log[..2].iter().map(|r| r[key].as_f64().unwrap()).collect::<Vec<_>>();
    let best = if first("val_auc")[1] > first("val_auc")[0]
        || (first("val_auc")[1] == first("val_auc")[0] && first("val_loss")[1] < first("val_loss")[0])
    {
        1
    } else {
        0
    };
    assert!((log[2]["val_loss"].as_f64().unwrap() - first("val_loss")[best]).abs() < 1e-4);
    let aucs: Vec<f64> = [0, 1, 3, 4].iter().map(|&i| log[i]["val_auc"].as_f64().unwrap()).collect();
    let top = aucs.iter().copied().fold(f64::MIN, f64::max);
    assert_eq!(outcome.best.unwrap().val_auc, Some(top), "the best is over the run");
}

#[test]
fn a_stopped_run_goes_on_to_the_same_bits() {
    stopped_and_gone_on(BOTH_PHASES, &[&[2, 3, 1, 9, 4], &[7, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2], &[12, 13]], 12);
}

/// Rates and beta1 that move each step, from where the step is and from nothing that is saved.
#[test]
fn a_stopped_one_cycle_goes_on_to_the_same_bits() {
    let more = ["schedule=one-cycle", "frozen_schedule=one-cycle", "lr.stage7=1e-5", "lr.head=1e-3"];
    // And images that grow, films that are mixed, classes that are drawn equally often, and an average of the weights.
    let more = [&more[..], &["image_size=48", "sizes=32,48", "best=robust", "mixup=0.4", "cutmix=1"]].concat();
    let more = [&more[..], &["class_weights=none", "sampling=balanced", "swa_epochs=0", "ema_decay=0.8"]].concat();
    let settings: Vec<&str> = BOTH_PHASES.iter().copied().chain(more).collect();
    stopped_and_gone_on(&settings, &[&[2, 9, 4], &[7, 2, 2, 2], &[25, 13]], 6);
}

/// Runs that are stopped after so many events, each time gone on with; there are to be so many stops at least.
fn stopped_and_gone_on(settings: &[&str], runs: &[&[usize]], least: usize) {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 60);
    let whole = dir.path().join("whole");
    trained(&data, &whole, settings);
    let every = |e: &Event| matches!(e, Event::Progress { .. });
    let mut broken = 0;
    for (i, stops) in runs.iter().enumerate() {
        let run = dir.path().join(format!("broken{i}"));
        let mut request = request(&data, &run, settings);
        // Other threads must not matter either.
        request.workers = i + 1;
        for at in *stops {
            broken += usize::from(stopped_at(&request, *at, every).unwrap());
            request.resume = true;
            request.changes = Changes::default();
        }
        let outcome = train(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
        assert!(!outcome.stopped);
        assert_same_run(&whole, &run);
    }
    assert!(broken >= least, "{broken} stops only");
}

/// The default: the epoch with the lowest mean of the losses on films as they are and augmented, whatever its accuracy is,
/// and probabilities for classes that are equally frequent.
#[test]
fn the_robust_epoch_is_kept_and_its_model_takes_the_classes_for_equal() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 60);
    let settings = |prior| ["image_size=32", "batch_size=8", "frozen_epochs=2", "epochs=2", "val_fraction=0.2", prior];
    let run = |name: &str, prior| {
        let run = dir.path().join(name);
        let outcome = trained(&data, &run, &settings(prior));
        (outcome.best.unwrap(), log_without_times(&run), ModelFile::read(&run.join("best.safetensors")).unwrap())
    };
    let (best, log, equal) = run("equal", "prior=equal");
    let choice = |record: &serde_json::Value| record["robust"]["choice"].as_f64().unwrap();
    let least = log.iter().filter(|record| record["epoch"] != 0).map(choice).fold(f64::MAX, f64::min);
    assert_eq!(best.robust.unwrap().choice, least);
    let kept = log.iter().find(|r| r["phase"] == best.phase.to_string() && r["epoch"] == best.epoch).unwrap();
    assert!((choice(kept), kept["robust"]["loss"].as_f64()) == (least, best.robust.map(|seen| seen.loss)));
    assert_ne!(kept["robust"]["loss"], kept["val_loss"], "the views are not the films as they are");

    // The same training but for what is taken off in the end; where the same epoch is kept, only the last bias differs.
    let (other, _, none) = run("none", "prior=none");
    let table = fs::read_to_string(dir.path().join("equal/split.csv")).unwrap();
    let films = |class: &str| table.lines().filter(|l| l.contains(",train,") && l.contains(class)).count() as f64;
    let share = (films("PNEUMONIA") / films("NORMAL")).ln();
    let shift: Vec<f64> = serde_json::from_str(&equal.metadata["prior_shift"]).unwrap();
    assert!((shift[1] - shift[0] - share).abs() < 1e-9, "{shift:?} and {share}");
    assert_eq!(none.metadata["prior_shift"], "[]");
    assert_eq!((other.phase, other.epoch), (best.phase, best.epoch), "the test wants another seed");
    for (name, tensor) in &none.tensors {
        let theirs = &equal.tensors[name];
        if name == "_fc.fc2.bias" {
            let by: Vec<f64> =
                tensor.data.iter().zip(&theirs.data).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
            assert!(by.iter().zip(&shift).all(|(by, shift)| (by - shift).abs() < 1e-6), "{by:?}, not {shift:?}");
        } else {
            assert!(tensor.data == theirs.data, "{name}");
        }
    }
}

/// The mean of the weights at the ends of two epochs, with batch-norm statistics of its own, is what is validated and kept.
#[test]
fn an_average_of_epochs_is_validated_and_kept_while_training_goes_on_from_its_own_weights() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 60);
    let run = |name: &str, more: &[&str]| {
        let run = dir.path().join(name);
        let settings = ["image_size=32", "batch_size=8", "frozen_epochs=1", "val_fraction=0.2", "schedule=constant"];
        let settings = [&settings[..], &["hidden=16", "lr=1e-3", "sizes=full"], more].concat();
        trained(&data, &run, &settings);
        (ModelFile::read(&run.join("last.safetensors")).unwrap().tensors, log_without_times(&run))
    };
    let (first, _) = run("one", &["epochs=1"]);
    let (second, plain) = run("two", &["epochs=2"]);
    let (averaged, log) = run("averaged", &["epochs=2", "swa_epochs=2"]);
    let weights = "_blocks.5._project_conv.weight";
    assert!(second.iter().all(|(name, tensor)| name.starts_with("best/") || averaged[name].data == tensor.data));
    let mean = averaged[&format!("average/{weights}")].data.iter();
    for (mean, (a, b)) in mean.zip(first[weights].data.iter().zip(&second[weights].data)) {
        assert!((mean - (a + b) / 2.0).abs() < 1e-6, "{mean} is not between {a} and {b}");
    }
    assert_ne!(plain[3]["val_loss"], log[3]["val_loss"]);
    // Its running statistics are those of its own activations, and near to what the training's have moved to.
    let variance = "_blocks.5._bn2.running_var";
    let ratios = averaged[&format!("average/{variance}")].data.iter().zip(&second[variance].data);
    let ratios: Vec<f32> = ratios.map(|(own, moved)| own / moved).collect();
    assert!(ratios.iter().all(|ratio| (0.2..5.0).contains(ratio)), "{ratios:?}");
    assert!(ratios.iter().any(|ratio| *ratio != 1.0));
}

#[test]
fn learning_rates_of_parts_and_steps_reach_the_weights_and_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 40);
    let run = |name: &str, more: &[&str]| {
        let run = dir.path().join(name);
        let settings: Vec<&str> = BOTH_PHASES.iter().chain(more).copied().collect();
        let mut rates = Vec::new();
        let mut observer = |event: &Event| {
            if let Event::PhaseStarted { rates: of, .. } = event {
                rates.push(of.clone());
            }
        };
        train(&request(&data, &run, &settings), &mut Watch::new(&mut observer, &GO)).unwrap();
        (last_bits(&run), log_without_times(&run), rates)
    };
    let (plain, log, rates) = run("plain", &["unfreeze=stage7,top"]);
    assert!(log.iter().all(|record| record.get("part_lr").is_none()));
    assert_eq!(rates[0], [("head".to_owned(), 1e-3)]);

    // Next to nothing for one part: its weights hardly move, the others' do.
    let (slow, log, rates) = run("slow", &["unfreeze=stage7,top", "lr.stage7=1e-12", "weight_decay=0"]);
    assert_eq!(rates[1], [("stage7", 1e-12), ("top", 1e-4), ("head", 1e-4)].map(|(n, rate)| (n.to_owned(), rate)));
    let last = log.last().unwrap();
    assert!((last["lr"].as_f64().unwrap() - 0.5e-4).abs() < 1e-12, "{last}");
    assert!((last["part_lr"]["stage7"].as_f64().unwrap() - 0.5e-12).abs() < 1e-20, "{last}");
    let first = lungfish_models::imagenet(lungfish_models::Architecture::EfficientnetLite0).unwrap();
    let moved = |of: &[(String, Vec<u32>)], name: &str| {
        let after = &of.iter().find(|(of, _)| of == name).unwrap().1;
        after.iter().zip(&first[name].data).map(|(a, b)| (f32::from_bits(*a) - b).abs()).fold(0.0, f32::max)
    };
    let (stage7, top) = ("_blocks.15._project_conv.weight", "_conv_head.weight");
    assert!(moved(&slow, stage7) < 1e-9 && moved(&slow, top) > 1e-5);
    assert!(moved(&plain, stage7) > 1e-5);

    // One-cycle: the log has the rate of an epoch's last step, and the last is next to nothing.
    let (cycled, log, _) = run("cycled", &["unfreeze=stage7,top", "schedule=one-cycle"]);
    assert!(cycled != plain);
    let lr = |i: usize| log[i]["lr"].as_f64().unwrap();
    assert!((lr(2) - 1e-4 / 25.0).abs() < 1e-12, "before the first step");
    assert!((lr(4) - 1e-4 / 25.0 / 1e4).abs() < 1e-16 && lr(3) > lr(4) && lr(3) < 1e-4);
}

/// Each changes what a step learns from; what is drawn equally often has no prior to be taken off.
#[test]
fn mixing_and_balanced_drawing_reach_the_steps() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 40);
    let run = |name: &str, more: &[&str]| {
        let run = dir.path().join(name);
        let settings = ["image_size=32", "batch_size=8", "frozen_epochs=0", "epochs=1", "hidden=16", "val_views=1"];
        trained(&data, &run, &[&settings[..], more].concat());
        let model = ModelFile::read(&run.join("best.safetensors")).unwrap();
        (log_without_times(&run)[1]["train_loss"].as_f64().unwrap(), model.metadata["prior_shift"].clone())
    };
    let (plain, shift) = run("plain", &[]);
    assert_ne!(shift, "[]");
    let (balanced, none) = run("balanced", &["sampling=balanced"]);
    assert_eq!(none, "[]");
    let losses = [plain, balanced, run("mixup", &["mixup=0.4"]).0, run("cutmix", &["cutmix=1"]).0];
    assert!((1..4).all(|i| losses[..i].iter().all(|loss| *loss != losses[i])), "{losses:?}");
}

/// A range test finds a rate, shows what it saw, leaves no trace in the weights, and is not made again by a resume.
#[test]
fn a_learning_rate_is_found_where_the_recipe_leaves_it_to_that() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 60);
    let settings = |lr| ["image_size=32", "batch_size=8", "frozen_epochs=1", "epochs=2", "val_fraction=0.2", lr];
    let run = dir.path().join("auto");
    let testing = |e: &Event| matches!(e, Event::Progress { task: Activity::RangeTest, .. });
    let counted = |request: &TrainRequest| {
        let mut steps = 0;
        train(request, &mut Watch::new(&mut |e: &Event| steps += usize::from(testing(e)), &GO)).unwrap();
        steps
    };
    assert!((16..=100).contains(&counted(&request(&data, &run, &settings("lr=auto")))));
    let table = fs::read_to_string(run.join("lr.csv")).unwrap();
    let rates: Vec<f64> = table.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert!(table.starts_with("lr,loss,smoothed\n1e-7,") && rates.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(run.join("lr.png").exists() && run.join("lr.svg").exists());

    // The same run with the rate written down: the test has moved no weight and no random number.
    let checkpoint = ModelFile::read(&run.join("last.safetensors")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&checkpoint.metadata["state"]).unwrap();
    let found = state["lr"].as_f64().unwrap();
    assert!(rates.contains(&found) && (1e-6..1.0).contains(&found), "{found}");
    let written = dir.path().join("written");
    let same = format!("lr={found:e}");
    trained(&data, &written, &settings(&same));
    assert_eq!(log_without_times(&run), log_without_times(&written));
    assert!(last_bits(&run) == last_bits(&written));

    let broken = dir.path().join("broken");
    assert!(stopped_at(&request(&data, &broken, &settings("lr=auto")), 5, testing).unwrap());
    let training = |e: &Event| matches!(e, Event::Progress { task: Activity::Training, .. });
    assert!(stopped_at(&resuming(&data, &broken), 2, training).unwrap());
    assert_eq!(counted(&resuming(&data, &broken)), 0);
    assert_same_run(&run, &broken);
}

#[test]
fn threads_do_not_change_a_bit() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 40);
    let settings: Vec<&str> = BOTH_PHASES.iter().copied().chain(["frozen_epochs=1", "epochs=1"]).collect();
    for threads in [1, 3] {
        let run = dir.path().join(format!("run{threads}"));
        let mut request = request(&data, &run, &settings);
        request.workers = threads;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train(&request, &mut Watch::new(&mut Silent, &GO))).unwrap();
    }
    assert_same_run(&dir.path().join("run1"), &dir.path().join("run3"));
}

#[test]
fn cached_features_give_what_fresh_ones_give() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 40);
    let mut logs = Vec::new();
    for cache in ["cache_features=true", "cache_features=false"] {
        let run = dir.path().join(cache);
        let settings = ["image_size=64", "frozen_epochs=4", "frozen_views=2", "batch_size=8", "dropout=0.2", cache];
        // What is told apart here is less than bf16 keeps.
        let settings = [&settings[..], &["precision=fp32"]].concat();
        trained(&data, &run, &settings);
        logs.push(log_without_times(&run));
    }
    for (cached, fresh) in logs[0].iter().zip(&logs[1]) {
        for key in ["train_loss", "val_loss"] {
            let (a, b) = (cached[key].as_f64().unwrap(), fresh[key].as_f64().unwrap());
            assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{key}: {a} and {b}");
        }
    }
    assert_eq!(logs[0].len(), 4);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_good() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 40), dir.path().join("run"));
    let settings: Vec<&str> = BOTH_PHASES.iter().copied().chain(["lr=1e30", "clip_norm=0"]).collect();
    let error = train(&request(&data, &run, &settings), &mut Watch::new(&mut Silent, &GO)).unwrap_err();
    let Error::Diverged { phase, epoch, .. } = &error else { panic!("{error}") };
    assert_eq!((*phase, *epoch), (Phase::Unfrozen, 1));
    let text = error.to_string();
    assert!(text.contains("unfrozen phase at epoch 1, step") && text.contains("best.safetensors keeps the frozen"));
    assert_eq!(log_without_times(&run).len(), 3);
    let bits = last_bits(&run);
    assert!(bits.iter().all(|(_, data)| data.iter().all(|b| f32::from_bits(*b).is_finite())));
    assert!(lungfish::Predictor::open(&run).is_ok());
}

#[test]
fn early_stopping_ends_a_phase() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 40), dir.path().join("run"));
    // A rate that moves nothing: the first epoch stays the best.
    let settings: Vec<&str> = BOTH_PHASES
        .iter()
        .copied()
        .chain(["early_stopping=2", "frozen_epochs=9", "epochs=0", "swa_epochs=0", "frozen_lr=1e-30"])
        .collect();
    let request = request(&data, &run, &settings);
    train(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!(log_without_times(&run).len(), 3);
    let again = changed(request, |r| {
        r.resume = true;
        r.changes = Changes::default();
    });
    assert!(
        !train(&again, &mut Watch::new(&mut Silent, &GO)).unwrap().stopped,
        "a finished run has nothing left to do"
    );
    assert_eq!(log_without_times(&run).len(), 3);
}

#[test]
fn resume_refuses_what_contradicts_and_finds_moved_films() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 40), dir.path().join("run"));
    let settings: Vec<&str> = BOTH_PHASES.iter().copied().chain(["epochs=0", "swa_epochs=0"]).collect();
    let fresh = request(&data, &run, &settings);
    assert!(stopped_at(&fresh, 8, |e| matches!(e, Event::Progress { .. })).unwrap());
    let says = |request: &TrainRequest| train(request, &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string();
    assert!(says(&fresh).contains("already holds a run"));
    let mut other = changed(request(&data, &run, &["seed=5"]), |r| r.resume = true);
    assert!(says(&other).contains("seed is 0 there and 5 was asked for"), "{}", says(&other));
    other.changes = Changes::default();

    // Moved and renamed: found by content.
    let moved = dir.path().join("elsewhere");
    copy(&data, &moved.join("deep"));
    fs::remove_dir_all(&data).unwrap();
    other.data = None;
    assert!(
        says(&other).contains("name the one where they are") && says(&other).contains(data.to_str().unwrap()),
        "{}",
        says(&other)
    );
    other.data = Some(moved.clone());
    let lost = films_below(&moved.join("deep/train")).pop().unwrap();
    let bytes = fs::read(&lost).unwrap();
    fs::write(&lost, b"changed").unwrap();
    let said = says(&other);
    assert!(said.contains("1 of the films") && said.contains(Path::new(&lost).file_name().unwrap().to_str().unwrap()));
    fs::write(&lost, bytes).unwrap();
    assert!(!train(&other, &mut Watch::new(&mut Silent, &GO)).unwrap().stopped);

    let whole = dir.path().join("whole");
    trained(&moved.join("deep"), &whole, &settings);
    assert_eq!(log_without_times(&whole), log_without_times(&run));
}

#[test]
fn a_kill_between_two_files_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 40), dir.path().join("run"));
    let settings: Vec<&str> = BOTH_PHASES.iter().copied().chain(["epochs=0", "swa_epochs=0"]).collect();
    trained(&data, &run, &settings);
    let (best, log) = (fs::read(run.join("best.safetensors")).unwrap(), fs::read(run.join("log.jsonl")).unwrap());
    // As if killed after the checkpoint and before the rest, and as if the log had gone further.
    let again = resuming(&data, &run);
    fs::remove_file(run.join("best.safetensors")).unwrap();
    fs::write(run.join("log.jsonl"), [&log[..], b"{\"phase\":\"fro"].concat()).unwrap();
    train(&again, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert!(fs::read(run.join("best.safetensors")).unwrap() == best);
    assert_eq!(fs::read(run.join("log.jsonl")).unwrap(), log);
}

#[test]
fn impossible_requests_are_refused_before_a_folder_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 40), dir.path().join("run"));
    let says = |request: &TrainRequest| train(request, &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string();
    assert!(says(&request(&dir.path().join("absent"), &run, &[])).contains("no folder"));
    assert!(says(&request(&data, &run, &["epochs=1", "unfreeze=layer9"])).contains("layer9"));
    assert!(says(&request(&data, &run, &["lr.staeg7=1e-5"])).contains("\"staeg7\" (did you mean stage7?)"));
    assert!(
        says(&request(&data, &run, &["epochs=1", "unfreeze=top", "lr.stage7=1e-5"])).contains("stage7 does not train")
    );
    assert!(says(&request(&data, &run, &["weights=absent.pth"])).contains("absent.pth"));
    assert!(says(&resuming(&data, &run)).contains("no run to resume"));
    assert!(!run.exists());
    let bad = films_below(&data.join("train")).pop().unwrap();
    fs::write(&bad, b"").unwrap();
    assert!(says(&request(&data, &run, &["strict=true"])).contains("cannot be used"));
}

//! Tunings on synthetic films.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::*;
use lungfish::tune::Vary;
use lungfish::{Activity, Event, Recipe, Silent, TuneRequest, Watch, tune};

fn asked(data: &Path, out: &Path) -> TuneRequest {
    let mut request = TuneRequest::new(data, out, Duration::from_secs(3600));
    for setting in ["image_size=32", "frozen_epochs=1", "epochs=2", "hidden=16", "val_fraction=0.2", "val_views=1"] {
        request.base.set(setting).unwrap();
    }
    request.vary = ["lr=1e-4..1e-2", "batch_size=8,16"].map(|text| text.parse::<Vary>().unwrap()).into();
    request.most_trials = Some(4);
    request.workers = 2;
    request
}

#[test]
fn the_better_third_goes_on_and_a_stopped_tuning_finds_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 60);
    let whole = dir.path().join("whole");
    let found = tune(&asked(&data, &whole), &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert!(!found.stopped && !found.out_of_time);
    assert_eq!(found.rungs, [(1, 32), (2, 32)]);
    assert_eq!(found.trials.len(), 4);
    let reached = |rung: usize| found.trials.iter().filter(|trial| trial.results.len() > rung).count();
    assert_eq!((reached(0), reached(1)), (4, 2));
    let choice = |trial: usize, rung: usize| found.trials[trial].results[rung].choice.unwrap();
    let worst = (0..4).filter(|&trial| found.trials[trial].results.len() > 1).map(|trial| choice(trial, 0));
    let worst = worst.fold(0.0, f64::max);
    assert!((0..4).all(|trial| found.trials[trial].results.len() > 1 || choice(trial, 0) >= worst), "the better go on");
    let best = found.best.unwrap();
    assert!((0..4).all(|trial| found.trials[trial].results.len() < 2 || choice(trial, 1) >= choice(best, 1)));
    assert!(found.trials[0].settings.is_empty() && found.trials[1].settings.len() == 2);

    // The recipe is the one that its run was trained with, and the run has a model that knows nothing of a test.
    let run = found.run.unwrap();
    assert_eq!(Recipe::read(found.recipe.as_ref().unwrap()).unwrap(), Recipe::read(&run.join("recipe.toml")).unwrap());
    assert!(run.join("best.safetensors").exists() && !run.join("last.safetensors").exists());
    let table = fs::read_to_string(whole.join("tune.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 4 + 2);
    assert!(table.starts_with("trial,epochs,image_size,loss,val_auc,augmented_val_auc,seconds,lr,batch_size\n0,1,32,"));
    assert!(whole.join("tune.png").exists());
    let splits: Vec<Vec<u8>> =
        (0..4).map(|trial| fs::read(whole.join(format!("trial-{trial:03}/rung-0/split.csv"))).unwrap()).collect();
    assert!(splits.iter().all(|split| *split == splits[0]), "all trials have one split");
    let seen = fs::read_to_string(whole.join("trial-001/rung-0/log.jsonl")).unwrap();
    assert!(!seen.contains("test"));

    // Stopped in the middle of the third trial, and in the first.
    let broken = dir.path().join("broken");
    for stops in [3, 40] {
        let stop = AtomicBool::new(false);
        let mut trained = 0;
        let mut observer = |event: &Event| {
            trained += usize::from(matches!(event, Event::Progress { task: Activity::Training, .. }));
            if trained == stops {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let mut request = asked(&data, &broken);
        request.resume = broken.exists();
        assert!(tune(&request, &mut Watch::new(&mut observer, &stop)).unwrap().stopped);
    }
    let mut request = TuneRequest::new(&data, &broken, Duration::from_secs(3600));
    request.resume = true;
    let again = tune(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    assert_eq!((again.best, again.trials.len()), (found.best, 4));
    for (ours, theirs) in again.trials.iter().zip(&found.trials) {
        assert_eq!(ours.settings, theirs.settings);
        let choices =
            |trial: &lungfish::tune::Trial| trial.results.iter().map(|r| (r.choice, r.auc)).collect::<Vec<_>>();
        assert_eq!(choices(ours), choices(theirs));
    }
}

#[test]
fn what_cannot_be_tuned_is_refused_before_a_folder_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let says = |change: &dyn Fn(&mut TuneRequest)| {
        let mut request = asked(dir.path(), &out);
        change(&mut request);
        tune(&request, &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string()
    };
    assert!(says(&|request| request.vary.clear()).contains("nothing is varied"));
    assert!(says(&|request| request.vary.push("lr=1e-3..1e-2".parse().unwrap())).contains("lr is varied twice"));
    assert!(says(&|request| request.vary[0] = "seed=1,2".parse().unwrap()).contains("the same for all trials"));
    let nowhere = dir.path().join("nowhere");
    assert!(says(&|request| request.data = Some(nowhere.clone())).contains("nowhere"));
    assert!(says(&|request| request.resume = true).contains("there is no tuning to go on with"));
    assert!(!out.exists());
    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine.txt"), "x").unwrap();
    assert!(says(&|_| ()).contains("is not empty"));
}

//! Films that a training keeps decoded: they change no bit, and do not outlive it.

use std::fs;

use lungfish::{Event, Silent, Watch, train};

use crate::BOTH_PHASES;
use crate::common::*;

/// Settings under which the frozen phase goes through pixels as well.
fn uncached_features() -> Vec<&'static str> {
    [BOTH_PHASES, &["cache_features=false"]].concat()
}

#[test]
fn kept_films_change_no_bit_and_do_not_outlive_the_training() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 60);
    for settings in [BOTH_PHASES.to_vec(), uncached_features()] {
        let (with, without) = (dir.path().join("with"), dir.path().join("without"));
        for (run, film_cache) in [(&with, true), (&without, false)] {
            let file = run.join("films.cache");
            let mut there = 0;
            let mut look = |event: &Event| {
                if let Event::EpochDone { .. } = event {
                    // 48 films or so of train and val, of 32x32 pixels.
                    there += usize::from(fs::metadata(&file).is_ok_and(|file| file.len() > 40 * 1024));
                }
            };
            train(
                &changed(request(&data, run, &settings), |r| r.film_cache = film_cache),
                &mut Watch::new(&mut look, &GO),
            )
            .unwrap();
            assert_eq!(there, if film_cache { 5 } else { 0 }, "epochs with kept films");
            assert!(!file.exists());
        }
        assert_same_run(&with, &without);
        for run in [with, without] {
            fs::remove_dir_all(run).unwrap();
        }
    }
}

#[test]
fn a_stopped_run_keeps_its_films_and_goes_on_with_whatever_is_left_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let data = synthetic(dir.path(), 60);
    let settings = uncached_features();
    let straight = dir.path().join("straight");
    train(&changed(request(&data, &straight, &settings), |r| r.film_cache = false), &mut Watch::new(&mut Silent, &GO))
        .unwrap();
    let stopped = dir.path().join("stopped");
    let at_epoch = |event: &Event| matches!(event, Event::EpochDone { .. });
    assert!(stopped_at(&request(&data, &stopped, &settings), 2, at_epoch).unwrap());
    let whole = fs::read(stopped.join("films.cache")).unwrap();
    assert!(whole.len() > 40 * 1024, "the films are there to go on with");
    let mut damaged = whole.clone();
    damaged.iter_mut().skip(64).step_by(5000).for_each(|byte| *byte = !*byte);
    let mut older = whole.clone();
    older[11] ^= 1;
    let contents = [Some(whole.clone()), Some(damaged), Some(whole[..whole.len() / 2].to_vec()), Some(older), None];
    for (i, content) in contents.into_iter().enumerate() {
        let run = dir.path().join(format!("resumed{i}"));
        copy(&stopped, &run);
        match content {
            Some(content) => fs::write(run.join("films.cache"), content).unwrap(),
            None => fs::remove_file(run.join("films.cache")).unwrap(),
        }
        let resume = resuming(&data, &run);
        let kept = i % 2 == 0;
        train(&changed(resume, |r| r.film_cache = kept), &mut Watch::new(&mut Silent, &GO)).unwrap();
        assert_same_run(&straight, &run);
        assert!(!run.join("films.cache").exists());
    }
}

#[test]
fn a_folder_where_films_cannot_be_kept_trains_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 60), dir.path().join("run"));
    let settings = ["image_size=32", "hidden=16", "batch_size=8", "frozen_epochs=1", "epochs=0"];
    let whole = trained(&data, &dir.path().join("whole"), &settings).run;
    fs::create_dir_all(run.join("films.cache/x")).unwrap();
    fs::write(run.join("recipe.toml"), fs::read(whole.join("recipe.toml")).unwrap()).unwrap();
    let mut said = Vec::new();
    let mut hear = |event: &Event| match event {
        Event::Note(text) | Event::Warning(text) => said.push(text.clone()),
        _ => {}
    };
    let resume = resuming(&data, &run);
    train(&resume, &mut Watch::new(&mut hear, &GO)).unwrap();
    let said: Vec<&String> = said.iter().filter(|text| text.contains("films.cache")).collect();
    assert!(said[0].starts_with("films are decoded anew each time: cannot write "), "{said:?}");
    assert!(said[1].starts_with("decoded films stay behind"), "{said:?}");
    assert_same_run(&whole, &run);
}

#[test]
fn kept_films_give_their_room_to_what_a_run_cannot_do_without() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (synthetic(dir.path(), 60), dir.path().join("run"));
    let settings = ["image_size=32", "hidden=16", "batch_size=8", "frozen_epochs=1", "epochs=0"];
    let whole = trained(&data, &dir.path().join("whole"), &settings).run;
    for name in ["split.csv", "last.safetensors"] {
        // A place where it cannot be written.
        fs::create_dir_all(run.join(format!(".{name}.tmp/x"))).unwrap();
        fs::write(run.join("recipe.toml"), fs::read(whole.join("recipe.toml")).unwrap()).unwrap();
        let resume = resuming(&data, &run);
        let error = train(&resume, &mut Watch::new(&mut Silent, &GO)).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        assert_eq!(fs::metadata(run.join("films.cache")).unwrap().len(), 0, "{name}");
        fs::remove_dir_all(&run).unwrap();
    }
}

//! Films that are like one, among those that a model may have learnt from.

use std::fs;
use std::path::PathBuf;

use crate::common::*;
use lungfish::{Channels, Neighbours, PrecisionRule, Silent, Split, Watch};
use lungfish_data::{DecodeOptions, Decoding, decode_file};

/// The films of a run under other names in another folder, one of its test films saved anew as another kind of file.
#[test]
fn test_films_are_known_wherever_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run, other) = (synthetic(dir.path(), 40), dir.path().join("run"), dir.path().join("other"));
    trained(&data, &run, &["image_size=64", "hidden=16", "frozen_epochs=1", "frozen_views=1", "batch_size=8"]);
    let (_, rows) = csv_rows(&run.join("split.csv"));
    let split_of = |film: &PathBuf| -> Split {
        let path = film.strip_prefix(&data).unwrap().to_str().unwrap();
        rows.iter().find(|row| row[0] == path).unwrap()[3].parse().unwrap()
    };
    fs::create_dir(&other).unwrap();
    let mut copies: Vec<(PathBuf, Option<Split>)> = Vec::new();
    let films = films_below(&data);
    let saved_anew = films.iter().position(|film| split_of(film) == Split::Test).unwrap();
    for (at, film) in films.iter().enumerate() {
        let to = if at == saved_anew {
            let options = DecodeOptions { channels: Channels::Gray, decoding: Decoding::DEFAULT };
            let to = other.join("anew.bmp");
            write_bmp(&to, &decode_file(film, options).unwrap());
            to
        } else {
            // A name that another film of the run has says nothing.
            let to = other.join(film.strip_prefix(&data).unwrap().parent().unwrap()).join(format!("x{at}.png"));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(film, &to).unwrap();
            to
        };
        copies.push((to, None));
    }
    let among = |films: &[(PathBuf, Option<Split>)], model: &PathBuf| {
        Neighbours::among(films, (model, PrecisionRule::default()), &mut Watch::new(&mut Silent, &GO)).unwrap()
    };
    let mut neighbours = among(&copies, &run);
    let known = films.iter().filter(|film| split_of(film) != Split::Test).count();
    assert!(known < 40 && neighbours.len() == known, "{} of {known}", neighbours.len());
    let found = neighbours.nearest(&fs::read(&films[saved_anew]).unwrap(), 40).unwrap();
    assert!(found.iter().all(|near| !near.same && near.film != saved_anew), "{found:?}");
    for near in &found {
        assert_eq!(near.split, Some(split_of(&films[near.film])), "{near:?}");
    }
    // A film of the training is one, although its data set has it on a test split; of a film that nobody knows the data set says it.
    let strange = dir.path().join("strange");
    lungfish_data::synth(&strange, 20, 99).unwrap();
    let [new, also] = [0, 1].map(|at| films_below(&strange)[at].clone());
    let train = films.iter().position(|film| split_of(film) == Split::Train).unwrap();
    let test = Some(Split::Test);
    let mut neighbours = among(&[(copies[train].0.clone(), test), (new, test), (also, None)], &run);
    let found = neighbours.nearest(&fs::read(&films[train]).unwrap(), 3).unwrap();
    let told: Vec<(usize, Option<Split>)> = found.iter().map(|near| (near.film, near.split)).collect();
    assert_eq!(told, [(0, Some(Split::Train)), (2, None)]);
    // A model file alone does not know the test films, and a split file that was changed is no word for anything.
    let alone = dir.path().join("model.safetensors");
    fs::copy(run.join("best.safetensors"), &alone).unwrap();
    assert_eq!(among(&copies, &alone).len(), 40);
    fs::write(run.join("split.csv"), "path,label,group,split,hash,pixels\n").unwrap();
    let error = Neighbours::among(&copies, (&run, PrecisionRule::default()), &mut Watch::new(&mut Silent, &GO))
        .unwrap_err()
        .to_string();
    assert!(error.contains("split.csv") && error.contains("no longer known"), "{error}");
}

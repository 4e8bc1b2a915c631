//! `lungfish tune`, from the command line.

use crate::common::{FILMS, arg, done, lungfish, refused, said, temporary};

#[test]
fn a_tuning_tells_what_it_found_and_its_recipe_trains() {
    let folder = temporary();
    let out = folder.path().join("tuned");
    let small = ["image_size=32", "hidden=16", "frozen_epochs=1", "epochs=1", "val_views=1"];
    let small: Vec<&str> = small.iter().flat_map(|setting| ["--set", setting]).collect();
    let asked = ["tune", "--data", arg(&FILMS), "--out", arg(&out), "--budget", "1h", "--trials", "3", "--vary", "lr"];
    let asked = [&asked[..], &["--vary", "batch_size=8,16"], &small].concat();
    let output = lungfish(&asked).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let printed = said(&output);
    for expected in [
        "Rung 1, trial 0, 1 epoch at 32 pixels: the recipe as it is",
        "trials that fit into the budget: 3 for 1 epoch at 32 pixels",
        "trial 2 (3 on this rung), 1 epoch at 32 pixels: lr=",
        "3 trials in",
        "After 1 epoch at 32 pixels:",
        "best.toml",
    ] {
        assert!(printed.contains(expected), "{expected} is not in\n{printed}");
    }
    assert!(out.join("tune.svg").exists() && out.join("tune.csv").exists());

    let run = folder.path().join("run");
    let recipe = out.join("best.toml");
    done(&["train", "--data", arg(&FILMS), "--out", arg(&run), "--recipe", arg(&recipe)]);
    assert_eq!(std::fs::read(run.join("recipe.toml")).unwrap(), std::fs::read(recipe).unwrap());

    refused(&lungfish(&asked).output().unwrap(), &["is not empty", "--resume"]);
    let again = lungfish(&["tune", "--out", arg(&out), "--resume"]).output().unwrap();
    assert!(again.status.success() && said(&again).contains("3 trials in"), "{}", said(&again));
    let elsewhere = lungfish(&["tune", "--out", arg(&run), "--resume"]).output().unwrap();
    refused(&elsewhere, &["there is no tuning to go on with in"]);
    let wild = folder.path().join("wild");
    let wild = ["tune", "--data", arg(&FILMS), "--out", arg(&wild), "--budget", "1h", "--vary", "hidden"];
    refused(&lungfish(&wild).output().unwrap(), &["hidden", "KEY=LOW..HIGH"]);
    let soon = ["tune", "--data", arg(&FILMS), "--out", arg(&out), "--budget", "soon"];
    let output = lungfish(&soon).output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("90m, 2h or 1h30m"), "{}", said(&output));
}

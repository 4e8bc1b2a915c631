//! The page docs/notebook.md holds together. That the commands say what it shows is checked by docs/notebook/make.sh.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::commands;
use lungfish_data::{Channels, decode};

/// Readers on a slow line see the pictures, too.
const LARGEST_PICTURE: usize = 700 * 1024;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn page() -> String {
    fs::read_to_string(docs().join("notebook.md")).unwrap()
}

#[test]
fn every_picture_is_there_and_opens() {
    let page = page();
    let named: BTreeSet<&str> =
        page.split("src=\"notebook/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(named.len() >= 8, "{named:?}");
    for name in &named {
        let bytes = fs::read(docs().join("notebook").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(bytes.len() <= LARGEST_PICTURE, "{name} has {} bytes", bytes.len());
        let picture = decode(&bytes, Channels::Rgb).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(picture.width >= 300 && picture.height >= 200, "{name}: {} by {}", picture.width, picture.height);
        // A picture of nothing has one colour.
        assert!(picture.pixels.iter().any(|value| *value != picture.pixels[0]), "{name} is blank");
    }
    let files = crate::common::files(&docs().join("notebook"));
    let files = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "png"));
    let lying: BTreeSet<&str> = files.map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(lying, named, "each picture of docs/notebook is on the page");
}

#[test]
fn the_page_shows_every_command_of_the_notebook() {
    let page = page();
    let shown: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("$ ")?.split("lungfish ").nth(1)?.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    let known: BTreeSet<String> = commands().into_iter().collect();
    assert!(shown.is_subset(&known), "{shown:?} are not all commands of the program");
    for command in ["fetch", "explore", "recipe", "preview", "summary", "train", "doctor", "test", "predict"] {
        assert!(shown.contains(command), "{command} is not on the page");
    }
    // What the reader must not be left to find out.
    for words in ["not a", "diagnosis", "drawn by the program", "131,842", "drift", "16", "scheduler"] {
        assert!(page.contains(words), "{words}");
    }
}

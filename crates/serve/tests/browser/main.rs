//! The page in a real browser: Debian's Chromium.

// A test that cannot run says so.
#![allow(clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
mod driver;

use std::fs;
use std::path::{Path, PathBuf};

use common::{ANY_OF, MADE, Server};
use driver::Browser;

/// A film of another kind than its name says, in every way that people have.
fn odd_films(folder: &Path) -> Vec<PathBuf> {
    let film = MADE.films("test").remove(0);
    let files = [
        ("text.png", b"this is text".to_vec()),
        ("a film without an extension", fs::read(&film).unwrap()),
        ("=cmd.png", fs::read(&film).unwrap()),
        ("<img src=x onerror=alert(1)>.png", fs::read(&film).unwrap()),
        ("dicom.dcm", dicom()),
    ];
    let write = |(name, bytes): (&str, Vec<u8>)| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    files.map(write).into()
}

/// A DICOM of 64 by 64 pixels of 8 bits, made here.
fn dicom() -> Vec<u8> {
    let short = |value: u16| value.to_le_bytes().to_vec();
    let element = |group: u16, number: u16, kind: &str, mut value: Vec<u8>| {
        if value.len() % 2 == 1 {
            value.push(if kind == "UI" { 0 } else { b' ' });
        }
        let mut bytes = [short(group), short(number), kind.as_bytes().to_vec()].concat();
        if kind == "OW" || kind == "OB" {
            bytes.extend([0, 0]);
            bytes.extend((value.len() as u32).to_le_bytes());
        } else {
            bytes.extend((value.len() as u16).to_le_bytes());
        }
        bytes.extend(value);
        bytes
    };
    let meta = [
        element(2, 2, "UI", b"1.2.840.10008.5.1.4.1.1.1".to_vec()),
        element(2, 3, "UI", b"1.2.3.4".to_vec()),
        element(2, 0x10, "UI", b"1.2.840.10008.1.2.1".to_vec()),
    ]
    .concat();
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    bytes.extend(element(2, 0, "UL", (meta.len() as u32).to_le_bytes().to_vec()));
    bytes.extend(meta);
    let pixels = (0..64 * 64).map(|at| ((at % 64) * 3) as u8).collect();
    for (group, number, kind, value) in [
        (8, 0x16, "UI", b"1.2.840.10008.5.1.4.1.1.1".to_vec()),
        (8, 0x18, "UI", b"1.2.3.4".to_vec()),
        (8, 0x60, "CS", b"DX".to_vec()),
        (0x28, 2, "US", short(1)),
        (0x28, 4, "CS", b"MONOCHROME2".to_vec()),
        (0x28, 0x10, "US", short(64)),
        (0x28, 0x11, "US", short(64)),
        (0x28, 0x100, "US", short(8)),
        (0x28, 0x101, "US", short(8)),
        (0x28, 0x102, "US", short(7)),
        (0x28, 0x103, "US", short(0)),
        (0x7fe0, 0x10, "OW", pixels),
    ] {
        bytes.extend(element(group, number, kind, value));
    }
    bytes
}

#[test]
fn films_are_dropped_and_answered() {
    let Some(browser) = Browser::open(1280, false) else { return };
    let server = Server::start(|_| {});
    let folder = tempfile::tempdir().unwrap();
    browser.go(&server.started.url);
    assert!(browser.text("footer").contains("Research, not a diagnosis"));
    let film = MADE.films("test").remove(0);
    browser.choose(std::slice::from_ref(&film));
    browser.settled(1);
    // The page says what the program says.
    let (_, said) = server.predict("/api/predict", &fs::read(&film).unwrap());
    let class = said["class"].as_str().unwrap();
    assert!(browser.text("#panes").contains(class), "{}", browser.text("#panes"));
    assert!(browser.value("document.querySelector('#panes canvas').width") != 0);
    browser.barriers("a film");

    browser.choose(&odd_films(folder.path()));
    browser.settled(6);
    let table = browser.text("#films");
    assert!(table.contains("dicom.dcm") && table.contains("=cmd.png"), "{table}");
    assert!(table.contains("<img src=x onerror=alert(1)>.png"), "a name is text: {table}");
    assert_eq!(browser.value("document.querySelectorAll('#films img').length"), 0);
    let failed = browser.value("[...document.querySelectorAll('#films tbody tr')].filter(r => r.textContent.includes('cannot be read')).length");
    assert_eq!(failed, 1, "text named .png alone: {table}");
    // By the keyboard: the heat map off and on, the next film.
    browser.keys("body", "h");
    assert_eq!(browser.value("document.getElementById('heat').getAttribute('aria-pressed')"), "false");
    browser.keys("body", "n");

    let fifty: Vec<PathBuf> = MADE.films("train").into_iter().take(50).collect();
    assert_eq!(fifty.len(), 50);
    browser.choose(&fifty);
    browser.settled(56);
    assert_eq!(browser.log(), [""; 0]);
    let counts = server.json("/api/metrics");
    assert!(counts["routes"]["/api/predict"]["busy"] == 0, "the page asks for two films at a time: {counts}");
}

#[test]
fn the_threshold_moves_and_a_cell_shows_its_films() {
    let Some(browser) = Browser::open(1280, true) else { return };
    let server = Server::start(|_| {});
    browser.go(&server.started.url);
    browser.click("#tab-test");
    browser.until("document.querySelector('#cut')");
    let sensitivity =
        "[...document.querySelectorAll('#test tr')].find(r => r.textContent.includes('Sensitivity')).textContent";
    let before = browser.value(sensitivity);
    let test = server.json("/api/test");
    let measured = test["metrics"]["sensitivity"].as_f64().unwrap();
    assert!(measured > 0.0, "a model that calls nothing shows nothing: {}", test["metrics"]);
    // Only what is exact has no decimal.
    let percent = if measured < 1.0 { format!("{:.1} %", 100.0 * measured) } else { "100 %".to_owned() };
    // The browser puts a space before the sign that does not break.
    let told = before.as_str().unwrap().replace('\u{a0}', " ");
    assert!(told.contains(&percent), "{told} has no {percent}");
    // The page computes intervals by itself, since the cut moves: at the test's own cut they are the program's.
    let measures = test["metrics"]["measures"].as_array().unwrap();
    let interval = &measures.iter().find(|measure| measure["name"] == "sensitivity").unwrap()["interval"];
    for end in interval.as_array().unwrap().iter().map(|end| end.as_f64().unwrap()).filter(|end| *end < 1.0) {
        assert!(told.contains(&format!("{:.1} %", 100.0 * end)), "{told} has no {end}");
    }
    // To the end where no film is called.
    browser.keys("#cut", "\u{e011}");
    browser.until(&format!("{sensitivity} !== {before}"));
    browser.click(".matrix button:not([disabled])");
    browser.until("document.querySelectorAll('#cell li, #cell p').length > 0");
    browser.barriers("the test");
    browser.click("#tab-watch");
    let epochs = fs::read_to_string(MADE.run().join("log.jsonl")).unwrap().lines().count();
    browser.until(&format!("document.querySelectorAll('#watch tbody tr').length >= {epochs}"));
    browser.barriers("a training");
    assert_eq!(browser.log(), [""; 0]);
}

#[test]
fn a_narrow_window_is_enough_and_the_server_may_come_back() {
    let Some(browser) = Browser::open(500, false) else { return };
    let mut server = Server::start(|_| {});
    let port = server.port();
    browser.go(&server.started.url);
    browser.choose(&MADE.films("test")[..2]);
    browser.settled(2);
    browser.has_no_sideways_scrolling("films");
    browser.barriers("a narrow window");
    drop(server);
    browser.choose(&MADE.films("test")[2..3]);
    browser.until("!document.getElementById('away').hidden");
    // What was asked for meanwhile is answered by the server that comes back.
    server = Server::start(|request| request.port = port);
    browser.until("document.getElementById('away').hidden");
    browser.settled(3);
    assert_eq!(server.json("/api/health")["status"], "ok");
}

#[test]
fn the_token_leaves_the_address_and_is_sent() {
    let Some(browser) = Browser::open(1280, false) else { return };
    let server = Server::start(|request| request.host = [0, 0, 0, 0].into());
    browser.go(&server.started.url);
    assert!(!browser.value("location.href").as_str().unwrap().contains("token"));
    browser.choose(&MADE.films("test")[..1]);
    browser.settled(1);
    browser.click("#tab-test");
    browser.until("document.querySelector('#cut')");
    assert_eq!(browser.log(), [""; 0]);
}

#[test]
fn a_label_is_doubted_by_the_keyboard_and_a_head_learns() {
    let Some(browser) = Browser::open(1280, false) else { return };
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("taught");
    let teach = (MADE.folder.path().join("films"), out.clone());
    let server = Server::start(|request| request.teach = Some(teach));
    browser.go(&server.started.url);
    browser.click("#tab-teach");
    browser.until("document.querySelectorAll('#data li').length > 10");
    browser.until("[...document.querySelectorAll('#data img')].some(img => img.naturalWidth > 0)");
    browser.barriers("films to teach with");
    // x leaves the film out that has the focus.
    browser.value("document.querySelector('#data button').focus()");
    browser.keys("#data button", "x");
    browser.until("document.querySelector('#data .proposed')");
    browser.until("document.getElementById('data-alert').hidden");
    let table = fs::read_to_string(out.join("corrections.csv")).unwrap();
    assert!(table.lines().nth(1).is_some_and(|row| row.ends_with(",,1")), "{table}");
    browser.value("document.getElementById('epochs').value = '2'");
    browser.value("document.getElementById('epochs').dispatchEvent(new Event('input', { bubbles: true }))");
    browser.click("#retrain");
    browser.until("document.querySelector('#retrain-result table')");
    browser.barriers("a head that has learnt");
    assert!(
        browser.value("[...document.querySelectorAll('#model option')].map(o => o.value).join()") == "run,taught-1"
    );
    assert_eq!(browser.log(), [""; 0]);
}

#[test]
fn films_like_one_are_shown_beside_it() {
    let Some(browser) = Browser::open(1280, true) else { return };
    let out = tempfile::tempdir().unwrap();
    let teach = (MADE.folder.path().join("films"), out.path().join("taught"));
    let server = Server::start(|request| request.teach = Some(teach));
    browser.go(&server.started.url);
    browser.choose(&MADE.films("train")[..1]);
    browser.settled(1);
    browser.until("document.querySelectorAll('#neighbours .like li').length === 6");
    // Pictures come when they are in sight.
    browser.value("document.getElementById('neighbours-found').scrollIntoView({ block: 'end' })");
    browser.until("[...document.querySelectorAll('#neighbours .like img')].every(img => img.naturalWidth > 0)");
    let said = browser.text("#neighbours");
    assert!(said.contains("very film") && said.contains("1.00"), "{said}");
    browser.barriers("films like one");
    browser.has_no_sideways_scrolling("films like one");
    assert_eq!(browser.log(), [""; 0]);
}

#[test]
fn films_are_added_to_a_class_and_taken_away_again() {
    let Some(browser) = Browser::open(360, false) else { return };
    let (out, films) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let out = out.path().join("taught");
    let teach = (MADE.folder.path().join("films"), out.clone());
    let server = Server::start(|request| request.teach = Some(teach));
    lungfish_data::synth(films.path(), 30, 78).unwrap();
    let mut chosen = lungfish_data::folder::films_in(films.path()).unwrap()[..2].to_vec();
    let text = films.path().join("text.png");
    fs::write(&text, "no film").unwrap();
    chosen.push(text);
    browser.go(&server.started.url);
    browser.click("#tab-teach");
    browser.until("document.querySelectorAll('#data li').length > 10");
    let names: Vec<&str> = chosen.iter().map(|file| file.to_str().unwrap()).collect();
    browser.keys("#classes li input", &names.join("\n"));
    browser.until("document.querySelector('#refused li')");
    assert!(browser.text("#refused li").contains("text.png"));
    browser.value("document.getElementById('data-only').value = 'added'");
    browser.value("document.getElementById('data-only').dispatchEvent(new Event('change', { bubbles: true }))");
    browser.until("document.querySelectorAll('#data .away').length === 2");
    assert_eq!(lungfish_data::folder::films_in(&out.join("added")).unwrap().len(), 2);
    browser.barriers("films that were added");
    browser.has_no_sideways_scrolling("films that were added");
    browser.click("#data .away");
    browser.until("document.querySelectorAll('#data .away').length === 1");
    assert_eq!(lungfish_data::folder::films_in(&out.join("added")).unwrap().len(), 1);
}

#[test]
fn a_training_is_watched_until_its_model_can_be_asked() {
    let Some(browser) = Browser::open(1280, false) else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let server = Server::start(|request| {
        request.models.clear();
        request.watch = vec![run.clone()];
    });
    browser.go(&server.started.url);
    browser.until("document.getElementById('tab-watch').getAttribute('aria-selected') === 'true'");
    browser.barriers("a training before its first epoch");
    // A training of another machine comes to its end: its folder is there, the model last.
    fs::create_dir(&run).unwrap();
    for name in ["recipe.toml", "split.csv", "log.jsonl", "last.safetensors", "best.safetensors"] {
        fs::copy(MADE.run().join(name), run.join(name)).unwrap();
    }
    browser.until("document.querySelector('#model option[value=run]')");
    browser.click("#tab-look");
    browser.choose(&MADE.films("test")[..1]);
    browser.settled(1);
    assert_eq!(browser.log(), [""; 0]);
}

#[test]
fn the_test_of_labels_is_looked_at_label_by_label() {
    let Some(browser) = Browser::open(1280, false) else { return };
    let server = Server::start(|request| request.models = vec![ANY_OF.run()]);
    browser.go(&server.started.url);
    browser.click("#tab-test");
    browser.until("document.querySelector('#of') && document.querySelector('#cut')");
    let labels = browser.value("[...document.querySelectorAll('#of option')].map(option => option.value).join()");
    assert_eq!(labels, "PNEUMONIA,even");
    let before = browser.text("#cut-now");
    browser.value("document.getElementById('of').value = 'even'");
    browser.value("document.getElementById('of').dispatchEvent(new Event('change', { bubbles: true }))");
    browser.until("document.getElementById('of').value === 'even' && document.querySelector('#cut')");
    browser.barriers("a test of labels");
    browser.has_no_sideways_scrolling("a test of labels");
    assert!(!before.is_empty() && !browser.text("#cut-now").is_empty());
    assert_eq!(browser.log(), [""; 0]);
}

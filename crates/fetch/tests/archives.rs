//! Archives that would do harm, each built byte by byte.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::names;
use common::zips::{Entry, crc32, zip};
use lungfish_fetch::{Event, FetchError, Job, Limits, Unpacked, unpack};

/// Unpacks bytes into a fresh folder; gives the folder and what came of it. Whatever happens, nothing may lie outside.
fn open(archive: &[u8], limits: &Limits) -> (tempfile::TempDir, Result<Vec<Unpacked>, FetchError>) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.zip"), archive).unwrap();
    fs::create_dir(dir.path().join("deep")).unwrap();
    let into = dir.path().join("deep/out");
    let done = unpack(&dir.path().join("a.zip"), &into, limits, &mut |_| {}, &AtomicBool::new(false));
    assert_eq!(names(dir.path()), ["a.zip", "deep"]);
    assert_eq!(names(&dir.path().join("deep")), if done.is_ok() { vec!["out"] } else { vec![] });
    (dir, done)
}

/// The sentence with which an archive is refused; checks that nothing is left.
fn refusal(archive: &[u8]) -> String {
    let error = open(archive, &Limits::default()).1.unwrap_err();
    assert!(matches!(error, FetchError::Archive { .. }), "{error}");
    let said = error.to_string();
    said.split_once(" is refused: ").unwrap_or_else(|| panic!("{said}")).1.to_owned()
}

/// An archive as other programs write it.
fn deflated(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn an_honest_archive_becomes_files() {
    let film = common::bytes(300_000, 1);
    let text = b"0123456789".repeat(30);
    let archive = deflated(&[
        ("set/train/NORMAL/b.jpeg", &film),
        ("set/train/NORMAL/a.jpeg", &text),
        ("__MACOSX/set/train/NORMAL/._a.jpeg", b"shadow"),
        ("set/.DS_Store", b"litter"),
        ("set/empty.txt", b""),
    ]);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.zip"), &archive).unwrap();
    let (into, mut events) = (dir.path().join("out"), vec![]);
    let files = unpack(
        &dir.path().join("a.zip"),
        &into,
        &Limits::default(),
        &mut |event| events.push(event.clone()),
        &AtomicBool::new(false),
    )
    .unwrap();
    let listed: Vec<(&str, u64)> = files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    assert_eq!(listed, [("set/empty.txt", 0), ("set/train/NORMAL/a.jpeg", 300), ("set/train/NORMAL/b.jpeg", 300_000)]);
    assert_eq!(fs::read(into.join("set/train/NORMAL/b.jpeg")).unwrap(), film);
    assert_eq!(files[2].sha256, common::sha256(&film));
    assert_eq!(
        (names(&into), names(&into.join("set"))),
        (vec!["set".into()], vec!["empty.txt".into(), "train".into()])
    );
    assert_eq!(events.last(), Some(&Event::Progress { job: Job::Unpacking, done: 300_300, total: Some(300_300) }));
}

#[test]
fn the_bytes_of_the_builder_are_an_archive() {
    let (dir, done) = open(&zip(&[Entry::folder("a/"), Entry::file("a/b.txt", "hello")]), &Limits::default());
    assert_eq!(done.unwrap().len(), 1);
    assert_eq!(fs::read(dir.path().join("deep/out/a/b.txt")).unwrap(), b"hello");
}

#[test]
fn names_that_lead_out_are_refused() {
    for (name, reason) in [
        ("../x", "leads out of the folder"),
        ("a/../../../x", "leads out of the folder"),
        ("a/..", "leads out of the folder"),
        ("/tmp/lungfish-was-here", "is an absolute path"),
        ("C:/x", "has a colon"),
        ("..\\x", "has a backslash"),
        ("\\\\host\\share\\x", "has a backslash"),
        ("a\u{1b}[2J", "has characters that hide or control text"),
        ("a\u{202e}gepj.exe", "has characters that hide or control text"),
        ("a/NUL.txt", "is a device on Windows"),
        ("./", "names nothing"),
    ] {
        // The good one comes first, and is not kept either.
        let said = refusal(&zip(&[Entry::file("good.txt", "good"), Entry::file(name, "bad")]));
        assert!(said.contains(reason), "{name:?}: {said}");
        assert!(!said.contains('\u{1b}') && !said.contains('\u{202e}'), "{said:?}");
    }
    assert!(!Path::new("/tmp/lungfish-was-here").exists());
    assert!(refusal(&zip(&[Entry::folder("../up/")])).contains("leads out"));
    assert!(refusal(&zip(&[Entry::file(&"x".repeat(300), "")])).contains("longer than a disk can hold"));
    // The names of the folders above it would be a gigabyte.
    let deep = "a/".repeat(32_767);
    assert!(refusal(&zip(&[Entry::file(&deep[..65_533], "")])).contains("longer than a disk can hold"));
}

#[test]
fn links_and_special_files_are_refused() {
    for (kind, name) in [(0o120_777, "link"), (0o010_644, "pipe"), (0o020_644, "device"), (0o140_644, "socket")] {
        let said = refusal(&zip(&[Entry::file(name, "/etc/passwd").mode(kind), Entry::file("link/x", "bad")]));
        assert_eq!(said, format!("{name:?} is a link or a special file"));
    }
}

#[test]
fn names_that_come_twice_are_refused() {
    for (first, second, reason) in [
        ("a.txt", "a.txt", "comes twice"),
        ("a.txt", "./a.txt", "comes twice"),
        ("d//a.txt", "d/a.txt", "comes twice"),
        ("a", "a/b.txt", "is a file and a folder"),
        ("a/b.txt", "a", "is a file and a folder"),
        ("a/b/c/d.txt", "a/b", "is a file and a folder"),
    ] {
        let said = refusal(&zip(&[Entry::file(first, "1"), Entry::file(second, "2")]));
        assert!(said.contains(reason), "{first} {second}: {said}");
    }
    for both in [[Entry::file("a", "1"), Entry::folder("a/")], [Entry::folder("a/"), Entry::file("a", "1")]] {
        assert!(refusal(&zip(&both)).contains("\"a\" is a file and a folder"));
    }
    // A folder may be listed after what lies in it.
    open(&zip(&[Entry::file("a/b", "1"), Entry::folder("a/")]), &Limits::default()).1.unwrap();
}

#[test]
fn sizes_and_checksums_that_lie_are_refused() {
    let honest = || Entry::file("a.txt", "0123456789");
    for (entry, reason) in [
        (honest().crc(7), "\"a.txt\" in it is damaged"),
        // Stored, so that both sizes can be given freely.
        (honest().sizes(10, 4), "is larger than its declared uncompressed size"),
        (honest().sizes(10, 4).crc(crc32(b"0123")), "is larger than its declared uncompressed size"),
        (honest().sizes(10, 40), "in it does not have the 40 bytes that it says"),
        (honest().sizes(4, 4), "\"a.txt\" in it is damaged"),
        (honest().method(99), "compression method not supported: 99"),
        (honest().flags(1), "is encrypted"),
    ] {
        let said = refusal(&zip(&[Entry::file("good.txt", "good"), entry]));
        assert!(said.contains(reason), "{said}");
    }
    // Deflated to more than it says.
    let mut archive = deflated(&[("a.txt", &[7; 50_000])]);
    let size = 50_000u32.to_le_bytes();
    let places: Vec<usize> = archive.windows(4).enumerate().filter(|(_, w)| *w == size).map(|(at, _)| at).collect();
    assert_eq!(places.len(), 2, "local and central");
    for at in places {
        archive[at..at + 4].copy_from_slice(&9u32.to_le_bytes());
    }
    let said = refusal(&archive);
    assert!(said.contains("is larger than its declared uncompressed size"), "{said}");
}

#[test]
fn bombs_are_refused() {
    let said = refusal(&deflated(&[("zeros", &vec![0; 5_000_000])]));
    assert!(said.contains("to 5.0 MB, more than 100 times, as a zip bomb does"), "{said}");
    // Many names for the same bytes.
    let mut archive = Vec::new();
    let kernel = Entry::file("a", common::bytes(1000, 2));
    archive.extend(kernel.local());
    let entries: Vec<_> = (0..50).map(|n| (Entry { name: format!("{n}").into(), ..kernel.clone() }, 0)).collect();
    let said = refusal(&common::zips::finish(archive, &entries));
    assert_eq!(said, "files in it share bytes, as in a zip bomb");
}

#[test]
fn limits_hold_exactly() {
    let files = |count: usize, size: usize| -> Vec<u8> {
        zip(&(0..count).map(|n| Entry::file(&n.to_string(), common::bytes(size, n as u64))).collect::<Vec<_>>())
    };
    let limits = Limits { bytes: 1000, entries: 10, ratio: 100 };
    assert!(open(&files(10, 100), &limits).1.is_ok());
    let said = |archive: &[u8]| open(archive, &limits).1.unwrap_err().to_string();
    assert!(said(&files(11, 1)).ends_with("it has 11 entries, and 10 is the most that is unpacked"));
    assert!(said(&files(10, 101)).ends_with("it would unpack to 1.0 kB, and 1.0 kB is the most that is unpacked"));
    assert_eq!(Limits::default(), Limits { bytes: 20_000_000_000, entries: 200_000, ratio: 100 });
    // Folders count as well.
    let folders: Vec<Entry> = (0..11).map(|n| Entry::folder(&format!("{n}/"))).collect();
    assert!(said(&zip(&folders)).contains("11 entries"));
}

#[test]
fn two_hundred_thousand_entries_and_no_more() {
    let entries: Vec<Entry> = (0..200_001).map(|n| Entry::file(&format!("{n:x}"), "")).collect();
    let said = refusal(&common::zips::zip64(&entries));
    assert_eq!(said, "it has 200,001 entries, and 200,000 is the most that is unpacked");
}

#[test]
fn an_endless_list_does_not_fill_the_memory() {
    // One local file, and a list that names it some 650,000 times.
    let entry = Entry::file(&"x".repeat(60), "");
    let mut archive = entry.local();
    let start = archive.len();
    let central = entry.central(0);
    for _ in 0..(70 << 20) / central.len() {
        archive.extend(&central);
    }
    let count = ((archive.len() - start) / central.len()) as u64;
    common::zips::end64(&mut archive, start, count);
    assert_eq!(refusal(&archive), "its list of contents is longer than 67.1 MB");
}

#[test]
fn damaged_archives_are_refused_and_never_panic() {
    let archive = deflated(&[("a/b.jpeg", &common::bytes(3000, 3)), ("a/c.txt", &b"hello ".repeat(50))]);
    assert!(refusal(b"").contains("invalid Zip archive"));
    assert!(refusal(b"<html>no archive</html>").contains("invalid Zip archive"));
    for length in (0..archive.len()).step_by(37) {
        refusal(&archive[..length]);
    }
    let (mut refused, mut flipped) = (0, 0);
    // Every byte of the headers, and some of the data.
    for at in (0..archive.len()).filter(|at| *at < 60 || *at > 2900 || at % 50 == 0) {
        flipped += 1;
        let mut broken = archive.clone();
        broken[at] ^= 0x55;
        let (_dir, done) = open(&broken, &Limits::default());
        // A flipped time or version is no damage; whatever came out is what its checksum says.
        refused += usize::from(done.is_err());
    }
    assert!(refused > flipped / 2, "{refused} of {flipped}");
}

#[test]
fn stopped_it_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.zip"), deflated(&[("a", b"1"), ("b", b"2")])).unwrap();
    let stop = AtomicBool::new(true);
    let error = unpack(&dir.path().join("a.zip"), &dir.path().join("out"), &Limits::default(), &mut |_| {}, &stop);
    assert!(matches!(error, Err(FetchError::Stopped { .. })));
    assert_eq!(names(dir.path()), ["a.zip"]);
}

#[test]
fn a_folder_that_is_there_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.zip"), deflated(&[("a", b"1")])).unwrap();
    fs::create_dir(dir.path().join("out")).unwrap();
    fs::write(dir.path().join("out/thesis.doc"), "x").unwrap();
    let into = dir.path().join("out");
    unpack(&dir.path().join("a.zip"), &into, &Limits::default(), &mut |_| {}, &AtomicBool::new(false)).unwrap_err();
    assert_eq!(names(&into), ["thesis.doc"]);
}

//! A data set from Kaggle's address to a folder on disk.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::zips::{Entry, zip};
use common::*;
use lungfish_fetch::kaggle::{DataSet, Fetched, Identity, Kaggle};
use lungfish_fetch::{Client, Credentials, Event, FetchError, Job};

/// As the archive of the chest X-rays is nested.
fn archive() -> Vec<u8> {
    let mut entries = vec![Entry::folder("chest_xray/"), Entry::file("__MACOSX/._chest_xray", "shadow")];
    for (side, count) in [("train", 8u64), ("val", 2), ("test", 4)] {
        for n in 0..count {
            let class = ["NORMAL", "PNEUMONIA"][n as usize % 2];
            entries.push(Entry::file(&format!("chest_xray/{side}/{class}/{n}.jpeg"), bytes(20_000, n)));
        }
    }
    zip(&entries)
}

const API: &str = "/api/v1/datasets/download/paultimothymooney/chest-xray-pneumonia";

/// Kaggle and its storage, two servers as in the world.
struct World {
    kaggle: Server,
    storage: Arc<Server>,
    dir: tempfile::TempDir,
    identity: Identity,
    events: Vec<Event>,
}

impl World {
    fn new(archive: Vec<u8>) -> Self {
        Self::with(archive, |reply, _| reply)
    }

    /// `change` may spoil what the storage answers.
    fn with(archive: Vec<u8>, change: impl Fn(Reply, usize) -> Reply + Send + Sync + 'static) -> Self {
        let storage =
            Arc::new(Server::new(move |seen, before| change(common::storage(seen, &archive, "\"v\""), before)));
        let there = Arc::clone(&storage);
        let kaggle = Server::new(move |seen, _| match seen.path.split('?').next() {
            Some(API) => Reply::redirect(there.other_url("/bucket/archive.zip?X-Goog-Signature=s1gned")),
            _ => Reply::new(404, r#"{"code":404,"message":"Dataset not found"}"#),
        });
        World { kaggle, storage, dir: tempfile::tempdir().unwrap(), identity: Identity::Given(None), events: vec![] }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("films")
    }

    fn fetch(&mut self) -> Result<Fetched, FetchError> {
        self.fetch_set(&DataSet::pneumonia(), &self.out())
    }

    fn fetch_set(&mut self, set: &DataSet, out: &Path) -> Result<Fetched, FetchError> {
        let base = self.kaggle.url("/");
        let kaggle = Kaggle::new(client(), Some(&base), self.identity.clone()).unwrap();
        let events = &mut self.events;
        kaggle.fetch(set, out, &mut |event| events.push(event.clone()), &AtomicBool::new(false))
    }

    fn requests(&self) -> (usize, usize) {
        (self.kaggle.seen().len(), self.storage.seen().len())
    }

    fn left(&self) -> Vec<String> {
        names(self.dir.path())
    }
}

/// Every file below a folder with its bytes.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut folders) = (vec![], vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_data_set_is_fetched_once() {
    let mut world = World::new(archive());
    let done = world.fetch().unwrap();
    assert_eq!(done, Fetched { path: world.out(), files: 14, bytes: 280_000, fetched: true });
    assert_eq!(world.left(), ["films"]);
    assert_eq!(names(&world.out()), [".lungfish-fetch", "chest_xray"]);
    assert_eq!(fs::read(world.out().join("chest_xray/train/PNEUMONIA/7.jpeg")).unwrap(), bytes(20_000, 7));
    assert_eq!(world.requests(), (1, 1));
    assert_eq!(notes(&world.events), "asking without credentials; public data sets need none");
    for job in [Job::Downloading, Job::Unpacking] {
        assert!(world.events.iter().any(|event| matches!(event, Event::Progress { job: told, .. } if *told == job)));
    }

    let before = tree(&world.out());
    let again = world.fetch().unwrap();
    assert_eq!((again.files, again.bytes, again.fetched), (14, 280_000, false));
    assert_eq!(world.requests(), (1, 1), "nothing is asked");
    assert_eq!(tree(&world.out()), before);
}

#[test]
fn its_list_is_one_that_sha256sum_reads() {
    let mut world = World::new(archive());
    world.fetch().unwrap();
    let list = fs::read_to_string(world.out().join(".lungfish-fetch")).unwrap();
    let line = format!("{}  chest_xray/test/NORMAL/0.jpeg", sha256(&bytes(20_000, 0)));
    assert!(
        list.contains("# source: kaggle:paultimothymooney/chest-xray-pneumonia\n") && list.contains(&line),
        "{list}"
    );
    assert_eq!(list.lines().filter(|line| !line.starts_with('#')).count(), 14);
}

#[test]
fn credentials_go_to_kaggle_and_not_to_its_storage() {
    let mut world = World::new(archive());
    world.identity = Identity::Given(Some(Credentials::basic("ada", "k3y", "a test").unwrap()));
    world.fetch().unwrap();
    assert_eq!(world.kaggle.seen()[0].header("authorization"), Some("Basic YWRhOmszeQ=="));
    assert_eq!(world.storage.seen()[0].header("authorization"), None);
    assert_eq!(notes(&world.events), "asking with the credentials from a test");
}

#[test]
fn what_is_not_kaggle_gets_no_credentials() {
    let identity = Identity::Given(Some(Credentials::basic("ada", "k3y", "a test").unwrap()));
    let mut once = settings();
    once.attempts = 1;
    let client = Client::new(once).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (host, sent) in [("mirror.invalid", false), ("kaggle.com.invalid", false), ("notkaggle.invalid", false)] {
        let kaggle = Kaggle::new(client.clone(), Some(&format!("https://{host}")), identity.clone()).unwrap();
        let mut events = vec![];
        let out = dir.path().join("films");
        let stop = AtomicBool::new(false);
        kaggle.fetch(&DataSet::pneumonia(), &out, &mut |event| events.push(event.clone()), &stop).unwrap_err();
        let said = notes(&events);
        assert_eq!(
            !said.contains(&format!("{host} is not Kaggle: your credentials are not sent to it")),
            sent,
            "{said}"
        );
        assert_eq!(names(dir.path()), [""; 0]);
    }
}

#[test]
fn a_version_is_asked_for_and_kept_apart() {
    let mut world = World::new(archive());
    let two = DataSet::pneumonia().at_version(2);
    world.fetch_set(&two, &world.out()).unwrap();
    assert_eq!(world.kaggle.seen()[0].path, format!("{API}?datasetVersionNumber=2"));
    assert!(!world.fetch_set(&two, &world.out()).unwrap().fetched);
    // Whatever version is there will do where none is asked for.
    assert!(!world.fetch().unwrap().fetched);
    let three = DataSet::pneumonia().at_version(3);
    let said = world.fetch_set(&three, &world.out()).unwrap_err().to_string();
    assert!(
        said.ends_with(
            "holds kaggle:paultimothymooney/chest-xray-pneumonia, version 2: choose another folder with --out"
        )
    );
    let other: DataSet = "kaggle:a/b".parse().unwrap();
    assert!(world.fetch_set(&other, &world.out()).unwrap_err().to_string().contains("choose another folder"));
    assert_eq!(world.requests(), (1, 1));
}

#[test]
fn a_cut_leaves_the_target_alone_and_is_gone_on_from() {
    let archive = archive();
    let half = archive.len() / 2;
    // The fourth cut in a row with nothing new ends it.
    let mut world = World::with(archive, move |reply, before| match before {
        0 => reply.cut(half),
        1..5 => reply.cut(0),
        _ => reply,
    });
    let error = world.fetch().unwrap_err();
    let kept = format!("{:.1} kB are kept, and the same command goes on from there", half as f64 / 1000.0);
    assert!(error.to_string().contains(&kept), "{error}");
    assert_eq!(world.left(), [".films.lungfish-fetch"]);
    assert!(!format!("{error} {error:?} {:?}", world.events).contains("s1gned"));
    world.fetch().unwrap();
    let range = Some(format!("bytes={half}-"));
    assert_eq!(world.storage.ranges(), [None, range.clone(), range.clone(), range.clone(), range.clone(), range]);
    // Signed addresses grow old: each attempt asks Kaggle for a fresh one.
    assert_eq!(world.kaggle.seen().len(), 6);
    assert_eq!(world.left(), ["films"]);
}

#[test]
fn stopped_while_unpacking_it_is_not_fetched_again() {
    let mut world = World::new(archive());
    let base = world.kaggle.url("");
    let kaggle = Kaggle::new(client(), Some(&base), Identity::Given(None)).unwrap();
    let stop = AtomicBool::new(false);
    let observer = &mut |event: &Event| {
        if matches!(event, Event::Progress { job: Job::Unpacking, .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let error = kaggle.fetch(&DataSet::pneumonia(), &world.out(), observer, &stop).unwrap_err();
    assert!(matches!(error, FetchError::Stopped { kept } if kept > 280_000), "{error}");
    assert_eq!(world.left(), [".films.lungfish-fetch"]);
    assert_eq!(names(&world.dir.path().join(".films.lungfish-fetch")), ["paultimothymooney-chest-xray-pneumonia.zip"]);
    world.fetch().unwrap();
    assert_eq!(world.requests(), (1, 1));
    assert_eq!(world.left(), ["films"]);
}

#[test]
fn a_bad_archive_leaves_nothing() {
    let bad = [
        zip(&[Entry::file("a", "1"), Entry::file("../evil", "1")]),
        zip(&[Entry::file("a", "/etc/passwd").mode(0o120_777)]),
        b"PK no archive".to_vec(),
    ];
    for archive in bad {
        let mut world = World::new(archive);
        let error = world.fetch_set(&DataSet::pneumonia(), &world.dir.path().join("new/folders/films")).unwrap_err();
        assert!(matches!(error, FetchError::Archive { .. }), "{error}");
        let said = error.to_string();
        assert!(said.starts_with("the archive kaggle:paultimothymooney/chest-xray-pneumonia is refused: "), "{said}");
        assert_eq!(world.left(), [""; 0]);
    }
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let mut world = World::with(archive(), |mut reply, _| {
        reply.headers.retain(|(name, _)| name != "x-goog-hash");
        reply.header("x-goog-hash", md5_header(b"another"))
    });
    assert!(matches!(world.fetch().unwrap_err(), FetchError::Checksum { kind: "MD5", .. }));
    assert_eq!(world.left(), [""; 0]);
}

#[test]
fn kaggles_refusals_say_what_to_do() {
    let page = "https://www.kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia";
    let with = || Some(Credentials::bearer("t0ken", "KAGGLE_API_TOKEN").unwrap());
    for (status, credentials, parts) in [
        (401, None, vec!["answered 401: it wants to know who asks", "KAGGLE_API_TOKEN", "~/.kaggle/kaggle.json"]),
        (401, with(), vec!["it does not know the credentials from KAGGLE_API_TOKEN", "public data sets need none"]),
        (403, None, vec!["accept the data set's terms at", page, "signed in"]),
        (403, with(), vec!["accept the data set's terms at", page, "ask its author for access"]),
        (
            404,
            None,
            vec!["it has no kaggle:paultimothymooney/chest-xray-pneumonia", page, "a private one needs credentials"],
        ),
    ] {
        let server = Server::new(move |_, _| Reply::new(status, r#"{"code":1,"message":"Kaggle's own words"}"#));
        let kaggle = Kaggle::new(client(), Some(&server.url("")), Identity::Given(credentials)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        let error = kaggle.fetch(&DataSet::pneumonia(), &dir.path().join("x"), &mut |_| {}, &stop).unwrap_err();
        let said = error.to_string();
        for part in parts.iter().chain(&["(it says: Kaggle's own words)"]) {
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
        assert_eq!(names(dir.path()), [""; 0]);
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn a_server_that_wants_credentials_and_gets_them() {
    let archive = archive();
    let server = Server::new(move |seen, _| match seen.header("authorization") {
        Some("Bearer t0ken") => storage(seen, &archive, "\"a\""),
        _ => Reply::new(401, ""),
    });
    let dir = tempfile::tempdir().unwrap();
    let fetch = |credentials: Option<Credentials>| {
        let kaggle = Kaggle::new(client(), Some(&server.url("")), Identity::Given(credentials)).unwrap();
        let stop = AtomicBool::new(false);
        kaggle.fetch(&DataSet::pneumonia(), &dir.path().join("films"), &mut |_| {}, &stop)
    };
    assert!(matches!(fetch(None), Err(FetchError::Status { status: 401, .. })));
    assert!(fetch(Some(Credentials::bearer("t0ken", "a test").unwrap())).unwrap().fetched);
}

#[test]
fn somebody_elses_folder_is_not_touched() {
    let mut world = World::new(archive());
    fs::create_dir(world.out()).unwrap();
    fs::write(world.out().join("thesis.doc"), "x").unwrap();
    let said = world.fetch().unwrap_err().to_string();
    assert!(said.contains("(thesis.doc is in it): choose another folder with --out"), "{said}");
    fs::write(world.dir.path().join("file"), "x").unwrap();
    let said = world.fetch_set(&DataSet::pneumonia(), &world.dir.path().join("file")).unwrap_err().to_string();
    assert!(said.ends_with("file is a file, not a folder"), "{said}");
    assert_eq!(world.requests(), (0, 0));
    assert_eq!((world.left(), names(&world.out())), (vec!["file".into(), "films".into()], vec!["thesis.doc".into()]));
}

#[test]
fn an_empty_folder_is_filled() {
    let mut world = World::new(archive());
    fs::create_dir(world.out()).unwrap();
    world.fetch().unwrap();
    assert_eq!(names(&world.out()), [".lungfish-fetch", "chest_xray"]);
    assert_eq!(world.left(), ["films"]);
    assert!(!world.fetch().unwrap().fetched);
}

#[test]
fn what_is_missing_is_put_back_and_nothing_is_overwritten() {
    let mut world = World::new(archive());
    world.fetch().unwrap();
    let whole = tree(&world.out());
    fs::remove_file(world.out().join("chest_xray/train/NORMAL/0.jpeg")).unwrap();
    fs::remove_dir_all(world.out().join("chest_xray/val")).unwrap();
    fs::write(world.out().join("my-notes.txt"), "mine").unwrap();
    assert!(world.fetch().unwrap().fetched);
    assert!(notes(&world.events).contains("3 of 14 files are missing in "));
    assert_eq!(fs::read(world.out().join("my-notes.txt")).unwrap(), b"mine");
    fs::remove_file(world.out().join("my-notes.txt")).unwrap();
    assert_eq!(tree(&world.out()), whole);

    fs::write(world.out().join("chest_xray/test/NORMAL/2.jpeg"), "annotated").unwrap();
    let said = world.fetch().unwrap_err().to_string();
    assert!(
        said.contains("films is not overwritten: chest_xray/test/NORMAL/2.jpeg is not as it was fetched; "),
        "{said}"
    );
    assert_eq!(fs::read(world.out().join("chest_xray/test/NORMAL/2.jpeg")).unwrap(), b"annotated");
    assert_eq!(world.requests(), (2, 2));
}

#[test]
fn two_versions_are_not_mixed() {
    let mut world = World::new(archive());
    world.fetch().unwrap();
    fs::remove_file(world.out().join("chest_xray/train/NORMAL/0.jpeg")).unwrap();
    let before = tree(&world.out());
    let (out, dir) = (world.out(), world.dir);
    let mut later = World::new(zip(&[Entry::file("chest_xray/train/NORMAL/0.jpeg", "new")]));
    later.dir = dir;
    let said = later.fetch().unwrap_err().to_string();
    assert!(
        said.ends_with("lacks files of a version that is not the newest any more: fetch into another folder"),
        "{said}"
    );
    assert_eq!(tree(&out), before);
}

#[test]
fn offline_what_is_there_will_do() {
    let mut world = World::new(archive());
    let mut offline = settings();
    offline.offline = true;
    let kaggle =
        Kaggle::new(Client::new(offline).unwrap(), Some(&world.kaggle.url("")), Identity::Given(None)).unwrap();
    let (stop, out) = (AtomicBool::new(false), world.out());
    let fetch = || kaggle.fetch(&DataSet::pneumonia(), &out, &mut |_| {}, &stop);
    let said = fetch().unwrap_err().to_string();
    assert_eq!(said, "LUNGFISH_OFFLINE is set: kaggle:paultimothymooney/chest-xray-pneumonia is not fetched");
    assert_eq!((world.requests(), world.left()), ((0, 0), vec![]));
    world.fetch().unwrap();
    assert!(!fetch().unwrap().fetched);
}

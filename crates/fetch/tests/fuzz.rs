//! Damaged bytes for every parser of foreign bytes of this package: archives, the list of what was fetched, answers over
//! HTTP, credentials.

mod common;
#[path = "../../data/tests/common/damage.rs"]
mod damage;

use std::fs;
use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use common::zips::{Entry, zip, zip64};
use common::{Place, names, settings};
use damage::{assert_sentence, try_with};
use lungfish_fetch::kaggle::{DataSet, Identity, Kaggle};
use lungfish_fetch::{Client, Credentials, Limits, unpack};

/// Archives as a builder and as other programs write them.
fn archives() -> Vec<Vec<u8>> {
    let entries = [
        Entry::folder("set/"),
        Entry::file("set/train/a.jpeg", common::bytes(500, 1)),
        Entry::file("set/test/b.jpeg", "hello"),
    ];
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    writer.start_file("set/c.txt", options).unwrap();
    writer.write_all(&b"0123456789".repeat(30)).unwrap();
    vec![zip(&entries), zip64(&entries), writer.finish().unwrap().into_inner()]
}

/// Files that are what is said of them, or nothing at all.
#[test]
fn zip_archives() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, into) = (dir.path().join("a.zip"), dir.path().join("out"));
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let (read, refused) = try_with("zip", 400, &archives(), |bytes| {
        fs::write(&archive, bytes).unwrap();
        let done = unpack(&archive, &into, &limits, &mut |_| {}, &AtomicBool::new(false));
        assert_eq!(names(dir.path()), if done.is_ok() { vec!["a.zip", "out"] } else { vec!["a.zip"] });
        for file in done.map_err(|error| error.to_string())? {
            let bytes = fs::read(into.join(&file.path)).unwrap();
            assert_eq!((bytes.len() as u64, common::sha256(&bytes)), (file.bytes, file.sha256));
        }
        fs::remove_dir_all(&into).unwrap();
        Ok(())
    });
    assert!(damage::cases(400) < 50 || read > 0 && refused > 0, "{read} read, {refused} refused");
}

/// Of a damaged list nothing is believed: without a network, the folder is the data set or is left as it is.
#[test]
fn lists_of_what_was_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("films");
    fs::create_dir_all(out.join("set")).unwrap();
    fs::write(out.join("set/a.jpeg"), "film").unwrap();
    let set = DataSet::pneumonia();
    let list =
        format!("# What was put here\n# source: {set}\n# version: newest\n{}  set/a.jpeg\n", common::sha256(b"film"));
    let mut offline = settings();
    offline.offline = true;
    let kaggle = Kaggle::new(Client::new(offline).unwrap(), Some("http://127.0.0.1:1"), Identity::Given(None)).unwrap();
    let look = |bytes: &[u8]| {
        fs::write(out.join(".lungfish-fetch"), bytes).unwrap();
        let mut notes = Vec::new();
        let done = kaggle.fetch(&set, &out, &mut |event| notes.push(event.clone()), &AtomicBool::new(false));
        common::notes(&notes).lines().for_each(|note| assert_sentence(note, "a note"));
        assert_eq!(names(dir.path()), ["films"]);
        assert_eq!(fs::read(out.join("set/a.jpeg")).unwrap(), b"film");
        done.map_err(|error| error.to_string())
    };
    assert!(!look(list.as_bytes()).unwrap().fetched);
    let (read, refused) = try_with("the list", 600, &[list.into_bytes()], look);
    assert!(damage::cases(600) < 50 || read > 0 && refused > 0, "{read} read, {refused} refused");
}

/// A file that is what was sent and has the checksum that was asked for, or a sentence.
#[test]
fn answers_over_http() {
    let film = common::bytes(300, 3);
    let head = |status: &str| {
        format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nETag: \"v\"\r\nx-goog-hash: {}\r\nContent-Length: 300\r\n",
            common::md5_header(&film)
        )
    };
    let answers = [
        [format!("{}\r\n", head("200 OK")).as_bytes(), &film].concat(),
        [format!("{}Content-Range: bytes 0-299/300\r\n\r\n", head("206 Partial Content")).as_bytes(), &film].concat(),
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 41\r\n\r\n{\"code\":404,\"message\":\"Dataset not found\"}"
            .to_vec(),
        b"HTTP/1.1 429 Too Many\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".to_vec(),
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12c\r\n".as_slice(), &film, b"\r\n0\r\n\r\n"].concat(),
    ];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/film", listener.local_addr().unwrap());
    let answer = Arc::new(Mutex::new(Vec::new()));
    let sent = Arc::clone(&answer);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = common::read_head(&mut BufReader::new(&stream));
            let bytes: Vec<u8> = sent.lock().unwrap().clone();
            let _ = stream.write_all(&bytes);
        }
    });
    let mut settings = settings();
    settings.attempts = 2;
    settings.longest_wait = std::time::Duration::from_millis(5);
    let client = Client::new(settings).unwrap();
    let (read, refused) = try_with("an answer", 150, &answers, |bytes| {
        *answer.lock().unwrap() = bytes.to_vec();
        let mut place = Place::new();
        place.sha256 = Some(common::sha256(&film));
        place.limit = 10_000;
        let done = place.fetch_with(&client, &url);
        place.notes().lines().for_each(|note| assert_sentence(note, "a note"));
        match done {
            Ok(_) => assert_eq!(fs::read(place.target()).unwrap(), film),
            Err(_) => assert!(!place.target().exists()),
        }
        done.map_err(|error| error.to_string())
    });
    assert!(damage::cases(150) < 50 || read > 0 && refused > 0, "{read} read, {refused} refused");
}

/// Credentials from a damaged file say where they are from and nothing of what they are.
#[test]
fn files_of_credentials() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".kaggle")).unwrap();
    let file = home.path().join(".kaggle/kaggle.json");
    let whole = br#"{"username": "marie", "key": "0123456789abcdef0123456789abcdef"}"#.to_vec();
    let find = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let mut notes = Vec::new();
        let found = Credentials::find(&|_| None, Some(home.path()), &mut |event| notes.push(event.clone()));
        common::notes(&notes).lines().for_each(|note| assert_sentence(note, "a note"));
        let said = found.map_err(|error| error.to_string());
        assert!(!format!("{said:?}").contains("0123456789"), "{said:?}");
        said
    };
    assert!(find(&whole).unwrap().is_some());
    let (read, refused) = try_with("kaggle.json", 1000, &[whole], find);
    assert!(damage::cases(1000) < 50 || read > 0 && refused > 0, "{read} read, {refused} refused");
}

//! A small model of synthetic films, and a server of it with a client of HTTP.
#![allow(dead_code, reason = "each test uses its own part")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use lungfish::{Changes, Silent, TestRequest, TrainRequest, Watch};
use lungfish_serve::{ServeError, ServeRequest, Started};
use serde_json::Value;

static GO: AtomicBool = AtomicBool::new(false);

/// A run of a small model of synthetic films, tested; made once.
pub struct Made {
    pub folder: tempfile::TempDir,
}

pub static MADE: LazyLock<Made> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let (films, run) = (folder.path().join("films"), folder.path().join("run"));
    lungfish_data::synth(&films, 90, 5).unwrap();
    let mut changes = Changes::default();
    for setting in ["image_size=96", "frozen_epochs=8"] {
        changes.set(setting).unwrap();
    }
    let mut request = TrainRequest::new(&films, &run);
    request.changes = changes;
    lungfish::train(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    let mut request = TestRequest::new(&run, &films);
    request.pictures = false;
    lungfish::test(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    Made { folder }
});

/// A run of a small model of two labels of which a film may have any, tested; made once.
pub static ANY_OF: LazyLock<Made> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let (drawn, films, run) = (folder.path().join("drawn"), folder.path().join("films"), folder.path().join("run"));
    lungfish_data::synth(&drawn, 90, 6).unwrap();
    fs::create_dir(&films).unwrap();
    let mut table = "path,PNEUMONIA,even\n".to_owned();
    for (at, film) in lungfish_data::folder::films_in(&drawn).unwrap().iter().enumerate() {
        let name = film.file_name().unwrap().to_str().unwrap();
        fs::copy(film, films.join(name)).unwrap();
        let has = |has: bool| if has { "1" } else { "0" };
        let even = if at % 5 == 0 { "" } else { has(at % 2 == 0) };
        table.push_str(&format!(
            "{name},{},{even}\n",
            has(film.components().any(|part| part.as_os_str() == "PNEUMONIA"))
        ));
    }
    fs::write(films.join("labels.csv"), table).unwrap();
    let mut request = TrainRequest::new(&films, &run);
    for setting in ["image_size=64", "frozen_epochs=3", "test_fraction=0.3"] {
        request.changes.set(setting).unwrap();
    }
    lungfish::train(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    let mut request = TestRequest::new(&run, &films);
    request.pictures = false;
    lungfish::test(&request, &mut Watch::new(&mut Silent, &GO)).unwrap();
    Made { folder }
});

impl Made {
    pub fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub fn films(&self, split: &str) -> Vec<PathBuf> {
        let mut films = lungfish_data::folder::films_in(&self.folder.path().join("films").join(split)).unwrap();
        films.sort();
        films
    }
}

/// A server that runs, and ends with the value.
pub struct Server {
    pub started: Started,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Server {
    pub fn start(change: impl FnOnce(&mut ServeRequest)) -> Self {
        let mut request = ServeRequest::new([MADE.run()]);
        request.port = 0;
        change(&mut request);
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            lungfish_serve::serve(&request, |started| tell.send(started.clone()).unwrap(), &flag)
        });
        let started = told.recv_timeout(Duration::from_secs(60)).expect("it starts");
        Server { started, stop, thread: Some(thread) }
    }

    pub fn port(&self) -> u16 {
        self.started.address.port()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends a request with these headers and body; the answer's status, headers and body.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: 127.0.0.1:{}\r\n", self.port()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(head.as_bytes()).unwrap();
        // The server may answer before it has read all.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        parted(&answer)
    }

    pub fn get(&self, path: &str) -> (u16, String, Vec<u8>) {
        self.ask("GET", path, &[], b"")
    }

    pub fn json(&self, path: &str) -> Value {
        let (status, _, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    pub fn predict(&self, path: &str, film: &[u8]) -> (u16, Value) {
        let (status, _, body) = self.ask("POST", path, &[], film);
        (status, serde_json::from_slice(&body).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join().unwrap();
        assert!(ended.is_ok(), "{ended:?}");
    }
}

/// Files below a folder, with their sizes.
pub fn lying_in(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut files: Vec<(PathBuf, u64)> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(lying_in(&path));
        } else {
            files.push((path.clone(), fs::metadata(&path).unwrap().len()));
        }
    }
    files.sort();
    files
}

pub fn parted(answer: &[u8]) -> (u16, String, Vec<u8>) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has headers");
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = &answer[end + 4..];
    if !head.contains("transfer-encoding: chunked") {
        return (status, head, body.to_vec());
    }
    let (mut whole, mut rest) = (Vec::new(), body);
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(String::from_utf8_lossy(&rest[..line]).trim(), 16).unwrap();
        whole.extend_from_slice(&rest[line + 2..][..length]);
        rest = &rest[line + 4 + length..];
        if length == 0 {
            break;
        }
    }
    (status, head, whole)
}

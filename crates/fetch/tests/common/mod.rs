//! A real HTTP server on loopback that misbehaves as it is told, and notes what it was asked.

// Each test program uses a part of this.
#![allow(dead_code)]

pub mod zips;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lungfish_fetch::{Client, Credentials, Download, Event, FetchError, Request, Settings, download};
use md5::{Digest, Md5};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// `Content-Length` if it is not the truth; `Some(None)` sends none.
    pub length: Option<Option<u64>>,
    /// Closes the connection after so many bytes of the body.
    pub cut: Option<usize>,
    /// Says nothing for so long before the body's second half.
    pub pause: Duration,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Reply { status, headers: vec![], body: body.into(), length: None, cut: None, pause: Duration::ZERO }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn redirect(to: impl Into<String>) -> Self {
        Reply::new(302, "").header("Location", to)
    }

    pub fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    pub fn length(mut self, length: u64) -> Self {
        self.length = Some(Some(length));
        self
    }
}

type Handler = dyn Fn(&Seen, usize) -> Reply + Send + Sync;

/// Answers until the test ends.
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// `handler` gets each request and how many came before it.
    pub fn new(handler: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, handler): (_, Arc<Handler>) = (Arc::clone(&seen), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, handler) = (Arc::clone(&noted), Arc::clone(&handler));
                std::thread::spawn(move || answer(stream, &noted, &*handler));
            }
        });
        Server { port, seen }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The same server under another name.
    pub fn other_url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The `Range` of every request.
    pub fn ranges(&self) -> Vec<Option<String>> {
        self.seen().iter().map(|seen| seen.header("range").map(str::to_owned)).collect()
    }
}

/// Reads the head of a request.
pub fn read_head(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            return Some(Seen { method, path, headers });
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn answer(stream: TcpStream, noted: &Mutex<Vec<Seen>>, handler: &Handler) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(seen) = read_head(&mut reader) else { return };
    let before = {
        let mut noted = noted.lock().unwrap();
        noted.push(seen.clone());
        noted.len() - 1
    };
    send(stream, &handler(&seen, before));
}

/// Sends an answer; a client that went away is no failure of a test.
pub fn send(mut stream: impl Write, reply: &Reply) {
    let mut head = format!("HTTP/1.1 {} Test\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match reply.length {
        None => head.push_str(&format!("Content-Length: {}\r\n", reply.body.len())),
        Some(Some(length)) => head.push_str(&format!("Content-Length: {length}\r\n")),
        Some(None) => {}
    }
    head.push_str("\r\n");
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())];
    let (first, second) = body.split_at(if reply.pause.is_zero() { 0 } else { body.len() / 2 });
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(first)).and_then(|()| stream.flush());
    std::thread::sleep(reply.pause);
    let _ = stream.write_all(second).and_then(|()| stream.flush());
}

/// Bytes that do not compress and differ for each `seed`.
pub fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// As object storage says it.
pub fn md5_header(bytes: &[u8]) -> String {
    format!("crc32c=AAAAAA==,md5={}", BASE64_STANDARD.encode(Md5::digest(bytes)))
}

pub fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Serves a file as object storage does: `Range`, `If-Range`, `ETag`, `x-goog-hash`.
pub fn storage(seen: &Seen, file: &[u8], etag: &str) -> Reply {
    let same = seen.header("if-range").is_none_or(|asked| asked == etag);
    let from: Option<usize> = seen
        .header("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        .filter(|_| same);
    let reply = match from {
        Some(from) if from >= file.len() => {
            Reply::new(416, "").header("Content-Range", format!("bytes */{}", file.len()))
        }
        Some(from) => Reply::new(206, &file[from..])
            .header("Content-Range", format!("bytes {from}-{}/{}", file.len() - 1, file.len())),
        None => Reply::new(200, file),
    };
    reply.header("ETag", etag).header("x-goog-hash", md5_header(file))
}

/// Settings that try again at once.
pub fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.first_wait = Duration::from_millis(1);
    settings.idle_timeout = Duration::from_millis(500);
    settings.connect_timeout = Duration::from_secs(5);
    settings
}

pub fn client() -> Client {
    Client::new(settings()).unwrap()
}

/// A place for one download, and all that it said.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub events: Vec<Event>,
    pub stop: AtomicBool,
    pub limit: u64,
    pub sha256: Option<String>,
    pub credentials: Option<Credentials>,
}

impl Place {
    pub fn new() -> Self {
        Place {
            folder: tempfile::tempdir().unwrap(),
            events: vec![],
            stop: AtomicBool::new(false),
            limit: 1 << 30,
            sha256: None,
            credentials: None,
        }
    }

    pub fn target(&self) -> PathBuf {
        self.folder.path().join("film.bin")
    }

    pub fn fetch(&mut self, url: &str) -> Result<Download, FetchError> {
        self.fetch_with(&client(), url)
    }

    pub fn fetch_with(&mut self, client: &Client, url: &str) -> Result<Download, FetchError> {
        let target = self.target();
        let request = Request {
            address: url,
            credentials: self.credentials.as_ref(),
            target: &target,
            sha256: self.sha256.as_deref(),
            limit: self.limit,
            advice: &|status| (status == 403).then(|| "accept the terms".to_owned()),
        };
        let events = &mut self.events;
        download(client, &request, &mut |event| events.push(event.clone()), &self.stop)
    }

    /// Names in the folder, sorted.
    pub fn left(&self) -> Vec<String> {
        names(self.folder.path())
    }

    pub fn notes(&self) -> String {
        notes(&self.events)
    }
}

/// All notes and warnings, a line each.
pub fn notes(events: &[Event]) -> String {
    let text = |event: &Event| match event {
        Event::Note(text) | Event::Warning(text) => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect::<Vec<_>>().join("\n")
}

/// Names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Reads until the other side closes.
pub fn drain(mut stream: impl Read) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

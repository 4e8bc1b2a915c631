//! One file from a server: gone on with after a cut, verified, and only then given its name.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::address::Address;
use crate::checksum::{Broken, Check, Promise, hex};
use crate::client::{Ask, Client, Failure};
use crate::connection::{Connection, Head, Piece};
use crate::event::{Event, Job, Observer, Progress};
use crate::part::{Known, Part};
use crate::retry::wait;
use crate::text;
use crate::verify::Verifying;
use crate::{Credentials, FetchError};

/// What is to be fetched, and where it shall lie.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The address: HTTPS, or HTTP on this machine.
    pub address: &'a str,
    /// Sent to the address's own origin, and not along with a redirect to another.
    pub credentials: Option<&'a Credentials>,
    /// The file to make. While it is not whole, `.NAME.part` and `.NAME.part.json` lie beside it.
    pub target: &'a Path,
    /// The first hexadecimal digits of its SHA-256, where they are known beforehand.
    pub sha256: Option<&'a str>,
    /// Bytes that it may have at most.
    pub limit: u64,
    /// What to tell a person about an HTTP status of that origin, beyond what it says itself.
    pub advice: &'a dyn Fn(u16) -> Option<String>,
}

/// A file that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// Whether anything was fetched: not if it was there already.
    pub fetched: bool,
}

/// A cut that comes after this many new bytes does not count as one of many failures in a row.
const HEADWAY: u64 = 1 << 20;

/// Fetches a file.
///
/// A target that is there and has the right [`Request::sha256`] is left as it is, and so is one for which no SHA-256
/// is known: only whole, verified files get that name. A download that was cut, stopped or killed goes on where it was
/// (`Range` and `If-Range`), if the server can and the file is the same; what fails in passing is tried again.
/// The length, `x-goog-hash` and `sha256` are verified before the file gets its name.
///
/// # Errors
/// Any [`FetchError`]. The part that came is kept, to go on from, except after [`FetchError::Checksum`] and
/// [`FetchError::TooLarge`].
pub fn download(
    client: &Client,
    request: &Request<'_>,
    observer: &mut Observer<'_>,
    stop: &AtomicBool,
) -> Result<Download, FetchError> {
    let address = Address::parse(request.address)
        .map_err(|reason| FetchError::Setting { name: plain_address(request.address), reason: reason.to_owned() })?;
    if let Some(bytes) = there_already(request, observer, stop)? {
        return Ok(Download { path: request.target.to_owned(), bytes, fetched: false });
    }
    if client.settings().offline {
        return Err(FetchError::Offline { what: address.to_string() });
    }
    let identity = hex(&Sha256::digest(address.uri().to_string()));
    let part = Part::open(request.target, identity, request.sha256)?;
    if part.len() > 0 {
        observer(&Event::Note(format!("going on from {}", text::size(part.len()))));
    }
    let mut job = Fetching { client, request, address, part, check: None, observer, stop };
    job.run()?;
    let bytes = job.part.len();
    job.part.finish(request.target)?;
    Ok(Download { path: request.target.to_owned(), bytes, fetched: true })
}

/// The bytes of a target that is right.
fn there_already(
    request: &Request<'_>,
    observer: &mut Observer<'_>,
    stop: &AtomicBool,
) -> Result<Option<u64>, FetchError> {
    let file = match File::open(request.target) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FetchError::io("read", request.target, e)),
    };
    let bytes = file.metadata().map_err(|e| FetchError::io("read", request.target, e))?.len();
    let Some(sha256) = request.sha256 else { return Ok(Some(bytes)) };
    let mut check = Check::new(&Promise { sha256: Some(sha256.to_owned()), ..Promise::default() });
    let mut verifying = Verifying::new(bytes, 0, observer, stop);
    verifying.read(request.target, file, |bytes| check.update(bytes))?;
    verifying.finish();
    match check.finish() {
        Ok(()) => Ok(Some(bytes)),
        Err(broken) => {
            observer(&Event::Note(format!(
                "{} is there, but its SHA-256 is {} and should begin with {}: fetching it anew",
                text::path(request.target),
                broken.found,
                broken.expected
            )));
            Ok(None)
        }
    }
}

/// A download under way.
struct Fetching<'a, 'o> {
    client: &'a Client,
    request: &'a Request<'a>,
    address: Address,
    part: Part,
    /// Has seen the bytes of `part`; none where they have to be read again.
    check: Option<Check>,
    observer: &'a mut Observer<'o>,
    stop: &'a AtomicBool,
}

/// How an attempt that did not fail ended.
enum Outcome {
    Whole,
    /// Every byte came, and they are wrong.
    Broken(Broken),
}

impl Fetching<'_, '_> {
    /// Tries until the file is whole, or it makes no sense any more.
    fn run(&mut self) -> Result<(), FetchError> {
        let settings = self.client.settings();
        let (mut failures, mut best, mut broken_before) = (0u32, self.part.len(), false);
        loop {
            let (reason, after) = match self.attempt() {
                Ok(Outcome::Whole) => return Ok(()),
                Ok(Outcome::Broken(broken)) => {
                    self.drop_bytes()?;
                    if std::mem::replace(&mut broken_before, true) {
                        let Broken { kind, expected, found } = broken;
                        return Err(FetchError::Checksum { address: self.address.to_string(), kind, expected, found });
                    }
                    // Once by chance (a disk, a part from another day); twice is the server's.
                    (format!("the {} of what came is wrong; beginning anew", broken.kind), None)
                }
                Err(Failure::Lasting(error)) => {
                    // Most of what ends a download today has nothing to say against the bytes of yesterday.
                    if matches!(error, FetchError::TooLarge { .. }) {
                        self.drop_bytes()?;
                    }
                    return Err(match error {
                        FetchError::Connection { address, reason, .. } => {
                            FetchError::Connection { address, reason, kept: self.part.len() }
                        }
                        error => error,
                    });
                }
                Err(Failure::Passing { reason, after }) => (reason, after),
            };
            if self.part.len() >= best.saturating_add(HEADWAY) {
                best = self.part.len();
                failures = 0;
            }
            failures += 1;
            let give_up = |reason: String| FetchError::Connection {
                address: self.address.to_string(),
                reason,
                kept: self.part.len(),
            };
            if failures >= settings.attempts {
                return Err(give_up(format!("{reason} (given up after {failures} attempts)")));
            }
            if let Some(after) = after.filter(|after| *after > settings.longest_wait) {
                let minutes = after.as_secs().div_ceil(60);
                return Err(give_up(format!("{reason} and asks to come back in {minutes} minutes")));
            }
            let pause = settings.first_wait.saturating_mul(1 << (failures - 1).min(16)).min(settings.longest_wait);
            let pause = after.unwrap_or(pause);
            (self.observer)(&Event::Note(format!(
                "{reason}; trying again in {:.0} s (attempt {} of {})",
                pause.as_secs_f64().ceil(),
                failures + 1,
                settings.attempts
            )));
            if !wait(pause, self.stop) {
                return Err(FetchError::Stopped { kept: self.part.len() });
            }
        }
    }

    fn drop_bytes(&mut self) -> Result<(), FetchError> {
        self.check = None;
        let address = self.part.known().address.clone();
        self.part.restart(Known { address, ..Known::default() })
    }

    /// One request, from where the part ends.
    fn attempt(&mut self) -> Result<Outcome, Failure> {
        if !self.part.can_go_on(self.request.sha256) {
            self.drop_bytes().map_err(Failure::Lasting)?;
        }
        let from = self.part.len();
        if self.check.is_none() && from > 0 {
            let mut check = Check::new(&self.part.known().promise(self.request.sha256));
            self.part.read_into(&mut check, self.observer, self.stop).map_err(Failure::Lasting)?;
            self.check = Some(check);
        }
        if from > 0 && self.part.known().total == Some(from) {
            // Killed between the last byte and the name.
            return Ok(self.judge());
        }
        let ask = Ask {
            address: self.address.clone(),
            credentials: self.request.credentials.cloned(),
            from: (from > 0).then(|| (from, self.part.known().validator())),
        };
        let connection = Connection::open(self.client, ask).map_err(Failure::Lasting)?;
        let stopped = |part: &Part| Failure::Lasting(FetchError::Stopped { kept: part.len() });
        match connection.next(self.stop).ok_or_else(|| stopped(&self.part))?? {
            Piece::Head(head) => self.begin(&head, from)?,
            Piece::Bytes(_) | Piece::End => return Err(Failure::passing("the answer has no head")),
        }
        let total = self.part.known().total;
        let mut progress = Progress::new(Job::Downloading, total);
        loop {
            match connection.next(self.stop).ok_or_else(|| stopped(&self.part))?? {
                Piece::Head(_) => return Err(Failure::passing("the answer has two heads")),
                Piece::Bytes(bytes) => {
                    let would_be = self.part.len() + bytes.len() as u64;
                    if would_be > self.request.limit {
                        return Err(Failure::Lasting(FetchError::TooLarge {
                            address: self.address.to_string(),
                            found: None,
                            limit: self.request.limit,
                        }));
                    }
                    if total.is_some_and(|total| would_be > total) {
                        self.drop_bytes().map_err(Failure::Lasting)?;
                        return Err(Failure::passing(format!("{} sends more than it said", self.address.host())));
                    }
                    self.part.append(&bytes).map_err(Failure::Lasting)?;
                    if let Some(check) = &mut self.check {
                        check.update(&bytes);
                    }
                    progress.at(self.part.len(), self.observer);
                }
                Piece::End => break,
            }
        }
        if let Some(total) = total.filter(|total| *total != self.part.len()) {
            let (have, total) = (text::size(self.part.len()), text::size(total));
            return Err(Failure::passing(format!("the connection was cut at {have} of {total}")));
        }
        progress.tell(self.part.len(), self.observer);
        Ok(self.judge())
    }

    /// Whether the bytes are the promised ones.
    fn judge(&mut self) -> Outcome {
        match self.check.take().map_or(Ok(()), Check::finish) {
            Ok(()) => Outcome::Whole,
            Err(broken) => Outcome::Broken(broken),
        }
    }

    /// Looks at the head of an answer to a request for the bytes from `from` on, and makes the part ready for what
    /// follows.
    fn begin(&mut self, head: &Head, from: u64) -> Result<(), Failure> {
        match head.status {
            200 | 206 => {}
            416 if from > 0 => {
                self.drop_bytes().map_err(Failure::Lasting)?;
                return Err(anew("the server does not know the part that is missing"));
            }
            408 | 429 | 500 | 502 | 503 | 504 => {
                let words = self.words(head).map(|words| format!(": {words}")).unwrap_or_default();
                let reason = format!("{} answered {}{words}", head.address.host(), status_name(head.status));
                return Err(Failure::Passing { reason, after: head.retry_after });
            }
            _ => return Err(Failure::Lasting(self.status(head, head.status))),
        }
        let kind = head.header("content-type").unwrap_or_default().to_ascii_lowercase();
        if kind.starts_with("text/html") {
            let signs_in = head.address.same_origin(&self.address) && head.address.path().contains("login");
            return Err(Failure::Lasting(if signs_in {
                self.status(head, 401)
            } else {
                let what = "a web page instead of the file: a sign-in page or a proxy may stand in between";
                FetchError::Content { address: head.address.to_string(), what: what.to_owned() }
            }));
        }
        if let Some(encoding) = head.header("content-encoding").filter(|e| !e.eq_ignore_ascii_case("identity")) {
            let what = format!("the file in an encoding that was not asked for ({})", text::plain(encoding, 40));
            return Err(Failure::Lasting(FetchError::Content { address: head.address.to_string(), what }));
        }
        let mut known = known(head);
        known.address = self.part.known().address.clone();
        if head.status == 206 {
            let range = head.header("content-range").and_then(content_range);
            let Some((first, total)) = range.filter(|_| from > 0) else {
                return Err(Failure::passing(format!("{} sends a part that nobody asked for", head.address.host())));
            };
            known.total = total;
            if first != from || !self.part.known().same_file(&known) {
                self.drop_bytes().map_err(Failure::Lasting)?;
                return Err(anew("the file on the server is another one now"));
            }
        } else {
            if from > 0 {
                let text = "the server sends the file from its beginning: it cannot go on, or the file is a new one";
                (self.observer)(&Event::Note(text.to_owned()));
            }
            self.check = Some(Check::new(&known.promise(self.request.sha256)));
            self.part.restart(known).map_err(Failure::Lasting)?;
        }
        if let Some(found) = self.part.known().total.filter(|total| *total > self.request.limit) {
            let (address, limit) = (self.address.to_string(), self.request.limit);
            return Err(Failure::Lasting(FetchError::TooLarge { address, found: Some(found), limit }));
        }
        self.part.require_room().map_err(Failure::Lasting)
    }

    fn words(&self, head: &Head) -> Option<String> {
        let words = head.words.as_deref()?;
        Some(self.request.credentials.map_or_else(|| words.to_owned(), |credentials| credentials.redact(words)))
    }

    /// A status that ends it, with what the server says and what a person can do.
    fn status(&self, head: &Head, status: u16) -> FetchError {
        let own = head.address.same_origin(&self.address);
        let advice = if own { (self.request.advice)(status) } else { None };
        let advice = advice.unwrap_or_else(|| {
            let what = reason(status).unwrap_or("a status without a name");
            match (own, status) {
                (true, 404 | 410) => format!("{what}, there is no such file"),
                (true, _) => format!("{what}; try again later"),
                (false, _) => format!("{what}, though it was asked as told; try again later"),
            }
        });
        let said = self.words(head).map(|words| format!(" (it says: {words})")).unwrap_or_default();
        FetchError::Status { address: head.address.to_string(), status, advice: format!("{advice}{said}") }
    }
}

/// What ends an attempt after which the next one begins at the first byte, at once.
fn anew(reason: &str) -> Failure {
    Failure::Passing { reason: format!("{reason}; beginning anew"), after: Some(Duration::ZERO) }
}

/// What an answer with the whole file, or with a part of it, says about it.
fn known(head: &Head) -> Known {
    let text = |name| head.header(name).map(|value| value.chars().take(1000).collect::<String>());
    let hashes = head.headers.get_all("x-goog-hash");
    let promise = Promise::from_headers(hashes.iter().filter_map(|value| value.to_str().ok()));
    Known {
        address: String::new(),
        // A weak one says that two files mean the same, not that their bytes are.
        etag: text("etag").filter(|etag| !etag.starts_with("W/")),
        modified: text("last-modified"),
        total: head.header("content-length").and_then(|length| length.trim().parse().ok()),
        md5: promise.md5,
        crc32c: promise.crc32c,
    }
}

/// The first byte and the length of the whole: `bytes 5-9/10`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, total.trim().parse().ok()))
}

fn status_name(status: u16) -> String {
    reason(status).map_or_else(|| status.to_string(), |reason| format!("{status} ({reason})"))
}

/// The words for a status.
fn reason(status: u16) -> Option<&'static str> {
    ureq::http::StatusCode::from_u16(status).ok()?.canonical_reason()
}

/// An address that could not be parsed, without what might be a key in it.
fn plain_address(address: &str) -> String {
    if address.contains('@') {
        return "the address".to_owned();
    }
    text::plain(address.split(['?', '#']).next().unwrap_or_default(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_rfc_9110() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes */10", "bytes 5-9", "items 5-9/10"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wrong_address_is_shown_without_a_key() {
        assert_eq!(plain_address("ftp://h/x?key=s3cret"), "ftp://h/x");
        assert_eq!(plain_address("https://ada:s3cret@h/x"), "the address");
    }
}

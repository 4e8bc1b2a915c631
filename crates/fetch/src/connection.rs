//! A request on a thread of its own, so that who waits for it can stop waiting at once.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use ureq::http::HeaderMap;

use crate::FetchError;
use crate::address::Address;
use crate::client::{Ask, Client, Failure, body_failure};

/// The head of an answer.
pub(crate) struct Head {
    pub status: u16,
    /// Who gave it: where redirects led.
    pub address: Address,
    pub headers: HeaderMap,
    /// What `Retry-After` asks for.
    pub retry_after: Option<Duration>,
    /// What the server says about a status that is no success.
    pub words: Option<String>,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What comes out of a connection: first a head, then bytes, then the end.
pub(crate) enum Piece {
    Head(Box<Head>),
    Bytes(Vec<u8>),
    /// The server says that this is all.
    End,
}

/// A request under way. Dropping it ends it at the next byte that comes.
pub(crate) struct Connection {
    pieces: Receiver<Result<Piece, Failure>>,
}

impl Connection {
    /// Sends the request.
    pub(crate) fn open(client: &Client, ask: Ask) -> Result<Self, FetchError> {
        // A megabyte in flight: the network does not wait for the disk, nor memory for either.
        let (sender, pieces) = sync_channel(16);
        let client = client.clone();
        let name = "fetch".to_owned();
        std::thread::Builder::new()
            .name(name)
            .spawn(move || carry(&client, &ask, &sender))
            .map_err(|source| FetchError::Io { action: "start a thread for", path: "the download".into(), source })?;
        Ok(Connection { pieces })
    }

    /// The next piece; `None` where `stop` was set before one came.
    pub(crate) fn next(&self, stop: &AtomicBool) -> Option<Result<Piece, Failure>> {
        loop {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            match self.pieces.recv_timeout(Duration::from_millis(50)) {
                Ok(piece) => return Some(piece),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Some(Err(Failure::passing("the connection ended without a word")));
                }
            }
        }
    }
}

/// Sends pieces until the end or until nobody listens.
fn carry(client: &Client, ask: &Ask, sender: &SyncSender<Result<Piece, Failure>>) {
    let mut answer = match client.ask(ask) {
        Ok(answer) => answer,
        Err(failure) => {
            let _ = sender.send(Err(failure));
            return;
        }
    };
    let success = matches!(answer.status, 200 | 206);
    let head = Head {
        status: answer.status,
        retry_after: answer.retry_after(),
        words: if success { None } else { answer.words() },
        address: answer.address.clone(),
        headers: std::mem::take(&mut answer.headers),
    };
    if sender.send(Ok(Piece::Head(Box::new(head)))).is_err() || !success {
        return;
    }
    let mut body = answer.body.into_reader();
    loop {
        let mut bytes = vec![0; 64 << 10];
        let piece = match body.read(&mut bytes) {
            Ok(0) => Ok(Piece::End),
            Ok(n) => {
                bytes.truncate(n);
                Ok(Piece::Bytes(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let reason = body_failure(error, client.settings());
                Err(Failure::passing(format!("{}: {reason}", answer.address.host())))
            }
        };
        let last = !matches!(piece, Ok(Piece::Bytes(_)));
        if sender.send(piece).is_err() || last {
            return;
        }
    }
}

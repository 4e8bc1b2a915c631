//! What a client sends, read within bounds: of bytes, of time, and of all that is being read at once.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::problem::Problem;

/// Bytes of a film: those of 100 million pixels of 16 bits and some header.
pub(crate) const MOST_BYTES: usize = 256 << 20;
/// Of all films that are in memory at once, so many kibibytes.
const ALL_KIB: usize = 1 << 20;
/// A client that sends nothing for so long is cut, and one that is not through after so long.
const SILENCE: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(300);

/// Room for films in memory.
pub(crate) struct Room(Arc<Semaphore>);

/// Bytes of a film, with the room they take.
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    permits: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(crate) fn new() -> Self {
        Room(Arc::new(Semaphore::new(ALL_KIB)))
    }

    /// Reads pieces until there are no more.
    pub(crate) async fn read<E: std::fmt::Display>(
        &self,
        pieces: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Held, Problem> {
        let mut pieces = pin!(pieces);
        let mut held = Held { bytes: Vec::new(), permits: None };
        let end = Instant::now() + WHOLE;
        loop {
            let wait = SILENCE.min(end.saturating_duration_since(Instant::now()));
            let piece = match timeout(wait, pieces.next()).await {
                Err(_) => return Err(Problem::slow("the film did not come in time")),
                Ok(None) => return Ok(held),
                Ok(Some(Err(e))) => return Err(Problem::bad(format!("the film was not sent to its end: {e}"))),
                Ok(Some(Ok(piece))) => piece,
            };
            let length = held.bytes.len() + piece.len();
            if length > MOST_BYTES {
                return Err(Problem::large(format!("a film has {} MiB at most", MOST_BYTES >> 20)));
            }
            let more = length.div_ceil(1024) - held.bytes.len().div_ceil(1024);
            if more > 0 {
                let more = Arc::clone(&self.0).try_acquire_many_owned(more as u32).map_err(|_| Problem::busy())?;
                match &mut held.permits {
                    Some(permits) => permits.merge(more),
                    none => *none = Some(more),
                }
            }
            held.bytes.extend_from_slice(&piece);
        }
    }

    /// Reads a body.
    pub(crate) async fn read_body(&self, body: Body) -> Result<Held, Problem> {
        self.read(body.into_data_stream()).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
    }

    /// Pieces of so many bytes, then silence or the end.
    async fn sent(room: &Room, pieces: Vec<usize>, silent: bool) -> Result<Held, Problem> {
        let pieces = stream::iter(pieces).map(|length| Ok::<_, String>(Bytes::from(vec![1; length])));
        if silent { room.read(pieces.chain(stream::pending())).await } else { room.read(pieces).await }
    }

    #[test]
    fn bodies_have_bounds() {
        let room = Room::new();
        let problem =
            |pieces, silent| wait(sent(&room, pieces, silent)).err().map(|problem| problem.detail().to_owned());
        assert_eq!(wait(sent(&room, vec![3, 4], false)).unwrap().bytes, [1; 7]);
        assert_eq!(problem(vec![MOST_BYTES, 1], false).unwrap(), "a film has 256 MiB at most");
        assert_eq!(problem(vec![5], true).unwrap(), "the film did not come in time");
        // Four of the largest are held; the fifth is told to wait, and goes when one of them has gone.
        let mut held: Vec<Held> = (0..4).map(|_| wait(sent(&room, vec![MOST_BYTES], false)).unwrap()).collect();
        assert!(problem(vec![2000], false).unwrap().contains("ask again"));
        held.pop();
        assert_eq!(problem(vec![2000], false), None);
        drop(held);
        assert_eq!(room.0.available_permits(), ALL_KIB, "all room is given back");
    }
}

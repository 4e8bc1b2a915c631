//! A client that does not take its answer: it is cut after a while, so that it holds no connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection whose client takes some of what is written within so much time, or none at all.
pub(crate) struct Reader<S> {
    stream: S,
    patience: Duration,
    /// Since when it takes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Reader<S> {
    pub(crate) fn new(stream: S, patience: Duration) -> Self {
        Reader { stream, patience, waiting: None }
    }

    /// What came of a write; an error where nothing was taken for too long.
    fn timed<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        waiting.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Reader<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Reader<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.timed(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.timed(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.timed(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.timed(shut, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn who_takes_nothing_is_cut_and_who_is_slow_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let patience = Duration::from_secs(30);
            // The other end takes nothing of what goes beyond its buffer.
            let (ours, theirs) = duplex(64);
            let begun = Instant::now();
            let error = Reader::new(ours, patience).write_all(&[7; 1000]).await.unwrap_err();
            assert_eq!((error.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
            drop(theirs);
            // The other end takes a little every twenty seconds.
            let (ours, mut theirs) = duplex(64);
            let reading = tokio::spawn(async move {
                let (mut piece, mut all) = ([0; 50], 0);
                while all < 1000 {
                    sleep(Duration::from_secs(20)).await;
                    all += theirs.read(&mut piece).await.unwrap();
                }
                all
            });
            Reader::new(ours, patience).write_all(&[7; 1000]).await.unwrap();
            assert_eq!(reading.await.unwrap(), 1000);
        });
    }
}

//! Connections: taken, bounded, cut where they are slow, and ended when the server ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::reader::Reader;

/// Connections at once; more wait until one is free.
const MOST: usize = 256;
/// A client whose headers are not there after so long is cut; so is one that asks nothing more for so long.
const HEADERS: Duration = Duration::from_secs(10);
/// A client that takes nothing of its answer for so long is cut.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of headers.
const MOST_HEADERS: usize = 64 * 1024;
/// How long answers may take once the server is to end.
const DRAIN: Duration = Duration::from_secs(10);
/// Between two looks at whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Serves until `stop` is set, and then ends what is open. `end` is told so, for what has no end of its own.
pub(crate) async fn accept(listener: &TcpListener, router: Router, stop: &AtomicBool, end: &watch::Sender<bool>) {
    let room = Arc::new(Semaphore::new(MOST));
    let graceful = GracefulShutdown::new();
    let stopped = async {
        while !stop.load(Ordering::Relaxed) {
            sleep(LOOK).await;
        }
    };
    tokio::pin!(stopped);
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = &mut stopped => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // Too many files are open, or the client has gone already.
            Err(_) => {
                sleep(LOOK).await;
                continue;
            }
        };
        // Small answers go at once.
        let _ = stream.set_nodelay(true);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(MOST_HEADERS);
        let connection = http
            .serve_connection(TokioIo::new(Reader::new(stream, PATIENCE)), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off is no error of ours.
            let _ = connection.await;
            drop(permit);
        });
    }
    let _ = end.send(true);
    let _ = timeout(DRAIN, graceful.shutdown()).await;
}

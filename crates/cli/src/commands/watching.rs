//! A page that shows trainings as they go on: `train --serve`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use lungfish_serve::{ServeError, ServeRequest};

use crate::print;

/// A page that is there until it is dropped.
pub struct Page {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    /// Opens a page of trainings that need not have begun, at a port of this machine, and says where.
    pub fn open(runs: Vec<PathBuf>, port: u16) -> anyhow::Result<Self> {
        let mut request = ServeRequest::new([] as [PathBuf; 0]);
        (request.watch, request.port) = (runs, port);
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel::<Result<String, ServeError>>();
        let ended = Arc::clone(&stop);
        let serve = move || {
            let started = tell.clone();
            let served = lungfish_serve::serve(&request, |at| drop(started.send(Ok(at.url.clone()))), &ended);
            if let Err(error) = served {
                // Nobody listens any more where it had started.
                let _ = tell.send(Err(error));
            }
        };
        let page = Page { stop, thread: Some(std::thread::Builder::new().name("page".to_owned()).spawn(serve)?) };
        let url = told.recv()??;
        print::out(format_args!("Watch it at {url} as long as it goes on"))?;
        Ok(page)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

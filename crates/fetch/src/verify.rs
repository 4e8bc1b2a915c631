//! Reading what is there already, to see whether it is right.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::FetchError;
use crate::event::{Job, Observer, Progress};

/// Files that are read one after the other, as one job.
pub(crate) struct Verifying<'a, 'o> {
    progress: Progress,
    done: u64,
    kept: u64,
    buffer: Vec<u8>,
    observer: &'a mut Observer<'o>,
    stop: &'a AtomicBool,
}

impl<'a, 'o> Verifying<'a, 'o> {
    /// Of files of `total` bytes. `kept` is what [`FetchError::Stopped`] says of them.
    pub(crate) fn new(total: u64, kept: u64, observer: &'a mut Observer<'o>, stop: &'a AtomicBool) -> Self {
        let progress = Progress::new(Job::Verifying, Some(total));
        Verifying { progress, done: 0, kept, buffer: vec![0; 1 << 20], observer, stop }
    }

    /// Shows `see` every byte of a file, and gives their number.
    pub(crate) fn read(
        &mut self,
        path: &Path,
        mut file: impl Read,
        mut see: impl FnMut(&[u8]),
    ) -> Result<u64, FetchError> {
        let before = self.done;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(FetchError::Stopped { kept: self.kept });
            }
            let n = file.read(&mut self.buffer).map_err(|e| FetchError::io("read", path, e))?;
            if n == 0 {
                return Ok(self.done - before);
            }
            see(&self.buffer[..n]);
            self.done += n as u64;
            self.progress.at(self.done, self.observer);
        }
    }

    /// Tells the end of the job.
    pub(crate) fn finish(mut self) {
        self.progress.tell(self.done, self.observer);
    }
}

//! What a download or an unpacking tells while it runs.

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Worth knowing.
    Note(String),
    /// Worth acting on.
    Warning(String),
    /// How far a job has come. Sent some ten times a second, and once at the end of the job.
    Progress {
        /// The job.
        job: Job,
        /// Bytes done.
        done: u64,
        /// Bytes in all; none where nobody knows.
        total: Option<u64>,
    },
}

/// Something that takes a while; all count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Job {
    /// Bytes come over the network.
    Downloading,
    /// What is already there is read and compared with its checksum.
    Verifying,
    /// Files come out of an archive.
    Unpacking,
}

/// Takes events; called from the thread that runs the job, in order.
pub type Observer<'a> = dyn FnMut(&Event) + 'a;

/// Sends [`Event::Progress`], not more often than a person can see.
pub(crate) struct Progress {
    job: Job,
    total: Option<u64>,
    told: Option<std::time::Instant>,
}

impl Progress {
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

    pub(crate) fn new(job: Job, total: Option<u64>) -> Self {
        Progress { job, total, told: None }
    }

    pub(crate) fn at(&mut self, done: u64, observer: &mut Observer<'_>) {
        if self.told.is_none_or(|told| told.elapsed() >= Self::PAUSE) {
            self.tell(done, observer);
        }
    }

    pub(crate) fn tell(&mut self, done: u64, observer: &mut Observer<'_>) {
        self.told = Some(std::time::Instant::now());
        observer(&Event::Progress { job: self.job, done, total: self.total });
    }
}

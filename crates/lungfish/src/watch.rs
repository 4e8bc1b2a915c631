//! Who waits for a job: somebody who is told of it, and a flag that stops it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::Event;

/// Takes [`Event`]s. Called from the thread that runs the job, in order.
pub trait Observer {
    /// Something happened.
    fn event(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Observer for F {
    fn event(&mut self, event: &Event) {
        self(event);
    }
}

/// Takes events and does nothing with them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event) {}
}

/// Who waits for something that takes longer than a second: an [`Observer`] that is told what happens, and a flag that
/// stops it between two films or steps when somebody sets it to true.
///
/// ```
/// use std::sync::atomic::AtomicBool;
/// use lungfish::{Event, Silent, Watch};
/// let stop = AtomicBool::new(false);
/// let mut quiet = Silent;
/// let mut watch = Watch::new(&mut quiet, &stop);
/// watch.event(&Event::Note("begun".to_owned()));
/// assert!(!watch.stopped());
/// ```
pub struct Watch<'a> {
    observer: &'a mut dyn Observer,
    stop: &'a AtomicBool,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("stop", self.stop).finish_non_exhaustive()
    }
}

impl<'a> Watch<'a> {
    /// An observer and a stop flag.
    pub fn new(observer: &'a mut dyn Observer, stop: &'a AtomicBool) -> Self {
        Watch { observer, stop }
    }

    /// Tells the observer.
    pub fn event(&mut self, event: &Event) {
        self.observer.event(event);
    }

    /// Tells what is worth knowing.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.event(&Event::Note(text.into()));
    }

    /// Tells what is worth acting on.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.event(&Event::Warning(text.into()));
    }

    /// Whether somebody asked for the job to stop.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The flag, for code that waits elsewhere.
    pub(crate) fn flag(&self) -> &'a AtomicBool {
        self.stop
    }
}

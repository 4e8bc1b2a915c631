//! Ctrl-C: the first one asks for an orderly end, the second one ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit status of a second Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

/// Makes a write beyond the allowed file size (`ulimit -f`) an error that is told, where the system would end the
/// program in the middle of it.
pub fn survive_file_limits() {
    // Any handler does; if none can be set, the system's answer stays.
    #[cfg(unix)]
    let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Sets `stop` when SIGINT or SIGTERM comes, and then calls `say` from another thread, so that who pressed the keys
/// gets an answer at once. Another signal after that leaves the program on the spot.
pub fn on_signal(stop: Arc<AtomicBool>, say: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Hooks run in the order in which they are set: the first signal finds the flag down.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&asked))
            .and_then(|_| flag::register(signal, Arc::clone(&asked)))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .context("cannot listen for Ctrl-C")?;
    }
    std::thread::spawn(move || {
        while !asked.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        say();
    });
    Ok(())
}

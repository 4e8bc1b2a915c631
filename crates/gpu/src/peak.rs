//! What a device reaches where nothing keeps it from it, measured.

use std::time::{Duration, Instant};

use lungfish_engine::EngineError;

use crate::Wgpu;
use crate::device::Groups;
use crate::kernel::Kernel;
use crate::launch::{Launch, Numbers, View};

/// Enough threads for any card.
const THREADS: usize = 1 << 20;
/// Operations of a thread in a round: 16 times 4 vectors of 4, a multiplication and an addition each.
const OPERATIONS: f64 = 16.0 * 4.0 * 4.0 * 2.0;
/// What is measured lasts at least so long, so that handing it over counts for little.
const LONG: Duration = Duration::from_millis(100);

impl Wgpu {
    /// Floating-point operations a second in single precision where nothing keeps the device from them.
    ///
    /// # Errors
    /// [`EngineError::Device`].
    pub fn peak(&self) -> Result<f64, EngineError> {
        let (buffer, id) = self.open.allocate(THREADS as u64 * 4)?;
        let seconds = |rounds: usize| -> Result<f64, EngineError> {
            let begun = Instant::now();
            let views = vec![Some(View::floats(&buffer, id, 0..THREADS))];
            let launch = Launch::each(Kernel::Peak, THREADS, views, Numbers::default().u(rounds));
            self.open.launch(&mut Groups::default(), launch)?;
            self.open.read(&buffer, 0, &mut [0; 4])?;
            Ok(begun.elapsed().as_secs_f64())
        };
        // The first launch makes the pipeline.
        seconds(1)?;
        let mut rounds = 4;
        while seconds(rounds)? < LONG.as_secs_f64() && rounds < 1 << 20 {
            rounds *= 2;
        }
        let fastest = [seconds(rounds)?, seconds(rounds)?, seconds(rounds)?].into_iter().fold(f64::INFINITY, f64::min);
        Ok(THREADS as f64 * rounds as f64 * OPERATIONS / fastest)
    }
}

//! The memory that all films together take while they are decoded. A film waits here, once its size is known and before its
//! pixels are asked for, until there is room; one that is larger than all of it is decoded alone.

use std::cell::RefCell;
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};

use crate::memory::Memory;

/// Bytes that decoding takes at most for a pixel: four samples of 16 bits as stored, and three as they are handed on, with
/// room to spare.
const BYTES_A_PIXEL: u64 = 12;
/// Where the system does not tell what there is.
const UNKNOWN: u64 = 2 << 30;

static BUDGET: LazyLock<Budget> = LazyLock::new(|| Budget::new(Memory::look().most().unwrap_or(UNKNOWN) / 2));

thread_local! {
    /// What the film takes that is being decoded on this thread.
    static HELD: RefCell<Option<Share<'static>>> = const { RefCell::new(None) };
}

/// Decodes a film; what it takes on the way is given back at the end, however that comes.
pub(super) fn film<T>(decode: impl FnOnce() -> T) -> T {
    struct GiveBack;
    impl Drop for GiveBack {
        fn drop(&mut self) {
            HELD.take();
        }
    }
    let _at_the_end = GiveBack;
    decode()
}

/// Waits until there is room for so many pixels, those that this film was given before among them. Those are given back
/// first, so that no two films wait for each other.
pub(super) fn take(pixels: u64) {
    let bytes = pixels * BYTES_A_PIXEL;
    if HELD.with_borrow(|held| held.as_ref().is_none_or(|share| share.bytes < bytes.min(BUDGET.most))) {
        HELD.take();
        let share = BUDGET.take(bytes);
        HELD.set(Some(share));
    }
}

/// So many bytes, to be shared.
struct Budget {
    most: u64,
    taken: Mutex<u64>,
    freed: Condvar,
}

/// A part of it, until it is dropped.
struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    fn new(most: u64) -> Self {
        Budget { most, taken: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits for its part; more than there is at all counts as all of it.
    fn take(&self, bytes: u64) -> Share<'_> {
        let bytes = bytes.min(self.most);
        // A thread that panicked while it held the lock left a number that is right.
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |taken: &mut u64| *taken + bytes > self.most;
        let mut taken = self.freed.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner);
        *taken += bytes;
        Share { budget: self, bytes }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.budget.taken.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn films_on_many_threads_stay_within_it_and_none_waits_for_ever() {
        let budget = Budget::new(100);
        let (now, most, alone) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                let (budget, now, most, alone) = (&budget, &now, &most, &alone);
                scope.spawn(move || {
                    for film in 0..200 {
                        // Some of them larger than all there is.
                        let bytes = [7, 30, 60, 500][((thread + film) % 4) as usize];
                        let share = budget.take(bytes);
                        let all = now.fetch_add(share.bytes, Ordering::SeqCst) + share.bytes;
                        most.fetch_max(all, Ordering::SeqCst);
                        if bytes > budget.most {
                            alone.fetch_add(u64::from(all == share.bytes), Ordering::SeqCst);
                        }
                        now.fetch_sub(share.bytes, Ordering::SeqCst);
                        drop(share);
                    }
                });
            }
        });
        assert!((60..=100).contains(&most.into_inner()));
        assert_eq!(alone.into_inner(), 8 * 50, "a film beyond the budget has it for itself");
        assert_eq!(*budget.taken.lock().unwrap(), 0);
    }

    #[test]
    fn a_film_gives_back_what_it_took_even_where_its_decoder_panics() {
        let taken = || HELD.with_borrow(|held| held.as_ref().map_or(0, |share| share.bytes));
        film(|| {
            take(10);
            assert_eq!(taken(), 10 * BYTES_A_PIXEL);
            take(20);
            take(15);
            assert_eq!(taken(), 20 * BYTES_A_PIXEL);
        });
        assert_eq!(taken(), 0);
        let broken = std::panic::catch_unwind(|| film(take_and_panic));
        assert!(broken.is_err());
        assert_eq!(taken(), 0);
    }

    fn take_and_panic() {
        take(10);
        panic!("a decoder that gives up");
    }
}

//! Files that were damaged by chance, the same chance each time: what every parser of foreign bytes is tried with.
//!
//! `LUNGFISH_FUZZ_CASES` says how many damaged files each parser gets; without it they are few enough for every test run.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

/// How many damaged files a parser gets: what `LUNGFISH_FUZZ_CASES` says, else `few`.
pub fn cases(few: usize) -> usize {
    match std::env::var("LUNGFISH_FUZZ_CASES") {
        Ok(text) if !text.is_empty() => text.parse().expect("LUNGFISH_FUZZ_CASES is a number"),
        _ => few,
    }
}

/// Longer than any parser may take for one small file, on the busiest machine.
const LONGEST: Duration = Duration::from_secs(20);

/// More memory than any parser may take for small files: 100 megapixels of three channels, read and kept, are below it.
const MOST_MEMORY: u64 = 2 << 30;

/// Damages files. Numbers are SplitMix64's.
pub struct Damage(u64);

impl Damage {
    pub fn new(seed: u64) -> Damage {
        Damage(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A file with one to four damages; pieces come from `other`. Heads of files are hit as often as all the rest.
    pub fn damage(&mut self, whole: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..=self.below(4) {
            self.once(&mut bytes, other);
        }
        bytes
    }

    fn once(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let reach = if self.below(2) == 0 { bytes.len().min(64) } else { bytes.len() };
        let at = self.below(reach);
        let length = 1 + self.below(12);
        let end = (at + length).min(bytes.len());
        match self.below(7) {
            // A bit, a byte, a number that is too large or nothing.
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (length % 8)),
            1 => {
                let byte = self.next() as u8;
                bytes.iter_mut().skip(at).take(1).for_each(|place| *place = byte);
            }
            2 => bytes[at..end].fill([0x00, 0xff, 0x7f, 0x80][length % 4]),
            // Cut out, cut off, put in, put over.
            3 => drop(bytes.drain(at..end)),
            4 => bytes.truncate(at.max(1)),
            kind => {
                let from = self.below(other.len());
                let piece = &other[from..(from + length).min(other.len())];
                let end = if kind == 5 { at } else { end };
                drop(bytes.splice(at..end, piece.iter().copied()));
            }
        }
    }
}

/// Tries `parse` with damaged copies of the files: it must not panic, must come to an end soon, and gives a value, which it
/// has looked at itself, or a sentence. Gives how many copies were read and how many refused.
pub fn try_with<T>(
    what: &str,
    few: usize,
    files: &[Vec<u8>],
    mut parse: impl FnMut(&[u8]) -> Result<T, String>,
) -> (usize, usize) {
    let mut damage = Damage::new(7);
    let (mut read, mut refused) = (0, 0);
    for case in 0..cases(few) {
        let (file, other) = (&files[case % files.len()], &files[damage.below(files.len())]);
        let bytes = damage.damage(file, other);
        let begun = Instant::now();
        let answer = std::panic::catch_unwind(AssertUnwindSafe(|| parse(&bytes)));
        let took = begun.elapsed();
        assert!(took < LONGEST, "{what}, case {case}: took {took:?} for {} bytes", bytes.len());
        match answer {
            Err(_) => panic!("{what}, case {case}: panicked over {}", bytes.escape_ascii()),
            Ok(Ok(_)) => read += 1,
            Ok(Err(said)) => {
                assert_sentence(&said, &format!("{what}, case {case}"));
                refused += 1;
            }
        }
    }
    assert!(peak_memory().is_none_or(|peak| peak < MOST_MEMORY), "{what}: {:?} bytes of memory", peak_memory());
    (read, refused)
}

/// What a person is told: some words and nothing that steers a terminal.
#[track_caller]
pub fn assert_sentence(said: &str, what: &str) {
    assert!(said.contains(' ') && !said.contains(char::is_control), "{what}: {said:?} is no sentence");
}

/// The most memory that this process has had, where Linux says it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

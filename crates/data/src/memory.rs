//! What the machine has of memory, and what this program took of it.

use std::fs;

use serde::Serialize;

/// Memory of the machine, bytes; none where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Memory {
    /// What is built in.
    pub total: Option<u64>,
    /// What a program that starts now may take.
    pub available: Option<u64>,
    /// The limit of the container or control group that the program runs in.
    pub limit: Option<u64>,
}

impl Memory {
    /// Asks the system.
    pub fn look() -> Memory {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse().ok();
        // Control groups version 2, then 1; the latter writes a number beyond all memory for "no limit".
        let limit =
            number("/sys/fs/cgroup/memory.max").or_else(|| number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
        let total = bytes_of(&text, "MemTotal:");
        Memory {
            total,
            available: bytes_of(&text, "MemAvailable:"),
            limit: limit.filter(|limit| total.is_none_or(|total| *limit < total)),
        }
    }

    /// What can be had at most.
    pub fn most(self) -> Option<u64> {
        self.available.into_iter().chain(self.limit).min()
    }
}

/// The most memory that this process had at once so far, bytes.
pub fn peak() -> Option<u64> {
    bytes_of(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// A line of `/proc/meminfo` or `/proc/self/status`.
fn bytes_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_in_bytes() {
        let text = "MemTotal:       24576000 kB\nMemFree:  1 kB\nMemAvailable:   20480 kB\n";
        assert_eq!(bytes_of(text, "MemTotal:"), Some(24_576_000 * 1024));
        assert_eq!(bytes_of(text, "MemAvailable:"), Some(20_480 * 1024));
        assert_eq!(bytes_of("", "MemTotal:"), None);
    }

    #[test]
    fn the_smaller_bound_counts() {
        let memory = Memory { total: Some(9), available: Some(5), limit: Some(3) };
        assert_eq!(memory.most(), Some(3));
        assert_eq!(Memory { limit: None, ..memory }.most(), Some(5));
        assert_eq!(Memory::default().most(), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_taken_raises_the_peak() {
        let before = peak().unwrap();
        let taken = vec![1u8; 300 << 20];
        std::hint::black_box(&taken);
        assert!(peak().unwrap() >= before.max(300 << 20));
    }
}

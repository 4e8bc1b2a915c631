//! Room on a disk.

use std::path::Path;

use crate::FetchError;

/// Bytes that an ordinary user can still write below `path`; none where the system does not say.
#[cfg(unix)]
fn free(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

/// Refuses what would not fit, before the first byte of it is written.
pub(crate) fn require(path: &Path, needed: u64) -> Result<(), FetchError> {
    match free(path) {
        Some(free) if free < needed => {
            Err(FetchError::DiskFull { path: path.to_owned(), needed: Some(needed), free: Some(free) })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers() {
        use super::require;

        let dir = tempfile::tempdir().unwrap();
        require(dir.path(), 1).unwrap();
        let said = require(dir.path(), u64::MAX).unwrap_err().to_string();
        assert!(said.contains("is full (18446.7 PB are needed, ") && said.contains(" are free)"), "{said}");
    }
}

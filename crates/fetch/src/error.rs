//! What can go wrong. Every message is one sentence with the address or path and the values, and none holds a
//! credential: addresses are shown without what follows their `?`.

use std::path::{Path, PathBuf};

use crate::text;

/// An error of a download or an unpacking.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The network is switched off by the user.
    #[error("LUNGFISH_OFFLINE is set: {what} is not fetched")]
    Offline {
        /// What was asked for.
        what: String,
    },
    /// A setting (a variable, an address, a file it names) that cannot be used.
    #[error("{name}: {reason}")]
    Setting {
        /// The setting.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Credentials that cannot be used; never with their content.
    #[error("the credentials in {source_name} cannot be used: {reason}")]
    Credentials {
        /// The variable or file.
        source_name: String,
        /// What is wrong with them.
        reason: String,
    },
    /// What a server answered makes the request impossible.
    #[error("{address} answered {status}: {advice}")]
    Status {
        /// The address, without query.
        address: String,
        /// The HTTP status.
        status: u16,
        /// What it means, and what can be done.
        advice: String,
    },
    /// A redirect or address that must not be followed.
    #[error("{address} leads to {to}: {reason}")]
    Redirect {
        /// The address, without query.
        address: String,
        /// Where it leads.
        to: String,
        /// Why that is refused.
        reason: String,
    },
    /// What a server sends is not the file.
    #[error("{address} sends {what}")]
    Content {
        /// The address, without query.
        address: String,
        /// What it sends instead.
        what: String,
    },
    /// No connection, however often it was tried.
    #[error("cannot fetch {address}: {reason}{}", kept_sentence(*.kept))]
    Connection {
        /// The address, without query.
        address: String,
        /// The last failure.
        reason: String,
        /// Bytes that are kept to go on from.
        kept: u64,
    },
    /// The bytes are not those that were promised; nothing of them is kept.
    #[error("{address} sent a file whose {kind} is {found} and should be {expected}: nothing of it is kept")]
    Checksum {
        /// The address, without query.
        address: String,
        /// `MD5`, `CRC-32C` or `SHA-256`.
        kind: &'static str,
        /// What was promised.
        expected: String,
        /// What came.
        found: String,
    },
    /// A file larger than it may be.
    #[error("{address} sends {}, and {} is the most that is taken", found.map_or("more".to_owned(), text::size), text::size(*.limit))]
    TooLarge {
        /// The address, without query.
        address: String,
        /// How large it says it is.
        found: Option<u64>,
        /// The limit.
        limit: u64,
    },
    /// No room.
    #[error("the disk of {} is full{}: make room, and the same command goes on", text::path(path), room_sentence(*.needed, *.free))]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// Bytes still to be written there, where known.
        needed: Option<u64>,
        /// Bytes free, where known.
        free: Option<u64>,
    },
    /// A file or folder that could not be read or written.
    #[error("cannot {action} {}: {source}", text::path(path))]
    Io {
        /// What was tried, a verb ("write").
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// An archive that is refused; nothing of it was kept.
    #[error("the archive {} is refused: {reason}", text::path(path))]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A target folder that holds something else.
    #[error("{} {reason}", text::path(path))]
    Target {
        /// The folder.
        path: PathBuf,
        /// What is there, and what can be done.
        reason: String,
    },
    /// Something that names nothing that can be fetched.
    #[error("{0}")]
    Unknown(String),
    /// Another process does the same.
    #[error("another process is fetching {}", text::path(path))]
    Busy {
        /// What it fetches.
        path: PathBuf,
    },
    /// Stopped on request.
    #[error("stopped{}", kept_sentence(*.kept))]
    Stopped {
        /// Bytes that are kept to go on from.
        kept: u64,
    },
}

fn kept_sentence(kept: u64) -> String {
    match kept {
        0 => String::new(),
        kept => format!("; {} are kept, and the same command goes on from there", text::size(kept)),
    }
}

fn room_sentence(needed: Option<u64>, free: Option<u64>) -> String {
    match (needed, free) {
        (Some(needed), Some(free)) => format!(" ({} are needed, {} are free)", text::size(needed), text::size(free)),
        (Some(needed), None) => format!(" ({} more are needed)", text::size(needed)),
        _ => String::new(),
    }
}

impl FetchError {
    /// A failed read or write; a full disk is told as one, with what was still to come.
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::io_with(action, path, source, None)
    }

    pub(crate) fn io_with(action: &'static str, path: &Path, source: std::io::Error, needed: Option<u64>) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded => FetchError::DiskFull { path, needed, free: None },
            _ => FetchError::Io { action, path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_as_one() {
        use super::*;

        let full = Path::new("/dev/full");
        let error = std::fs::write(full, "x").unwrap_err();
        let said = FetchError::io_with("write", full, error, Some(1_500_000)).to_string();
        let expected =
            "the disk of /dev/full is full (1.5 MB more are needed): make room, and the same command goes on";
        assert_eq!(said, expected);
    }
}

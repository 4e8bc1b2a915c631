//! Verified, resumable downloads, and archives unpacked with care.

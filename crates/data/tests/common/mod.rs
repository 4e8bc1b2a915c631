//! What several tests need: small real files of each format.

use std::fs;
use std::path::{Path, PathBuf};

/// A picture of `golden/data/files`.
pub fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/data/files").join(name)
}

/// Its bytes.
pub fn golden_bytes(name: &str) -> Vec<u8> {
    fs::read(golden_file(name)).unwrap()
}

/// Writes a valid film whose last pixels, and so whose content, depend on `number`.
#[allow(dead_code, reason = "not every test file writes films")]
pub fn write_film(path: &Path, number: usize) {
    let mut bmp = golden_bytes("rgb_24.bmp");
    let at = bmp.len() - 8;
    bmp[at..].copy_from_slice(&(number as u64).to_le_bytes());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bmp).unwrap();
}

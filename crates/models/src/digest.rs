//! A digest over a safetensors file's content, kept in its metadata: a bit that flips on a disk is noticed before it is a
//! weight.
//!
//! It is the BLAKE3 of a description and of the data. The description has the metadata but for the digest, sorted by
//! key, and each tensor's name, element type and shape, sorted by name, every text with its length before it. Each
//! tensor's data comes in as the BLAKE3 of each of its mebibytes, which can be taken at the same time on all cores. A
//! checkpoint is written after each epoch, so the hash must cost little: without the processor's own instructions for it,
//! SHA-256 takes some eight times as long.

use std::collections::BTreeMap;

use blake3::Hasher;
use rayon::prelude::*;
use safetensors::SafeTensors;

use crate::error::Fault;

/// The metadata's key.
pub(crate) const KEY: &str = "digest";
/// How a digest of this kind begins; what begins otherwise is somebody else's entry of that name.
const SCHEME: &str = "lungfish.blake3.1:";
/// Bytes hashed in one go.
const CHUNK: usize = 1 << 20;

/// A tensor as it lies in the file.
pub(crate) struct Entry<'a> {
    pub name: &'a str,
    pub dtype: String,
    pub shape: &'a [usize],
    pub data: &'a [u8],
}

/// A value for [`KEY`] of the length that all of them have.
pub(crate) fn placeholder() -> String {
    format!("{SCHEME}{:064}", 0)
}

/// The value for [`KEY`].
pub(crate) fn of(metadata: &BTreeMap<String, String>, mut entries: Vec<Entry<'_>>) -> String {
    entries.sort_by_key(|entry| entry.name);
    let mut hash = Hasher::new();
    let number = |hash: &mut Hasher, n: usize| {
        hash.update(&(n as u64).to_le_bytes());
    };
    let text = |hash: &mut Hasher, text: &str| {
        number(hash, text.len());
        hash.update(text.as_bytes());
    };
    number(&mut hash, metadata.keys().filter(|key| *key != KEY).count());
    for (key, value) in metadata.iter().filter(|(key, _)| *key != KEY) {
        text(&mut hash, key);
        text(&mut hash, value);
    }
    number(&mut hash, entries.len());
    for Entry { name, dtype, shape, data } in &entries {
        text(&mut hash, name);
        text(&mut hash, dtype);
        number(&mut hash, shape.len());
        shape.iter().for_each(|&size| number(&mut hash, size));
        number(&mut hash, data.len());
    }
    let chunks: Vec<&[u8]> = entries.iter().flat_map(|entry| entry.data.chunks(CHUNK)).collect();
    let hashes: Vec<_> = chunks.into_par_iter().map(blake3::hash).collect();
    hashes.iter().for_each(|chunk| {
        hash.update(chunk.as_bytes());
    });
    format!("{SCHEME}{}", hash.finalize().to_hex())
}

/// Whether there is a digest of this kind; where there is one, the content must have it.
pub(crate) fn check(file: &SafeTensors<'_>, metadata: &BTreeMap<String, String>) -> Result<bool, Fault> {
    let Some(told) = metadata.get(KEY).filter(|told| told.starts_with(SCHEME)) else { return Ok(false) };
    let views = file.tensors();
    let entries = views.iter().map(|(name, view)| Entry {
        name,
        dtype: view.dtype().to_string(),
        shape: view.shape(),
        data: view.data(),
    });
    if of(metadata, entries.collect()) == *told {
        return Ok(true);
    }
    Err(Fault::damaged("it is damaged, or was changed by another program: its content is not what its digest says"))
}

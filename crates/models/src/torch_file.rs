//! PyTorch's two containers: a zip archive (since 1.6), or pickles and storages end to end.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::ops::Range;

use zip::{CompressionMethod, ZipArchive};

use crate::pickle::{Element, Node, Pickle, View};
use crate::{Tensor, Tensors};

/// Largest pickle that is read; those of the networks here are some hundred kB.
const MAX_PICKLE: usize = 100_000_000;
/// A checkpoint's tensors may unfold to this many times its bytes (shared and expanded storages),
/// or to [`SMALL`], before it is taken for an attack on memory.
const UNFOLDING: usize = 4;
const SMALL: usize = 64 << 20;

/// How a legacy file begins: protocol 2, the integer 0x1950a86a20f9469cfc6c, stop.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// The floating-point tensors of a checkpoint below the prefix that `prefix` chooses from all
/// dotted names, without it. An error is a sentence without the file's path.
pub(crate) fn read(bytes: &[u8], prefix: impl Fn(&[&str]) -> String) -> Result<Tensors, String> {
    if bytes.starts_with(b"PK\x03\x04") {
        read_zip(bytes, prefix)
    } else if bytes.starts_with(LEGACY) {
        read_legacy(bytes, prefix)
    } else {
        Err("not a PyTorch checkpoint (zip or legacy) and not safetensors".to_owned())
    }
}

fn read_zip(bytes: &[u8], prefix: impl Fn(&[&str]) -> String) -> Result<Tensors, String> {
    let broken = |e| format!("not a usable zip archive: {e}");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let names = archive.file_names().collect::<Result<Vec<_>, _>>().map_err(broken)?;
    let root = names
        .iter()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .filter(|root| root.is_empty() || root.ends_with('/'))
        .min_by_key(|root| root.len())
        .map(str::to_owned)
        .ok_or("a zip archive without data.pkl: not a PyTorch checkpoint")?;
    drop(names);

    let mut entry = |name: &str, most: usize| -> Result<Option<Vec<u8>>, String> {
        let name = format!("{root}{name}");
        let Some(index) = archive.index_for_name(&name) else { return Ok(None) };
        let mut entry = archive.by_index(index).map_err(broken)?;
        // torch.save stores and never compresses, so no entry can be larger than the file.
        if entry.compression() != CompressionMethod::Stored {
            return Err(format!("its entry {name} is compressed, which torch.save never does"));
        }
        if entry.size() > most.min(bytes.len()) as u64 {
            return Err(format!("its entry {name} claims {} bytes", entry.size()));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|e| format!("its entry {name} is broken: {e}"))?;
        Ok(Some(content))
    };
    if entry("byteorder", 64)?.is_some_and(|order| order.trim_ascii() == b"big") {
        return Err("written on a big-endian machine".to_owned());
    }
    let pickle = Pickle::read(&entry("data.pkl", MAX_PICKLE)?.unwrap_or_default())?;
    gather(&pickle, bytes.len(), prefix, |key| {
        entry(&format!("data/{key}"), usize::MAX)?.ok_or_else(|| format!("its storage {key} is not in the archive"))
    })
}

fn read_legacy(bytes: &[u8], prefix: impl Fn(&[&str]) -> String) -> Result<Tensors, String> {
    let mut at = LEGACY.len();
    let mut next = || -> Result<(Pickle, usize), String> {
        let end = bytes.len().min(at.saturating_add(MAX_PICKLE));
        let pickle = Pickle::read(&bytes[at..end])?;
        at += pickle.length;
        Ok((pickle, at))
    };
    // The protocol's version and the writer's machine: all that torch.save ran on in earnest is
    // little-endian.
    next()?;
    next()?;
    let (pickle, _) = next()?;
    let (keys, start) = next()?;
    let Node::List(keys_list) = &keys.nodes[keys.root] else { return Err("its list of storages is broken".to_owned()) };

    // Each storage: a count of eight bytes, then as many elements.
    let sizes: HashMap<&str, usize> = pickle
        .nodes
        .iter()
        .filter_map(|n| if let Node::Storage(s) = n { Some((&*s.key, s.kind.size())) } else { None })
        .collect();
    let mut places: HashMap<&str, Range<usize>> = HashMap::new();
    let mut at = start;
    for &key in keys_list {
        let Node::Text(key) = &keys.nodes[key] else { return Err("its list of storages is broken".to_owned()) };
        let cut = || format!("its storage {key} is cut off");
        let size = sizes.get(&**key).ok_or_else(|| format!("its storage {key} belongs to nothing"))?;
        let count = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>).ok_or_else(cut)?;
        let end = usize::try_from(i64::from_le_bytes(*count))
            .ok()
            .and_then(|count| count.checked_mul(*size)?.checked_add(at + 8))
            .filter(|&end| end <= bytes.len())
            .ok_or_else(cut)?;
        places.insert(key, at + 8..end);
        at = end;
    }
    gather(&pickle, bytes.len(), prefix, |key| {
        places
            .get(key)
            .map(|r| bytes[r.clone()].to_vec())
            .ok_or_else(|| format!("its storage {key} is not in the file"))
    })
}

/// Reads the chosen tensors out of their storages.
fn gather(
    pickle: &Pickle,
    file: usize,
    prefix: impl Fn(&[&str]) -> String,
    mut storage: impl FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<Tensors, String> {
    let views = pickle.tensors()?;
    let chosen = prefix(&views.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    let mut unfolded = 0_usize;
    let mut tensors = Tensors::new();
    for (name, view) in views {
        let Element::Float(kind) = view.storage.kind else { continue };
        let Some(name) = name.strip_prefix(&chosen) else { continue };
        let content = kind.widen(&storage(&view.storage.key)?);
        let elements = view.shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).map(|n| n.max(content.len()));
        unfolded = elements.and_then(|n| n.checked_mul(4)?.checked_add(unfolded)).unwrap_or(usize::MAX);
        if unfolded > SMALL.max(file.saturating_mul(UNFOLDING)) {
            return Err(format!("its tensors claim far more bytes than the {file} that it has"));
        }
        let data = strided(view, &content).ok_or_else(|| format!("its tensor {name} reaches beyond its storage"))?;
        tensors.insert(name.to_owned(), Tensor { shape: view.shape.clone(), data });
    }
    Ok(tensors)
}

/// A view's elements in row-major order; `None` where it leaves the storage.
fn strided(view: &View, storage: &[f32]) -> Option<Vec<f32>> {
    if view.shape.contains(&0) {
        return Some(Vec::new());
    }
    let start = view.storage.offset.checked_add(view.offset)?;
    let reach =
        view.shape.iter().zip(&view.stride).try_fold(0_usize, |r, (&d, &s)| (d - 1).checked_mul(s)?.checked_add(r))?;
    let window = storage.get(start..start.checked_add(reach)?.checked_add(1)?)?;
    let mut at: Vec<usize> = vec![0];
    for (&size, &stride) in view.shape.iter().zip(&view.stride) {
        at = at.iter().flat_map(|&base| (0..size).map(move |i| base + i * stride)).collect();
    }
    Some(at.into_iter().map(|i| window[i]).collect())
}

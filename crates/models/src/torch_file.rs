//! PyTorch's two containers: a zip archive (since 1.6), or pickles and storages end to end.
//!
//! Whatever a file claims about itself is held against its length before memory is asked for: an entry or a storage must
//! lie in the file, and all tensors together may unfold to a few times its bytes.

use std::collections::{BTreeSet, HashMap};
use std::io::{Cursor, Read};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use zip::{CompressionMethod, ZipArchive};

use crate::error::{Fault, shown, unless_stopped};
use crate::pickle::{Element, Found, Node, Pickle, View};
use crate::tensors::Float;
use crate::{Tensor, Tensors, Weights, foreign};

/// Largest pickle that is read; those of the networks here are some hundred kB.
const MAX_PICKLE: usize = 100_000_000;
/// A checkpoint's tensors may unfold to this many times its bytes (shared and expanded storages),
/// or to [`SMALL`], before it is taken for an attack on memory.
const UNFOLDING: usize = 4;
const SMALL: usize = 64 << 20;

/// How a zip archive begins, and how its directory ends.
const ZIP: &[u8] = b"PK\x03\x04";
const ZIP_END: &[u8] = b"PK\x05\x06";
/// What the first pickle of a legacy file has: the integer 0x1950a86a20f9469cfc6c, stop.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// Whether the bytes begin as one of the two containers.
pub(crate) fn is_torch(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP) || legacy_start(bytes).is_some()
}

/// Where the second pickle of a legacy file begins. torch.save takes protocol 2 unless it is asked for another; from
/// protocol 4 on there is a frame around the number.
fn legacy_start(bytes: &[u8]) -> Option<usize> {
    const FRAME: usize = 9;
    let [0x80, protocol @ 2..=5, ref rest @ ..] = *bytes else { return None };
    let frame = if protocol >= 4 && rest.first() == Some(&0x95) { FRAME } else { 0 };
    rest.get(frame..)?.starts_with(MAGIC).then_some(2 + frame + MAGIC.len())
}

/// The floating-point tensors of a checkpoint, by their dotted paths, and its class names.
pub(crate) fn read(bytes: &[u8], stop: &AtomicBool) -> Result<Weights, Fault> {
    match legacy_start(bytes) {
        Some(start) => read_legacy(bytes, start, stop),
        None if bytes.starts_with(ZIP) => read_zip(bytes, stop),
        None => Err(foreign::fault(bytes, "not a PyTorch checkpoint (zip or legacy) and not safetensors")),
    }
}

fn broken(e: impl std::fmt::Display) -> Fault {
    format!("not a usable zip archive: {}", shown(&e.to_string())).into()
}

/// Whether a zip archive has lost its directory, which stands last with a comment of at most 65,535 bytes behind it.
fn is_cut(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(22 + 65_535)..];
    !tail.windows(ZIP_END.len()).any(|window| window == ZIP_END)
}

/// What is said of a file of which the end is missing.
fn cut(bytes: &[u8]) -> Fault {
    format!("it is cut off after {} bytes: fetch or copy it again", bytes.len()).into()
}

/// A zip archive whose entries are slices of the file.
struct Archive<'a> {
    bytes: &'a [u8],
    archive: ZipArchive<Cursor<&'a [u8]>>,
    /// The folder in it with `data.pkl`.
    root: String,
    /// Bytes of the entries looked at so far.
    looked_at: usize,
    stop: &'a AtomicBool,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8], stop: &'a AtomicBool) -> Result<Self, Fault> {
        let archive =
            ZipArchive::new(Cursor::new(bytes)).map_err(|e| if is_cut(bytes) { cut(bytes) } else { broken(e) })?;
        let names = archive.file_names().collect::<Result<Vec<_>, _>>().map_err(broken)?;
        if let Some(what) = foreign::archive(names.iter().map(|name| &**name)) {
            return Err(Fault::foreign(what));
        }
        let root = names
            .iter()
            .filter_map(|name| name.strip_suffix("data.pkl"))
            .filter(|root| root.is_empty() || root.ends_with('/'))
            .min_by_key(|root| root.len())
            .map(str::to_owned)
            .ok_or_else(|| {
                // A Python wheel, or weights that somebody zipped.
                let inner = names.iter().find(|name| name.ends_with(".pth") || name.ends_with(".safetensors"));
                let what = inner.map_or_else(
                    || "without data.pkl: not a PyTorch checkpoint".to_owned(),
                    |name| format!("with weights in it: unpack it and give {}", shown(name)),
                );
                format!("a zip archive {what}")
            })?;
        drop(names);
        Ok(Archive { bytes, archive, root, looked_at: 0, stop })
    }

    /// An entry's bytes, of at most `most`, once their checksum was found right.
    fn entry(&mut self, name: &str, most: usize) -> Result<Option<&'a [u8]>, Fault> {
        let name = format!("{}{name}", self.root);
        let Some(index) = self.archive.index_for_name(&name) else { return Ok(None) };
        let name = shown(&name);
        let mut entry = self.archive.by_index(index).map_err(broken)?;
        // torch.save stores and never compresses, so no entry can be larger than the file.
        if entry.compression() != CompressionMethod::Stored {
            return Err(format!("its entry {name} is compressed, which torch.save never does").into());
        }
        let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
        if size > most.min(self.bytes.len()) {
            return Err(Fault::excessive(format!("its entry {name} claims {size} bytes")));
        }
        self.looked_at = self.looked_at.saturating_add(size);
        if self.looked_at > self.bytes.len() {
            return Err(Fault::excessive("its entries lie over each other: they have more bytes than the file"));
        }
        let mut buffer = vec![0; size.clamp(1, 1 << 20)];
        let mut read = 0;
        loop {
            unless_stopped(self.stop)?;
            match entry.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) => return Err(format!("its entry {name} is broken: {}", shown(&e.to_string())).into()),
            }
        }
        let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
        let content = start.and_then(|start| self.bytes.get(start..start.checked_add(size)?));
        match content.filter(|_| read == size) {
            Some(content) => Ok(Some(content)),
            None => Err(format!("its entry {name} is broken: it has {read} of {size} bytes").into()),
        }
    }
}

fn read_zip(bytes: &[u8], stop: &AtomicBool) -> Result<Weights, Fault> {
    let mut archive = Archive::open(bytes, stop)?;
    if archive.entry("byteorder", 64)?.is_some_and(|order| order.trim_ascii() == b"big") {
        return Err("written on a big-endian machine".into());
    }
    let pickle = Pickle::read(archive.entry("data.pkl", MAX_PICKLE)?.unwrap_or_default(), stop)?;
    let mut known: HashMap<Rc<str>, &[u8]> = HashMap::new();
    gather(&pickle, bytes.len(), stop, |key| match known.get(key) {
        Some(storage) => Ok(storage),
        None => {
            let storage = archive.entry(&format!("data/{key}"), usize::MAX)?;
            let storage = storage.ok_or_else(|| format!("its storage {} is not in the archive", shown(key)))?;
            known.insert(key.clone(), storage);
            Ok(storage)
        }
    })
}

fn read_legacy(bytes: &[u8], start: usize, stop: &AtomicBool) -> Result<Weights, Fault> {
    let mut at = start;
    let mut next = || -> Result<(Pickle, usize), Fault> {
        let end = bytes.len().min(at.saturating_add(MAX_PICKLE));
        let pickle = Pickle::read(&bytes[at..end], stop)?;
        at += pickle.length;
        Ok((pickle, at))
    };
    // The protocol's version and the writer's machine: all that torch.save ran on in earnest is
    // little-endian.
    next()?;
    next()?;
    let (pickle, _) = next()?;
    let (keys, start) = next()?;
    let Node::List(keys_list) = &keys.nodes[keys.root] else { return Err("its list of storages is broken".into()) };

    // Each storage: a count of eight bytes, then as many elements.
    let sizes: HashMap<&str, usize> = pickle
        .nodes
        .iter()
        .filter_map(|n| if let Node::Storage(s) = n { Some((&*s.key, s.kind.size())) } else { None })
        .collect();
    let mut places: HashMap<&str, &[u8]> = HashMap::new();
    let mut at = start;
    for &key in keys_list {
        let Node::Text(key) = &keys.nodes[key] else { return Err("its list of storages is broken".into()) };
        let size = sizes.get(&**key).ok_or_else(|| format!("its storage {} belongs to nothing", shown(key)))?;
        let count = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>).ok_or_else(|| cut(bytes))?;
        let storage = usize::try_from(i64::from_le_bytes(*count))
            .ok()
            .and_then(|count| bytes.get(at + 8..count.checked_mul(*size)?.checked_add(at + 8)?))
            .ok_or_else(|| cut(bytes))?;
        places.insert(key, storage);
        at += 8 + storage.len();
    }
    gather(&pickle, bytes.len(), stop, |key| {
        Ok(*places.get(&**key).ok_or_else(|| format!("its storage {} is not in the file", shown(key)))?)
    })
}

/// Reads the tensors out of their storages, and the class names beside them.
fn gather<'a>(
    pickle: &Pickle,
    file: usize,
    stop: &AtomicBool,
    mut storage: impl FnMut(&Rc<str>) -> Result<&'a [u8], Fault>,
) -> Result<Weights, Fault> {
    let mut unfolded = 0_usize;
    let (mut tensors, mut roots) = (Tensors::new(), BTreeSet::new());
    for Found { path, root, view } in pickle.tensors(stop)? {
        unless_stopped(stop)?;
        let Element::Float(kind) = view.storage.kind else { continue };
        let elements = view.shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        unfolded = elements.and_then(|n| n.checked_mul(4)?.checked_add(unfolded)).unwrap_or(usize::MAX);
        if unfolded > SMALL.max(file.saturating_mul(UNFOLDING)) {
            return Err(Fault::excessive(format!("its tensors claim far more bytes than the {file} that it has")));
        }
        let data = strided(view, kind, storage(&view.storage.key)?, stop)?
            .ok_or_else(|| format!("its tensor {} reaches beyond its storage", shown(&path)))?;
        if !roots.contains(&path[..root]) {
            roots.insert(path[..root].to_owned());
        }
        tensors.insert(path, Tensor { shape: view.shape.clone(), data });
    }
    Ok(Weights { tensors, classes: pickle.classes(), task: None, roots })
}

/// A view's elements in row-major order; `None` where it leaves the storage. That they are not too many is the caller's
/// to see to.
fn strided(view: &View, kind: Float, storage: &[u8], stop: &AtomicBool) -> Result<Option<Vec<f32>>, Fault> {
    /// Elements between two looks at the stop flag.
    const RUN: usize = 1 << 20;
    if view.shape.contains(&0) {
        return Ok(Some(Vec::new()));
    }
    let Some(window) = window(view, kind.size(), storage) else { return Ok(None) };
    let elements: usize = view.shape.iter().product();
    let mut dense = 1;
    let in_order = view.shape.iter().zip(&view.stride).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == dense;
        dense *= size;
        fits
    });
    if in_order {
        return Ok(Some(kind.widen(window)));
    }
    let mut data = Vec::with_capacity(elements);
    let mut place = vec![0; view.shape.len()];
    let mut at = 0;
    while data.len() < elements {
        if data.len().is_multiple_of(RUN) {
            unless_stopped(stop)?;
        }
        data.push(kind.at(window, at));
        // The next place, the last dimension fastest.
        for (d, count) in place.iter_mut().enumerate().rev() {
            *count += 1;
            at += view.stride[d];
            if *count < view.shape[d] {
                break;
            }
            at -= view.stride[d] * view.shape[d];
            *count = 0;
        }
    }
    Ok(Some(data))
}

/// The bytes from a view's first element to its last one.
fn window<'a>(view: &View, size: usize, storage: &'a [u8]) -> Option<&'a [u8]> {
    let start = view.storage.offset.checked_add(view.offset)?;
    let reach =
        view.shape.iter().zip(&view.stride).try_fold(0_usize, |r, (&d, &s)| (d - 1).checked_mul(s)?.checked_add(r))?;
    let end = start.checked_add(reach)?.checked_add(1)?;
    storage.get(start.checked_mul(size)?..end.checked_mul(size)?)
}

//! MedMNIST's `.npz`: many films in one file, each read as if it were a file of its own: `FILE.npz/train/000123`.
//!
//! Arrays that are stored are read where they lie; those that are compressed are unpacked once into a file without a name, so
//! that memory does not grow with the data set.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use zip::{CompressionMethod, ZipArchive};

use crate::decode::{DecodeError, raw};
use crate::display::escape;
use crate::names::Split;

/// The longest header of an array that is read.
const MOST_HEADER: usize = 1 << 16;
/// Files that are kept open.
const MOST_OPEN: usize = 4;

/// An array in a `.npz`.
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    /// numpy's word for its numbers, such as `|u1`.
    kind: String,
    file: Mutex<File>,
    /// Where its first number lies.
    from: u64,
}

/// An open file.
pub(crate) struct Npz {
    arrays: HashMap<String, Array>,
}

/// Why a `.npz` cannot be used, a clause.
type Refused = String;

impl Npz {
    fn open(path: &Path) -> Result<Self, Refused> {
        let failed = |error: &dyn std::fmt::Display| format!("it is no .npz that can be read: {error}");
        let file = File::open(path).map_err(|e| failed(&e))?;
        let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(|e| failed(&e))?;
        let mut arrays = HashMap::new();
        for split in Split::ALL {
            for what in ["images", "labels"] {
                let name = format!("{split}_{what}");
                let Some(at) = archive.index_for_name(&format!("{name}.npy")) else { continue };
                let mut entry = archive.by_index(at).map_err(|e| failed(&e))?;
                let size = entry.size();
                let (head, kind, shape) = header(&mut entry).map_err(|why| format!("{name}: {why}"))?;
                let length =
                    shape.iter().try_fold(width(&kind)? as u64, |length, side| length.checked_mul(*side as u64));
                if length.and_then(|length| length.checked_add(head)) != Some(size) {
                    return Err(format!("{name} has {size} bytes, which is not what its shape asks for"));
                }
                let (file, from) = match entry.data_start() {
                    Some(start) if entry.compression() == CompressionMethod::Stored => {
                        (File::open(path).map_err(|e| failed(&e))?, start + head)
                    }
                    _ => {
                        let place = escape(std::env::temp_dir());
                        let unpacking = |e: io::Error| format!("{name} cannot be unpacked into {place}: {e}");
                        let mut unpacked = tempfile::tempfile().map_err(unpacking)?;
                        let copied =
                            io::copy(&mut entry.by_ref().take(size - head), &mut unpacked).map_err(unpacking)?;
                        if copied != size - head {
                            return Err(format!("{name} is cut"));
                        }
                        (unpacked, 0)
                    }
                };
                arrays.insert(name, Array { shape, kind, file: Mutex::new(file), from });
            }
        }
        Ok(Npz { arrays })
    }

    /// The images and labels of a split; none where there are none.
    pub(crate) fn split(&self, split: Split) -> Option<(&Array, &Array)> {
        Some((self.images(split)?, self.arrays.get(&format!("{split}_labels"))?))
    }

    /// The images of a split, with labels or without.
    fn images(&self, split: Split) -> Option<&Array> {
        self.arrays.get(&format!("{split}_images"))
    }
}

impl Array {
    /// Whether its numbers are bytes.
    pub(crate) fn is_bytes(&self) -> bool {
        self.kind == "|u1"
    }

    fn read(&self, from: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.from + from))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// All of its numbers.
    pub(crate) fn numbers(&self) -> io::Result<Vec<i64>> {
        let width = width(&self.kind).unwrap_or(1);
        let count: usize = self.shape.iter().product();
        let bytes = self.read(0, count * width)?;
        let signed = self.kind.contains('i');
        let number = |bytes: &[u8]| {
            let fill = if signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
            let mut whole = [fill; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            i64::from_le_bytes(whole)
        };
        Ok(bytes.chunks_exact(width).map(number).collect())
    }
}

/// Bytes of a number.
fn width(kind: &str) -> Result<usize, Refused> {
    match kind {
        "|u1" | "|i1" | "|b1" => Ok(1),
        "<u2" | "<i2" => Ok(2),
        "<u4" | "<i4" => Ok(4),
        "<u8" | "<i8" => Ok(8),
        _ => Err(format!("its numbers are {}, and whole ones are read", escape(kind))),
    }
}

/// The header of an array (numpy's format, versions 1 to 3): its length, the kind of its numbers and its shape.
fn header(entry: &mut impl Read) -> Result<(u64, String, Vec<usize>), Refused> {
    let cut = |_| "its header is cut".to_owned();
    let mut start = [0; 8];
    entry.read_exact(&mut start).map_err(cut)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err("it is no numpy array".to_owned());
    }
    let (prefix, length) = if start[6] == 1 {
        let mut length = [0; 2];
        entry.read_exact(&mut length).map_err(cut)?;
        (10, usize::from(u16::from_le_bytes(length)))
    } else {
        let mut length = [0; 4];
        entry.read_exact(&mut length).map_err(cut)?;
        (12, u32::from_le_bytes(length) as usize)
    };
    if length > MOST_HEADER {
        return Err("its header is longer than any".to_owned());
    }
    let mut text = vec![0; length];
    entry.read_exact(&mut text).map_err(cut)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let after = |key: &str| text.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    let odd = || "its header is not numpy's".to_owned();
    if !after("fortran_order").ok_or_else(odd)?.starts_with("False") {
        return Err("it is in Fortran's order".to_owned());
    }
    let kind = after("descr").and_then(|rest| rest.strip_prefix('\'')?.split_once('\'')).ok_or_else(odd)?.0.to_owned();
    let shape = after("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).ok_or_else(odd)?.0;
    let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    let shape = sides.map(|side| side.parse().map_err(|_| odd())).collect::<Result<_, _>>()?;
    Ok(((prefix + length) as u64, kind, shape))
}

/// A file as it was when it was opened.
type Seen = (PathBuf, u64, Option<SystemTime>);

/// A file that is kept open.
type Kept = (Seen, Arc<Npz>);

/// The file at `path`, opened once.
pub(crate) fn open(path: &Path) -> Result<Arc<Npz>, Refused> {
    static OPEN: LazyLock<Mutex<Vec<Kept>>> = LazyLock::new(Mutex::default);
    let metadata = std::fs::metadata(path).map_err(|e| e.to_string())?;
    let seen: Seen = (path.to_path_buf(), metadata.len(), metadata.modified().ok());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, npz)) = open.iter().find(|(own, _)| *own == seen) {
        return Ok(Arc::clone(npz));
    }
    let npz = Arc::new(Npz::open(path)?);
    open.truncate(MOST_OPEN - 1);
    open.insert(0, (seen, Arc::clone(&npz)));
    Ok(npz)
}

/// Whether a file lies at `path` that is a `.npz` by its name.
pub fn is_npz(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) && path.is_file()
}

/// The films of a file, split after split, whether or not it says what they show.
pub(crate) fn films(file: &Path) -> Result<Vec<PathBuf>, Refused> {
    let npz = open(file)?;
    let mut films = Vec::new();
    for split in Split::ALL {
        if let Some(images) = npz.images(split) {
            films.extend((0..count(split, images)?).map(|number| place(file, split, number)));
        }
    }
    if films.is_empty() {
        return Err("it has no train_images, val_images or test_images, as MedMNIST's files have".to_owned());
    }
    Ok(films)
}

/// How many films the images of a split are.
pub(crate) fn count(split: Split, images: &Array) -> Result<usize, Refused> {
    let shape = &images.shape;
    size(images).map(|_| shape[0]).ok_or_else(|| {
        format!("{split}_images has the shape {shape:?}; films are bytes of [n, height, width] or of 3 channels")
    })
}

/// The place of a film in a `.npz`.
pub(crate) fn place(file: &Path, split: Split, number: usize) -> PathBuf {
    file.join(split.name()).join(format!("{number:06}"))
}

/// The bytes of a film whose path is a place in a `.npz`; none for any other path.
pub(crate) fn read(path: &Path) -> Option<Result<Vec<u8>, DecodeError>> {
    let number: usize = path.file_name()?.to_str()?.parse().ok()?;
    let of_split = path.parent()?;
    let split: Split = of_split.file_name()?.to_str()?.parse().ok()?;
    let file = of_split.parent().filter(|file| is_npz(file))?;
    let film = || {
        let corrupt = |reason: String| DecodeError::Corrupt { format: "npz", reason };
        let npz = open(file).map_err(corrupt)?;
        let missing = || corrupt(format!("it has no film {number} in {split}"));
        let images = npz.images(split).ok_or_else(missing)?;
        let (width, height, channels) = size(images).ok_or_else(missing)?;
        if number >= images.shape[0] {
            return Err(missing());
        }
        let length = width * height * channels;
        let pixels = images.read(number as u64 * length as u64, length)?;
        Ok(raw::bytes(width, height, channels, &pixels))
    };
    Some(film())
}

/// Width, height and channels of films that lie one after another.
pub(crate) fn size(images: &Array) -> Option<(usize, usize, usize)> {
    match images.shape[..] {
        _ if !images.is_bytes() => None,
        [_, height, width] => Some((width, height, 1)),
        [_, height, width, channels @ (1 | 3)] => Some((width, height, channels)),
        _ => None,
    }
    .filter(|(width, height, _)| (1..=65_535).contains(width) && (1..=65_535).contains(height))
}

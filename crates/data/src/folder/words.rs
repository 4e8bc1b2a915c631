//! What names of files and folders say, in the data sets that people have.

use std::ffi::OsStr;
use std::path::Path;

use crate::names::{EXTENSIONS, Split};

/// Folders in which systems and programs keep what is theirs.
const SYSTEM: [&str; 12] = [
    "__macosx",
    "@eadir",
    "#recycle",
    "@recycle",
    "#snapshot",
    "$recycle.bin",
    "recycler",
    "lost+found",
    "system volume information",
    "__pycache__",
    "node_modules",
    "thumbs",
];
/// Folders of what is drawn over films and is none.
const MASKS: [&str; 18] = [
    "mask",
    "masks",
    "lung_mask",
    "lung_masks",
    "infection_mask",
    "infection_masks",
    "manualmask",
    "segmentation",
    "segmentations",
    "segmentation_mask",
    "segmentation_masks",
    "seg",
    "segs",
    "annotation",
    "annotations",
    "ground_truth",
    "groundtruth",
    "heatmaps",
];
/// Folders that say only that films are in them.
const PLAIN: [&str; 28] = [
    "image", "images", "img", "imgs", "film", "films", "picture", "pictures", "photo", "photos", "png", "pngs", "jpg",
    "jpgs", "jpeg", "jpegs", "dicom", "dicoms", "dcm", "cxr", "cxr_png", "xray", "xrays", "x-ray", "x-rays", "data",
    "raw", "original",
];
/// Words for a part of a data set, followed by a number or letter.
const PARTS: [&str; 22] = [
    "images", "image", "img", "imgs", "part", "parts", "shard", "shards", "fold", "folds", "kfold", "cv", "batch",
    "chunk", "subset", "set", "archive", "volume", "vol", "disk", "package", "split",
];
/// Extensions of files that lie beside films and are none.
pub(crate) const NOT_FILMS: [&str; 34] = [
    "csv", "tsv", "txt", "md", "rst", "json", "jsonl", "xml", "html", "htm", "pdf", "doc", "docx", "xls", "xlsx",
    "ods", "log", "toml", "yaml", "yml", "py", "ipynb", "sh", "css", "npy", "npz", "h5", "hdf5", "pth", "pt", "zip",
    "gz", "tar", "parquet",
];

fn lower(name: &OsStr) -> String {
    name.to_string_lossy().trim().to_lowercase()
}

/// Whether a folder belongs to a system or a program.
pub(crate) fn is_system(name: &OsStr) -> bool {
    SYSTEM.contains(&lower(name).as_str())
}

/// Whether a folder holds masks and no films, by its name.
pub(crate) fn is_mask_folder(name: &OsStr) -> bool {
    MASKS.contains(&lower(name).replace([' ', '-'], "_").as_str())
}

/// Whether a folder's name says only that films are in it, and nothing of what they show or whose they are.
pub(crate) fn is_plain_place(name: &OsStr) -> bool {
    PLAIN.contains(&lower(name).as_str()) || part_of(name).is_some()
}

/// The word of which a folder is a part by its name: `images` of `images_001`, `fold` of `Fold 2`.
pub(crate) fn part_of(name: &OsStr) -> Option<&'static str> {
    let name = lower(name);
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    // One letter may stand for a number, after something that keeps it from the word.
    let word = match word.as_bytes() {
        [.., b'_' | b'-' | b' ', b'a'..=b'z'] if word.len() == name.len() => &word[..word.len() - 1],
        _ => word,
    };
    if word.len() == name.len() {
        return None;
    }
    let word = word.trim_end_matches(['_', '-', ' ', '.']);
    PARTS.into_iter().find(|part| *part == word)
}

/// The split that a folder's name means to people, in any letters.
pub(crate) fn split_of(name: &OsStr) -> Option<Split> {
    match lower(name).as_str() {
        "train" | "training" | "train_set" | "trainset" => Some(Split::Train),
        "val" | "valid" | "validation" | "dev" | "val_set" | "valset" => Some(Split::Val),
        "test" | "testing" | "test_set" | "testset" => Some(Split::Test),
        _ => None,
    }
}

/// The stem of the film of which a file is the mask, by its name: `a` of `a_mask.png`.
pub(crate) fn mask_of(name: &OsStr) -> Option<String> {
    let stem = Path::new(name).file_stem()?.to_str()?;
    let lower = stem.to_ascii_lowercase();
    ["mask", "masks", "seg", "segmentation", "annotation", "gt"].into_iter().find_map(|word| {
        let left = lower.strip_suffix(word)?;
        let film = left.strip_suffix(['_', '-', '.', ' '])?;
        (!film.is_empty()).then(|| stem[..film.len()].to_owned())
    })
}

/// Whether a name is one of a film. What the file is, its content says.
pub(crate) fn is_film_name(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes().to_ascii_lowercase();
    EXTENSIONS.iter().any(|extension| name.ends_with(extension.as_bytes()))
}

/// Whether a name is one of a DICOM.
pub(crate) fn is_dicom_name(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes().to_ascii_lowercase();
    [".dcm", ".dicom"].iter().any(|extension| name.ends_with(extension.as_bytes()))
}

/// Whether a name is one of a file that is no film for sure.
pub(crate) fn is_other(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| NOT_FILMS.contains(&extension.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(name: &str) -> &OsStr {
        OsStr::new(name)
    }

    #[test]
    fn names_of_folders_say_what_they_are() {
        for name in ["@eaDir", "$RECYCLE.BIN", "lost+found", "__MACOSX", "System Volume Information"] {
            assert!(is_system(os(name)), "{name}");
        }
        for name in ["masks", "Mask", "lung masks", "Segmentation-Masks", "ManualMask"] {
            assert!(is_mask_folder(os(name)), "{name}");
        }
        for name in ["without_mask", "with_mask", "NORMAL", "face mask"] {
            assert!(!is_mask_folder(os(name)), "{name}");
        }
        let parts = ["images_001", "Fold 2", "fold_a", "part-03", "batch7", "images"].map(|name| part_of(os(name)));
        assert_eq!(parts, [Some("images"), Some("fold"), Some("fold"), Some("part"), Some("batch"), None]);
        for name in ["normal_1", "0", "12", "PNEUMONIA", "grade_2", "hepatitis-b", "parta"] {
            assert_eq!(part_of(os(name)), None, "{name}");
        }
        assert_eq!(split_of(os("Training ")), Some(Split::Train));
        assert_eq!(split_of(os("training data")), None);
    }

    #[test]
    fn names_of_masks_name_their_films() {
        assert_eq!(mask_of(os("CHNCXR_0001_0_mask.png")).as_deref(), Some("CHNCXR_0001_0"));
        assert_eq!(mask_of(os("a-Mask.PNG")).as_deref(), Some("a"));
        for name in ["mask.png", "_mask.png", "unmask.png", "a.png"] {
            assert_eq!(mask_of(os(name)), None, "{name}");
        }
    }
}

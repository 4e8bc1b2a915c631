//! Names that a data set on disk goes by: its splits, and what its films may end in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// File names that are taken for films, in any case: torchvision's `IMG_EXTENSIONS` and what else people's films are called.
/// Those that the decoder does not know are listed all the same, so that they are told as bad films and not passed over in
/// silence. A file with none of these names is a film where its content is a picture or a DICOM.
pub const EXTENSIONS: [&str; 22] = [
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".ppm", ".pgm", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".dcm",
    ".dicom", ".jp2", ".j2k", ".jxl", ".avif", ".heic", ".heif", ".apng",
];

/// A split of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Films to learn from.
    Train,
    /// Films that choose between epochs.
    Val,
    /// Films that are scored once.
    Test,
}

impl Split {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The name of its folder, also its name in `split.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A split name that is none of train, val and test.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no split {0:?}: it is train, val or test")]
pub struct UnknownSplit(String);

impl FromStr for Split {
    type Err = UnknownSplit;

    fn from_str(name: &str) -> Result<Self, UnknownSplit> {
        Self::ALL.into_iter().find(|split| split.name() == name).ok_or_else(|| UnknownSplit(name.to_string()))
    }
}

//! Names that a data set on disk goes by: its sides, and what its films may end in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// File names that are taken for films: torchvision's `IMG_EXTENSIONS`, in any case. Those that the decoder does not
/// know are listed all the same, so that they are told as bad films and not passed over in silence.
pub const EXTENSIONS: [&str; 9] = [".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"];

/// A side of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Films to learn from.
    Train,
    /// Films that choose between epochs.
    Val,
    /// Films that are scored once.
    Test,
}

impl Side {
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

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A side name that is none of train, val and test.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no side {0:?}: it is train, val or test")]
pub struct UnknownSide(String);

impl FromStr for Side {
    type Err = UnknownSide;

    fn from_str(name: &str) -> Result<Self, UnknownSide> {
        Self::ALL.into_iter().find(|side| side.name() == name).ok_or_else(|| UnknownSide(name.to_string()))
    }
}

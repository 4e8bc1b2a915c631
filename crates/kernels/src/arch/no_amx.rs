//! No tiles, on processors and systems that have none.

use super::block::Block;

/// Never there.
#[derive(Clone, Copy)]
pub(crate) enum Amx {}

/// Never there.
pub(crate) enum Configured {}

impl Amx {
    pub(crate) fn new() -> Option<Self> {
        None
    }

    pub(crate) fn configured<R>(self, _: impl FnOnce(&Configured) -> R) -> R {
        match self {}
    }
}

impl Configured {
    pub(super) fn multiply(&self, _: Block) {
        match *self {}
    }
}

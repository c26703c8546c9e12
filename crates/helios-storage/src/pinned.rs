//! A stored value that the reader holds on to.

use crate::row_cache::Found;
use rocksdb::DBPinnableSlice;
use std::ops::Deref;
use std::sync::Arc;

enum Inner<'a> {
    /// Keeps the block in the cache, without copying.
    Block(DBPinnableSlice<'a>),
    Owned(Arc<[u8]>),
    Cached(Found),
}

/// A stored value: header and body. It may be held as long as what it was read from.
pub struct Pinned<'a>(Inner<'a>);

impl<'a> Pinned<'a> {
    pub(crate) fn block(slice: DBPinnableSlice<'a>) -> Self {
        Pinned(Inner::Block(slice))
    }

    pub(crate) fn owned(bytes: Arc<[u8]>) -> Self {
        Pinned(Inner::Owned(bytes))
    }

    pub(crate) fn cached(found: Found) -> Self {
        Pinned(Inner::Cached(found))
    }

    /// The value on its own; copies it when it is a block of the cache.
    pub fn into_owned(self) -> Pinned<'static> {
        match self.0 {
            Inner::Block(slice) => Pinned(Inner::Owned(Arc::from(&slice[..]))),
            Inner::Owned(bytes) => Pinned(Inner::Owned(bytes)),
            Inner::Cached(found) => Pinned(Inner::Cached(found)),
        }
    }
}

impl Deref for Pinned<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Block(slice) => slice,
            Inner::Owned(bytes) => bytes,
            Inner::Cached(found) => found,
        }
    }
}

impl AsRef<[u8]> for Pinned<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Pinned<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

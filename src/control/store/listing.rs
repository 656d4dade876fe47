//! Lists, a page at a time.

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most so many; 1,000 at most are given.
    pub limit: u32,
    /// After so many.
    pub offset: u64,
}

/// A part of a list, and how long the whole is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The part.
    pub items: Vec<T>,
    /// The length of the whole.
    pub total: u64,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 20, offset: 0 }
    }
}

impl Page {
    pub(super) fn limit(self) -> i64 {
        i64::from(self.limit.min(1000))
    }

    pub(super) fn offset(self) -> i64 {
        i64::try_from(self.offset).unwrap_or(i64::MAX)
    }
}

//! What is wrong with a configuration: where, what, and how to mend it, one line each.
//!
//! A problem never carries a secret: whoever makes one from a value that may be secret leaves the value out.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In a file. Line and column count from 1; line 0 means the file as a whole.
    File {
        /// The file, as it was named.
        path: Arc<Path>,
        /// The line.
        line: u32,
        /// The column, in characters.
        column: u32,
    },
    /// By an environment variable of this name.
    Environment(Arc<str>),
    /// On the command line, as an override of this path.
    Flag(Arc<str>),
    /// Nowhere: it is missing, and there is no file that it could stand in.
    Unset,
}

impl Origin {
    /// A file as a whole.
    pub(super) fn whole_file(path: &Path) -> Self {
        Self::File { path: path.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: 0, .. } => write!(f, "{}", path.display()),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(_) => f.write_str("command line"),
            Self::Unset => f.write_str("configuration"),
        }
    }
}

/// One problem or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value was set.
    pub at: Origin,
    /// Which value, such as `upstreams[0].url`; empty for a file as a whole.
    pub path: String,
    /// What is wrong, without a full stop.
    pub what: String,
    /// How to mend it: one or more sentences.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}. {}", self.what, self.fix)
    }
}

/// What is wrong, in the order of files and lines: all of it, or the first hundred that were found and the number of
/// those beyond. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    more: usize,
    watched: Vec<PathBuf>,
}

impl Problems {
    pub(super) fn new(list: Vec<Problem>, watched: Vec<PathBuf>) -> Self {
        Self { list, more: 0, watched }
    }

    /// As many more that are not told one by one.
    pub(super) fn and_more(self, more: usize) -> Self {
        Self { more, ..self }
    }

    /// The problems that are told.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// Every file that was read or looked for: when one of them changes it is worth trying again.
    pub fn watched(&self) -> &[PathBuf] {
        &self.watched
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        if self.more > 0 { write!(f, "\nand {} more", self.more) } else { Ok(()) }
    }
}

impl std::error::Error for Problems {}

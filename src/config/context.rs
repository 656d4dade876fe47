//! What reading a configuration needs and finds: variables and files on one side, problems and warnings on the other.
//!
//! Reading goes on after a problem, with a value in its place that nobody will use, so that all problems come out at
//! once. A configuration counts only when there is none.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::problem::{Origin, Problem, Problems};
use super::tree::{self, MaxNodes, Place, Value};

/// See the module.
pub(super) struct Context<'s> {
    /// All variables, for `{ env: … }`.
    pub(super) environment: &'s [(String, String)],
    /// Where the process runs: paths given on the command line or by a variable are relative to it.
    pub(super) directory: &'s Path,
    /// The configuration file's folder, or `directory`: default paths are relative to it.
    pub(super) base: PathBuf,
    findings: RefCell<Findings>,
}

#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    /// Problems beyond those that are told.
    more: usize,
    warnings: Vec<Problem>,
    watched: Vec<PathBuf>,
}

/// The most that a file of each kind may hold.
pub(super) enum Size {
    /// A secret, a certificate.
    Small,
    /// A document of ours.
    Document,
}

/// As many problems are told one by one. Whoever has more mends these first, and making a sentence for each of
/// hundreds of thousands would take minutes.
pub(super) const MOST_PROBLEMS: usize = 100;

const SMALL_BYTES: u64 = 1 << 20;
const DOCUMENT_BYTES: u64 = 32 << 20;
const DOCUMENT_NODES: MaxNodes = MaxNodes(2_000_000);

/// Why there is no document.
pub(super) enum NoDocument {
    /// Half a sentence: what is the matter with the file.
    Unreadable(String),
    /// It was read and is not YAML.
    Broken(Problem),
}

pub(super) const CHECK_PATH: &str = "Check the path and who may read it.";

impl NoDocument {
    /// The problem as one of the file itself.
    pub(super) fn into_problem(self, path: &Path) -> Problem {
        match self {
            Self::Broken(problem) => problem,
            Self::Unreadable(what) => {
                Problem { at: Origin::whole_file(path), path: String::new(), what, fix: CHECK_PATH.to_owned() }
            }
        }
    }
}

impl<'s> Context<'s> {
    pub(super) fn new(environment: &'s [(String, String)], directory: &'s Path) -> Self {
        Self { environment, directory, base: directory.to_owned(), findings: RefCell::default() }
    }

    pub(super) fn problem(&self, problem: Problem) {
        self.problem_with(|| problem);
    }

    /// The same, with the sentence made only where it will be told.
    pub(super) fn problem_with(&self, problem: impl FnOnce() -> Problem) {
        if self.findings.borrow().problems.len() >= MOST_PROBLEMS {
            self.findings.borrow_mut().more += 1;
            return;
        }
        let problem = problem();
        self.findings.borrow_mut().problems.push(problem);
    }

    pub(super) fn warn(&self, warning: Problem) {
        self.findings.borrow_mut().warnings.push(warning);
    }

    /// The text of a file, which is watched from now on, whether it could be read or not.
    pub(super) fn read(&self, path: &Path, size: &Size) -> Result<String, String> {
        self.watch(path);
        let limit = match size {
            Size::Small => SMALL_BYTES,
            Size::Document => DOCUMENT_BYTES,
        };
        read_bounded(path, limit)
    }

    /// Looks whether a file of at most this size can be opened, without reading it. It is watched from now on.
    pub(super) fn look(&self, path: &Path, limit: u64) -> Result<(), String> {
        self.watch(path);
        let found = File::open(path).and_then(|file| file.metadata()).map_err(|error| unreadable(&error))?;
        match found.len() {
            _ if !found.is_file() => Err("is not a file".to_owned()),
            length if length > limit => Err(format!("is larger than {limit} bytes")),
            _ => Ok(()),
        }
    }

    fn watch(&self, path: &Path) {
        let watched = &mut self.findings.borrow_mut().watched;
        if !watched.iter().any(|known| known == path) {
            watched.push(path.to_owned());
        }
    }

    /// The document in a file.
    pub(super) fn document(&self, path: &Path) -> Result<Value, NoDocument> {
        let text = self.read(path, &Size::Document).map_err(NoDocument::Unreadable)?;
        Self::parsed(&text, path)
    }

    /// A document as it would stand in a file.
    pub(super) fn parsed(text: &str, path: &Path) -> Result<Value, NoDocument> {
        let mut value = tree::parse(text, &Place::File(path), DOCUMENT_NODES).map_err(NoDocument::Broken)?;
        if matches!(value.node, tree::Node::Null) {
            value.at = Origin::whole_file(path);
        }
        Ok(value)
    }

    /// What was found: warnings and watched files, or problems in order.
    pub(super) fn finish(self) -> Result<(Vec<Problem>, Vec<PathBuf>), Problems> {
        let Findings { mut problems, more, mut warnings, watched } = self.findings.into_inner();
        problems.sort_by_cached_key(|problem| order(problem, &watched));
        warnings.sort_by_cached_key(|problem| order(problem, &watched));
        if problems.is_empty() { Ok((warnings, watched)) } else { Err(Problems::new(problems, watched).and_more(more)) }
    }
}

/// Files in the order in which they were read, then by line; what stands in no file comes after.
fn order(problem: &Problem, watched: &[PathBuf]) -> (usize, Origin) {
    let file = match &problem.at {
        Origin::File { path, .. } => watched.iter().position(|known| **known == **path),
        _ => None,
    };
    (file.unwrap_or(usize::MAX), problem.at.clone())
}

fn unreadable(error: &std::io::Error) -> String {
    format!("cannot be read: {error}")
}

fn read_bounded(path: &Path, limit: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > limit {
        return Err(format!("is larger than {limit} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

//! A user's own `tokenizer.json`, in Hugging Face's format.
//!
//! It is read at its first use, which takes up to a second, and stays until the configuration names another or the file
//! changes. One that cannot be read costs the counts of its models, which are estimates then, and is said in the log once.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use tokenizers::Tokenizer;

/// A file's place and, once used, what it holds.
pub(super) struct File {
    path: Arc<Path>,
    name: Arc<str>,
    stamp: Option<Stamp>,
    held: OnceLock<Option<Box<Tokenizer>>>,
}

/// By which a changed file is known.
type Stamp = (SystemTime, u64);

/// Why a file is no tokenizer; for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

impl File {
    /// A file that is to be read when it is first needed.
    pub(super) fn at(path: &Arc<Path>) -> Self {
        let found = std::fs::metadata(path).ok();
        let stamp = found.and_then(|found| Some((found.modified().ok()?, found.len())));
        Self { path: Arc::clone(path), name: name(path).into(), stamp, held: OnceLock::new() }
    }

    /// Whether both are the same file in the same state.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.path == other.path && self.stamp.is_some() && self.stamp == other.stamp
    }

    /// The name in events: of the file or, where that is just `tokenizer.json`, of its folder.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// How many tokens the text is; `None` when the file is no use. Special tokens in the text count as one each, as the
    /// model's own server takes them; none are added around it.
    pub(super) fn count(&self, text: &str) -> Option<u64> {
        let encoding = self.tokenizer()?.encode_fast(text, false).ok()?;
        Some(encoding.get_ids().len() as u64)
    }

    fn tokenizer(&self) -> Option<&Tokenizer> {
        let read = || match read(&self.path) {
            Ok(tokenizer) => Some(Box::new(tokenizer)),
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "a tokenizer cannot be used: its models' counts are estimates");
                None
            }
        };
        self.held.get_or_init(read).as_deref()
    }
}

/// Reads a file for good or to see whether it can be read. Takes up to a second.
pub(super) fn read(path: &Path) -> Result<Tokenizer, Unreadable> {
    let mut tokenizer = Tokenizer::from_file(path).map_err(|error| Unreadable(error.to_string()))?;
    // What these say is for training and batches: a cut text would have too few tokens, a padded one too many.
    tokenizer.with_truncation(None).map_err(|error| Unreadable(error.to_string()))?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

fn name(path: &Path) -> String {
    let folder = path.parent().and_then(Path::file_name).filter(|_| path.ends_with("tokenizer.json"));
    let name = folder.or_else(|| path.file_stem()).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::name;

    #[test]
    fn a_file_is_named_by_what_tells_it_from_others() {
        let cases = [("a/llama3/tokenizer.json", "llama3"), ("a/qwen.json", "qwen"), ("tokenizer.json", "tokenizer")];
        for (path, want) in cases {
            assert_eq!(name(Path::new(path)), want, "{path}");
        }
    }
}

//! Files of lines that are appended to, across crashes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Opens a file for appending, made with its parents when absent. A last line that a crash tore gets its end, so that the
/// next line stands alone; the torn one is delivered again and readers skip what does not parse.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let fresh = !path.exists();
    let mut file = OpenOptions::new().append(true).read(true).create(true).open(path)?;
    if fresh {
        // The name must be on disk before a line in the file counts as delivered.
        File::open(parent)?.sync_all()?;
    }
    if is_torn(&file)? {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

fn is_torn(file: &File) -> io::Result<bool> {
    let about = file.metadata()?;
    let Some(last) = about.len().checked_sub(1).filter(|_| about.is_file()) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

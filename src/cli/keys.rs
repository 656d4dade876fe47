//! `tollgate keys`: make a key, hash one, validate a keys file; what is done to keys of the store is in `stored_keys`. A key is shown once, when it is made, and kept nowhere.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{BufRead, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};

use super::End;
#[cfg(feature = "control")]
use super::{store, stored_keys};
use crate::config::{check_keys, load_keys};
use crate::types::{Digest, Secret};
#[cfg(feature = "control")]
use crate::types::{KeyId, KeyRecord, OrgId};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a new random key: the key on standard output; its record in the file, the control plane's store, or, with
    /// neither, on standard error
    Create {
        /// The record's id: its name in events and logs
        #[arg(long)]
        id: String,
        /// The organization it belongs to; may be repeated
        #[arg(long = "organization", value_name = "ID")]
        organizations: Vec<String>,
        /// Append the record to this keys file instead of printing it
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Print the SHA-256 of a key, read from standard input so that it stays out of the shell's history
    Hash,
    /// Validate a keys file: every problem with its line and remedy
    Check {
        /// The file
        file: PathBuf,
    },
    #[cfg(feature = "control")]
    #[command(flatten)]
    Stored(stored_keys::Action),
}

const EXAMPLES: &str = "\
Examples:
  tollgate keys create --id acme-ci --file keys.yaml     into a keys file; only the digest is stored
  tollgate keys create --id acme-ci --organization org_acme   into the control plane's store, where one is configured
  tollgate keys list acme                                letters and state, never the key; --format csv|json has more
  tollgate keys limit acme-ci --requests-per-minute 60
  tollgate keys recharge acme-ci 25.00 --note 'invoice 17'
  tollgate keys import keys.yaml --database sqlite://data/tollgate.db
  tollgate keys export > keys.json

A key is shown once, when it is made. The store is that of tollgate.yaml, of --config or of --database.";

/// What to do with keys, and where they are.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[cfg(feature = "control")]
    #[command(flatten)]
    place: store::Place,
    #[command(subcommand)]
    command: Command,
}

pub(super) fn run(options: &Options) -> anyhow::Result<End> {
    match &options.command {
        #[cfg(feature = "control")]
        Command::Create { id, organizations, file: None } => match store::meant(&options.place)? {
            Some(store) => stored_keys::create(&store, &new_record(id, organizations)),
            None => create(id, organizations, None),
        },
        Command::Create { id, organizations, file } => create(id, organizations, file.as_deref()),
        Command::Hash => hash(),
        Command::Check { file } => Ok(check(file)),
        #[cfg(feature = "control")]
        Command::Stored(action) => stored_keys::run(&options.place, action),
    }
}

/// The record of a key that the store is to make.
#[cfg(feature = "control")]
fn new_record(id: &str, organizations: &[String]) -> KeyRecord {
    let organizations = organizations.iter().map(|id| OrgId::new(id.as_str())).collect();
    KeyRecord { organizations, ..KeyRecord::new(KeyId::new(id), Digest::of(b"")) }
}

fn create(id: &str, organizations: &[String], file: Option<&Path>) -> anyhow::Result<End> {
    let key = make()?;
    let record = record(id, &key, organizations)?;
    match file {
        None => {
            if let Err(problems) = check_keys(&record, Path::new("the new record")) {
                eprintln!("no key was made:\n{problems}");
                return Ok(End::Wrong);
            }
            eprint!("{record}");
        }
        Some(path) => {
            if !append(path, &record)? {
                return Ok(End::Wrong);
            }
            eprintln!("added to {}; the key is shown this once:", path.display());
        }
    }
    println!("{key}");
    Ok(End::Done)
}

/// A new key: `tg-` and 256 random bits in base 62.
pub(super) fn make() -> anyhow::Result<String> {
    Ok(Secret::random("tg-")?.expose().to_owned())
}

fn record(id: &str, key: &str, organizations: &[String]) -> anyhow::Result<String> {
    let quoted = |text: &str| serde_json::to_string(text);
    let mut record = format!("- id: {}\n  key: {{ sha256: {} }}\n", quoted(id)?, Digest::of(key.as_bytes()).to_hex());
    if !organizations.is_empty() {
        let names = organizations.iter().map(|name| quoted(name)).collect::<Result<Vec<_>, _>>()?;
        writeln!(record, "  organizations: [{}]", names.join(", "))?;
    }
    Ok(record)
}

/// Appends a record, unless the file would then be wrong: a bad keys file, or an id that is already there.
fn append(path: &Path, record: &str) -> anyhow::Result<bool> {
    let old = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let newline = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
    if let Err(problems) = check_keys(&format!("{old}{newline}{record}"), path) {
        eprintln!("nothing was added, because the file would be wrong:\n{problems}");
        return Ok(false);
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("{} cannot be opened", path.display()))?;
    file.write_all(format!("{newline}{record}").as_bytes())
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(true)
}

fn hash() -> anyhow::Result<End> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("no key could be read from standard input")?;
    let key = line.trim_end_matches(['\r', '\n']);
    if key.is_empty() {
        eprintln!("tollgate: no key on standard input. Try: printf %s KEY | tollgate keys hash");
        return Ok(End::Wrong);
    }
    println!("{}", Digest::of(key.as_bytes()).to_hex());
    Ok(End::Done)
}

fn check(file: &Path) -> End {
    match load_keys(file) {
        Ok((records, warnings)) => {
            for warning in warnings {
                eprintln!("warning: {warning}");
            }
            println!("{}: {} keys, no problems", file.display(), records.len());
            End::Done
        }
        Err(problems) => {
            eprintln!("{problems}");
            End::Wrong
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{append, make, record};

    #[test]
    fn a_new_key_is_long_and_its_record_holds_only_its_digest() {
        let (one, two) = (make().unwrap(), make().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 46);
        let record = record("ci", &one, &["org".to_owned()]).unwrap();
        assert!(!record.contains(&one));
    }

    #[test]
    fn a_record_is_added_once_and_a_second_of_the_same_id_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys.yaml");
        let first = record("ci", "tg-one", &[]).unwrap();
        assert!(append(&file, &first).unwrap());
        assert!(append(&file, &record("other", "tg-two", &[]).unwrap()).unwrap());
        let before = std::fs::read_to_string(&file).unwrap();
        assert!(!append(&file, &record("ci", "tg-three", &[]).unwrap()).unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
        let (records, _) = crate::config::load_keys(&file).unwrap();
        assert_eq!(records.len(), 2);
    }

    #[test]
    fn no_other_file_is_touched_and_problems_name_the_file_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (file, neighbour) = (dir.path().join("keys.yaml"), dir.path().join("keys.yaml.new"));
        std::fs::write(&neighbour, "mine").unwrap();
        assert!(append(&file, &record("ci", "tg-one", &[]).unwrap()).unwrap());
        assert_eq!(std::fs::read_to_string(&neighbour).unwrap(), "mine");
        let problems = crate::config::check_keys("- id: a\n- id: a\n", &file).unwrap_err().to_string();
        assert!(problems.contains("keys.yaml:"), "{problems}");
    }

    #[test]
    fn a_weird_id_is_written_so_that_it_is_read_back_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (at, id) in
            ["a: b", "- x", "\"quoted\"", "tür # 7", "null", "1e3", "{}", "", " ", "a\nb", "\u{7}"].iter().enumerate()
        {
            let file = dir.path().join(format!("{at}.yaml"));
            if append(&file, &record(id, "tg-one", &[]).unwrap()).unwrap() {
                let (records, _) = crate::config::load_keys(&file).unwrap();
                assert_eq!(records[0].id.as_str(), *id);
            } else {
                assert!(!file.exists());
            }
        }
    }
}

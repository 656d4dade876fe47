//! The shape of the source: imports run one way, files and functions stay small, names say what a thing is.
//!
//! An exception is listed here with its reason; one that is no longer needed fails too.

mod source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use source::{Source, test_modules};

/// Layers of DESIGN §3. A module imports only from lower layers (and from itself).
const LAYERS: [&[&str]; 7] = [
    &["types", "boxed", "header", "shutdown"],
    &["metrics", "reject", "config", "telemetry", "event", "trust"],
    // The audit stands beside the spool and knows nothing of it: it judges events, wherever they were kept.
    &["listener", "dialect", "spool", "capture", "audit"],
    &["guard", "upstream", "sink"],
    &["meter", "translate", "control", "inject", "ops"],
    &["proxy"],
    &["app", "cli", "main", "lib"],
];

/// Imports within one layer, or upwards, that are needed: (from, to, reason).
const IMPORT_EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("metrics", "event", "the outcome is a metric label, and it belongs to the event's contract"),
    ("telemetry", "config", "the log is set up from its part of the configuration"),
    ("main", "cli", "the top layer is a chain: main, then cli, then app"),
    ("cli", "app", "the top layer is a chain: main, then cli, then app"),
];

/// Files over 400 lines: (file, reason).
const LONG_FILES: &[(&str, &str)] = &[];
/// Functions over 60 lines: (file, function, reason).
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 60;
const LONGEST_STORY: usize = 150;
const BANNED_NAMES: [&str; 7] = ["util", "utils", "helper", "common", "manager", "service", "inner"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every production file: those that are only declared for tests are left out, whatever their names.
fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    walk(&root(), &mut files);
    files.sort();
    assert!(files.len() > 30, "src/ was not found");
    let read = |file: &PathBuf| {
        let path = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        (path, std::fs::read_to_string(file).unwrap())
    };
    let files: Vec<_> = files.iter().map(read).collect();
    let tests: Vec<_> = files.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let is_test = |path: &str| {
        tests.iter().any(|test| path.strip_prefix(test).is_some_and(|rest| rest == ".rs" || rest.starts_with('/')))
    };
    files.iter().filter(|(path, _)| !is_test(path)).map(|(path, text)| Source::new(path, text)).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("module {module} stands in no layer of DESIGN §3"))
}

#[test]
fn imports_run_one_way() {
    let mut wrong = BTreeSet::new();
    let mut used = BTreeSet::new();
    for source in sources() {
        for to in source.imported() {
            let from = &source.module;
            if *from == to || layer(&to) < layer(from) {
                continue;
            }
            match IMPORT_EXCEPTIONS.iter().find(|(f, t, _)| f == from && *t == to) {
                Some(exception) => drop(used.insert(*exception)),
                None => drop(wrong.insert(format!(
                    "{}: {from} (layer {}) imports {to} (layer {})",
                    source.path,
                    layer(from),
                    layer(&to)
                ))),
            }
        }
    }
    assert!(wrong.is_empty(), "imports against DESIGN §3:\n{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
    let stale: Vec<_> = IMPORT_EXCEPTIONS.iter().filter(|e| !used.contains(*e)).collect();
    assert!(stale.is_empty(), "exceptions that nothing needs any more: {stale:?}");
}

#[test]
fn upstream_sees_of_the_guard_only_its_permit() {
    for source in sources().iter().filter(|s| s.module == "upstream") {
        for path in source.uses().iter().filter(|path| path.iter().any(|segment| segment == "guard")) {
            assert_eq!(path.last().map(String::as_str), Some("Permit"), "{}: {path:?}", source.path);
        }
    }
}

#[test]
fn files_stay_small() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|s| s.lines.len() > LONGEST_FILE)
        .map(|s| format!("{} ({})", s.path, s.lines.len()))
        .collect();
    let excused = |name: &str| LONG_FILES.iter().any(|(file, _)| name.starts_with(file));
    let wrong: Vec<_> = long.iter().filter(|name| !excused(name)).collect();
    assert!(wrong.is_empty(), "files over {LONGEST_FILE} lines: {wrong:?}");
    let stale: Vec<_> = LONG_FILES.iter().filter(|(file, _)| !long.iter().any(|name| name.starts_with(file))).collect();
    assert!(stale.is_empty(), "exceptions that nothing needs any more: {stale:?}");
}

#[test]
fn functions_stay_small() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources() {
        for (name, length) in source.functions().into_iter().filter(|(_, length)| *length > LONGEST_FUNCTION) {
            match LONG_FUNCTIONS.iter().find(|(file, function, _)| source.path == *file && name == *function) {
                Some(exception) => drop(used.insert(*exception)),
                None => wrong.push(format!("{}: {name} ({length})", source.path)),
            }
        }
    }
    assert!(wrong.is_empty(), "functions over {LONGEST_FUNCTION} lines:\n{}", wrong.join("\n"));
    let stale: Vec<_> = LONG_FUNCTIONS.iter().filter(|e| !used.contains(*e)).collect();
    assert!(stale.is_empty(), "exceptions that nothing needs any more: {stale:?}");
}

#[test]
fn the_story_is_short() {
    let story = sources().into_iter().find(|s| s.path == "proxy.rs").expect("src/proxy.rs");
    assert!(story.lines.len() <= LONGEST_STORY, "proxy.rs has {} lines", story.lines.len());
    for stage in ["hygiene::check", "guard.identify", "guard.admit", "upstreams.route", "meter.open", "Tap::attach"] {
        assert!(story.lines.iter().any(|line| line.contains(stage)), "proxy.rs no longer tells of {stage}");
    }
}

#[test]
fn nothing_is_imported_wholesale() {
    for source in sources() {
        let glob = source.uses().into_iter().find(|path| path.last().is_some_and(|last| last == "*"));
        assert!(glob.is_none(), "{}: {glob:?}", source.path);
    }
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    for source in sources() {
        let mut parts = source.path.trim_end_matches(".rs").split('/');
        assert!(parts.all(|part| !BANNED_NAMES.contains(&part)), "{}", source.path);
    }
}

#[test]
fn only_header_rs_holds_header_literals() {
    for source in sources().iter().filter(|s| s.path != "header.rs") {
        for line in &source.lines {
            assert!(!line.contains("HeaderName::from_static"), "{}: {line}", source.path);
        }
    }
}

#[test]
fn unsafe_code_stands_in_one_file() {
    let lifting: Vec<_> =
        sources().into_iter().filter(|s| s.lines.iter().any(|l| l.contains("unsafe_code"))).map(|s| s.path).collect();
    assert!(lifting.is_empty() || lifting == ["spool/mapped.rs"], "{lifting:?}");
}

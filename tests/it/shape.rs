//! The shape of the source: imports run one way, files and functions stay small, names say what a thing is.
//!
//! An exception is listed here with its reason; one that is no longer needed fails too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Layers of DESIGN §3. A module imports only from lower layers (and from itself).
const LAYERS: [&[&str]; 7] = [
    &["types", "header", "shutdown"],
    &["metrics", "reject", "config", "telemetry", "event"],
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

struct Source {
    path: String,
    module: String,
    lines: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Production lines of every file: up to its test module; sibling `tests.rs` files are tests.
fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    walk(&root(), &mut files);
    files.sort();
    assert!(files.len() > 30, "src/ was not found");
    files.into_iter().filter_map(|file| read(&file)).collect()
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

fn read(file: &Path) -> Option<Source> {
    let path = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
    let module = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
    let text = std::fs::read_to_string(file).unwrap();
    let end = text
        .lines()
        .position(|line| line.trim_start().starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test"));
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    // Only a test module ends a file; `#[cfg(test)]` on an item in between does not.
    let end = end.filter(|&at| {
        lines[at + 1..].iter().any(|l| l.trim_start().starts_with("mod "))
            && lines[at..].iter().take(3).any(|l| l.contains("mod "))
    });
    let lines = lines[..end.unwrap_or(lines.len())].to_vec();
    (!is_test).then_some(Source { path, module, lines })
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("module {module} stands in no layer of DESIGN §3"))
}

/// Every `crate::x` that a line names, in imports and in paths.
fn imported(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or("");
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(list.trim_end_matches(['}', ';']).split(", ").map(word)),
            None => found.push(word(rest)),
        }
    }
    found.retain(|name| !name.is_empty() && name.chars().next().is_some_and(char::is_lowercase));
    found
}

#[test]
fn imports_run_one_way() {
    let mut wrong = BTreeSet::new();
    let mut used = BTreeSet::new();
    for source in sources() {
        for to in source.lines.iter().flat_map(|line| imported(line)) {
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
        for line in source.lines.iter().filter(|line| line.contains("crate::guard")) {
            assert!(line.contains("Permit"), "{}: {line}", source.path);
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

/// Functions as (name, lines), found by indentation, which rustfmt guarantees.
fn functions(lines: &[String]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let signature = trimmed.split("fn ").next().unwrap_or("");
        let is_fn = trimmed.contains("fn ")
            && signature.split_whitespace().all(|w| {
                ["pub", "pub(crate)", "pub(super)", "async", "const", "unsafe", "extern", "\"C\""].contains(&w)
            });
        if !is_fn || trimmed.starts_with("//") {
            continue;
        }
        let indent = line.len() - trimmed.len();
        let close = format!("{}}}", " ".repeat(indent));
        let ends = |l: &String| {
            *l == close
                || (l.starts_with(&" ".repeat(indent))
                    && l.trim_end().ends_with(';')
                    && l.len() - l.trim_start().len() == indent)
        };
        let length = if trimmed.ends_with('}') { 0 } else { lines[at + 1..].iter().position(ends).unwrap_or(0) + 1 };
        let name = trimmed.split("fn ").nth(1).unwrap_or("").split(['(', '<']).next().unwrap_or("").to_owned();
        found.push((name, length + 1));
    }
    found
}

#[test]
fn functions_stay_small() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources() {
        for (name, length) in functions(&source.lines).into_iter().filter(|(_, length)| *length > LONGEST_FUNCTION) {
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
        let glob = source.lines.iter().find(|line| line.trim_start().starts_with("use ") && line.contains("::*"));
        assert!(glob.is_none(), "{}: {}", source.path, glob.unwrap());
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

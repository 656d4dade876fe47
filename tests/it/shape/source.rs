//! Rust source as the shape tests read it: code without comments and texts, items without tests.

use std::collections::BTreeSet;
use std::path::Path;

/// One production file.
pub(crate) struct Source {
    /// Relative to `src`.
    pub(crate) path: String,
    /// Its first module.
    pub(crate) module: String,
    /// Lines, without items that are only there in tests.
    pub(crate) lines: Vec<String>,
    /// The same as one text, with comments, texts and characters blanked out.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = blanked(text);
        let tests = test_items(&code);
        let keep = |from: &str| -> String {
            let inside = |at: usize| tests.iter().any(|(start, end)| (*start..*end).contains(&at));
            from.char_indices().filter(|(at, c)| *c == '\n' || !inside(*at)).map(|(_, c)| c).collect()
        };
        let module = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        let lines = keep(text).trim_end().lines().map(str::to_owned).collect();
        Self { path: path.to_owned(), module, lines, code: keep(&code) }
    }

    /// The modules from the root to this file.
    fn modules(&self) -> Vec<&str> {
        let mut modules: Vec<_> = self.path.trim_end_matches(".rs").split('/').collect();
        if matches!(modules.last(), Some(&"mod" | &"lib" | &"main")) {
            modules.pop();
        }
        modules
    }

    /// Every path that a `use` brings in, its groups taken apart.
    pub(crate) fn uses(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for (at, _) in words(&self.code, "use") {
            let rest = &self.code[at + 3..];
            expand(&[], rest.split(';').next().unwrap(), &mut found);
        }
        found
    }

    /// The top-level module of every path into this crate, in imports and in code, by `crate`, `super` or our name.
    pub(crate) fn imported(&self) -> BTreeSet<String> {
        let paths = ["crate", "super", "tollgate"].iter().flat_map(|root| words(&self.code, root)).map(|(at, _)| {
            let end = self.code[at..].find(|c: char| !(c.is_alphanumeric() || "_: \n".contains(c)));
            segments(&self.code[at..end.map_or(self.code.len(), |end| at + end)])
        });
        let resolved = self.uses().into_iter().chain(paths).filter_map(|path| self.resolve(&path));
        resolved.filter(|name| name.chars().next().is_some_and(char::is_lowercase)).collect()
    }

    fn resolve(&self, path: &[String]) -> Option<String> {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        match path.first()?.as_str() {
            "crate" | "tollgate" => path.get(1).cloned(),
            "super" => {
                let modules = self.modules();
                let left = modules.len().checked_sub(supers)?;
                if left > 0 { Some(modules[0].to_owned()) } else { path.get(supers).cloned() }
            }
            _ => None,
        }
    }

    /// Every function with a body: its name and its lines from `fn` to the closing brace.
    pub(crate) fn functions(&self) -> Vec<(String, usize)> {
        let body = |(at, _): (usize, &str)| {
            let name: String =
                self.code[at + 3..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let open = at + self.code[at..].find(['{', ';'])?;
            let open = if self.code[open..].starts_with(';') && in_brackets(&self.code[at..open]) {
                open + self.code[open..].find('{')?
            } else {
                open
            };
            let end = self.code[open..].starts_with('{').then(|| closing(&self.code, open))?;
            (!name.is_empty()).then(|| (name, self.code[at..end].matches('\n').count() + 1))
        };
        words(&self.code, "fn").filter_map(body).collect()
    }
}

/// Files that are modules of tests only, as the files above them declare.
pub(crate) fn test_modules(path: &str, text: &str) -> Vec<String> {
    let code = blanked(text);
    let folder = match Path::new(path).file_name().and_then(|name| name.to_str()) {
        Some("mod.rs" | "lib.rs" | "main.rs") => Path::new(path).parent().unwrap().to_owned(),
        _ => Path::new(path).with_extension(""),
    };
    let declared = test_items(&code).into_iter().filter_map(|(start, end)| {
        let item = code[start..end].trim_end().strip_suffix(';')?;
        let name = item.rsplit(' ').next()?;
        item.contains("mod ").then(|| folder.join(name).to_string_lossy().into_owned())
    });
    declared.collect()
}

/// Where items stand that are only compiled for tests.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for attribute in ["#[cfg(test)]", "#[cfg(all(test"] {
        for (at, _) in code.match_indices(attribute) {
            found.push((at, item_end(code, at + attribute.len())));
        }
    }
    found
}

/// Where what an attribute belongs to ends: an item at its brace or semicolon, an arm, field or variant at its comma.
fn item_end(code: &str, from: usize) -> usize {
    const ITEMS: [&str; 9] = ["fn ", "mod ", "use ", "impl", "struct ", "enum ", "trait ", "const ", "static "];
    let head = &code[from..from + code[from..].find([',', '{', '}', ';']).unwrap_or(0)];
    let marks: &[char] = if ITEMS.iter().any(|item| head.contains(item)) { &['{', ';'] } else { &['{', ';', ',', '}'] };
    let mut depth = 0_i32;
    for (at, c) in code[from..].char_indices() {
        depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
        if depth == 0 && marks.contains(&c) {
            return if c == '{' { closing(code, from + at) } else { from + at + usize::from(c != '}') };
        }
    }
    code.len()
}

/// Just past the brace that closes the one at `open`.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (at, c) in code[open..].char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            return open + at + 1;
        }
    }
    code.len()
}

/// Whether a text ends within brackets, as in `[u8; 4]`.
fn in_brackets(text: &str) -> bool {
    text.matches('[').count() > text.matches(']').count()
}

/// Where a word stands by itself.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).filter(move |(at, _)| {
        !code[..*at].ends_with(part) && !code[at + word.len()..].starts_with(part) && !code[..*at].ends_with("::")
    })
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(|part| part.split_whitespace().next().unwrap_or("").to_owned()).collect()
}

/// Takes the groups of a use tree apart.
fn expand(before: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let (path, group) = tree.split_once('{').map_or((tree, None), |(path, group)| (path, Some(group)));
    let own = segments(path.trim()).into_iter().filter(|segment| !segment.is_empty());
    let path: Vec<String> = before.iter().cloned().chain(own).collect();
    let Some(group) = group else { return found.push(path) };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut start) = (0_i32, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            if !group[start..at].trim().is_empty() {
                expand(&path, &group[start..at], found);
            }
            start = at + 1;
        }
    }
}

/// The same length of text with comments, strings and characters as spaces; line ends stay.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + opaque(&bytes[at..], at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_'));
        if end == at {
            at += 1;
            continue;
        }
        out[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end;
    }
    String::from_utf8(out).unwrap()
}

/// The length of the comment, string or character that begins here; 0 when none does.
fn opaque(rest: &[u8], in_word: bool) -> usize {
    let until = |from: usize, end: &[u8]| {
        rest[from..].windows(end.len()).position(|w| w == end).map_or(rest.len(), |at| from + at + end.len())
    };
    let hashes = |from: usize| rest[from..].iter().take_while(|byte| **byte == b'#').count();
    let raw = |from: usize| {
        let count = hashes(from);
        let quoted = rest.get(from + count) == Some(&b'"');
        quoted.then(|| until(from + count + 1, &[b"\"".as_slice(), &b"#".repeat(count)].concat()))
    };
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => until(2, b"*/"),
        [b'r', ..] if !in_word => raw(1).unwrap_or(0),
        [b'b', b'r', ..] if !in_word => raw(2).unwrap_or(0),
        [b'"', ..] => {
            let mut at = 1;
            while at < rest.len() && rest[at] != b'"' {
                at += 1 + usize::from(rest[at] == b'\\');
            }
            (at + 1).min(rest.len())
        }
        [b'\'', b'\\', ..] => until(3, b"'"),
        // A character, of up to four bytes; else a lifetime.
        [b'\'', ..] => {
            (2..=5).find(|at| rest.get(*at) == Some(&b'\'') && (*at == 2 || !rest[1].is_ascii())).map_or(0, |at| at + 1)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{Source, test_modules};

    fn imported(path: &str, text: &str) -> Vec<String> {
        Source::new(path, text).imported().into_iter().collect()
    }

    #[test]
    fn no_way_of_importing_slips_through() {
        assert_eq!(imported("a/b.rs", "use crate::{\n    proxy::Proxy,\n    app::{x, y},\n};"), ["app", "proxy"]);
        assert_eq!(imported("a/b.rs", "use super::super::proxy::Proxy;"), ["proxy"]);
        assert_eq!(imported("a.rs", "pub use super::{app, meter::{self, Tap}};"), ["app", "meter"]);
        assert_eq!(imported("a/mod.rs", "fn f() { super::app::go(); }"), ["app"]);
        assert_eq!(imported("a/b.rs", "use super::c;"), ["a"]);
        assert_eq!(imported("a.rs", "fn f() -> crate\n    ::app::App { tollgate::cli::main() }"), ["app", "cli"]);
        assert_eq!(imported("a.rs", "// crate::app\nconst X: &str = \"crate::cli \\\" use crate::app;\";"), [""; 0]);
        assert_eq!(imported("a.rs", "const X: &str = r#\"crate::cli\"#; const C: char = '\"'; use crate::b;"), ["b"]);
        assert_eq!(imported("a.rs", "fn f<'a>(x: &'a str) {} use crate::b; const C: char = '\\'';"), ["b"]);
    }

    #[test]
    fn only_what_is_tested_is_left_out() {
        let text =
            "#[cfg(test)]\nmod tests;\nuse crate::app;\n#[cfg(test)]\nmod more { use crate::cli; }\nuse crate::b;";
        assert_eq!(imported("a.rs", text), ["app", "b"]);
        assert_eq!(test_modules("a/b.rs", text), ["a/b/tests"]);
        assert_eq!(test_modules("a/mod.rs", text), ["a/tests"]);
    }

    #[test]
    fn every_function_is_measured() {
        let text = "pub(in crate::a) fn one<T: Fn() -> [u8; 2]>(\n    x: T,\n) -> [u8; 2]\nwhere\n    T: Copy,\n{\n    fn two() {\n    }\n}\ntrait X { fn three(); }\ntype F = fn(u8);";
        let source = Source::new("a.rs", text);
        assert_eq!(source.functions(), [("one".to_owned(), 9), ("two".to_owned(), 2)]);
    }

    #[test]
    fn globs_are_seen_wherever_they_stand() {
        let glob =
            |text| Source::new("a.rs", text).uses().iter().any(|path| path.last().is_some_and(|last| last == "*"));
        assert!(glob("pub use a::*;") && glob("use a::{\n    b,\n    c::*,\n};") && glob("use a::{*};"));
        assert!(!glob("use a::{b, c};"));
    }
}

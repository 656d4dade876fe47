//! Secrets: written as `{ env: NAME }` or `{ file: PATH }`, and `{ value: … }` with a warning. None is ever shown.

use crate::types::Secret;

use super::context::Size;
use super::environment;
use super::field::Field;
use super::section::Section;

const FORMS: &str = "Write { env: NAME } or { file: PATH }.";

/// The secret that a section names by one of `env`, `file` and `value`.
pub(super) fn secret(section: &mut Section<'_>) -> Option<Secret> {
    let given = [section.take("env"), section.take("file"), section.take("value")];
    match given {
        [Some(name), None, None] => from_environment(&name),
        [None, Some(path), None] => from_file(&path),
        [None, None, Some(value)] => from_value(&value),
        [None, None, None] => {
            section.problem("names no secret", FORMS);
            None
        }
        _ => {
            section.problem("names more than one secret", "Keep one of env, file and value.");
            None
        }
    }
}

fn from_environment(field: &Field<'_>) -> Option<Secret> {
    let name = field.text()?;
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !letters || name.starts_with(|c: char| c.is_ascii_digit()) {
        field.problem("is not the name of an environment variable", "Put the variable's name here, not its value.");
        return None;
    }
    let found = environment::lookup(field.context.environment, name).map(str::trim).filter(|text| !text.is_empty());
    if found.is_none() {
        field.problem(format!("environment variable {name} is not set"), "Set it, or name another.");
    }
    found.map(Secret::new)
}

fn from_file(field: &Field<'_>) -> Option<Secret> {
    let path = field.file_path()?;
    match field.context.read(&path, &Size::Small) {
        Ok(text) if !text.trim().is_empty() => return Some(Secret::new(text.trim())),
        Ok(_) => field.unreadable(&path, "is empty"),
        Err(what) => field.unreadable(&path, &what),
    }
    None
}

fn from_value(field: &Field<'_>) -> Option<Secret> {
    let text = field.text()?;
    field.warn("the secret stands in the configuration itself", FORMS);
    Some(Secret::new(text))
}

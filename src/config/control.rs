//! `control:`, the authority. It runs here when the section is there, or when the environment holds one of its secrets.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::field::{Field, quote};
use super::problem::{Origin, Problems};
use super::secret::secret;
use super::section::Section;
use super::tree::{Node, Value};
use super::{Control, Database, environment};
use crate::types::Secret;

const DATABASE: &str = "./data/tollgate.db";
/// Where the secrets come from when the section names no others.
const GUARD_SECRET: &str = "GUARD_SECRET_KEY";
const ADMIN_KEY: &str = "ADMIN_API_KEY";
const FORMS: &str = "Write sqlite://./data/tollgate.db, or postgres://user:password@host/database.";

/// The control plane, if there is to be one.
pub(super) fn read(root: &mut Section<'_>) -> Option<Control> {
    let context = root.context();
    let written = root.take("control");
    let unnamed = [GUARD_SECRET, ADMIN_KEY].iter().any(|name| from_environment(context, name).is_some());
    if written.is_none() && !unnamed {
        return None;
    }
    let Some(field) = written else { return Some(defaults(context)) };
    let mut section = field.section();
    let database = section.take("database").and_then(|field| database(&field));
    let default = defaults(context);
    Some(Control {
        database: database.unwrap_or(default.database),
        admin_key: section
            .take("admin_key")
            .and_then(|field| secret(&mut field.section().with_hidden_names()))
            .or(default.admin_key),
        guard_secret: section
            .take("guard_secret")
            .and_then(|field| secret(&mut field.section().with_hidden_names()))
            .or(default.guard_secret),
    })
}

/// Reads the name of a database as it stands in `control.database`, on its own.
pub fn check_database(text: &str) -> Result<Database, Problems> {
    let directory = PathBuf::new();
    let context = Context::new(&[], &directory);
    let value = Value { node: Node::Scalar(text.to_owned()), at: Origin::Flag("database".into()) };
    let found = database(&Field { value: &value, path: "database".to_owned(), context: &context });
    context.finish()?;
    // Without one there was a problem.
    found.ok_or_else(|| Problems::new(Vec::new(), Vec::new()))
}

fn defaults(context: &Context<'_>) -> Control {
    Control {
        database: Database::Sqlite(context.base.join(DATABASE)),
        admin_key: from_environment(context, ADMIN_KEY),
        guard_secret: from_environment(context, GUARD_SECRET),
    }
}

fn from_environment(context: &Context<'_>, name: &str) -> Option<Secret> {
    let text = environment::lookup(context.environment, name)?.trim();
    (!text.is_empty()).then(|| Secret::new(text))
}

/// A text, or a map that names a secret: a URL may hold a password.
fn database(field: &Field<'_>) -> Option<Database> {
    let Some(text) = field.scalar() else {
        let field = Field { value: field.value, path: field.path.clone(), context: field.context };
        let url = secret(&mut field.section().with_hidden_names())?;
        return Some(Database::Postgres(url));
    };
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        let password = text.split_once('@').is_some_and(|(login, _)| login.matches(':').count() > 1);
        if password && matches!(field.value.at, Origin::File { .. }) {
            field.warn(
                "the password stands in the configuration itself",
                "Write { env: NAME } or { file: PATH } for the whole URL.",
            );
        }
        return Some(Database::Postgres(Secret::new(text)));
    }
    let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
    if let Some(path) = path.filter(|path| !path.is_empty()) {
        return Some(Database::Sqlite(resolved(field, path)));
    }
    // The text is not shown: it may be a URL with a password whose scheme is misspelt.
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    field.problem(format!("{} is no database that is known here", quote(scheme)), FORMS);
    None
}

/// In a file relative to the file's folder, elsewhere to the working directory, as every path.
fn resolved(field: &Field<'_>, path: &str) -> PathBuf {
    let folder = match &field.value.at {
        Origin::File { path, .. } => path.parent().unwrap_or(Path::new("")),
        Origin::Unset => field.context.base.as_path(),
        Origin::Environment(_) | Origin::Flag(_) => field.context.directory,
    };
    folder.join(path)
}

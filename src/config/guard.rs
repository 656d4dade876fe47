//! `guard:`, who may call.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::field::{Field, quote};
use super::secret::secret;
use super::section::Section;
use super::{Control, Guard, GuardMode, Remote, keys, url};
use crate::header::{OPENAI_ORGANIZATION, SWARMS_ORGANIZATION, X_ORGANIZATION};

const ORGANIZATION_HEADERS: [HeaderName; 3] = [SWARMS_ORGANIZATION, OPENAI_ORGANIZATION, X_ORGANIZATION];

const TTL: Duration = Duration::from_mins(1);
const NEGATIVE_TTL: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_mins(10);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Keys,
    Remote,
}

/// With a control plane in this process its store knows keys, too, and keys are asked for unless the mode says otherwise.
pub(super) fn read(mut section: Section<'_>, control: Option<&Control>) -> Guard {
    let written = section.take("mode");
    let words = [("open", Mode::Open), ("keys", Mode::Keys), ("remote", Mode::Remote)];
    let mode = written.as_ref().and_then(|field| field.choice(&words));
    let keys = section.take("keys");
    let remote = section.take("remote");
    if let (Some(remote), Some(Mode::Open | Mode::Keys)) = (&remote, mode) {
        remote.warn("it has no effect in this mode", "Set mode: remote, or take it out.");
    }
    let mode = match (mode, &written, keys) {
        (Some(Mode::Remote), _, Some(keys)) => {
            keys.problem("with mode 'remote' the authority knows the keys", "Take 'keys' out, or set mode: keys.");
            GuardMode::Open
        }
        (Some(Mode::Remote), Some(field), None) if remote.is_none() => {
            field.problem("mode 'remote' needs to know whom to ask", "Add remote: { url: http://control:4141 }.");
            GuardMode::Open
        }
        (Some(Mode::Remote) | None, _, None) if remote.is_some() => {
            remote.and_then(from_remote).map_or(GuardMode::Open, GuardMode::Remote)
        }
        (Some(Mode::Open), _, Some(keys)) => {
            keys.warn("with mode 'open' no key is asked for", "Set mode: keys, or take the keys out.");
            GuardMode::Open
        }
        (_, _, Some(field)) => from_keys(field).unwrap_or(GuardMode::Open),
        (Some(Mode::Keys) | None, _, None) if control.is_some() => from_store(),
        (Some(Mode::Keys), Some(field), None) => {
            let fix = "Add keys: { file: keys.yaml } beside it, or control: {} for the store.";
            field.problem("mode 'keys' needs to know the keys", fix);
            GuardMode::Open
        }
        _ => GuardMode::Open,
    };
    Guard { mode, organization_headers: organization_headers(&mut section) }
}

/// No file: the store alone knows keys.
fn from_store() -> GuardMode {
    GuardMode::Keys { file: None, records: Arc::default() }
}

fn from_keys(field: Field<'_>) -> Option<GuardMode> {
    let mut section = field.section();
    let file = section.require("file", "Name the keys file: file: keys.yaml.")?;
    let path = file.file_path()?;
    let records = keys::from_config(&file, &path);
    Some(GuardMode::Keys { file: Some(path), records: Arc::new(records) })
}

fn from_remote(field: Field<'_>) -> Option<Remote> {
    let mut section = field.section();
    let bounds = |least, most| (Duration::from_millis(least), Duration::from_secs(most));
    let secret = section.take("secret").and_then(|field| secret(&mut field.section().with_hidden_names()));
    let ttl = section.duration("ttl", bounds(100, 3600)).unwrap_or(TTL);
    let negative_ttl = section.duration("negative_ttl", bounds(0, 300)).unwrap_or(NEGATIVE_TTL);
    let grace = section.duration("grace", bounds(0, 7 * 86_400)).unwrap_or(GRACE);
    let url =
        section.require("url", "Name the authority: url: http://control:4141.").and_then(|field| url::read(&field));
    Some(Remote { url: url?, secret, ttl, negative_ttl, grace })
}

fn organization_headers(section: &mut Section<'_>) -> Vec<HeaderName> {
    let mut headers = section.section("headers");
    let Some(field) = headers.take("organization") else {
        return ORGANIZATION_HEADERS.to_vec();
    };
    let texts = field.texts();
    let parsed = texts.into_iter().filter_map(|text| {
        let name = text.parse().ok();
        if name.is_none() {
            field.problem(format!("{} is not a header name", quote(text)), "Write them as [X-Organization].");
        }
        name
    });
    parsed.collect()
}

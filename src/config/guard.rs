//! `guard:`, who may call.

use std::sync::Arc;

use http::HeaderName;

use super::field::{Field, quote};
use super::section::Section;
use super::{Control, Guard, GuardMode, keys};
use crate::header::{OPENAI_ORGANIZATION, SWARMS_ORGANIZATION, X_ORGANIZATION};

const ORGANIZATION_HEADERS: [HeaderName; 3] = [SWARMS_ORGANIZATION, OPENAI_ORGANIZATION, X_ORGANIZATION];

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
    if let Some(remote) = section.take("remote") {
        remote.problem("a remote guard is not in this version yet", "Take it out, and use 'keys: { file: … }'.");
    }
    let mode = match (mode, &written, keys) {
        (Some(Mode::Remote), Some(field), _) => {
            field.problem("the mode 'remote' is not in this version yet", "Use open or keys.");
            GuardMode::Open
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

//! `upstreams:`, the endpoints behind us, in the order in which they are tried; and `--upstream URL`, which stands for
//! one that takes every request.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use http::{HeaderName, HeaderValue, Uri};

use crate::header::HOP_BY_HOP;
use crate::types::{Pattern, Secret};

use super::field::{Field, quote};
use super::proxy::{WAIT, disconnect};
use super::secret::secret;
use super::section::Section;
use super::{Control, Credential, DialectChoice, Disconnect, Matching, Timeouts, Upstream, url};

const DIALECTS: [(&str, DialectChoice); 10] = [
    ("auto", DialectChoice::Auto),
    ("openai", DialectChoice::OpenAi),
    ("anthropic", DialectChoice::Anthropic),
    ("google", DialectChoice::Google),
    ("bedrock", DialectChoice::Bedrock),
    ("ollama", DialectChoice::Ollama),
    ("cohere", DialectChoice::Cohere),
    ("usageguard", DialectChoice::UsageGuard),
    ("llmstudio", DialectChoice::LlmStudio),
    ("brconnector", DialectChoice::BrConnector),
];
const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(10), first_byte: Duration::from_mins(10), idle: Duration::from_mins(5) };

/// All upstreams. The shorthand, where it is given, replaces the list. A control plane needs none.
pub(super) fn read(root: &mut Section<'_>, default: Disconnect, control: Option<&Control>) -> Vec<Upstream> {
    let listed = root.take("upstreams");
    if let Some(shorthand) = root.take_override("upstream") {
        let only = url::read(&shorthand).map(|uri| of_url(uri, default));
        return only.into_iter().collect();
    }
    let fix = "Give --upstream URL, or list endpoints under 'upstreams:'.";
    let Some(listed) = listed else {
        if control.is_none() {
            root.problem("there is no upstream", fix);
        }
        return Vec::new();
    };
    let fields = listed.fields();
    if fields.is_empty() && matches!(listed.value.node, super::tree::Node::List(_)) {
        listed.problem("there is no upstream", fix);
    }
    let mut seen = Seen::default();
    fields.into_iter().filter_map(|field| upstream(field, default, &mut seen)).collect()
}

/// What earlier upstreams took.
#[derive(Default)]
struct Seen {
    names: Vec<Arc<str>>,
    catch_all: Option<Arc<str>>,
}

fn of_url(url: Uri, disconnect: Disconnect) -> Upstream {
    let host = url::host(&url);
    Upstream {
        name: url::name_of(&host).into(),
        url,
        dialect: DialectChoice::Auto,
        credential: None,
        matching: Matching::default(),
        inject_usage: true,
        disconnect,
        timeouts: TIMEOUTS,
        http2: false,
        provider: url::provider_of(&host).into(),
    }
}

fn upstream(field: Field<'_>, default: Disconnect, seen: &mut Seen) -> Option<Upstream> {
    let mut section = field.section();
    let url = section.require("url", "Write url: https://host[:port][/prefix].").and_then(|field| url::read(&field));
    let plain = of_url(url.clone().unwrap_or_default(), default);
    let upstream = Upstream {
        name: name(&mut section).unwrap_or(plain.name),
        url: plain.url,
        dialect: section.take("dialect").and_then(|field| field.choice(&DIALECTS)).unwrap_or(plain.dialect),
        credential: section.take("credential").and_then(credential),
        matching: matching(section.section("match")),
        inject_usage: section.switch("inject_usage").unwrap_or(plain.inject_usage),
        disconnect: disconnect(&mut section).unwrap_or(plain.disconnect),
        timeouts: timeouts(section.section("timeouts")),
        http2: section.switch("http2").unwrap_or(plain.http2),
        provider: section.text("provider").map_or(plain.provider, Into::into),
    };
    if url.is_some() {
        compare(&section, &upstream, seen);
    }
    url.is_some().then_some(upstream)
}

fn compare(section: &Section<'_>, upstream: &Upstream, seen: &mut Seen) {
    if seen.names.contains(&upstream.name) {
        section.problem(
            format!("another upstream is already named {}", quote(&upstream.name)),
            "Give each a 'name' of its own.",
        );
    }
    if let Some(earlier) = &seen.catch_all {
        section.warn(
            format!("it gets no request, because {} before it takes them all", quote(earlier)),
            "Put it first, or give the other a 'match'.",
        );
    }
    seen.names.push(Arc::clone(&upstream.name));
    let Matching { models, paths, hosts, connection_ids } = &upstream.matching;
    if seen.catch_all.is_none() && [models, paths, hosts, connection_ids].iter().all(|list| takes_all(list)) {
        seen.catch_all = Some(Arc::clone(&upstream.name));
    }
}

fn takes_all(list: &[Pattern]) -> bool {
    // A request may name no model at all, so even `*` for models says something; an empty list alone takes all.
    list.is_empty()
}

fn name(section: &mut Section<'_>) -> Option<Arc<str>> {
    let field = section.take("name")?;
    let text = field.text()?;
    let fits = text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !fits {
        field.problem(
            format!("{} does not do as a name in metrics", quote(text)),
            "Use up to 64 letters, digits, '.', '_' and '-'.",
        );
    }
    fits.then(|| text.into())
}

fn credential(field: Field<'_>) -> Option<Credential> {
    let mut section = field.section().with_hidden_names();
    let header = match section.take("header") {
        Some(field) => header_name(&field),
        None => Some(AUTHORIZATION),
    };
    let secret = secret(&mut section);
    let (header, secret) = (header?, secret?);
    let value = with_scheme(&header, &secret);
    if HeaderValue::from_str(value.expose()).is_err() {
        section.problem("the secret has characters that no header can carry", "Check that it is the right one.");
        return None;
    }
    Some(Credential { header, value })
}

// A secret that has a blank brings its scheme along (`Basic …`); a key has none.
fn with_scheme(header: &HeaderName, secret: &Secret) -> Secret {
    if *header == AUTHORIZATION && !secret.expose().contains(' ') {
        return Secret::new(format!("Bearer {}", secret.expose()));
    }
    secret.clone()
}

fn header_name(field: &Field<'_>) -> Option<HeaderName> {
    let name: HeaderName = field.parse("a header name", "Write it as x-api-key.")?;
    if HOP_BY_HOP.contains(&name) || name == HOST || name == CONTENT_LENGTH {
        field.problem(format!("{} cannot carry a credential", quote(name.as_str())), "Name another header.");
        return None;
    }
    Some(name)
}

fn matching(mut section: Section<'_>) -> Matching {
    let mut patterns = |key| section.texts(key).into_iter().map(Pattern::new).collect::<Vec<_>>();
    let (models, connection_ids) = (patterns("models"), patterns("connection_ids"));
    Matching { models, connection_ids, hosts: hosts(&mut section), paths: paths(&mut section) }
}

fn hosts(section: &mut Section<'_>) -> Vec<Pattern> {
    section.texts("hosts").into_iter().map(|text| Pattern::new(text.to_lowercase())).collect()
}

fn paths(section: &mut Section<'_>) -> Vec<Pattern> {
    let Some(field) = section.take("paths") else { return Vec::new() };
    let texts = field.texts();
    if let Some(text) = texts.iter().find(|text| !text.starts_with(['/', '*'])) {
        field.problem(format!("{} matches no path", quote(text)), "Begin it with '/'.");
    }
    texts.into_iter().map(Pattern::new).collect()
}

fn timeouts(mut section: Section<'_>) -> Timeouts {
    Timeouts {
        connect: section.duration("connect", WAIT).unwrap_or(TIMEOUTS.connect),
        first_byte: section.duration("first_byte", WAIT).unwrap_or(TIMEOUTS.first_byte),
        idle: section.duration("idle", WAIT).unwrap_or(TIMEOUTS.idle),
    }
}

//! `events.http`, receivers of events by HTTP.
//!
//! Each has a name, under which the spool keeps what it has: by default that of its host, so that the order of the list
//! may change. The address of a receiver of `log-usage` is its server's, as in `guard.remote.url`; the path is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri};

use super::field::{Field, quote};
use super::problem::Origin;
use super::secret::secret;
use super::section::Section;
use super::tree::Node;
use super::url;
use crate::header::{CLOUDEVENT_PREFIX, HOP_BY_HOP, IDEMPOTENCY_KEY, SECRET_KEY, SWARMS_ORGANIZATION};
use crate::types::Secret;

const LOG_USAGE: &str = "/api/guard/log-usage";
const LONGEST_NAME: usize = 48;
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_mins(5));
const IN_FLIGHT: u64 = 8;
const IN_FLIGHT_BOUNDS: (u64, u64) = (1, 64);
const BATCH: u64 = 100;
const BATCH_BOUNDS: (u64, u64) = (1, 1000);
const FORMATS: [(&str, Word); 4] = [
    ("cloudevents", Word::Structured),
    ("cloudevents-binary", Word::Binary),
    ("cloudevents-batch", Word::Batch),
    ("log-usage", Word::LogUsage),
];
/// What only some formats have.
const SPECIAL: [&str; 5] = ["batch", "secret", "api_key", "api_keys", "organization"];

/// A receiver of events by HTTP.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Names its mark in the spool, its metrics and its dead-letter file.
    pub name: Arc<str>,
    /// Where events are posted to, path included.
    pub url: Uri,
    /// How an event is told.
    pub format: ReceiverFormat,
    /// Sent with each request.
    pub headers: Vec<(HeaderName, Secret)>,
    /// How long a request may take, its answer included.
    pub timeout: Duration,
    /// The most requests under way at once.
    pub in_flight: usize,
}

/// How an event is told.
#[derive(Clone, Debug)]
pub enum ReceiverFormat {
    /// CloudEvents: one event as the body.
    Structured,
    /// CloudEvents: attributes as headers, `data` as the body.
    Binary,
    /// CloudEvents: a list of so many events at most as the body.
    Batch(usize),
    /// A report to the `log-usage` of a guard.
    LogUsage(LogUsage),
}

/// Whose usage a guard is told.
#[derive(Clone, Debug)]
pub struct LogUsage {
    /// The `SecretKey` of this deployment.
    pub secret: Secret,
    /// API keys by the id of the key record that they stand for.
    pub keys: BTreeMap<String, Secret>,
    /// The API key that stands for all others.
    pub others: Option<Secret>,
    /// Whether the organization is told.
    pub organizations: Organizations,
}

/// Whether the organization is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Organizations {
    /// That of the event.
    OfEvents,
    /// None.
    Untold,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Structured,
    Binary,
    Batch,
    LogUsage,
}

pub(super) fn read(fields: Vec<Field<'_>>) -> Vec<Receiver> {
    let mut names = Vec::new();
    fields.into_iter().filter_map(|field| receiver(field, &mut names)).collect()
}

fn receiver(field: Field<'_>, names: &mut Vec<Arc<str>>) -> Option<Receiver> {
    let mut section = field.section();
    let url = section.require("url", "Write url: https://host[:port][/path].").and_then(|field| url::read(&field));
    let word = section.take("format").map_or(Some(Word::Structured), |field| field.choice(&FORMATS));
    let format = word.and_then(|word| form(&mut section, word));
    if word.is_none() {
        // Nothing can be said of these before the format is known.
        for key in SPECIAL {
            section.take(key);
        }
    }
    let headers = headers(section.section("headers"), word);
    let timeout = section.duration("timeout", TIMEOUT_BOUNDS).unwrap_or(TIMEOUT);
    let in_flight = section.number("in_flight", IN_FLIGHT_BOUNDS).unwrap_or(IN_FLIGHT);
    let name = section.take("name").map_or_else(|| url.as_ref().map(name_of), |field| name(&field))?;
    if names.contains(&name) {
        let what = format!("another receiver is already named {}", quote(&name));
        section.problem(what, "Give each a 'name' of its own, and keep it: what it has is known by it.");
    }
    names.push(Arc::clone(&name));
    let url = if word == Some(Word::LogUsage) { with_path(url?) } else { url? };
    Some(Receiver { name, url, format: format?, headers, timeout, in_flight: in_flight as usize })
}

fn form(section: &mut Section<'_>, word: Word) -> Option<ReceiverFormat> {
    match word {
        Word::Structured => Some(ReceiverFormat::Structured),
        Word::Binary => Some(ReceiverFormat::Binary),
        Word::Batch => {
            let events = section.number("batch", BATCH_BOUNDS).unwrap_or(BATCH);
            Some(ReceiverFormat::Batch(events as usize))
        }
        Word::LogUsage => log_usage(section).map(ReceiverFormat::LogUsage),
    }
}

fn log_usage(section: &mut Section<'_>) -> Option<LogUsage> {
    let fix = "Write secret: { env: GUARD_SECRET_KEY }: the guard answers nobody without it.";
    let secret = section.require("secret", fix).and_then(sendable);
    let others = section.take("api_key");
    let keys = section.take("api_keys");
    if others.is_none() && keys.is_none() {
        let fix = "Add api_key: { env: NAME }, or api_keys with one for each key id: the guard asks whose usage it is, and no key of a caller is kept.";
        section.problem("neither 'api_key' nor 'api_keys' is there", fix);
    }
    let words = [("event", Organizations::OfEvents), ("none", Organizations::Untold)];
    let organizations = section.choice("organization", &words).unwrap_or(Organizations::OfEvents);
    let keys = keys.map(|field| field.section().take_all()).unwrap_or_default().into_iter();
    let keys = keys.filter_map(|(id, field)| Some((id.to_owned(), sendable(field)?))).collect();
    Some(LogUsage { secret: secret?, keys, others: others.and_then(sendable), organizations })
}

fn with_path(url: Uri) -> Uri {
    let prefix = url.path().trim_end_matches('/');
    if prefix.ends_with(LOG_USAGE) {
        return url;
    }
    let path = PathAndQuery::try_from(format!("{prefix}{LOG_USAGE}"));
    let mut parts = url.clone().into_parts();
    parts.path_and_query = path.ok();
    Uri::from_parts(parts).unwrap_or(url)
}

/// A name that serves as part of a file's name, and is not mistaken for another there.
fn name(field: &Field<'_>) -> Option<Arc<str>> {
    let text = field.text()?;
    let fits = text.len() <= LONGEST_NAME && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !fits {
        let fix = format!("Use up to {LONGEST_NAME} letters, digits and '-'.");
        field.problem(format!("{} does not do as a name", quote(text)), fix);
    }
    fits.then(|| text.into())
}

fn name_of(url: &Uri) -> Arc<str> {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = url::host(url).chars().map(letter).take(LONGEST_NAME).collect();
    name.trim_matches('-').into()
}

fn headers(section: Section<'_>, word: Option<Word>) -> Vec<(HeaderName, Secret)> {
    let fields = section.take_all().into_iter();
    fields.filter_map(|(name, field)| Some((header_name(name, &field, word)?, header_value(name, field)?))).collect()
}

fn header_name(name: &str, field: &Field<'_>, word: Option<Word>) -> Option<HeaderName> {
    // A variable's name has no hyphens.
    let from_variable = matches!(field.value.at, Origin::Environment(_));
    let name = if from_variable { name.replace('_', "-") } else { name.to_owned() };
    let Ok(header) = name.parse::<HeaderName>() else {
        field.problem(format!("{} is not a header name", quote(&name)), "Write it as X-Team.");
        return None;
    };
    if is_ours(&header, word) {
        field.problem(format!("{} is set by Tollgate itself", quote(header.as_str())), "Take it out.");
        return None;
    }
    Some(header)
}

fn is_ours(header: &HeaderName, word: Option<Word>) -> bool {
    let of_guard = [AUTHORIZATION, SECRET_KEY, SWARMS_ORGANIZATION];
    HOP_BY_HOP.contains(header)
        || [HOST, CONTENT_LENGTH, CONTENT_TYPE, IDEMPOTENCY_KEY].contains(header)
        || header.as_str().starts_with(CLOUDEVENT_PREFIX)
        || (word == Some(Word::LogUsage) && of_guard.contains(header))
}

fn header_value(name: &str, field: Field<'_>) -> Option<Secret> {
    if matches!(field.value.node, Node::Map(_)) {
        return sendable(field);
    }
    let text = field.text()?;
    let in_file = matches!(field.value.at, Origin::File { .. });
    let name = name.to_ascii_lowercase();
    if in_file && ["auth", "key", "secret", "token", "cookie"].iter().any(|word| name.contains(word)) {
        field.warn("the secret stands in the configuration itself", "Write { env: NAME } or { file: PATH }.");
    }
    let fits = HeaderValue::from_str(text).is_ok();
    if !fits {
        field.problem("has characters that no header can carry", "Use printable ASCII.");
    }
    fits.then(|| Secret::new(text))
}

/// A secret that goes into a header.
fn sendable(field: Field<'_>) -> Option<Secret> {
    let mut section = field.section().with_hidden_names();
    let secret = secret(&mut section)?;
    if HeaderValue::from_str(secret.expose()).is_err() {
        section.problem("the secret has characters that no header can carry", "Check that it is the right one.");
        return None;
    }
    Some(secret)
}

//! What has been seen of one answer so far.
//!
//! A dialect writes it payload by payload; the exchange seals what it holds. Everything here is bounded, whatever an
//! answer sends: text kept for counting, finish reasons, names and the provider's raw usage.

use serde_json::value::RawValue;

use super::alike::{Alike, Counted, Differs};
use super::{Counts, Flags, Payload};
use crate::types::{NanoUsd, Usage};

/// Generated text is kept for counting up to this many bytes.
const TEXT_MAX: usize = 256 * 1024;
/// Room for this much is made at once: most answers have more.
const TEXT_MIN: usize = 512;
/// A provider's usage object is kept up to this many bytes.
const RAW_MAX: usize = 4 * 1024;
/// Names and codes are kept up to this many bytes, and this many finish reasons.
const NAME_MAX: usize = 256;
const REASONS_MAX: usize = 16;

/// The accumulator of one answer.
///
/// As it is declared it lies in memory: what each chunk of a stream touches stands first, and together.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Reading {
    /// Whether the last payload carried generated content: text, reasoning or tool arguments.
    pub had_content: bool,
    /// Whether the last payload was the extra one that asking for usage brings: usage, and nothing of an answer.
    pub usage_alone: bool,
    /// Whether the stream said that it is done.
    pub done: bool,
    /// With `done`: the stream may yet go on, so its end is awaited for a moment.
    pub may_go_on: bool,
    /// The answer was given before it was generated: nothing of it can be counted here.
    pub deferred: bool,
    /// The answer repeats the usage of another request.
    pub repeated: bool,
    /// The counts are those of a server about itself, which a usage object replaces.
    provisional: bool,
    flags: Flags,
    text: Text,
    alike: Alike,
    counts: Counts,
    /// The model that the answer names; the first name that is not empty.
    pub model_served: Option<String>,
    /// Every finish reason in order; the same one twice in a row stands once.
    pub finish_reasons: Vec<String>,
    /// The code of an error that the answer carries in its body.
    pub error: Option<String>,
    /// What the provider itself says that the request cost.
    pub provider_cost: Option<NanoUsd>,
    /// The answer's id, where its usage may come by in more than one answer.
    pub kept: Option<String>,
    raw: Option<Box<RawValue>>,
    /// The usage object of an event that was only compared: in place of `raw`, and not yet among `counts`.
    compared_raw: Vec<u8>,
}

/// Generated text, still escaped as in the JSON it came in. Its `Debug` does not show it.
#[derive(Clone, Default)]
struct Text {
    escaped: Vec<u8>,
    seen: u64,
    /// What had been seen when the item at hand began.
    before_item: u64,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({} bytes)", self.seen)
    }
}

impl Reading {
    /// Usage as reported so far, in our convention, with the provider's own object. It counts as complete: whoever knows
    /// that the answer broke off clears that.
    pub fn usage(&self) -> Option<Usage> {
        if self.counts.is_empty() {
            return None;
        }
        let (usage, _) = self.latest().settle();
        Some(Usage { raw: self.compared().and_then(one_line).or_else(|| self.raw.clone()), ..usage })
    }

    /// As [`Self::usage`], at the end: hands over the provider's own object instead of copying it.
    pub fn take_usage(&mut self) -> Option<Usage> {
        self.take_in();
        let raw = self.raw.take();
        self.usage().map(|usage| Usage { raw, ..usage })
    }

    /// The tokens of input and output that are billed, where the provider bills other numbers than it counts.
    pub fn billed(&self) -> (Option<u64>, Option<u64>) {
        let counts = self.latest();
        (counts.billed_input, counts.billed_output)
    }

    /// Whether any usage was reported.
    pub fn has_usage(&self) -> bool {
        !self.counts.is_empty()
    }

    /// What is worth knowing about this answer.
    pub fn flags(&self) -> Flags {
        let mut flags = self.flags;
        if self.has_usage() {
            flags.insert(self.latest().settle().1);
        }
        flags
    }

    /// Adds a flag.
    pub fn flag(&mut self, flag: Flags) {
        self.alike.noted_more();
        self.flags.insert(flag);
    }

    /// Generated text for counting, still with JSON escapes, at most 256 KiB; output and reasoning together.
    pub fn escaped_text(&self) -> &[u8] {
        &self.text.escaped
    }

    /// How many bytes of generated text there were in all, kept or not.
    pub fn text_bytes(&self) -> u64 {
        self.text.seen
    }

    /// Takes the text of an event that is like one before; whether it is.
    pub(super) fn is_alike(&mut self, payload: Payload<'_>) -> bool {
        let Some(Differs { text, usage }) = self.alike.find(payload) else { return false };
        self.had_content = true;
        self.append(text);
        if let Some(raw) = usage {
            self.compared_raw.clear();
            self.compared_raw.extend_from_slice(raw);
        }
        true
    }

    /// The usage object of an event that was only compared, if that was the last.
    fn compared(&self) -> Option<&RawValue> {
        let raw = std::str::from_utf8(&self.compared_raw).ok().filter(|raw| !raw.is_empty())?;
        serde_json::from_str(raw).ok()
    }

    /// The numbers as of now.
    fn latest(&self) -> Counts {
        let mut counts = self.counts;
        if let Some(later) = self.compared().and_then(|raw| self.alike.counts(raw)) {
            counts.update(&later);
        }
        counts
    }

    /// Takes in the usage object of an event that was only compared: worth it for who asks for more than one thing of it.
    pub fn take_in(&mut self) {
        if let Some(object) = self.compared() {
            let (later, raw) = (self.alike.counts(object), one_line(object));
            later.inspect(|later| self.counts.update(later));
            self.raw = raw.or(self.raw.take());
        }
        self.compared_raw.clear();
    }

    /// Has an event read, and remembers it where others may be like it.
    pub(super) fn reads(&mut self, payload: Payload<'_>, read: impl FnOnce(&mut Self)) {
        self.alike.begin();
        read(self);
        self.alike.end(payload);
    }

    /// Of the payload at hand nothing matters but the content that was noted, nor would of another that has the same
    /// bytes around another text.
    pub(super) fn nothing_else(&mut self) {
        self.alike.nothing_else(None);
    }

    /// The same, but that the numbers of its usage may be others.
    pub(super) fn nothing_but_usage(&mut self, counted: Counted) {
        self.alike.nothing_else(Some(counted));
    }

    /// Notes the model's name.
    pub(super) fn served(&mut self, model: Option<String>) {
        let Some(model) = model else { return };
        self.alike.noted_more();
        self.model_served.get_or_insert_with(|| shortened(model));
    }

    /// Notes a finish reason.
    pub(super) fn finished(&mut self, reason: Option<String>) {
        let Some(reason) = reason.map(shortened) else { return };
        self.alike.noted_more();
        if self.finish_reasons.last() != Some(&reason) && self.finish_reasons.len() < REASONS_MAX {
            self.finish_reasons.push(reason);
        }
    }

    /// Notes an error's code; the first one stays.
    pub(super) fn failed(&mut self, code: String) {
        self.alike.noted_more();
        self.error.get_or_insert(shortened(code));
    }

    /// Notes generated content, as it stands between the quotes of its JSON string.
    pub(super) fn content(&mut self, escaped: &str) {
        if !escaped.is_empty() {
            self.had_content = true;
            self.alike.noted(escaped);
            self.append(escaped.as_bytes());
        }
    }

    /// Notes generated text that does not count as content by itself, such as a tool's name.
    pub(super) fn side_text(&mut self, escaped: &str) {
        self.alike.noted_more();
        self.append(escaped.as_bytes());
    }

    fn append(&mut self, escaped: &[u8]) {
        self.text.seen += escaped.len() as u64;
        if self.text.escaped.capacity() == 0 {
            self.text.escaped.reserve(TEXT_MIN);
        }
        let room = TEXT_MAX - self.text.escaped.len();
        let kept = escaped.len().min(room);
        self.text.escaped.extend_from_slice(escaped.get(..kept).unwrap_or_default());
        if kept < escaped.len() {
            self.flags.insert(Flags::TEXT_TRUNCATED);
        }
    }

    /// Notes numbers that no usage object says.
    pub(super) fn counted(&mut self, counts: &Counts) {
        self.alike.noted_more();
        if !counts.is_empty() {
            self.take_in();
            let places = (self.counts.cache, self.counts.thought);
            self.counts.update(counts);
            (self.counts.cache, self.counts.thought) = places;
        }
    }

    /// Notes that a picture has come.
    pub(super) fn one_more_picture(&mut self) {
        let pictures = self.counts.images.unwrap_or(0).saturating_add(1);
        self.counted(&Counts { images: Some(pictures), ..Counts::default() });
    }

    /// An item of the output begins.
    pub(super) fn item_begins(&mut self) {
        self.alike.noted_more();
        self.text.before_item = self.text.seen;
    }

    /// Whether no text has come since the item began.
    pub(super) fn item_is_silent(&self) -> bool {
        self.text.seen == self.text.before_item
    }

    /// Whether a server's own numbers matter, for want of a usage object.
    pub(super) fn wants_timings(&self) -> bool {
        self.provisional || !self.has_usage()
    }

    /// Notes a server's own numbers, as [`Self::reported`] does, until a usage object comes.
    pub(super) fn timed(&mut self, counts: &Counts, raw: &RawValue) {
        if self.wants_timings() {
            self.reported(counts, raw);
            self.provisional = true;
        }
    }

    /// Notes a usage object: its numbers, and itself without insignificant whitespace.
    pub(super) fn reported(&mut self, counts: &Counts, raw: &RawValue) {
        let says_nothing = counts.is_empty();
        self.alike.noted_usage(raw.get(), !says_nothing);
        if says_nothing {
            return;
        }
        self.take_in();
        self.counts.update(counts);
        self.provisional = false;
        self.raw = one_line(raw).filter(|raw| raw.get().len() <= RAW_MAX);
        if self.raw.is_none() {
            self.flag(Flags::RAW_OMITTED);
        }
    }
}

/// The object as one line. Most providers send it so, and then it needs no second look.
fn one_line(raw: &RawValue) -> Option<Box<RawValue>> {
    if raw.get().bytes().any(|byte| byte.is_ascii_whitespace()) {
        return RawValue::from_string(compacted(raw.get())).ok();
    }
    Some(raw.to_owned())
}

/// JSON without whitespace between its tokens: an event is one line, and many providers indent their answers.
fn compacted(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |c: &char| {
        let keep = in_string || !c.is_ascii_whitespace();
        match c {
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = in_string && *c == '\\' && !escaped;
        keep
    };
    json.chars().filter(keep).collect()
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(NAME_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::{Reading, TEXT_MAX, compacted};
    use crate::dialect::Flags;

    #[test]
    fn raw_usage_is_one_line_and_otherwise_verbatim() {
        let pretty = "{\n  \"a b\": \"x \\\" y\\\\\",\r\n\t\"n\": 1.50e3\n}";
        assert_eq!(compacted(pretty), r#"{"a b":"x \" y\\","n":1.50e3}"#);
    }

    #[test]
    fn kept_text_is_bounded_and_the_rest_is_counted() {
        let mut reading = Reading::default();
        let piece = "x".repeat(100_000);
        for _ in 0..3 {
            reading.content(&piece);
        }
        assert_eq!(reading.escaped_text().len(), TEXT_MAX);
        assert_eq!(reading.text_bytes(), 300_000);
        assert!(reading.flags().contains(Flags::TEXT_TRUNCATED));
        assert!(!format!("{reading:?}").contains("xx"), "Debug shows no content");
    }

    #[test]
    fn finish_reasons_and_names_are_bounded() {
        let mut reading = Reading::default();
        for i in 0..100 {
            reading.finished(Some(format!("{i}")));
            reading.finished(Some(format!("{i}")));
        }
        assert_eq!(reading.finish_reasons.len(), 16);
        reading.served(Some("é".repeat(1000)));
        assert!(reading.model_served.unwrap().len() <= 256);
    }
}

//! An event like one before it: the same to the byte, but for one text and for values that mean nothing to a meter.
//!
//! The pieces of a stream differ in little more than their text. Once a dialect has seen that nothing but the text of an
//! event matters, an event that has the same bytes around another text matters in nothing else either: a JSON string
//! ends at its first quote that is not escaped, so what surrounds it reads the same. Comparing costs a fraction of
//! looking for each key that might matter. Of values that change from event to event and never matter (padding,
//! timestamps, sequence numbers) only the place is remembered.
//!
//! It gives up on a stream whose events are not alike, so that remembering in vain costs little, too.

use super::Payload;
use super::scan::content_at;

/// Longer events are not remembered: of these the text is most.
const LONGEST: usize = 1024;
/// So often in a row may an event not be like the one remembered, before nothing is remembered any more.
const MISSES: u8 = 8;
/// The text, and values without meaning.
const HOLES: usize = 4;

/// What changes from event to event and never matters in any format: OpenAI's padding and numbering, Bedrock's padding,
/// Ollama's clock.
const MEANINGLESS: [&[u8]; 4] = [b"\"obfuscation\":", b"\"sequence_number\":", b"\"p\":", b"\"created_at\":"];

/// What is remembered of a stream's events. Its `Debug` shows no content.
#[derive(Clone, Default)]
pub(super) struct Alike {
    name: Option<Vec<u8>>,
    /// All that is the same, one piece after the other.
    same: Vec<u8>,
    /// Where in it the pieces before each hole end.
    holes: [Hole; HOLES],
    known: bool,
    misses: u8,
    noted: Noted,
}

/// Where events differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hole {
    /// There are no more.
    #[default]
    None,
    /// The text, after its first quote.
    Text(usize),
    /// A string or a number without meaning.
    Value(usize),
}

/// What has been noted of the event at hand.
#[derive(Clone, Copy, Debug, Default)]
struct Noted {
    /// The dialect says that nothing matters but what was noted.
    nothing_else: bool,
    /// The text, by its address and length.
    text: Option<(usize, usize)>,
    /// More than one text.
    more: bool,
}

impl Alike {
    /// The text of an event that is like the one that was remembered.
    pub(super) fn text<'a>(&mut self, payload: Payload<'a>) -> Option<&'a [u8]> {
        if !self.known {
            return None;
        }
        let text = self.compare(payload);
        self.misses = if text.is_some() { 0 } else { self.misses + 1 };
        self.known = self.misses < MISSES;
        text
    }

    /// An event is about to be read.
    pub(super) fn begin(&mut self) {
        self.noted = Noted::default();
    }

    /// This text was noted of it.
    pub(super) fn noted(&mut self, text: &str) {
        self.noted.more |= self.noted.text.is_some();
        self.noted.text = Some((text.as_ptr().addr(), text.len()));
    }

    /// More than texts was noted of it.
    pub(super) fn noted_more(&mut self) {
        self.noted.more = true;
    }

    /// Nothing else in it matters, nor would in another that has the same bytes around another text.
    pub(super) fn nothing_else(&mut self) {
        self.noted.nothing_else = true;
    }

    /// The event was read: remembers it, if its text is all that matters.
    pub(super) fn end(&mut self, payload: Payload<'_>) {
        let Noted { nothing_else: true, text: Some(text), more: false } = self.noted else { return };
        if self.misses < MISSES {
            self.known = self.remember(payload, text).is_some();
        }
    }

    fn remember(&mut self, payload: Payload<'_>, (address, length): (usize, usize)) -> Option<()> {
        let data = payload.data;
        // A text that was unescaped or decoded first stands elsewhere.
        let start = address.checked_sub(data.as_ptr().addr())?;
        let (before, after) = (data.get(..start)?, data.get(start.checked_add(length)?..)?);
        let quoted = before.ends_with(b"\"") && after.starts_with(b"\"");
        if !quoted || before.len() + after.len() > LONGEST {
            return None;
        }
        self.name = payload.name.map(<[u8]>::to_vec);
        self.same.clear();
        self.holes = [Hole::None; HOLES];
        self.keep(before)?;
        self.hole(Hole::Text(self.same.len()))?;
        self.keep(after)
    }

    /// Keeps a part of an event but for the values without meaning in it.
    fn keep(&mut self, mut part: &[u8]) -> Option<()> {
        while let Some((at, after)) = meaningless(part) {
            self.same.extend_from_slice(part.get(..at)?);
            self.hole(Hole::Value(self.same.len()))?;
            part = after;
        }
        self.same.extend_from_slice(part);
        Some(())
    }

    fn hole(&mut self, hole: Hole) -> Option<()> {
        *self.holes.iter_mut().find(|hole| **hole == Hole::None)? = hole;
        Some(())
    }

    fn compare<'a>(&self, payload: Payload<'a>) -> Option<&'a [u8]> {
        if payload.name != self.name.as_deref() {
            return None;
        }
        let (mut rest, mut done, mut found) = (payload.data, 0, None);
        for hole in self.holes {
            let (Hole::Text(end) | Hole::Value(end)) = hole else { break };
            rest = rest.strip_prefix(self.same.get(done..end)?)?;
            done = end;
            rest = match hole {
                Hole::Text(_) => {
                    let (text, _) = content_at(rest)?;
                    found = Some(text);
                    // The quote is among what is the same.
                    rest.get(text.len()..)?
                }
                _ => after_value(rest)?,
            };
        }
        // Without any text a dialect may look for it elsewhere.
        found.filter(|text| !text.is_empty() && self.same.get(done..) == Some(rest))
    }
}

/// Where the first value without meaning begins, and what follows it.
fn meaningless(part: &[u8]) -> Option<(usize, &[u8])> {
    memchr::memchr_iter(b':', part).find_map(|colon| {
        let (key, value) = part.split_at_checked(colon + 1)?;
        MEANINGLESS.iter().any(|known| key.ends_with(known)).then_some(())?;
        Some((colon + 1, after_value(value)?))
    })
}

/// What follows a string or a number.
fn after_value(bytes: &[u8]) -> Option<&[u8]> {
    if let Some(string) = bytes.strip_prefix(b"\"") {
        return content_at(string).map(|(_, after)| after);
    }
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    bytes.get(digits..).filter(|_| digits == 1 || digits > 1 && !bytes.starts_with(b"0"))
}

impl std::fmt::Debug for Alike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Alike({} bytes, known: {}, misses: {})", self.same.len(), self.known, self.misses)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use crate::config::DialectChoice;
    use crate::dialect::{Payload, Reading, Route, route};
    use http::Method;

    fn chat() -> Route {
        route(DialectChoice::Auto, &Method::POST, "/v1/chat/completions")
    }

    fn chunk(text: &str, rest: &str) -> String {
        format!(
            r#"{{"id":"c","model":"m","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]{rest}}}"#
        )
    }

    /// Reads as a stream is read, and each payload by its dialect alone; both must come to the same.
    fn read(route: Route, payloads: &[(Option<&str>, String)]) -> (Reading, u64) {
        let (mut reading, mut plain, mut alike) = (Reading::default(), Reading::default(), 0);
        for (name, data) in payloads {
            let payload = Payload { name: name.map(str::as_bytes), data: data.as_bytes() };
            alike += u64::from(route.read(payload, &mut reading));
            route.dialect.read_answer(payload, &mut plain);
            assert_eq!(facts(&reading), facts(&plain), "{data}");
        }
        (reading, alike)
    }

    fn facts(reading: &Reading) -> String {
        let mut facts = format!("{:?} {:?}", reading.usage(), String::from_utf8_lossy(reading.escaped_text()));
        let Reading { model_served, finish_reasons, had_content, error, done, .. } = reading;
        let flags = reading.flags();
        write!(facts, "{model_served:?} {finish_reasons:?} {had_content} {error:?} {done} {flags:?}").unwrap();
        facts
    }

    fn unnamed(texts: &[&str], rest: &str) -> Vec<(Option<&'static str>, String)> {
        texts.iter().map(|text| (None, chunk(text, rest))).collect()
    }

    #[test]
    fn from_the_third_on_events_that_differ_in_their_text_are_only_compared() {
        let (reading, alike) = read(chat(), &unnamed(&["a", "b", r#"c\"d"#, "é", r"\\"], ""));
        assert_eq!((alike, reading.escaped_text()), (3, r#"abc\"dé\\"#.as_bytes()));
    }

    #[test]
    fn padding_numbers_and_clocks_do_not_matter() {
        let events: Vec<_> = (0..9)
            .map(|i| {
                let rest = format!(r#","obfuscation":"{}","sequence_number":{i}"#, "x".repeat(i));
                (None, chunk("a", &rest))
            })
            .collect();
        assert_eq!(read(chat(), &events).1, 7);
    }

    #[test]
    fn what_says_more_is_read() {
        let mut events = unnamed(&["a", "b", "c"], "");
        for odd in [
            chunk("d", r#","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#),
            chunk("e", "").replace("null", r#""stop""#),
            chunk(r#"e"},"x":{"y":"z"#, ""),
            chunk("", ""),
            chunk("f", r#","error":{"code":"g"}"#),
            chunk("half", "").split_at(70).0.to_owned(),
            "[DONE]".to_owned(),
        ] {
            events.push((None, odd));
            events.extend(unnamed(&["h"], ""));
        }
        let (reading, alike) = read(chat(), &events);
        // Half an event takes the place of the one remembered.
        assert_eq!((alike, reading.usage().and_then(|usage| usage.input_tokens)), (6, Some(3)));
        assert_eq!(
            (reading.error.as_deref(), reading.finish_reasons.as_slice()),
            (Some("g"), ["stop".to_owned()].as_slice())
        );
    }

    #[test]
    fn an_event_of_another_name_is_another_event() {
        let route = route(DialectChoice::Auto, &Method::POST, "/model/m/converse-stream");
        let data = r#"{"contentBlockIndex":0,"delta":{"text":"a"},"p":"abc"}"#;
        let names = ["contentBlockDelta", "contentBlockDelta", "validationException", "contentBlockDelta"];
        let (reading, alike) = read(route, &names.map(|name| (Some(name), data.to_owned())));
        assert_eq!((alike, reading.escaped_text(), reading.error.is_some()), (2, b"aaa".as_slice(), true));
    }

    #[test]
    fn what_json_does_not_allow_is_left_to_the_dialect() {
        let route = route(DialectChoice::Auto, &Method::POST, "/model/m/converse-stream");
        let event = |text: &str, p: &str| {
            let data = format!(r#"{{"contentBlockIndex":0,"delta":{{"text":"{text}"}},"p":{p}}}"#);
            (Some("contentBlockDelta"), data)
        };
        let texts = ["a", "b", r"\n", "\u{0}", r"\q", r"\u00"].map(|text| event(text, "12"));
        let paddings = ["7", "0", "07", r#""\x""#, "\"\t\""].map(|padding| event("c", padding));
        assert_eq!(read(route, &[texts.as_slice(), &paddings].concat()).1, 4);
    }

    #[test]
    fn a_stream_of_events_that_are_not_alike_is_given_up() {
        let unlike: Vec<_> = (0..20).map(|i| (None, chunk("a", &format!(r#","x":{i}"#)))).collect();
        let alike = unnamed(&["a", "b", "c"], "");
        assert_eq!(read(chat(), &[unlike, alike].concat()).1, 0);
    }
}

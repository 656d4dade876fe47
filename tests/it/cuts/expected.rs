//! What the event of a cut must say, worked out from the recording by other means than Tollgate's: a JSON tree per event.

use serde_json::Value;
use tollgate::meter::count::{self, Counted};

use super::scene::Policy;
use crate::corpus::Recording;

/// What the client asks for; it counts until the answer has named its model.
const ASKED: &str = "demo";

/// A stream, ready to be cut.
pub(super) struct Expected {
    length: usize,
    /// Where a message ends before the stream does.
    pauses: Vec<Pause>,
    /// What stands in it, where this file can read its dialect.
    read: Option<Read>,
}

/// The end of a message with another one after it: where its last event can be read, where that is over, and where the
/// next event is there.
struct Pause {
    said: usize,
    end: usize,
    next: usize,
}

/// A stream of OpenAI's, read.
struct Read {
    /// In order.
    events: Vec<Event>,
    /// Where `[DONE]` is there, if not yet its blank line.
    done: usize,
    /// All that is generated.
    text: String,
}

/// One event of the stream, and what stands in it and all before.
struct Event {
    /// After its JSON: from here on it can be read, even if the stream breaks off.
    json_end: usize,
    /// After its blank line.
    end: usize,
    /// How much of the text is generated.
    text: usize,
    model: Option<String>,
    has_usage: bool,
}

impl Expected {
    pub(super) fn of(stream: &Recording) -> Self {
        let wire = stream.wire();
        let read = (stream.expected["dialect"] == "openai.chat").then(|| Read::of(std::str::from_utf8(&wire).unwrap()));
        Self { length: wire.len(), pauses: pauses(&wire), read }
    }

    /// Holds an event against what it must say.
    pub(super) fn hold(&self, stream: &Recording, (policy, at): (Policy, usize), data: &Value) {
        let case = format!("{policy:?} {} at {at} of {}: {data}", stream.name, self.length);
        // Not every dialect says before the end of the body that this is all. Where one says so and then nothing comes
        // for a while, it is taken at its word, though more may follow.
        let pause = self.pauses.iter().find(|pause| (pause.said..pause.next).contains(&at));
        let may_end = at == self.length || pause.is_some_and(|pause| pause.end <= at);
        let whole = may_end && data["outcome"] == "ok";
        assert!(whole || data["outcome"] == "client_disconnect", "{case}");
        assert_eq!(data["delivered"]["bytes"], at, "{case}");
        let flagged = |flag: &str| data["flags"].as_array().is_some_and(|flags| flags.contains(&flag.into()));
        assert_eq!(flagged("drained"), policy == Policy::Drain && !whole, "{case}");
        if pause.is_some() && (whole || policy == Policy::Abort) {
            return;
        }
        let usage = &data["usage"];
        if policy == Policy::Drain || usage["complete"] == true {
            stream.compare_usage(&case, data);
        } else {
            assert!(flagged("usage_partial"), "{case}");
            let counted = usage["source"] != "provider";
            assert!(!counted || usage["output_tokens"] == data["local"]["output_tokens"], "{case}");
        }
        if let Some(read) = &self.read {
            assert_eq!(whole, at == self.length, "{case}");
            read.hold(&case, (policy, at), data);
        }
    }
}

impl Read {
    fn of(text: &str) -> Self {
        let (mut at, mut events) = (0, Vec::new());
        let (mut model, mut generated, mut has_usage) = (None, String::new(), false);
        for line in text.split_inclusive("\n\n") {
            at += line.len();
            let Ok(json) = serde_json::from_str::<Value>(line["data: ".len()..].trim()) else { continue };
            model = model.or(json["model"].as_str().filter(|model| !model.is_empty()).map(str::to_owned));
            has_usage |= is_usage(&json);
            generate(&json, &mut generated);
            let event = Event { json_end: at - 2, end: at, text: generated.len(), model: model.clone(), has_usage };
            events.push(event);
        }
        let done = text.find("[DONE]").expect("the end") + "[DONE]".len();
        Self { events, done, text: generated }
    }

    fn hold(&self, case: &str, (policy, at): (Policy, usize), data: &Value) {
        // The last one, `[DONE]`, is a frame too.
        let framed = self.events.partition_point(|event| event.end <= at) + usize::from(data["outcome"] == "ok");
        assert_eq!(data["delivered"]["frames"], framed, "{case}");
        let whole = policy == Policy::Drain || at >= self.done;
        assert_eq!(data["usage"]["complete"], whole, "{case}");
        if !whole {
            self.hold_partial(case, at, data);
        }
    }

    /// The tokens generated up to an event.
    fn count(&self, last: Option<&Event>) -> Counted {
        let model = last.and_then(|last| last.model.as_deref()).unwrap_or(ASKED);
        count::Models::default().text(model, &self.text[..last.map_or(0, |last| last.text)])
    }

    /// The client left in the middle, and the upstream was cut.
    fn hold_partial(&self, case: &str, at: usize, data: &Value) {
        let last = self.events.partition_point(|event| event.json_end <= at).checked_sub(1);
        let last = last.map(|last| &self.events[last]);
        let output = self.count(last);
        assert_eq!(data["local"]["output_tokens"], output.tokens, "{case}");
        assert_eq!(data["local"]["tokenizer"], *output.tokenizer, "{case}");
        let usage = &data["usage"];
        if last.is_some_and(|last| last.has_usage) {
            assert_eq!(usage["source"], "provider", "what was delivered of it counts: {case}");
        } else {
            assert_eq!(usage["output_tokens"], output.tokens, "{case}");
            assert_eq!(usage["source"], output.source.as_str(), "{case}");
        }
    }
}

/// Anthropic's streams can hold several messages, OpenAI's several responses.
fn pauses(wire: &[u8]) -> Vec<Pause> {
    const STOPS: [&[u8]; 2] = [b"\"type\":\"message_stop\"", b"\"type\":\"response.completed\""];
    let stops = |event: &[u8]| STOPS.iter().any(|stop| memchr::memmem::find(event, stop).is_some());
    let mut start = 0;
    let mut pauses = Vec::new();
    while let Some(length) = memchr::memmem::find(&wire[start..], b"\n\n") {
        let end = start + length + 2;
        let next = memchr::memmem::find(&wire[end..], b"\n\n").map_or(wire.len(), |at| end + at + 2);
        if end < wire.len() && stops(&wire[start..end]) {
            pauses.push(Pause { said: end - 2, end, next });
        }
        start = end;
    }
    pauses
}

/// Whether usage is reported here, in any of its places.
fn is_usage(json: &Value) -> bool {
    let choices = json["choices"].as_array().into_iter().flatten().map(|choice| &choice["usage"]);
    let mut places = choices.chain([&json["usage"], &json["x_groq"]["usage"]]);
    places.any(|usage| usage.as_object().is_some_and(|usage| !usage.is_empty()))
}

/// Adds what the model wrote: reasoning, text, refusal, then its tool calls.
fn generate(json: &Value, text: &mut String) {
    for choice in json["choices"].as_array().into_iter().flatten() {
        let delta = &choice["delta"];
        let reasoning = delta["reasoning_content"].as_str().filter(|text| !text.is_empty());
        text.push_str(reasoning.or(delta["reasoning"].as_str()).unwrap_or_default());
        for part in [&delta["content"], &delta["refusal"]] {
            text.push_str(part.as_str().unwrap_or_default());
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            for part in ["name", "arguments"] {
                text.push_str(call["function"][part].as_str().unwrap_or_default());
            }
        }
    }
}

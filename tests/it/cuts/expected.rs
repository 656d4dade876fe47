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
    /// Whether it can be worked out: for streams of one dialect so far.
    pub(super) fn is_known(recording: &Recording) -> bool {
        recording.stream && recording.expected["dialect"] == "openai.chat"
    }

    pub(super) fn of(stream: &Recording) -> Self {
        let wire = stream.wire();
        let text = std::str::from_utf8(&wire).unwrap();
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
        Self { length: wire.len(), events, done, text: generated }
    }

    /// Holds an event against what it must say.
    pub(super) fn hold(&self, stream: &Recording, (policy, at): (Policy, usize), data: &Value) {
        let case = format!("{policy:?} {} at {at} of {}", stream.name, self.length);
        let whole = at == self.length;
        let outcome = if whole { "ok" } else { "client_disconnect" };
        assert_eq!(data["outcome"], outcome, "{case}: {data}");
        assert_eq!(data["delivered"]["bytes"], at, "{case}: {data}");
        let framed = self.events.partition_point(|event| event.end <= at) + usize::from(whole);
        assert_eq!(data["delivered"]["frames"], framed, "{case}: {data}");
        let flagged = |flag: &str| data["flags"].as_array().is_some_and(|flags| flags.contains(&flag.into()));
        assert_eq!(flagged("drained"), policy == Policy::Drain && !whole, "{case}: {data}");
        if policy == Policy::Drain || at >= self.done {
            return stream.compare_usage(&at.to_string(), data);
        }
        assert!(flagged("usage_partial"), "{case}: {data}");
        self.hold_partial(&case, at, data);
    }

    /// The tokens generated up to an event.
    fn count(&self, last: Option<&Event>) -> Counted {
        let model = last.and_then(|last| last.model.as_deref()).unwrap_or(ASKED);
        count::count_text(model, &self.text[..last.map_or(0, |last| last.text)])
    }

    /// The client left in the middle, and the upstream was cut.
    fn hold_partial(&self, case: &str, at: usize, data: &Value) {
        let last = self.events.partition_point(|event| event.json_end <= at).checked_sub(1);
        let last = last.map(|last| &self.events[last]);
        let output = self.count(last);
        assert_eq!(data["local"]["output_tokens"], output.tokens, "{case}: {data}");
        assert_eq!(data["local"]["tokenizer"], output.tokenizer, "{case}: {data}");
        let usage = &data["usage"];
        assert_eq!(usage["complete"], false, "{case}: {data}");
        if last.is_some_and(|last| last.has_usage) {
            assert_eq!(usage["source"], "provider", "{case}: what was delivered of it counts: {data}");
        } else {
            assert_eq!(usage["output_tokens"], output.tokens, "{case}: {data}");
            assert_eq!(usage["source"], output.source.as_str(), "{case}: {data}");
        }
    }
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

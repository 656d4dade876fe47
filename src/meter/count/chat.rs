//! What a request gives the model to read: messages, names, tools, prompts, inputs.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Counter;

type Raw<'a> = Option<&'a RawValue>;

const PER_MESSAGE: u64 = 3;
const PER_NAME: u64 = 1;
const ANSWER_BEGINS: u64 = 3;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    messages: Raw<'a>,
    #[serde(borrow, default)]
    tools: Raw<'a>,
    #[serde(borrow, default)]
    functions: Raw<'a>,
    #[serde(borrow, default)]
    prompt: Raw<'a>,
    #[serde(borrow, default)]
    suffix: Raw<'a>,
    #[serde(borrow, default)]
    input: Raw<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Raw<'a>,
    #[serde(borrow, default)]
    name: Raw<'a>,
    #[serde(borrow, default)]
    content: Raw<'a>,
    #[serde(borrow, default)]
    tool_calls: Raw<'a>,
    #[serde(borrow, default)]
    function_call: Raw<'a>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Raw<'a>,
}

/// Counts a request; `None` when it is not a JSON object.
pub(super) fn count(body: &[u8], counter: &mut Counter) -> Option<()> {
    // A list would be read as the fields in order.
    let object = body.trim_ascii_start().starts_with(b"{");
    let request: Request<'_> = object.then(|| serde_json::from_slice(body).ok())??;
    if let Some(raw) = request.messages {
        counter.tokens(ANSWER_BEGINS);
        for message in serde_json::from_str::<Vec<Message<'_>>>(raw.get()).unwrap_or_default() {
            count_message(&message, counter);
        }
    }
    for schema in [request.tools, request.functions].into_iter().flatten() {
        structure(schema, counter);
    }
    for prompt in [request.prompt, request.suffix, request.input].into_iter().flatten() {
        texts(prompt, counter);
    }
    Some(())
}

fn count_message(message: &Message<'_>, counter: &mut Counter) {
    counter.tokens(PER_MESSAGE);
    string(message.role, counter);
    if message.name.is_some() {
        counter.tokens(PER_NAME);
        string(message.name, counter);
    }
    if !string(message.content, counter) {
        parts(message.content, counter);
    }
    for call in [message.tool_calls, message.function_call].into_iter().flatten() {
        structure(call, counter);
    }
}

/// Counts a string; whether it was one.
fn string(raw: Raw<'_>, counter: &mut Counter) -> bool {
    let text = raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    text.inspect(|text| counter.text(text)).is_some()
}

/// Counts the texts of a content list. What images, audio and files cost is not for text tokens to say.
fn parts(raw: Raw<'_>, counter: &mut Counter) {
    let Some(raw) = raw else { return };
    let Ok(parts) = serde_json::from_str::<Vec<Part<'_>>>(raw.get()) else { return counter.rough() };
    for part in parts {
        if !string(part.text, counter) {
            counter.rough();
        }
    }
}

/// Tool schemas and calls are shown to the model in a form that is not published; their JSON is close.
fn structure(raw: &RawValue, counter: &mut Counter) {
    counter.rough();
    counter.text(raw.get());
}

/// A prompt or an input: a text, a list of texts, a list of tokens, or a list of such lists.
fn texts(raw: &RawValue, counter: &mut Counter) {
    if string(Some(raw), counter) {
        return;
    }
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else { return counter.rough() };
    for item in items {
        match item.get().as_bytes().first() {
            Some(b'0'..=b'9') => counter.tokens(1),
            Some(b'[') => counter.tokens(length(item)),
            _ if string(Some(item), counter) => {}
            _ => counter.rough(),
        }
    }
}

fn length(list: &RawValue) -> u64 {
    serde_json::from_str::<Vec<serde::de::IgnoredAny>>(list.get()).map_or(0, |items| items.len() as u64)
}

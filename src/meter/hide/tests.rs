//! However a transcript is cut, exactly its usage-only events are taken out, and nothing else moves.

use bytes::Bytes;
use http::Method;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{Hide, Span};
use crate::config::DialectChoice;
use crate::dialect::{Reading, route};
use crate::meter::few::Few;
use crate::meter::framing::Sse;

/// A transcript, and what of it the client may see.
#[derive(Clone, Debug, Default)]
struct Transcript {
    wire: Vec<u8>,
    visible: Vec<u8>,
}

impl Transcript {
    fn of(blocks: &[(String, bool)]) -> Self {
        let mut whole = Self::default();
        for (text, hidden) in blocks {
            whole.wire.extend_from_slice(text.as_bytes());
            if !hidden {
                whole.visible.extend_from_slice(text.as_bytes());
            }
        }
        whole
    }
}

const USAGE: &str = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#;

fn content(text: &str) -> String {
    format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#)
}

/// The lines of a block, and whether it is to be hidden.
fn lines() -> impl Strategy<Value = (Vec<String>, bool)> {
    let data = |json: String| vec![format!("data: {json}")];
    prop_oneof![
        4 => "[a-z ]{0,30}".prop_map(move |text| (data(content(&text)), false)),
        3 => Just((data(USAGE.to_owned()), true)),
        1 => Just((vec!["event: message".to_owned(), "id: 7".to_owned(), format!("data:{USAGE}")], true)),
        1 => Just((vec![": a comment".to_owned(), format!("data: {USAGE}")], true)),
        1 => Just((vec![r#"data: {"choices":[],"#.to_owned(), r#"data: "usage":{"x":1}}"#.to_owned()], true)),
        2 => Just((vec![": keep alive".to_owned()], false)),
        1 => Just((vec!["event: ping".to_owned()], false)),
        1 => Just((data(r#"{"id":"c","choices":[],"usage":null}"#.to_owned()), false)),
        1 => Just((data(r#"{"id":"c","choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}"#.to_owned()), false)),
        1 => Just((data("[DONE]".to_owned()), false)),
        1 => Just((vec!["nonsense".to_owned(), "data: {broken".to_owned()], false)),
    ]
}

fn block() -> impl Strategy<Value = (String, bool)> {
    let eol = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
    (lines(), eol).prop_map(|((lines, hidden), eol)| (lines.join(eol) + eol + eol, hidden))
}

fn transcript() -> impl Strategy<Value = Transcript> {
    (proptest::collection::vec(block(), 0..12), any::<bool>()).prop_map(|(mut blocks, unterminated)| {
        if let (Some((text, _)), true) = (blocks.last_mut(), unterminated) {
            text.truncate(text.trim_end().len());
        }
        Transcript::of(&blocks)
    })
}

/// Whether an event is read as the extra one.
fn is_usage_alone(event: &[u8]) -> bool {
    let (route, mut reading) = (route(DialectChoice::Auto, &Method::POST, "/v1/chat/completions"), Reading::default());
    route.dialect.read_answer(event.into(), &mut reading);
    reading.usage_alone
}

/// What a watcher does with a hide, without the rest of it.
fn hidden_from(chunks: &[Bytes]) -> Vec<u8> {
    let (mut sse, mut hide, mut out) = (Sse::default(), Hide::default(), Few::default());
    for chunk in chunks {
        let mut spans = Few::default();
        sse.feed(chunk, &mut |event| {
            let span = Span { start: event.start, end: event.end, hidden: false };
            spans.push_back(Span { hidden: hide.may_take(span) && is_usage_alone(event.data), ..span });
        });
        hide.pass(chunk, (&spans, sse.pending()), &mut out);
    }
    let mut last_hidden = false;
    let rest = Span { start: None, end: 0, hidden: false };
    sse.finish(&mut |event| last_hidden = hide.may_take(rest) && is_usage_alone(event.data));
    if last_hidden {
        hide.forget();
    }
    hide.release(&mut out);
    out.iter().flat_map(|piece| piece.to_vec()).collect()
}

fn cut(wire: &[u8], sizes: &[usize]) -> Vec<Bytes> {
    let (mut rest, mut sizes, mut chunks) = (wire, sizes.iter().cycle(), Vec::new());
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| (*size).min(rest.len()));
        let (chunk, after) = rest.split_at(size);
        chunks.push(Bytes::copy_from_slice(chunk));
        rest = after;
    }
    chunks
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn exactly_the_usage_chunks_are_taken_out_however_the_bytes_are_cut(
        transcript in transcript(),
        sizes in proptest::collection::vec(1_usize..90, 1..20),
    ) {
        let got = hidden_from(&cut(&transcript.wire, &sizes));
        prop_assert_eq!(shown(&got), shown(&transcript.visible));
    }

    #[test]
    fn nothing_is_lost_or_moved_whatever_the_bytes_are(
        wire in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd'), any::<u8>()], 0..300),
        sizes in proptest::collection::vec(1_usize..40, 1..10),
    ) {
        prop_assert_eq!(hidden_from(&cut(&wire, &sizes)), wire);
    }

    #[test]
    fn no_event_is_held_back_once_it_belongs_to_a_choice(text in "[a-z]{1,20}") {
        let chunk = Bytes::from(format!("data: {}", content(&text)));
        let (mut sse, mut hide, mut out) = (Sse::default(), Hide::default(), Few::default());
        sse.feed(&chunk, &mut |_| ());
        hide.pass(&chunk, (&Few::default(), sse.pending()), &mut out);
        prop_assert!(out.iter().eq([&chunk]));
    }
}

#[test]
fn every_single_cut_of_a_stream_gives_the_same_bytes() {
    for eol in ["\n", "\r\n", "\r"] {
        let end = format!("{eol}{eol}");
        let blocks = [
            (format!(": hello{end}"), false),
            (format!("data: {}{end}", content("a")), false),
            (format!("data: {USAGE}{end}"), true),
            (format!(": bye{end}"), false),
            (format!("data: {USAGE}{end}"), true),
            (format!("data: [DONE]{end}"), false),
        ];
        let Transcript { wire, visible } = Transcript::of(&blocks);
        for one in 1..wire.len() {
            for two in (one..wire.len()).step_by(3) {
                let chunks = [&wire[..one], &wire[one..two], &wire[two..]].map(Bytes::copy_from_slice);
                assert_eq!(shown(&hidden_from(&chunks)), shown(&visible), "cut at {one} and {two}");
            }
        }
    }
}

#[test]
fn an_event_too_large_to_be_held_passes_whole_however_it_is_cut() {
    let padding = "x".repeat(40 * 1024);
    let large = format!("data: {{\"pad\":\"{padding}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":1}}}}\n\n");
    let blocks = [(large, false), (format!("data: {USAGE}\n\n"), true), ("data: [DONE]\n\n".to_owned(), false)];
    let Transcript { wire, visible } = Transcript::of(&blocks);
    for size in [100, 1_000, 10_000, 33_000, 41_000, 100_000] {
        assert_eq!(shown(&hidden_from(&cut(&wire, &[size]))), shown(&visible), "pieces of {size}");
    }
}

//! What a killed process leaves of a running answer is the event of the last snapshot, whole or not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::advance;

use super::super::few::Few;
use super::super::framing::{Cutter, Framing, Sse};
use super::super::watch::Watch;
use super::super::watch_tests::Ground;
use super::super::{Catalog, Exchange};
use crate::config;
use crate::spool::Spool;
use crate::spool::tests::copy;
use crate::types::PriceTable;

const PAUSE: Duration = Duration::from_millis(1_234);
const USAGE: &str = r#"{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;

fn content(model: &str, text: &str) -> String {
    format!(r#"{{"model":"{model}","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#)
}

/// An answer on its way, on a clock that stands still.
struct Stream<'a> {
    ground: &'a Ground,
    exchange: Exchange,
    watch: Watch,
}

impl<'a> Stream<'a> {
    fn new(ground: &'a Ground) -> Self {
        let watch = Watch::new(Framing::Stream(Cutter::Events(Sse::default())), false);
        Self { ground, exchange: ground.exchange(None), watch }
    }

    /// A chunk passes and the spool is told of it; whether only of its numbers.
    async fn passes(&mut self, payload: &str) -> bool {
        advance(PAUSE).await;
        let draft = self.exchange.draft().unwrap();
        self.watch.chunk(draft, Bytes::from(format!("data: {payload}\n\n")), &mut Few::default());
        advance(Duration::from_micros(77)).await;
        let numbers = draft.snapshot().is_some();
        assert!(draft.owes_progress().is_some());
        draft.note_progress();
        assert!(draft.owes_progress().is_none());
        numbers
    }

    /// What a process that is killed now leaves is what it would leave if it had just told the spool the whole event.
    fn is_told_as_if_whole(&mut self) -> String {
        let left = recovered(self.ground);
        let draft = self.exchange.draft().unwrap();
        draft.note_whole();
        assert_eq!(left, recovered(self.ground));
        left
    }
}

/// The event that a start makes of the only open request.
fn recovered(ground: &Ground) -> String {
    let copied = copy(&ground.dir.path().join("spool"));
    let settings = config::Spool { dir: copied.path().to_owned(), ..ground.config.events.spool.clone() };
    let spool = Spool::open(&settings).unwrap();
    assert_eq!(spool.stats().recovered, 1);
    let mut reader = spool.reader("test");
    let events = std::iter::from_fn(|| reader.next(Duration::ZERO));
    String::from_utf8(events.last().unwrap().event).unwrap()
}

fn on_a_standing_clock(test: impl AsyncFnOnce(&mut Stream<'_>)) {
    let ground = Ground::new();
    let mut stream = Stream::new(&ground);
    ground.runtime.block_on(async {
        tokio::time::pause();
        test(&mut stream).await;
    });
}

#[test]
fn numbers_alone_leave_the_same_event_as_a_whole_one() {
    for (model, paid) in [("gpt-4o", true), ("made \\\"up\\\"", false)] {
        on_a_standing_clock(async |stream| {
            assert!(!stream.passes(&content(model, "the first is whole")).await);
            for round in 0..3 {
                for text in ["a", "and more of it", "é😀"] {
                    assert!(stream.passes(&content(model, text)).await);
                }
                let event = stream.is_told_as_if_whole();
                assert!(event.contains(r#""flags":["usage_partial"]"#), "{event}");
                assert!(event.contains(&format!(r#""content_frames":{}"#, 4 + 3 * round)), "{event}");
                assert_eq!((event.contains("inter_token_ms"), event.contains("total_nano")), (true, paid), "{event}");
            }
        });
    }
}

#[test]
fn whatever_else_changes_is_told_whole() {
    on_a_standing_clock(async |stream| {
        let text = content("gpt-4o", "a");
        let nameless = text.replace(r#""model":"gpt-4o","#, "");
        assert!(!stream.passes(&nameless).await && stream.passes(&nameless).await);
        assert!(!stream.passes(&text).await, "the model has a name");
        assert!(stream.is_told_as_if_whole().contains(r#""model_served":"gpt-4o""#));
        assert!(stream.passes(&text).await);

        stream.exchange.draft().unwrap().event.data.flag("drained");
        assert!(!stream.passes(&text).await, "there is a flag more");
        assert!(stream.is_told_as_if_whole().contains(r#""flags":["drained","usage_partial"]"#));
        assert!(stream.passes(&text).await);

        let meter = &stream.ground.meter;
        let prices = PriceTable { version: "another".into(), ..(*stream.ground.config.prices).clone() };
        meter.catalog.store(Arc::new(Catalog::new(Arc::new(prices), &[])));
        assert!(!stream.passes(&text).await, "there are other prices");
        assert!(stream.is_told_as_if_whole().contains(r#""price":"another""#));
        assert!(stream.passes(&text).await);

        let with_usage =
            text.replace("]}", r#"],"usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11}}"#);
        assert!(!stream.passes(&with_usage).await, "the provider has reported usage");
        assert!(stream.is_told_as_if_whole().contains(r#""source":"provider""#));
    });
}

#[test]
fn what_the_provider_reports_with_each_chunk_is_told_with_the_numbers() {
    let with_usage = |output: u64| {
        let usage = format!(r#"],"usage":{{"prompt_tokens":5,"completion_tokens":{output}}}}}"#);
        content("gpt-4o", "a").replace("]}", &usage)
    };
    on_a_standing_clock(async |stream| {
        assert!(!stream.passes(&with_usage(1)).await);
        for output in 2..5 {
            assert!(stream.passes(&with_usage(output)).await);
            let event = stream.is_told_as_if_whole();
            assert!(event.contains(&format!(r#""output_tokens":{output},"#)), "{event}");
            assert!(event.contains(&format!(r#""raw":{{"prompt_tokens":5,"completion_tokens":{output}}}"#)), "{event}");
            assert!(event.contains(r#""complete":false"#) && event.contains("total_nano"), "{event}");
        }
        let long = with_usage(5).replace("}}", &format!(r#","more":"{}"}}}}"#, "x".repeat(1024)));
        assert!(!stream.passes(&long).await, "it takes much room");
        assert!(stream.is_told_as_if_whole().contains(r#""more":"xx"#));
    });
}

#[test]
fn a_name_that_is_cut_is_told_whole_each_time() {
    on_a_standing_clock(async |stream| {
        let text = content(&"long".repeat(60), "a");
        for flags in [r#"["usage_partial","event_truncated"]"#, r#"["event_truncated","usage_partial"]"#] {
            assert!(!stream.passes(&text).await);
            assert!(recovered(stream.ground).contains(flags));
        }
    });
}

#[test]
fn an_end_that_may_not_be_one_is_told_whole_and_so_is_what_comes_after() {
    on_a_standing_clock(async |stream| {
        let text = content("gpt-4o", "a");
        assert!(!stream.passes(&text).await && stream.passes(&text).await);
        let draft = stream.exchange.draft().unwrap();
        assert!(draft.note_end().is_none(), "nobody has reported usage");
        stream.watch.chunk(draft, Bytes::from(format!("data: {USAGE}\n\n")), &mut Few::default());
        assert!(draft.note_end().is_some());
        assert!(recovered(stream.ground).contains(r#""source":"provider","complete":true"#));
        assert!(!stream.passes(&text).await);
        assert!(stream.is_told_as_if_whole().contains(r#""source":"provider","complete":false"#));
    });
}

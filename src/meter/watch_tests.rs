//! Whatever an answer sends and however it is cut, the client's bytes pass and the facts beside them are right.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use proptest::prelude::{Just, ProptestConfig, any, prop_assert, prop_assert_eq, prop_oneof};
use proptest::test_runner::TestRunner;
use tempfile::TempDir;

use super::few::Few;
use super::framing::{Cutter, Framing, Sse, Whole};
use super::watch::{Close, Seen, Watch};
use super::{Arrival, Content, Exchange, Meter};
use crate::config::{self, Config, Sources};
use crate::dialect::{Ask, AskError, Dialect, Operation, Payload, Reading, Route};
use crate::guard::{Guard, Wants};
use crate::metrics::Metrics;
use crate::spool::Spool;
use crate::upstream::{Routing, Target, Upstreams};

/// All that an exchange needs around it.
pub(super) struct Ground {
    pub(super) config: Config,
    pub(super) meter: Arc<Meter>,
    guard: Guard,
    target: Arc<Target>,
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) dir: TempDir,
}

impl Ground {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let flags = vec![("upstream".to_owned(), "http://127.0.0.1:9".to_owned())];
        let sources = Sources { flags, directory: dir.path().to_owned(), ..Sources::default() };
        let config = config::load(&sources).unwrap().config;
        let spool = config::Spool { dir: dir.path().join("spool"), ..config.events.spool.clone() };
        let spool = Spool::open(&spool).unwrap();
        let meter = Meter::new(&config, spool, Metrics::new().unwrap()).unwrap();
        let guard = Guard::new(&config.guard, &config.limits);
        let upstreams = Upstreams::new(&config.upstreams).unwrap();
        let routing = Routing { model: None, path: "/v1/chat/completions", host: None, connection_id: None };
        let target = upstreams.route(&routing).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { config, meter, guard, target, runtime, dir }
    }

    pub(super) fn exchange(&self, dialect: Option<&'static dyn Dialect>) -> Exchange {
        assert!(!self.config.upstreams.is_empty());
        let (head, ()) = Request::post("/v1/chat/completions").body(()).unwrap().into_parts();
        let mut arrival = Arrival::observe(&head);
        if let Some(dialect) = dialect {
            arrival.route = Route { dialect, operation: Operation::Chat };
        }
        let caller = self.runtime.block_on(self.guard.identify(&HeaderMap::new(), &Uri::from_static("/"))).unwrap();
        let wants = Wants { model: None, input_tokens: 1, max_output_tokens: None };
        let permit = self.runtime.block_on(self.guard.admit(caller, &wants)).unwrap();
        let content = Content::of(Bytes::from_static(b"{}"), Ask::default());
        let mut exchange = self.meter.open(&arrival, permit, (&content, &self.target)).unwrap();
        exchange.leaves(std::time::Duration::ZERO);
        exchange.answered(200);
        exchange
    }
}

/// Panics at its third payload.
#[derive(Debug)]
struct Faulty;

impl Dialect for Faulty {
    fn name(&self, _: Operation) -> &'static str {
        "faulty"
    }

    fn read_request(&self, _: &str, _: &[u8]) -> Result<Ask, AskError> {
        Err(AskError::NotJson)
    }

    fn read_answer(&self, payload: Payload<'_>, _: &mut Reading) {
        assert!(!payload.data.ends_with(b"3"), "a defect");
    }
}

fn cut(wire: &[u8], size: usize) -> impl Iterator<Item = Bytes> {
    wire.chunks(size).map(Bytes::copy_from_slice)
}

#[test]
fn a_defect_in_a_dialect_costs_the_client_nothing_and_flags_the_event() {
    let ground = Ground::new();
    let wire = b"data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\ndata: [DONE]\n\n";
    for size in 1..=wire.len() {
        for hiding in [false, true] {
            let mut exchange = ground.exchange(Some(&Faulty));
            let draft = exchange.draft().unwrap();
            let mut watch = Watch::new(Framing::Stream(Cutter::Events(Sse::default())), hiding);
            let mut out = Few::default();
            for chunk in cut(wire, size) {
                assert_eq!(watch.chunk(draft, chunk, &mut out), Seen::More);
            }
            watch.end(draft, Close::Whole, &mut out);
            assert_eq!(out.iter().flatten().copied().collect::<Vec<u8>>(), wire, "pieces of {size}");
            assert_eq!(draft.delivered.bytes, wire.len() as u64);
            assert!(draft.event.data.flags.contains(&"meter_error".into()) && draft.unread);
        }
    }
    assert_eq!(ground.meter.panics(), 2 * wire.len() as u64);
}

#[test]
fn a_defect_at_the_end_of_a_document_flags_the_event() {
    let ground = Ground::new();
    let mut exchange = ground.exchange(Some(&Faulty));
    let draft = exchange.draft().unwrap();
    let mut watch = Watch::new(Framing::Whole(Whole::default()), false);
    let mut out = Few::default();
    watch.chunk(draft, Bytes::from_static(b"{\"a\":3"), &mut out);
    watch.end(draft, Close::Whole, &mut out);
    assert!(draft.event.data.flags.contains(&"meter_error".into()) && draft.unread);
}

const CONTENT: &str = r#"data: {"model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#;
const USAGE: &str = r#"data: {"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;

#[test]
fn bytes_and_frames_are_what_the_client_got_and_unhidden_frames_pass_one_to_one() {
    let ground = Ground::new();
    let block =
        prop_oneof![Just((CONTENT, 1, 1)), Just((USAGE, 1, 0)), Just((": comment", 0, 0)), Just(("data: x", 1, 0))];
    let blocks = proptest::collection::vec(block, 0..10);
    let input = (blocks, 1_usize..120, any::<bool>(), any::<bool>());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) };
    let run = |(blocks, size, hiding, unterminated): (Vec<(&str, u64, u64)>, usize, bool, bool)| {
        let mut wire: String = blocks.iter().flat_map(|block| [block.0, "\r\n\r\n"]).collect();
        if unterminated {
            wire.truncate(wire.trim_end().len());
        }
        let visible = blocks.iter().filter(|block| !(hiding && block.0 == USAGE));
        let (frames, contents) = visible.fold((0, 0), |sum, block| (sum.0 + block.1, sum.1 + block.2));
        let mut exchange = ground.exchange(None);
        let draft = exchange.draft().unwrap();
        let mut watch = Watch::new(Framing::Stream(Cutter::Events(Sse::default())), hiding);
        let mut out = Few::default();
        for chunk in cut(wire.as_bytes(), size) {
            watch.chunk(draft, chunk, &mut out);
        }
        watch.end(draft, Close::Whole, &mut out);
        let delivered = draft.delivered;
        prop_assert_eq!(delivered.bytes, out.iter().map(|piece| piece.len() as u64).sum::<u64>());
        prop_assert_eq!((delivered.frames, delivered.content_frames), (frames, contents));
        if !hiding {
            prop_assert!(out.iter().eq(cut(wire.as_bytes(), size).collect::<Vec<_>>().iter()));
        }
        Ok(())
    };
    TestRunner::new(config).run(&input, run).unwrap();
}

#[test]
fn the_last_event_begins_where_it_does_in_what_passes() {
    let ground = Ground::new();
    let mut exchange = ground.exchange(None);
    let draft = exchange.draft().unwrap();
    let wire = Bytes::from(format!("{CONTENT}\n\n{USAGE}\n\ndata: [DONE]\n\n"));
    let mut out = Few::default();
    let mut watch = Watch::new(Framing::Stream(Cutter::Events(Sse::default())), true);
    assert_eq!(watch.chunk(draft, wire.clone(), &mut out), Seen::Last(0), "places have moved: nothing may go early");
    let mut exchange = ground.exchange(None);
    let draft = exchange.draft().unwrap();
    let mut watch = Watch::new(Framing::Stream(Cutter::Events(Sse::default())), false);
    let at = wire.len() - "data: [DONE]\n\n".len();
    assert_eq!(watch.chunk(draft, wire, &mut Few::default()), Seen::Last(at));
}

#[test]
fn half_of_the_last_event_or_document_says_nothing() {
    let ground = Ground::new();
    for framing in [Framing::Stream(Cutter::Events(Sse::default())), Framing::Whole(Whole::default())] {
        let document = matches!(framing, Framing::Whole(_));
        let mut exchange = ground.exchange(None);
        let draft = exchange.draft().unwrap();
        let mut watch = Watch::new(framing, false);
        let mut out = Few::default();
        watch.chunk(draft, Bytes::from_static(b"data: {\"choices\":[{\"del"), &mut out);
        watch.end(draft, Close::Broken, &mut out);
        assert_eq!(draft.reading.flags().names().count(), 0);
        assert_eq!(draft.unread, document);
    }
}

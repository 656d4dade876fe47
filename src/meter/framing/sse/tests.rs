use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Body;
use http_body_util::Full;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use sse_stream::SseStream;

use super::Sse;
use crate::meter::framing::pending::MAX;

type Seen = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Seen, Sse) {
    let (mut seen, mut sse) = (Seen::new(), Sse::default());
    for chunk in chunks {
        sse.feed(chunk, &mut |event| seen.push((event.data.to_vec(), event.name.map(<[u8]>::to_vec))));
    }
    (seen, sse)
}

fn data(stream: &str) -> Vec<String> {
    let (seen, _) = scan([stream.as_bytes()]);
    seen.into_iter().map(|(data, _)| String::from_utf8(data).unwrap()).collect()
}

/// Cuts a stream at these places, each taken modulo its length.
fn cut<'a>(stream: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place % (stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

/// Streams made of the pieces that matter.
fn streams() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "data: {\"a\":1}",
        "data:x",
        "data",
        "data: ",
        "data:  two",
        "event: e",
        "event:",
        ": ping",
        "id: 7",
        "retry: 1",
        "nonsense",
        "\n",
        "\n",
        "\r\n",
        "\r\n",
        "\r",
        "\n\n",
        "\r\n\r\n",
        "\u{feff}",
        "é",
        ":",
        "datax: 1",
    ]);
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// What an independent decoder sees: all its blocks with data.
fn oracle(stream: &str) -> Option<Seen> {
    let mut events = pin!(SseStream::new(Full::new(Bytes::copy_from_slice(stream.as_bytes()))));
    let mut seen = Seen::new();
    loop {
        let mut context = Context::from_waker(Waker::noop());
        match poll(events.as_mut(), &mut context) {
            Poll::Ready(Some(Ok(event))) => {
                let name = event.event.map(String::into_bytes);
                seen.extend(event.data.map(|data| (data.into_bytes(), name)));
            }
            Poll::Ready(Some(Err(_))) | Poll::Pending => return None,
            Poll::Ready(None) => return Some(seen),
        }
    }
}

fn poll<B: Body>(
    stream: std::pin::Pin<&mut SseStream<B>>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<sse_stream::Sse, sse_stream::Error>>>
where
    B::Error: std::error::Error + Send + Sync + 'static,
{
    futures_core::Stream::poll_next(stream, context)
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_events(stream in streams(), places in proptest::collection::vec(any::<usize>(), 0..20)) {
        let (whole, _) = scan([stream.as_bytes()]);
        let (pieces, _) = scan(cut(stream.as_bytes(), &places));
        prop_assert_eq!(&pieces, &whole);
        let (bytes, _) = scan(stream.as_bytes().chunks(1));
        prop_assert_eq!(&bytes, &whole);
    }

    #[test]
    fn any_bytes_in_any_cutting_are_no_trouble(
        stream in proptest::collection::vec(any::<u8>(), 0..300),
        places in proptest::collection::vec(any::<usize>(), 0..10),
    ) {
        let (whole, _) = scan([stream.as_slice()]);
        let (pieces, _) = scan(cut(&stream, &places));
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn an_independent_decoder_sees_the_same_events(stream in streams()) {
        if let Some(expected) = oracle(&stream) {
            prop_assert_eq!(scan([stream.as_bytes()]).0, expected);
        }
    }

    #[test]
    fn events_lie_where_they_say(stream in streams()) {
        let mut sse = Sse::default();
        let (mut last, mut seen) = (0, 0);
        sse.feed(stream.as_bytes(), &mut |event| {
            let start = event.start.unwrap();
            assert!(last <= start && start < event.end && event.end <= stream.len());
            let (alone, _) = scan([&stream.as_bytes()[start..event.end]]);
            assert_eq!(alone.len(), 1, "the bytes from start to end are this event and no other");
            (last, seen) = (event.end, seen + 1);
        });
        prop_assert_eq!(seen, scan([stream.as_bytes()]).0.len());
        prop_assert_eq!(sse.pending().len() <= stream.len() - last, true);
        prop_assert_eq!(stream.as_bytes().ends_with(sse.pending()), true);
    }
}

#[test]
fn every_kind_of_line_end_ends_lines_and_events() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = ["data: a", "", "data:b", "data: c", "", ": ping", "", "event: e", "", ""].join(end);
        assert_eq!(data(&stream), ["a", "b\nc"], "{end:?}");
    }
    assert_eq!(data("data: a\r\n\ndata: b\n\r\ndata: c\r\r\n"), ["a", "b", "c"]);
}

#[test]
fn a_byte_order_mark_is_skipped_at_the_very_beginning_only() {
    let stream = "\u{feff}data: a\n\n\u{feff}data: b\n\n";
    assert_eq!(data(stream), ["a"]);
    assert_eq!(scan(stream.as_bytes().chunks(1)).0.len(), 1);
}

#[test]
fn an_event_says_where_it_lies_in_its_chunk() {
    let mut sse = Sse::default();
    let mut at = Vec::new();
    sse.feed(b": x\n\ndata: a\n\ndata: b", &mut |event| at.push((event.start, event.end)));
    assert_eq!(sse.pending(), b"data: b");
    sse.feed(b"\r\n\r", &mut |event| at.push((event.start, event.end)));
    assert_eq!(sse.pending(), b"");
    sse.feed(b"\ndata: c\n\n", &mut |event| at.push((event.start, event.end)));
    assert_eq!(at, [(Some(5), 14), (None, 3), (Some(1), 10)]);
}

#[test]
fn a_last_event_without_its_blank_line_is_found_at_the_end() {
    let (seen, mut sse) = scan([b"data: a\n\nda".as_slice(), b"ta: b"]);
    assert_eq!(seen.len(), 1);
    let mut last = None;
    sse.finish(&mut |event| last = Some((event.data.to_vec(), event.start)));
    assert_eq!(last, Some((b"b".to_vec(), None)));
    sse.finish(&mut |_| panic!("the end comes once"));
}

#[test]
fn an_event_that_is_too_long_is_skipped_and_the_next_one_is_read() {
    let stream = [b"data: ".as_slice(), &vec![b'x'; MAX], b"\n\ndata: a\n\n"].concat();
    for size in [1000, 4096, 100_000, stream.len()] {
        let (seen, sse) = scan(stream.chunks(size));
        assert_eq!(seen, [(b"a".to_vec(), None)], "chunks of {size}");
        assert!(sse.truncated());
        assert!(sse.pending.capacity() <= 2 * MAX);
    }
    let (_, sse) = scan(std::iter::repeat_n([b'x'; 1000].as_slice(), 1000));
    assert!(sse.truncated() && sse.pending().is_empty(), "a line without end takes no memory");
}

#[test]
fn the_longest_event_is_read_however_its_blank_line_is_cut() {
    for (length, events) in [(MAX - 1, 1), (MAX, 1), (MAX + 1, 0)] {
        let stream = [b"data: ".as_slice(), &vec![b'x'; length - 8], b"\r\n\r\n"].concat();
        for from_end in 0..5 {
            let (beginning, end) = stream.split_at(stream.len() - from_end);
            let (seen, sse) = scan([beginning, end]);
            assert_eq!((seen.len(), sse.truncated()), (events, events == 0), "{length} bytes, cut {from_end} before");
        }
    }
}

#[test]
fn a_million_empty_events_are_none() {
    let (seen, sse) = scan([b"\n".repeat(1_000_000).as_slice()]);
    assert!(seen.is_empty() && sse.pending().is_empty());
}

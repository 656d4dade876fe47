use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::{Frames, MAX};

/// A frame with these text headers.
pub(in crate::meter) fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let text = |(name, value): &(&str, &str)| {
        let length = (value.len() as u16).to_be_bytes();
        [&[name.len() as u8], name.as_bytes(), &[7], &length, value.as_bytes()].concat()
    };
    encoded(&headers.iter().flat_map(text).collect::<Vec<u8>>(), payload)
}

/// An event as Bedrock sends it.
pub(in crate::meter) fn event(name: &str, payload: &[u8]) -> Vec<u8> {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    frame(&headers, payload)
}

fn encoded(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = (16 + headers.len() + payload.len()) as u32;
    let mut frame = [length.to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend([headers, payload].concat());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

type Seen = Vec<(Option<String>, Vec<u8>)>;

fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Seen, Frames) {
    let (mut seen, mut frames) = (Vec::new(), Frames::default());
    for chunk in chunks {
        frames.feed(chunk, &mut |event| {
            let name = event.name.map(|name| String::from_utf8_lossy(name).into_owned());
            seen.push((name, event.data.to_vec()));
        });
    }
    (seen, frames)
}

fn cut<'a>(stream: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place % (stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

fn named(name: &str, data: &[u8]) -> (Option<String>, Vec<u8>) {
    (Some(name.to_owned()), data.to_vec())
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_frames(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..6),
        places in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| event("chunk", payload)).collect();
        let expected: Seen = payloads.iter().map(|payload| named("chunk", payload)).collect();
        let (seen, frames) = scan(cut(&stream, &places));
        prop_assert_eq!(&seen, &expected);
        prop_assert!(!frames.damaged() && frames.pending().is_empty());
        prop_assert_eq!(&scan(stream.chunks(1)).0, &expected);
    }

    #[test]
    fn any_bytes_in_any_cutting_are_no_trouble(
        headers in proptest::collection::vec(any::<u8>(), 0..60),
        noise in proptest::collection::vec(any::<u8>(), 0..100),
        places in proptest::collection::vec(any::<usize>(), 0..10),
    ) {
        // Sound lengths and sums around headers of any bytes, then anything.
        let stream = [encoded(&headers, b"{}"), noise].concat();
        let (whole, frames) = scan([stream.as_slice()]);
        let (pieces, cut) = scan(cut(&stream, &places));
        prop_assert_eq!(pieces, whole);
        prop_assert_eq!(cut.damaged(), frames.damaged());
    }
}

#[test]
fn a_frame_of_the_formats_own_test_suite_is_read() {
    // "all_headers" of the AWS event stream test vectors has every type; here those that matter, by hand.
    let headers = [
        &b"\x01a\x00"[..],
        b"\x01b\x02\x7f",
        b"\x01c\x03\0\x01",
        b"\x01d\x04\0\0\0\x01",
        b"\x01e\x05\0\0\0\0\0\0\0\x01",
        b"\x01f\x06\0\x03\0\x01\x02",
        b"\x01g\x08\0\0\0\0\0\0\0\x01",
        b"\x01h\x090123456789abcdef",
        b"\x0b:event-type\x07\0\x05chunk",
        b"\x01i\x01",
    ];
    assert_eq!(scan([encoded(&headers.concat(), b"x").as_slice()]).0, [named("chunk", b"x")]);
    let empty = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff";
    assert_eq!(scan([&empty[..]]).0, [(None, Vec::new())], "the suite's empty message");
}

#[test]
fn exceptions_and_errors_are_named_by_their_kind() {
    let exception = frame(&[(":message-type", "exception"), (":exception-type", "throttlingException")], b"{}");
    let error = frame(&[(":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "no")], b"");
    let seen = scan([[exception, error].concat().as_slice()]).0;
    assert_eq!(seen, [named("throttlingException", b"{}"), named("InternalFailure", b"")]);
}

#[test]
fn a_frame_within_one_chunk_is_not_copied_and_lies_where_it_says() {
    let (first, second) = (event("a", b"{\"x\":1}"), event("b", b"{}"));
    let chunk = [first.clone(), second[..20].to_vec()].concat();
    let (mut frames, mut places) = (Frames::default(), Vec::new());
    frames.feed(&chunk, &mut |event| {
        assert!(chunk.as_ptr_range().contains(&event.data.as_ptr()));
        places.push((event.start, event.end));
    });
    assert_eq!(frames.pending(), &second[..20]);
    frames.feed(&second[20..], &mut |event| places.push((event.start, event.end)));
    assert_eq!(places, [(Some(0), first.len()), (None, second.len() - 20)]);
}

#[test]
fn a_damaged_frame_says_nothing_and_damaged_lengths_end_the_reading() {
    let (good, mut bad) = (event("a", b"{}"), event("b", b"{\"x\":1}"));
    let last = bad.len() - 6;
    bad[last] ^= 1;
    for size in [1, 7, 1000] {
        let (seen, frames) = scan([good.clone(), bad.clone(), good.clone()].concat().chunks(size));
        assert_eq!(seen, [named("a", b"{}"), named("a", b"{}")]);
        assert!(frames.damaged() && !frames.truncated());
    }
    let mut unsound = event("b", b"{}");
    unsound[2] ^= 1;
    for size in [1, 7, 1000] {
        let (seen, frames) = scan([good.clone(), unsound.clone(), good.clone()].concat().chunks(size));
        assert_eq!(seen, [named("a", b"{}")]);
        assert!(frames.damaged() && frames.pending().is_empty());
    }
    // Sound sums over lengths that contradict each other.
    let mut odd = [40_u32.to_be_bytes(), 25_u32.to_be_bytes()].concat();
    odd.extend(crc32fast::hash(&odd).to_be_bytes());
    assert!(scan([odd.as_slice()]).1.damaged());
}

#[test]
fn a_frame_that_is_too_long_is_passed_by_and_the_next_is_read() {
    let (long, next) = (event("a", &vec![b'x'; MAX]), event("b", b"{}"));
    for size in [usize::MAX, 5, 65_536] {
        let stream = [long.clone(), next.clone()].concat();
        let (seen, frames) = scan(stream.chunks(size.min(stream.len())));
        assert_eq!(seen, [named("b", b"{}")], "in pieces of {size}");
        assert!(frames.truncated() && !frames.damaged());
    }
}

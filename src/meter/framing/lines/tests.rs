use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::Lines;
use crate::meter::framing::pending::MAX;

fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Lines) {
    let (mut seen, mut lines) = (Vec::new(), Lines::default());
    for chunk in chunks {
        lines.feed(chunk, &mut |event| seen.push(event.data.to_vec()));
    }
    (seen, lines)
}

/// As [`scan`], to the end.
fn scan_all<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut seen, mut lines) = scan(chunks);
    lines.finish(&mut |event| seen.push(event.data.to_vec()));
    seen
}

fn cut<'a>(stream: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place % (stream.len() + 1)).collect();
    places.extend([0, stream.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

fn streams() -> impl Strategy<Value = String> {
    let pieces = vec!["{\"a\":1}", "{\"b\":\"\\n\"}", "x", " ", "\n", "\r\n", "\n\n", "\r", "\u{feff}", "é"];
    proptest::collection::vec(proptest::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_lines(stream in streams(), places in proptest::collection::vec(any::<usize>(), 0..20)) {
        let whole = scan_all([stream.as_bytes()]);
        prop_assert_eq!(&scan_all(cut(stream.as_bytes(), &places)), &whole);
        prop_assert_eq!(&scan_all(stream.as_bytes().chunks(1)), &whole);
        let text = stream.strip_prefix('\u{feff}').unwrap_or(&stream);
        let lines = text.split('\n').map(|line| line.trim_matches(|c: char| c.is_ascii_whitespace()));
        let lines: Vec<Vec<u8>> = lines.filter(|line| !line.is_empty()).map(|line| line.as_bytes().to_vec()).collect();
        prop_assert_eq!(whole, lines, "as the standard library splits them");
    }

    #[test]
    fn any_bytes_in_any_cutting_are_no_trouble(
        stream in proptest::collection::vec(any::<u8>(), 0..300),
        places in proptest::collection::vec(any::<usize>(), 0..10),
    ) {
        prop_assert_eq!(scan_all(cut(&stream, &places)), scan_all([stream.as_slice()]));
    }

    #[test]
    fn lines_lie_where_they_say_and_whole_ones_are_not_copied(stream in streams()) {
        let mut lines = Lines::default();
        let (mut last, bytes) = (0, stream.as_bytes());
        lines.feed(bytes, &mut |event| {
            let start = event.start.unwrap();
            assert!(last <= start && start < event.end && bytes[event.end - 1] == b'\n');
            assert!(bytes.as_ptr_range().contains(&event.data.as_ptr()), "lent out, not copied");
            last = event.end;
        });
        prop_assert!(bytes.ends_with(lines.pending()));
    }
}

#[test]
fn a_line_says_where_it_lies_in_its_chunk() {
    let (mut lines, mut at) = (Lines::default(), Vec::new());
    lines.feed(b"\n{}\r\n{\"a\":", &mut |event| at.push((event.start, event.end)));
    assert_eq!(lines.pending(), b"{\"a\":");
    lines.feed(b"1}\n{}\n", &mut |event| at.push((event.start, event.end)));
    assert_eq!(at, [(Some(1), 5), (None, 3), (Some(3), 6)]);
}

#[test]
fn a_last_line_without_its_end_is_found_once() {
    let (seen, mut lines) = scan([b"{}\n{\"b\"".as_slice(), b":1}"]);
    assert_eq!(seen.len(), 1);
    let mut last = None;
    lines.finish(&mut |event| last = Some((event.data.to_vec(), event.start)));
    assert_eq!(last, Some((b"{\"b\":1}".to_vec(), None)));
    lines.finish(&mut |_| panic!("the end comes once"));
}

#[test]
fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_read() {
    let stream = [vec![b'x'; MAX + 1].as_slice(), b"\n{}\n"].concat();
    for size in [1000, 4096, 100_000, stream.len()] {
        let (seen, lines) = scan(stream.chunks(size));
        assert_eq!(seen, [b"{}".to_vec()], "chunks of {size}");
        assert!(lines.truncated() && lines.pending.capacity() <= 2 * MAX);
    }
    let (_, lines) = scan(std::iter::repeat_n([b'x'; 1000].as_slice(), 1000));
    assert!(lines.truncated() && lines.pending().is_empty(), "a line without end takes no memory");
}

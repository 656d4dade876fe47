use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::Objects;
use crate::meter::framing::pending::MAX;

fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Objects) {
    let (mut seen, mut objects) = (Vec::new(), Objects::default());
    for chunk in chunks {
        objects.feed(chunk, &mut |event| seen.push(String::from_utf8_lossy(event.data).into_owned()));
    }
    (seen, objects)
}

fn seen(stream: &str) -> Vec<String> {
    let (whole, _) = scan([stream.as_bytes()]);
    let (bytes, _) = scan(stream.as_bytes().chunks(1));
    assert_eq!(whole, bytes, "{stream}");
    whole
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
    let pieces = ["{", "}", "[", "]", "\"", "\\", "\\\"", ",", "\n", " ", "{\"a\":1}", "{\"a\":\"}{\\\"\"}", "é", "7"];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_objects(stream in streams(), places in proptest::collection::vec(any::<usize>(), 0..20)) {
        let (whole, _) = scan([stream.as_bytes()]);
        prop_assert_eq!(&scan(cut(stream.as_bytes(), &places)).0, &whole);
        prop_assert_eq!(&scan(stream.as_bytes().chunks(1)).0, &whole);
    }

    #[test]
    fn objects_of_json_come_out_as_they_went_in(
        texts in proptest::collection::vec(any::<String>(), 0..8),
        places in proptest::collection::vec(any::<usize>(), 0..10),
        list in any::<bool>(),
    ) {
        let objects: Vec<String> =
            texts.iter().map(|text| serde_json::json!({ "a": [text, { text: text }] }).to_string()).collect();
        let stream = if list { format!("[{}\n]", objects.join("\n,\r\n")) } else { objects.concat() };
        let mut expected = objects;
        expected.extend(list.then(|| "]".to_owned()));
        prop_assert_eq!(scan(cut(stream.as_bytes(), &places)).0, expected);
    }
}

#[test]
fn objects_in_a_list_and_back_to_back_are_found_and_the_lists_end_is_told() {
    assert_eq!(seen("[{\"a\":1}\n,\r\n{\"b\":[2]}\n]\n"), ["{\"a\":1}", "{\"b\":[2]}", "]"]);
    assert_eq!(seen("{\"a\":{}}{\"b\":2} {}\n{}"), ["{\"a\":{}}", "{\"b\":2}", "{}", "{}"]);
    assert_eq!(seen("[]"), ["]"]);
    assert_eq!(seen("[[{}],[{}]]"), ["{}", "{}", "]"]);
    assert_eq!(seen("7 null \"{}\" ] } {\"a\""), [""; 0]);
}

#[test]
fn braces_in_texts_are_no_braces() {
    let tricky = r#"{"a":"}{\"]\\","b":"\\\"}"}"#;
    assert_eq!(seen(&format!("[{tricky},{tricky}]")), [tricky, tricky, "]"]);
}

#[test]
fn an_object_within_one_chunk_is_not_copied_and_lies_where_it_says() {
    let chunk = b"[{\"a\":1},{\"b\"";
    let (mut objects, mut places) = (Objects::default(), Vec::new());
    objects.feed(chunk, &mut |event| {
        assert_eq!(event.data.as_ptr(), chunk[1..].as_ptr());
        places.push((event.start, event.end));
    });
    assert_eq!(objects.pending(), b"{\"b\"");
    objects.feed(b":2}]", &mut |event| places.push((event.start, event.end)));
    assert_eq!(places, [(Some(1), 8), (None, 3), (Some(3), 4)]);
}

#[test]
fn an_object_that_is_too_long_is_skipped_and_the_next_is_read() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX));
    for size in [usize::MAX, 1000, 65_536] {
        let stream = format!("[{long},{{}}]");
        let (seen, objects) = scan(stream.as_bytes().chunks(size.min(stream.len())));
        assert_eq!(seen, ["{}", "]"], "in pieces of {size}");
        assert!(objects.truncated() && objects.pending().is_empty());
    }
    let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX - 8));
    assert_eq!(fits.len(), MAX);
    let (seen, objects) = scan(fits.as_bytes().chunks(1000));
    assert_eq!((seen.len(), objects.truncated()), (1, false));
}

#[test]
fn any_depth_is_no_trouble() {
    let deep = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    assert_eq!(seen(&deep), [deep]);
}

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use zstd_safe::{CCtx, InBuffer, OutBuffer};

use super::{Encoded, Inflate, PIECE, Stop, TOTAL_MAX};

/// The same events through encoders that flush after each, as servers do that compress streams.
#[derive(Deserialize)]
struct Recorded {
    events: Vec<String>,
    gzip: Vec<String>,
    deflate: Vec<String>,
    deflate_bare: Vec<String>,
    br: Vec<String>,
    br_bomb: String,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("../../../../tests/fixtures/encoded/chunks.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn inflate(coding: &str) -> Inflate {
    match encoded(coding) {
        Encoded::Readable(inflate) => inflate,
        other => panic!("{coding}: {other:?}"),
    }
}

fn encoded(coding: &str) -> Encoded {
    Encoded::of(&HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap())]))
}

fn read<'a>(coding: &str, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Result<(), Stop>, bool) {
    let (mut inflate, mut out) = (inflate(coding), Vec::new());
    for chunk in chunks {
        let fed = inflate.feed(chunk, &mut |piece| {
            assert!(piece.len() <= PIECE);
            out.extend_from_slice(piece);
        });
        if fed.is_err() {
            return (out, fed, false);
        }
    }
    (out, Ok(()), inflate.is_whole())
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8], window_log: u32) -> Vec<u8> {
    let mut context = CCtx::create();
    context.set_parameter(zstd_safe::CParameter::WindowLog(window_log)).unwrap();
    let mut out = vec![0; zstd_safe::compress_bound(text.len()) + 64];
    let mut to = OutBuffer::around(&mut out[..]);
    let mut from = InBuffer::around(text);
    context.compress_stream(&mut to, &mut from).unwrap();
    assert_eq!(from.pos, text.len());
    assert_eq!(context.end_stream(&mut to).unwrap(), 0);
    let written = to.pos();
    out.truncate(written);
    out
}

/// Text that compresses like text.
fn text(bytes: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n: u32| format!("{{\"n\":{},\"x\":\"{:x}\"}},", n, n.wrapping_mul(2_654_435_761)).into_bytes())
        .take(bytes)
        .collect()
}

#[test]
fn every_flushed_event_is_read_as_soon_as_its_bytes_are_there() {
    let recorded = recorded();
    let streams = [
        ("gzip", &recorded.gzip),
        ("deflate", &recorded.deflate),
        ("deflate", &recorded.deflate_bare),
        ("br", &recorded.br),
    ];
    for (coding, chunks) in streams {
        let mut inflate = inflate(coding);
        for (chunk, event) in chunks.iter().zip(recorded.events.iter().map(String::as_str).chain([""])) {
            assert!(!inflate.is_whole());
            let mut out = Vec::new();
            inflate.feed(&bytes(chunk), &mut |piece| out.extend_from_slice(piece)).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), event, "{coding}");
        }
        assert!(inflate.is_whole(), "{coding}");
    }
}

#[test]
fn zstd_events_are_read_as_they_are_flushed() {
    let (mut context, mut inflate) = (CCtx::create(), inflate("zstd"));
    for event in recorded().events {
        let mut out = vec![0; 4096];
        let mut to = OutBuffer::around(&mut out[..]);
        context.compress_stream(&mut to, &mut InBuffer::around(event.as_bytes())).unwrap();
        assert_eq!(context.flush_stream(&mut to).unwrap(), 0);
        let written = to.pos();
        let mut read = Vec::new();
        inflate.feed(&out[..written], &mut |piece| read.extend_from_slice(piece)).unwrap();
        assert_eq!(read, event.as_bytes());
        assert!(!inflate.is_whole());
    }
}

#[test]
fn text_that_compresses_well_is_read_to_its_end() {
    for length in [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, 3 * PIECE + 5] {
        let text: Vec<u8> = b"data: {\"id\":\"c\"}\n\n".iter().copied().cycle().take(length).collect();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(&text).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::best());
        bare.write_all(&text).unwrap();
        let cases = [
            ("gzip", gzip(&text)),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", bare.finish().unwrap()),
            ("zstd", zstd(&text, 17)),
        ];
        for (coding, encoded) in &cases {
            for size in [1, encoded.len()] {
                let (out, fed, whole) = read(coding, encoded.chunks(size));
                assert!(fed == Ok(()) && whole && out == text, "{coding}, {length}: {fed:?} {whole} {}", out.len());
            }
        }
    }
}

#[test]
fn what_follows_a_zstd_frame_is_ignored_or_a_frame_however_it_is_cut() {
    type Case<'a> = (&'a [&'a [u8]], &'a [u8], bool);
    let frame = zstd(b"one", 17);
    let skippable = [0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7];
    let cases: [Case<'_>; 5] = [
        (&[&frame, b"garbage"], b"one", true),
        (&[&frame, &[0x28, 0xb5, 0, 0, 0, 0]], b"one", true),
        (&[&frame, &[0x28, 0xb5]], b"one", false),
        (&[&frame, &skippable, &frame], b"oneone", true),
        (&[&frame, &frame, b"("], b"oneone", false),
    ];
    for (parts, text, complete) in cases {
        let encoded = parts.concat();
        for size in [1, 2, 3, 5, 14, encoded.len()] {
            let (out, fed, whole) = read("zstd", encoded.chunks(size));
            assert!(
                fed == Ok(()) && out == text && whole == complete,
                "{parts:?} in pieces of {size}: {fed:?} {whole}"
            );
        }
    }
}

#[test]
fn any_cutting_gives_the_same_bytes() {
    let text = text(100_000);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&text).unwrap();
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
    bare.write_all(&text).unwrap();
    let cases = [
        ("gzip", gzip(&text)),
        ("X-GZIP", gzip(&text)),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", bare.finish().unwrap()),
        ("zstd", zstd(&text, 17)),
        ("identity, gzip", gzip(&text)),
        ("zstd, gzip", gzip(&zstd(&text, 17))),
    ];
    for (coding, encoded) in &cases {
        for size in [1, 2, 3, 7, 1000, encoded.len()] {
            let (out, fed, whole) = read(coding, encoded.chunks(size));
            assert!(
                fed == Ok(()) && whole && out == text,
                "{coding} in pieces of {size}: {fed:?} {whole} {}",
                out.len()
            );
        }
    }
}

#[test]
fn several_members_are_one_and_what_follows_the_last_is_ignored() {
    let header_with_all =
        [&[0x1f, 0x8b, 8, 0x1e, 0, 0, 0, 0, 0, 3, 2, 0, b'x', b'y'][..], b"name\0comment\0", &[1, 2]].concat();
    let last = gzip(b"three");
    let members = [gzip(b"one "), gzip(b"two "), header_with_all, last[10..].to_vec()].concat();
    for garbage in [&b""[..], b"\0\0\0\0", b"\x1f garbage"] {
        let all = [&members, garbage].concat();
        for size in [1, all.len()] {
            assert_eq!(read("gzip", all.chunks(size)), (b"one two three".to_vec(), Ok(()), true), "{garbage:?}");
        }
    }
    let frames = [zstd(b"one ", 17), zstd(b"two", 17)].concat();
    assert_eq!(read("zstd", [&frames[..]]), (b"one two".to_vec(), Ok(()), true));
    assert_eq!(read("zstd", [&frames[..], b"garbage"]).0, b"one two");
}

#[test]
fn what_is_cut_short_is_read_as_far_as_it_goes_and_is_no_whole() {
    let text = text(50_000);
    for (coding, encoded) in [("gzip", gzip(&text)), ("zstd", zstd(&text, 17))] {
        let (out, fed, whole) = read(coding, [&encoded[..encoded.len() - 9]]);
        assert!(fed == Ok(()) && !whole && text.starts_with(&out), "{coding}");
    }
}

#[test]
fn what_is_not_what_it_says_stops_the_reading() {
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let (_, fed, _) = read(coding, [&b"{\"plainly\": \"not compressed at all\"}\xff\xff\xff"[..]]);
        assert_eq!(fed, Err(Stop::Broken), "{coding}");
    }
    for coding in ["compress", "gzip, gzip, gzip", "gzip, x-snappy", "aes128gcm"] {
        assert!(matches!(encoded(coding), Encoded::Unreadable), "{coding}");
    }
    for coding in ["", "identity", "Identity"] {
        assert!(matches!(encoded(coding), Encoded::Plain), "{coding}");
    }
}

#[test]
fn bombs_stop_the_reading() {
    let zeros = vec![0; 48 << 20];
    let bombs = [
        ("gzip", gzip(&zeros)),
        ("zstd", zstd(&zeros, 20)),
        ("br", bytes(&recorded().br_bomb)),
        ("gzip, gzip", gzip(&gzip(&zeros))),
    ];
    for (coding, bomb) in &bombs {
        for size in [100, bomb.len()] {
            let (out, fed, _) = read(coding, bomb.chunks(size));
            assert_eq!(fed, Err(Stop::TooMuch), "{coding}");
            assert!(out.len() as u64 <= TOTAL_MAX, "{coding}");
        }
    }
}

#[test]
fn an_answer_without_end_stops_the_reading_too() {
    let one = gzip(b"");
    let mut inflate = inflate("gzip");
    let fed = (0..5000).try_for_each(|_| inflate.feed(&one, &mut |_| {}));
    assert_eq!(fed, Err(Stop::TooMuch), "members without end");
    let (chunk, mut inflate) = (gzip(&text(1 << 20)), self::inflate("gzip"));
    let fed = (0..40).try_for_each(|_| inflate.feed(&chunk, &mut |_| {}));
    assert_eq!(fed, Err(Stop::TooMuch), "more in all than is read of any answer");
}

#[test]
fn a_window_beyond_the_bound_is_refused() {
    let text = text(20 << 20);
    assert_eq!(read("zstd", [&zstd(&text, 23)[..1000]]).1, Ok(()));
    assert_eq!(read("zstd", [&zstd(&text, 24)[..1000]]).1, Err(Stop::Broken));
    // Large-window brotli says so in its first byte.
    assert_eq!(read("br", [&[0x11, 0x1e, 0, 0, 0, 0][..]]).1, Err(Stop::Broken));
}

/// A metablock of 16 MiB whose codes have no bits: no input is asked for while it is decoded.
const BROTLI_WITHOUT_BITS: &str = "cfffff7ff825a2a200000040000000b6a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a29f21ff040004\
                                   0000f04b783b0180eeaffd";

#[test]
fn brotli_that_needs_a_longer_window_than_encoders_use_is_not_read_on() {
    let body = bytes(BROTLI_WITHOUT_BITS);
    let (out, read, _) = read("br", [&body[..]]);
    assert_eq!((out.len(), read), (0, Err(Stop::TooMuch)));
}

#[test]
fn brotli_in_the_window_that_encoders_use_is_stopped_once_that_is_full() {
    let mut body = bytes(BROTLI_WITHOUT_BITS);
    body[0] = 0xcb;
    let (out, read, _) = read("br", [&body[..]]);
    assert!((out.len() as u64) <= super::RATIO_FROM, "{}", out.len());
    assert_eq!(read, Err(Stop::TooMuch));
}

//! However a compressed answer is cut, what is read of it is the same and stays within bounds; what was compressed
//! comes out again.
#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tollgate::meter::framing::{Encoded, Inflate, Stop};
use tollgate_fuzz::{in_time, pieces};

const CODINGS: [&str; 8] =
    ["gzip", "deflate", "br", "zstd", "gzip, zstd", "deflate, br", "br, gzip", "x-gzip, deflate"];
/// The pieces that come out are no longer.
const PIECE: usize = 16 * 1024;

struct Read {
    bytes: Vec<u8>,
    stopped: Option<Stop>,
    whole: bool,
}

fn inflate(coding: &'static str) -> Inflate {
    match Encoded::of(&HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(coding))])) {
        Encoded::Readable(inflate) => inflate,
        other => panic!("{coding}: {other:?}"),
    }
}

fn read<'a>(coding: &'static str, chunks: impl Iterator<Item = &'a [u8]>) -> Read {
    let (mut inflate, mut bytes) = (inflate(coding), Vec::new());
    for chunk in chunks {
        let fed = inflate.feed(chunk, &mut |piece| {
            assert!((1..=PIECE).contains(&piece.len()));
            bytes.extend_from_slice(piece);
        });
        if let Err(stop) = fed {
            return Read { bytes, stopped: Some(stop), whole: false };
        }
    }
    Read { bytes, stopped: None, whole: inflate.is_whole() }
}

/// A text that is compressed, as long as a piece is, or nearly so, where `kind` wants it.
fn text(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = match kind >> 5 {
        _ if body.is_empty() => 0,
        more @ 4.. => PIECE * (1 + usize::from(kind >> 4 & 1)) + usize::from(more) - 6,
        _ => body.len(),
    };
    body.iter().copied().cycle().take(length).collect()
}

fn compressed(kind: u8, text: &[u8]) -> (&'static str, Vec<u8>) {
    let level = Compression::new(u32::from(kind >> 2 & 3) * 3);
    let written = match kind & 3 {
        0 => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(text).and_then(|()| encoder.finish())
        }
        1 => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(text).and_then(|()| encoder.finish())
        }
        2 => {
            let mut encoder = DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(text).and_then(|()| encoder.finish())
        }
        _ => {
            let mut written = vec![0; zstd_safe::compress_bound(text.len())];
            let length = zstd_safe::compress(&mut written[..], text, i32::from(kind >> 2 & 3)).expect("room for all");
            written.truncate(length);
            Ok(written)
        }
    };
    (["gzip", "deflate", "deflate", "zstd"][usize::from(kind & 3)], written.expect("memory cannot be full"))
}

fn same(coding: &'static str, encoded: &[u8], seed: u8) -> Read {
    let whole = in_time(|| read(coding, std::iter::once(encoded)));
    let cut = in_time(|| read(coding, pieces(encoded, seed)));
    // Of the step that fails nothing is handed over, and steps are cut as the chunks are.
    let both = whole.bytes.len().min(cut.bytes.len());
    assert!(whole.bytes[..both] == cut.bytes[..both], "{coding}");
    assert_eq!(whole.stopped.is_some(), cut.stopped.is_some(), "{coding}");
    if whole.stopped.is_none() {
        assert_eq!((whole.bytes.len(), whole.whole), (cut.bytes.len(), cut.whole), "{coding}");
    }
    for length in [whole.bytes.len(), cut.bytes.len()] {
        assert!(length <= (encoded.len() * 200).max(1024 * 1024), "{coding}: {} bytes to {length}", encoded.len());
    }
    whole
}

fuzz_target!(|data: &[u8]| {
    let &[way, kind, seed, ref body @ ..] = data else { return };
    if way % 2 == 0 {
        same(CODINGS[usize::from(kind) % CODINGS.len()], body, seed);
        return;
    }
    let text = text(kind, body);
    let (coding, encoded) = compressed(kind, &text);
    let read = same(coding, &encoded, seed);
    assert!(read.stopped.is_none() && read.whole && read.bytes == text, "{coding}: {:?} {}", read.stopped, read.whole);
});

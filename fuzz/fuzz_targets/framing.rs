//! However a body is cut, its events are the same, and each lies within the chunk that ended it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::dialect::Streams;
use tollgate_fuzz::{cutter, frames, in_time, pieces};

const STREAMS: [Streams; 4] = [Streams::Events, Streams::Lines, Streams::Objects, Streams::Frames];

type Seen = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn scan<'a>(streams: Streams, chunks: impl Iterator<Item = &'a [u8]>) -> (Seen, bool, bool) {
    let (mut seen, mut cutter) = (Seen::new(), cutter(streams));
    for chunk in chunks {
        cutter.feed(chunk, &mut |event| {
            assert!(event.start.is_none_or(|start| start <= event.end) && event.end <= chunk.len());
            seen.push((event.data.to_vec(), event.name.map(<[u8]>::to_vec)));
        });
        cutter.pending();
    }
    cutter.finish(&mut |event| seen.push((event.data.to_vec(), event.name.map(<[u8]>::to_vec))));
    (seen, cutter.truncated(), cutter.damaged())
}

fuzz_target!(|data: &[u8]| {
    let &[kind, seed, ref body @ ..] = data else { return };
    let streams = STREAMS[usize::from(kind) % STREAMS.len()];
    // A fifth kind: frames that are whole.
    let framed = if kind % 8 == 7 { frames(body) } else { body.to_vec() };
    in_time(|| {
        let whole = scan(streams, std::iter::once(framed.as_slice()));
        assert_eq!(whole, scan(streams, pieces(&framed, seed)), "{streams:?}");
    });
});

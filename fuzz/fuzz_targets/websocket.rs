//! However a session is cut, its messages are the same; what is no WebSocket does no harm.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::meter::fuzz_websocket as read;
use tollgate_fuzz::{in_time, pieces};

/// Lines of a frame's first byte and its content, as frames: of a fuzzer's lengths few would be right.
fn framed(lines: &[u8], masked: bool) -> Vec<u8> {
    let mut wire = Vec::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let &[first, ref content @ ..] = line else { continue };
        let bit = if masked { 0x80 } else { 0 };
        wire.push(first);
        match content.len() {
            short @ 0..126 => wire.push(short as u8 | bit),
            long => {
                wire.push(126 | bit);
                wire.extend((long as u16).to_be_bytes());
            }
        }
        let mask = if masked { [first, 7, 0, 255] } else { [0; 4] };
        wire.extend(if masked { &mask[..] } else { &[] });
        wire.extend(content.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    wire
}

fuzz_target!(|data: &[u8]| {
    let &[kind, seed, ref body @ ..] = data else { return };
    let wire = match kind % 4 {
        0 => framed(body, false),
        1 => framed(body, true),
        _ => body.to_vec(),
    };
    in_time(|| {
        let whole = read(std::iter::once(wire.as_slice()));
        assert!(whole == read(pieces(&wire, seed)), "cut otherwise, read otherwise");
    });
});

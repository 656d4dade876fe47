//! Reads WebSocket frames (RFC 6455) on the side: which messages pass, and whether the farewell has been said.
//!
//! It never holds a byte back and cannot fail. A message longer than [`LONGEST`] is skipped and said to be; compressed
//! ones are none, since compression is taken out of the handshake; what is no WebSocket ends the reading.

/// The longest message that is read, in bytes. A fuzzer's are short.
const LONGEST: usize = if cfg!(fuzzing) { 512 } else { 1024 * 1024 };
/// A buffer larger than this is given back after its message.
const KEPT: usize = 64 * 1024;

/// One direction's reader. Its `Debug` shows no content.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
pub(super) struct Frames {
    head: Vec<u8>,
    frame: Option<Frame>,
    message: Vec<u8>,
    skipping: bool,
    /// Nobody wants the messages.
    heads_only: bool,
    /// A message was too long to be read.
    pub(super) truncated: bool,
    /// What came is compressed, or no WebSocket: it is not read.
    pub(super) opaque: bool,
    /// A closing frame has begun.
    pub(super) closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    last: bool,
    control: bool,
    left: u64,
    mask: Option<[u8; 4]>,
    at: usize,
}

impl Frames {
    /// Takes the next bytes and reports every message that ends in them.
    pub(super) fn feed(&mut self, mut bytes: &[u8], on_message: &mut dyn FnMut(&[u8])) {
        while !bytes.is_empty() && !self.opaque {
            let Some(frame) = self.frame.take() else {
                bytes = self.take_head(bytes, on_message);
                continue;
            };
            let length = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
            let (part, rest) = bytes.split_at(length);
            bytes = rest;
            self.take_part(frame, part, on_message);
        }
    }

    /// As [`Self::feed`], for who only wants to know of the farewell: nothing is kept.
    pub(super) fn feed_heads(&mut self, bytes: &[u8]) {
        self.heads_only = true;
        self.feed(bytes, &mut |_| {});
    }

    /// Takes bytes of a frame's head; what is left of them.
    fn take_head<'b>(&mut self, bytes: &'b [u8], on_message: &mut dyn FnMut(&[u8])) -> &'b [u8] {
        let Some((byte, rest)) = bytes.split_first() else { return bytes };
        self.head.push(*byte);
        let Some(frame) = Frame::read(&self.head) else { return rest };
        let kind = self.head.first().copied().unwrap_or_default();
        self.head.clear();
        let opcode = kind & 0x0f;
        self.closed |= opcode == 8;
        let begins = matches!(opcode, 1 | 2);
        // Another beginning before the end, or a bit that nobody agreed to.
        self.opaque |= kind & 0x70 != 0 || !matches!(opcode, 0..=2 | 8..=10) || (begins && !self.message.is_empty());
        if frame.left == 0 {
            self.end_of(frame, on_message);
        } else {
            self.frame = Some(frame);
        }
        rest
    }

    fn take_part(&mut self, mut frame: Frame, part: &[u8], on_message: &mut dyn FnMut(&[u8])) {
        let whole = frame.last && frame.at == 0 && part.len() as u64 == frame.left;
        frame.left -= part.len() as u64;
        if !frame.control {
            let lent = whole && self.message.is_empty() && part.len() <= LONGEST && frame.mask.is_none();
            if lent && !self.skipping && !self.heads_only {
                // Most messages come in one piece: nothing is copied.
                return on_message(part);
            }
            self.keep(&frame, part);
        }
        frame.at += part.len();
        if frame.left == 0 {
            self.end_of(frame, on_message);
        } else {
            self.frame = Some(frame);
        }
    }

    fn keep(&mut self, frame: &Frame, part: &[u8]) {
        if self.skipping || self.heads_only {
            return;
        }
        if self.message.len() + part.len() > LONGEST {
            (self.skipping, self.truncated) = (true, true);
            self.message = Vec::new();
            return;
        }
        match frame.mask {
            None => self.message.extend_from_slice(part),
            Some(mask) => {
                let key = mask.iter().cycle().skip(frame.at % 4);
                self.message.extend(part.iter().zip(key).map(|(byte, key)| byte ^ key));
            }
        }
    }

    fn end_of(&mut self, frame: Frame, on_message: &mut dyn FnMut(&[u8])) {
        if frame.control || !frame.last {
            return;
        }
        if !std::mem::take(&mut self.skipping) && !self.message.is_empty() {
            on_message(&self.message);
        }
        self.message.clear();
        self.message.shrink_to(KEPT);
    }
}

impl Frame {
    /// A frame's head, once all of it is there.
    fn read(head: &[u8]) -> Option<Self> {
        let (kind, second) = (*head.first()?, *head.get(1)?);
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let masked = second & 0x80 != 0;
        let mask = head.get(2 + extended..)?;
        if masked && mask.len() < 4 {
            return None;
        }
        let length = head.get(2..2 + extended)?.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let left = if extended == 0 { u64::from(second & 0x7f) } else { length };
        let mask = if masked { mask.first_chunk::<4>().copied() } else { None };
        Some(Self { last: kind & 0x80 != 0, control: kind & 0x08 != 0, left, mask, at: 0 })
    }
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("closed", &self.closed).field("opaque", &self.opaque).finish_non_exhaustive()
    }
}

/// For the fuzz target: the messages in these pieces, and what else was noted (truncated, opaque, closed).
#[cfg(fuzzing)]
pub fn fuzz<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> (Vec<Vec<u8>>, [bool; 3], [bool; 3]) {
    let (mut frames, mut heads, mut messages) = (Frames::default(), Frames::default(), Vec::new());
    for piece in pieces {
        frames.feed(piece, &mut |message| messages.push(message.to_vec()));
        heads.feed_heads(piece);
        assert!(frames.message.len() <= LONGEST && frames.head.len() < 14);
        assert!(heads.message.is_empty());
    }
    let noted = |frames: Frames| [frames.truncated, frames.opaque, frames.closed];
    (messages, noted(frames), noted(heads))
}

#[cfg(test)]
mod tests {
    use super::{Frames, LONGEST};

    /// A frame as it stands on the wire.
    fn frame(kind: u8, content: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut wire = vec![kind];
        match content.len() {
            short @ 0..126 => wire.push(short as u8 | bit),
            middle @ 126..65536 => {
                wire.push(0x7e | bit);
                wire.extend((middle as u16).to_be_bytes());
            }
            long => {
                wire.push(127 | bit);
                wire.extend((long as u64).to_be_bytes());
            }
        }
        wire.extend(mask.iter().flatten());
        let key = mask.unwrap_or_default();
        wire.extend(content.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        wire
    }

    fn read(wire: &[u8], piece: usize) -> (Vec<Vec<u8>>, Frames) {
        let (mut frames, mut messages) = (Frames::default(), Vec::new());
        for part in wire.chunks(piece) {
            frames.feed(part, &mut |message| messages.push(message.to_vec()));
        }
        (messages, frames)
    }

    #[test]
    fn messages_come_out_however_they_are_framed_and_cut() {
        let long = vec![b'x'; 70_000];
        let middle = vec![b'y'; 300];
        let key = Some([1, 2, 3, 250]);
        let wire = [
            frame(0x81, b"one", None),
            frame(0x01, b"t", None),
            frame(0x89, b"ping", None),
            frame(0x00, b"w", None),
            frame(0x80, b"o", None),
            frame(0x82, &middle, key),
            frame(0x81, &long, None),
            frame(0x01, b"ma", key),
            frame(0x80, b"sked", key),
            frame(0x88, &[3, 232], None),
        ]
        .concat();
        let want = [b"one".to_vec(), b"two".to_vec(), middle, long, b"masked".to_vec()];
        for piece in [1, 2, 3, 7, 100, 4096, wire.len()] {
            let (messages, frames) = read(&wire, piece);
            assert!(messages == want, "in pieces of {piece}");
            assert!(frames.closed && !frames.opaque && !frames.truncated);
        }
    }

    #[test]
    fn a_message_beyond_the_bound_is_skipped_and_the_next_is_read() {
        let big = vec![b'x'; LONGEST / 2 + 1];
        let wire = [frame(0x01, &big, None), frame(0x80, &big, None), frame(0x81, b"next", None)].concat();
        let (messages, frames) = read(&wire, 5000);
        assert_eq!(messages, [b"next".to_vec()]);
        assert!(frames.truncated && !frames.opaque);
    }

    #[test]
    fn a_message_beyond_the_bound_is_skipped_in_one_piece_too() {
        let wire = [frame(0x81, &vec![b'x'; LONGEST + 1], None), frame(0x81, b"next", None)].concat();
        let (messages, frames) = read(&wire, wire.len());
        assert_eq!(messages.iter().map(Vec::len).collect::<Vec<_>>(), [4]);
        assert!(frames.truncated && !frames.opaque);
    }

    #[test]
    fn who_only_wants_the_farewell_keeps_nothing_of_any_message() {
        let mut frames = Frames::default();
        frames.feed_heads(&[frame(0x81, b"one", None), frame(0x01, b"two", Some([1; 4]))].concat());
        assert!(frames.message.is_empty() && !frames.closed);
        frames.feed_heads(&frame(0x88, b"", None));
        assert!(frames.closed && !frames.opaque);
    }

    #[test]
    fn a_length_of_any_size_takes_no_memory() {
        let mut wire = vec![0x81, 127];
        wire.extend(u64::MAX.to_be_bytes());
        wire.extend([b'x'; 5000]);
        let (messages, frames) = read(&wire, 1000);
        assert!(messages.is_empty() && !frames.closed && frames.message.len() <= LONGEST);
    }

    #[test]
    fn what_is_compressed_or_no_websocket_is_not_read() {
        for wire in [
            frame(0xc1, b"x", None),
            frame(0x83, b"x", None),
            [frame(0x01, b"a", None), frame(0x81, b"b", None)].concat(),
        ] {
            let (messages, frames) = read(&wire, 1);
            assert!(messages.is_empty() && frames.opaque, "{wire:?}");
        }
    }
}

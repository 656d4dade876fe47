//! Texts of a line, escaped as JSON asks (RFC 8259, section 7) and as `serde_json` does it.

use std::fmt::{self, Write};

use super::LineError;

/// Writes a text between quotes.
pub(super) fn quoted(line: &mut Vec<u8>, text: &str) {
    line.reserve(text.len() + 2);
    line.push(b'"');
    escaped(line, text);
    line.push(b'"');
}

/// Writes what displays itself, between quotes.
pub(super) fn displayed<T: fmt::Display + ?Sized>(line: &mut Vec<u8>, value: &T) -> Result<(), LineError> {
    line.push(b'"');
    write!(Escaping(line), "{value}").map_err(|_| LineError("a value could not be displayed".to_owned()))?;
    line.push(b'"');
    Ok(())
}

struct Escaping<'a>(&'a mut Vec<u8>);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escaped(self.0, text);
        Ok(())
    }
}

fn escaped(line: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        line.extend_from_slice(text.as_bytes());
    } else {
        text.bytes().for_each(|byte| escape(line, byte));
    }
}

/// Bytes beyond ASCII stand as they are.
fn escape(line: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0..=0x1f => {
            let digits = [byte >> 4, byte & 15].map(|digit| HEX.get(usize::from(digit)).copied().unwrap_or(b'0'));
            line.extend_from_slice(b"\\u00");
            return line.extend_from_slice(&digits);
        }
        _ => return line.push(byte),
    };
    line.extend_from_slice(&[b'\\', short]);
}

/// Whether nothing is to be escaped.
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    words.iter().all(|word| is_plain_word(u64::from_ne_bytes(*word)))
        && rest.iter().all(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\')
}

/// Eight bytes at once: a byte that is below 0x20, or becomes zero by taking the letter off, borrows from its high bit.
fn is_plain_word(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    let holds = |letter: u8| {
        let differences = word ^ (ONES * u64::from(letter));
        differences.wrapping_sub(ONES) & !differences
    };
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (controls | holds(b'"') | holds(b'\\')) & HIGH == 0
}

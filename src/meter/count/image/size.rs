//! An image's size from the head of its file: PNG, JPEG, GIF, WebP.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::meter::count::escape;

/// A size in pixels, neither side 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// This much of an image's base64 is looked at. A JPEG may carry 64 KiB of other things before its size.
const HEAD: usize = 96 * 1024;
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The size of an image in base64 or a data URL, as it stands in a JSON string; `None` of anything else.
pub(crate) fn of(escaped: &str) -> Option<Size> {
    let head = escaped.get(..escaped.floor_char_boundary(HEAD))?;
    let head = escape::resolved(head.as_bytes());
    let data = match head.split_once(";base64,") {
        Some((url, data)) if url.starts_with("data:") => data,
        _ => &head,
    };
    let whole = data.len() - data.len() % 4;
    let data = if escaped.len() > HEAD { data.get(..whole)? } else { data };
    let bytes = LENIENT.decode(data).ok()?;
    png(&bytes).or_else(|| gif(&bytes)).or_else(|| webp(&bytes)).or_else(|| jpeg(&bytes)).filter(|size| size.is_real())
}

impl Size {
    fn is_real(self) -> bool {
        self.width > 0 && self.height > 0
    }
}

fn be(bytes: &[u8], at: usize, length: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

fn le(bytes: &[u8], at: usize, length: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

fn png(bytes: &[u8]) -> Option<Size> {
    bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    Some(Size { width: be(bytes, 16, 4)?, height: be(bytes, 20, 4)? })
}

fn gif(bytes: &[u8]) -> Option<Size> {
    bytes.strip_prefix(b"GIF8")?;
    Some(Size { width: le(bytes, 6, 2)?, height: le(bytes, 8, 2)? })
}

/// Lossy, lossless or extended.
fn webp(bytes: &[u8]) -> Option<Size> {
    bytes.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WEBP")?;
    match bytes.get(12..16)? {
        b"VP8 " => Some(Size { width: le(bytes, 26, 2)? & 0x3fff, height: le(bytes, 28, 2)? & 0x3fff }),
        b"VP8L" => {
            let sides = le(bytes, 21, 4)?;
            Some(Size { width: (sides & 0x3fff) + 1, height: (sides >> 14 & 0x3fff) + 1 })
        }
        b"VP8X" => Some(Size { width: le(bytes, 24, 3)? + 1, height: le(bytes, 27, 3)? + 1 }),
        _ => None,
    }
}

/// From segment to segment until one that begins a frame.
fn jpeg(bytes: &[u8]) -> Option<Size> {
    bytes.strip_prefix(b"\xff\xd8")?;
    let mut at = 2;
    loop {
        let kind = *bytes.get(at + 1).filter(|_| bytes.get(at) == Some(&0xff))?;
        match kind {
            // Padding, and marks without content.
            0xff => at += 1,
            0x01 | 0xd0..=0xd7 => at += 2,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some(Size { height: be(bytes, at + 5, 2)?, width: be(bytes, at + 7, 2)? });
            }
            _ => at += 2 + (be(bytes, at + 2, 2)? as usize).max(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::{Size, of};

    fn le(number: u32, length: usize) -> Vec<u8> {
        number.to_le_bytes()[..length].to_vec()
    }

    fn files() -> Vec<(&'static str, Vec<u8>)> {
        let png = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), vec![0, 0, 1, 0x40, 0, 0, 0, 0xf0, 8, 2]].concat();
        let gif = [b"GIF89a".to_vec(), le(320, 2), le(240, 2)].concat();
        let riff = |kind: &[u8], rest: Vec<u8>| [b"RIFF\0\0\0\0WEBP".as_slice(), kind, &[0; 4], &rest].concat();
        let lossy = riff(b"VP8 ", [vec![0, 0, 0, 0x9d, 1, 0x2a], le(320, 2), le(240, 2)].concat());
        let lossless = riff(b"VP8L", [vec![0x2f], le(0x13f | 0xef << 14, 4)].concat());
        let extended = riff(b"VP8X", [vec![0; 4], le(319, 3), le(239, 3)].concat());
        let exif = [vec![0xff, 0xe1, 0xff, 0xff], vec![7; 0xfffd]].concat();
        let frame = vec![0xff, 0xff, 0xc2, 0, 17, 8, 0, 0xf0, 1, 0x40];
        let jpeg = [vec![0xff, 0xd8], exif, frame].concat();
        [("png", png), ("gif", gif), ("lossy", lossy), ("lossless", lossless), ("extended", extended), ("jpeg", jpeg)]
            .into()
    }

    #[test]
    fn the_size_stands_in_the_head_of_every_common_format() {
        for (name, file) in files() {
            let want = Some(Size { width: 320, height: 240 });
            let data = BASE64_STANDARD.encode(&file);
            assert_eq!(of(&data), want, "{name}");
            assert_eq!(of(data.trim_end_matches('=')), want, "{name} without padding");
            let url = format!("data:image/{name};base64,{}", data.replace('/', "\\/"));
            assert_eq!(of(&url), want, "{name} as an escaped data URL");
            let long = [file, vec![0; 300_000]].concat();
            assert_eq!(of(&BASE64_STANDARD.encode(long)), want, "{name}, long");
        }
    }

    #[test]
    fn no_image_and_half_an_image_have_no_size() {
        for (name, file) in files() {
            for length in 0..file.len().min(30) {
                assert_eq!(
                    of(&BASE64_STANDARD.encode(&file[..length])).filter(|_| length < 10),
                    None,
                    "{name} {length}"
                );
            }
        }
        for text in ["", "https://example.com/a.png", "data:image/png;base64,", "é", "AAAA", "%%%%"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}

//! Reads base64 as `Basic` credentials carry it: either alphabet, padding optional. Bounded by the header it came in.

/// The bytes, or `None` where a character belongs to neither alphabet.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let mut bytes = Vec::with_capacity(digits * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.iter().take(digits) {
        held = (held << 6) | u32::from(sextet(*byte)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn the_vectors_of_rfc_4648_are_read() {
        let cases: [(&str, &[u8]); 8] = [
            ("", b""),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm8", b"fo"),
            ("Zm9vYmFy", b"foobar"),
            ("+/8=", b"\xfb\xff"),
            ("-_8", b"\xfb\xff"),
            ("====", b""),
        ];
        for (text, want) in cases {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(want), "{text}");
        }
        assert_eq!(decode(b"Zm 8"), None);
        assert_eq!(decode(b"=Zm8"), None);
    }
}

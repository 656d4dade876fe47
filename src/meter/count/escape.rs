//! Resolves the escapes of JSON strings in text that may be cut anywhere or be odd: it never fails.

/// The text. A half of a surrogate pair without its other half, a broken escape and bytes that are not UTF-8 each become
/// the replacement character.
pub(super) fn resolved(escaped: &[u8]) -> String {
    let text = String::from_utf8_lossy(escaped);
    if !text.contains('\\') {
        return text.into_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some((plain, after)) = rest.split_once('\\') {
        out.push_str(plain);
        rest = one(after, &mut out);
    }
    out.push_str(rest);
    out
}

/// Resolves one escape, of which the backslash is gone; what is left after it.
fn one<'a>(text: &'a str, out: &mut String) -> &'a str {
    let mut chars = text.chars();
    let plain = match chars.next() {
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('u') => return unicode(chars.as_str(), out),
        Some(other) => other,
        None => char::REPLACEMENT_CHARACTER,
    };
    out.push(plain);
    chars.as_str()
}

fn unicode<'a>(text: &'a str, out: &mut String) -> &'a str {
    let Some((first, rest)) = unit(text) else {
        out.push(char::REPLACEMENT_CHARACTER);
        return text;
    };
    let second = rest.strip_prefix("\\u").and_then(unit);
    if let Some((second, after)) = second
        && let [Ok(whole)] = char::decode_utf16([first, second]).collect::<Vec<_>>().as_slice()
    {
        out.push(*whole);
        return after;
    }
    out.extend(char::decode_utf16([first]).map(|half| half.unwrap_or(char::REPLACEMENT_CHARACTER)));
    rest
}

fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    Some((u16::from_str_radix(digits, 16).ok().filter(|_| hex)?, rest))
}

#[cfg(test)]
mod tests {
    use super::resolved;

    #[test]
    fn escapes_become_what_they_stand_for_and_odd_ones_do_no_harm() {
        let cases: [(&[u8], &str); 9] = [
            (br"plain", "plain"),
            (br#"a\nb\t\"c\"\\n\/"#, "a\nb\t\"c\"\\n/"),
            (br"\u00e9\u4e2d", "é中"),
            (br"\ud83d\ude00!", "😀!"),
            (br"\ud83d!", "\u{fffd}!"),
            (br"\ude00\u0041", "\u{fffd}A"),
            (br"\u12", "\u{fffd}12"),
            (br"cut\", "cut\u{fffd}"),
            (b"\xff", "\u{fffd}"),
        ];
        for (escaped, want) in cases {
            assert_eq!(resolved(escaped), want, "{escaped:?}");
        }
    }
}

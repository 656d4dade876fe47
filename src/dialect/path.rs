//! Reads names out of paths: where a format names the model in the path, the name is percent-encoded there.

use std::borrow::Cow;

/// Percent-decodes once, as the server does; an escape that is none stays as it is, and what is no UTF-8 is replaced.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let (plain, beyond) = escaped(byte, after).unwrap_or((byte, after));
        out.push(plain);
        rest = beyond;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

fn escaped(byte: u8, after: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, beyond @ ..] = after else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(*high)? * 16 + digit(*low)?;
    (byte == b'%').then_some((value as u8, beyond))
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn escapes_are_decoded_once_and_what_is_none_stays() {
        let cases = [
            ("plain-1.0", "plain-1.0"),
            ("arn%3Aaws%3Abedrock%3a%3Ap%2Fabc", "arn:aws:bedrock::p/abc"),
            ("a%252Fb", "a%2Fb"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%ff", "\u{fffd}"),
            ("%C3%A9", "é"),
        ];
        for (text, want) in cases {
            assert_eq!(decoded(text), want, "{text}");
        }
    }
}

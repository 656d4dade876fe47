//! A form that is whole and sound names no other model to a reader that goes by other rules; its beginning says no other.
#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use tollgate::meter::fuzz_form as read;
use tollgate_fuzz::in_time;

const KIND: &str = "multipart/form-data; boundary=b";

/// The parameters of a header's value; a backslash before a quote escapes it for some readers and not for others.
fn parameters(value: &str, escapes: bool) -> Vec<(String, String)> {
    let (mut parts, mut part, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for char in value.chars() {
        quoted ^= char == '"' && !(escapes && escaped);
        escaped = char == '\\' && !escaped;
        if char == ';' && !quoted {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(char);
        }
    }
    parts.push(part);
    let pairs = parts.iter().filter_map(|part| part.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_lowercase(), value.trim().trim_matches('"').to_owned())).collect()
}

/// What stands in the parts that a lenient reader takes for the model.
fn models(body: &str, escapes: bool) -> Vec<&str> {
    let parts = body.split("--b").skip(1).take_while(|part| !part.starts_with("--"));
    let contents = parts.filter_map(|part| {
        let crlf = part.find("\r\n\r\n").map(|at| (at, 4));
        let (at, gap) = crlf.into_iter().chain(part.find("\n\n").map(|at| (at, 2))).min()?;
        let mut dispositions = part[..at].lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        });
        let is_model = dispositions.any(|value| parameters(value, escapes).contains(&("name".into(), "model".into())));
        is_model.then(|| part[at + gap..].trim())
    });
    contents.collect()
}

fuzz_target!(|data: &[u8]| {
    let &[cut, ref body @ ..] = data else { return };
    // What is no text to us is refused elsewhere; a whole line of it may still be a content type.
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    in_time(|| {
        if let Ok(kind) = HeaderValue::from_bytes(line) {
            read(kind, body);
        }
        let (model, whole, sound) = read(HeaderValue::from_static(KIND), body).expect("a form");
        let beginning = &body[..body.len() * usize::from(cut) / 256];
        let (first, early, _) = read(HeaderValue::from_static(KIND), beginning).expect("a form");
        assert!((first.is_none() || first == model) && (!early || whole));
        if let Ok(text) = std::str::from_utf8(body)
            && whole
            && sound
        {
            for found in [models(text, false), models(text, true)].concat() {
                assert_eq!(model.as_deref(), Some(found));
            }
        }
    });
});

//! The model that a multipart form names, found without keeping the form.
//!
//! Forms carry files, so they stream through. A model is only wanted to choose an upstream and to hold a key to its
//! models. For the former the beginning is enough, as far as it goes. For the latter the form must be whole and read in
//! one way only: a second `model` part, or one that another parser would see and this one does not, makes it unsound.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem;

/// No model's name is longer.
const LONGEST_NAME: usize = 256;

/// What was found in a form, or in its beginning.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// The first `model` part.
    pub(super) model: Option<String>,
    /// Whether the end was reached.
    pub(super) whole: bool,
    /// Whether nothing could be read in two ways.
    pub(super) sound: bool,
}

/// The boundary of a form's parts; `None` where the body is no form.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (kind, second) = (kinds.next()?.to_str().ok()?, kinds.next());
    let mut parts = kind.split(';').map(str::trim);
    let form = parts.next()?.eq_ignore_ascii_case("multipart/form-data");
    let mut values = parts.filter_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    });
    let (boundary, again) = (values.next()?, values.next());
    let plain = form && second.is_none() && again.is_none();
    (plain && (1..=70).contains(&boundary.len())).then(|| boundary.to_owned())
}

/// Whether a body says that it is a form, well or not.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    kinds.any(|kind| {
        kind.as_bytes().trim_ascii_start().get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"))
    })
}

impl Form {
    /// Reads a form, or as much of it as there is.
    pub(super) fn read(body: &[u8], boundary: &str) -> Self {
        let mark = format!("--{boundary}");
        let mut form = Self { sound: true, ..Self::default() };
        let mut marks = 0;
        let mut rest = body.strip_prefix(mark.as_bytes());
        while let Some(after) = rest {
            marks += 1;
            if after.starts_with(b"--") {
                form.whole = true;
                break;
            }
            rest = form.part(after, mark.as_bytes());
        }
        // A mark that was not met as one may be one to another reader.
        form.sound &= memmem::find_iter(body, mark.as_bytes()).count() == marks;
        form
    }

    /// Reads a part; what follows its end, if that is there.
    fn part<'b>(&mut self, part: &'b [u8], mark: &[u8]) -> Option<&'b [u8]> {
        let Some(part) = part.strip_prefix(b"\r\n") else {
            self.sound = false;
            return None;
        };
        let head = memmem::find(part, b"\r\n\r\n")?;
        let (head, content) = (part.get(..head)?, part.get(head + 4..)?);
        let name = name(head);
        self.sound &= name.is_some();
        let end = memmem::find(content, &[b"\r\n", mark].concat())?;
        if name == Some("model") {
            self.named(content.get(..end)?);
        }
        content.get(end + 2 + mark.len()..)
    }

    fn named(&mut self, content: &[u8]) {
        let text = std::str::from_utf8(content).ok().filter(|text| (1..=LONGEST_NAME).contains(&text.len()));
        self.sound &= self.model.is_none() && text.is_some_and(|text| text.trim() == text);
        if self.model.is_none() {
            self.model = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        }
    }
}

/// The field's name, where the part's head says it once and plainly.
fn name(head: &[u8]) -> Option<&str> {
    let head = std::str::from_utf8(head).ok()?;
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut said = lines.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"));
    let disposition = said.next()?.1;
    let unfolded = head.replace("\r\n", "");
    let folded = head.contains("\r\n ") || head.contains("\r\n\t") || unfolded.contains(['\r', '\n']);
    let odd = head.contains(|char: char| char.is_control() && !"\r\n\t".contains(char));
    // Where a quote ends that has an escaped one in it, readers do not agree.
    if said.next().is_some() || folded || odd || disposition.contains("\\\"") {
        return None;
    }
    let lower = disposition.to_ascii_lowercase();
    let mut names = lower.match_indices("name").filter(|(at, _)| {
        // `filename` is another word; what stands within quotes is no word of the head.
        let before = lower.get(..*at).unwrap_or_default();
        let begins = !before.ends_with(|last: char| last.is_ascii_alphanumeric() || "-_".contains(last));
        begins && before.matches('"').count() % 2 == 0
    });
    let (at, again) = (names.next()?.0, names.next());
    let value = disposition.get(at + 4..)?.strip_prefix('=')?;
    let (name, after) = match value.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => value.split_at(value.find([';', ' ', '\t']).unwrap_or(value.len())),
    };
    let ends = after.trim_start().is_empty() || after.trim_start().starts_with(';');
    let plain = value.starts_with('"') || name.chars().all(|char| char.is_ascii_graphic() && char != '"');
    (again.is_none() && ends && plain && !name.contains('\\')).then_some(name)
}

/// For the fuzz target: the model, and whether the form is whole and sound, under the boundary of a content type.
#[cfg(fuzzing)]
pub fn fuzz(kind: http::HeaderValue, body: &[u8]) -> Option<(Option<String>, bool, bool)> {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind)]);
    let boundary = boundary(&headers)?;
    assert!(is_form(&headers));
    let Form { model, whole, sound } = Form::read(body, &boundary);
    Some((model, whole, sound))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Form, boundary};

    fn part(disposition: &str, content: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
    }

    fn read(parts: &[String]) -> Form {
        Form::read(format!("{}--b--\r\n", parts.concat()).as_bytes(), "b")
    }

    #[test]
    fn the_model_is_found_wherever_its_part_stands() {
        let file = part("name=\"file\"; filename=\"model\"\r\nContent-Type: audio/mpeg", "ID3\r\n--x");
        for model in [part("name=\"model\"", "whisper-1"), part("name=model", "whisper-1")] {
            for parts in [[file.clone(), model.clone()], [model.clone(), file.clone()]] {
                let want = Form { model: Some("whisper-1".to_owned()), whole: true, sound: true };
                assert_eq!(read(&parts), want, "{parts:?}");
            }
        }
        assert_eq!(read(&[file]), Form { model: None, whole: true, sound: true });
    }

    #[test]
    fn the_beginning_of_a_form_says_what_it_says() {
        let whole = part("name=\"model\"", "whisper-1") + &part("name=\"file\"; filename=\"a\"", "ID3");
        for length in 0..whole.len() {
            let form = Form::read(&whole.as_bytes()[..length], "b");
            assert!(!form.whole && form.model.as_deref().is_none_or(|model| model == "whisper-1"), "{length}");
        }
        assert_eq!(Form::read(whole.as_bytes(), "b").model.as_deref(), Some("whisper-1"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_sound() {
        let model = part("name=\"model\"", "a");
        let cases = [
            vec![model.clone(), part("name=\"model\"", "b")],
            vec![model.clone(), part("name*=utf-8''model", "b")],
            vec![model.clone(), part("name=\"mo\\del\"", "b")],
            vec![model.clone(), part("name=\"x\"; name=\"model\"", "b")],
            vec![model.clone(), part("x=y\r\nContent-Disposition: form-data; name=\"model\"", "b")],
            vec![model.clone(), part("filename=\"x\"", "b")],
            vec![model.clone(), part("name=\"f\"; NAME=\"model\"", "b")],
            vec![model.clone(), part("name=\"f\";\u{b}name=\"model\"", "b")],
            vec![model.clone(), part("name=\"model ", "b")],
            vec![model.clone(), part("name=model\"", "b")],
            vec![model.clone(), part("name=model\u{a0}", "b")],
            vec![model.clone(), part("name=\"f\"model", "b")],
            vec![model.clone(), part("x=\"\\\"; name=\"f\"; y=\"; name=\"model\"", "b")],
            vec![model.clone(), part("name=\"f\"", "x\n--b\nContent-Disposition: form-data; name=\"model\"\n\nb\n")],
            vec![model.clone(), part("name=\"f\"\r\n ; name=\"model\"", "b")],
            vec![part("name=\"model\"", " a")],
            vec![part("name=\"model\"", "")],
            vec![format!("preamble\r\n{model}")],
        ];
        for parts in cases {
            assert!(!read(&parts).sound, "{parts:?}");
        }
        let after = format!("{model}--b--\r\n{}", part("name=\"model\"", "b"));
        assert!(!Form::read(after.as_bytes(), "b").sound);
    }

    #[test]
    fn only_a_form_with_one_boundary_is_a_form() {
        let of = |kind: &'static str| {
            boundary(&HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static(kind))]))
        };
        assert_eq!(of("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(of("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"").as_deref(), Some("a b"));
        for kind in
            ["multipart/form-data", "multipart/mixed; boundary=a", "multipart/form-data; boundary=a; boundary=b"]
        {
            assert_eq!(of(kind), None, "{kind}");
        }
    }
}

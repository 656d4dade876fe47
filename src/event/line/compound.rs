//! Lists and objects of a line.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct};

use super::{Line, LineError, Mode, REST};

/// How `serde_json` marks a value that is JSON already; its only field holds the text.
const RAW: &str = "$serde_json::private::RawValue";
/// Names up to this length are written in one piece.
const LONGEST_NAME: usize = 28;

/// A list or object that has been opened.
pub(super) struct Compound<'a> {
    line: &'a mut Vec<u8>,
    kind: Kind,
    first: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Object,
    /// No object at all: its one field is written as it stands.
    Raw,
    /// An object whose first fields are left out.
    Rest,
}

impl<'a> Compound<'a> {
    pub(super) fn list(line: &'a mut Vec<u8>) -> Self {
        line.push(b'[');
        Self { line, kind: Kind::List, first: true }
    }

    pub(super) fn object(line: &'a mut Vec<u8>) -> Self {
        line.push(b'{');
        Self { line, kind: Kind::Object, first: true }
    }

    pub(super) fn of_struct(line: &'a mut Vec<u8>, mode: Mode, name: &'static str) -> Self {
        match mode {
            Mode::Rest => Self { line, kind: Kind::Rest, first: false },
            _ if name == RAW => Self { line, kind: Kind::Raw, first: true },
            _ => Self::object(line),
        }
    }

    /// A field's name with what stands around it. Names are Rust's or renamed to plain words: nothing in them is ever
    /// escaped.
    #[expect(clippy::inline_always, reason = "a name is a constant only where the field is written")]
    #[inline(always)]
    fn name(&mut self, name: &'static str) {
        let first = std::mem::replace(&mut self.first, false);
        let mut piece = [b'"'; LONGEST_NAME + 4];
        let Some([comma, _, text @ .., _, colon]) = piece.get_mut(..name.len() + 4) else {
            return self.long_name(name, first);
        };
        (*comma, *colon) = (b',', b':');
        text.copy_from_slice(name.as_bytes());
        self.line.extend_from_slice(piece.get(usize::from(first)..name.len() + 4).unwrap_or_default());
    }

    #[cold]
    fn long_name(&mut self, name: &str, first: bool) {
        let before: &[u8] = if first { b"\"" } else { b",\"" };
        for part in [before, name.as_bytes(), b"\":"] {
            self.line.extend_from_slice(part);
        }
    }

    /// A field of what is not, or not yet, an object.
    #[inline(never)]
    fn odd_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), LineError> {
        if self.kind == Kind::Raw {
            return value.serialize(Line { bytes: self.line, mode: Mode::Verbatim });
        }
        if !REST.contains(&name) {
            return Ok(());
        }
        self.kind = Kind::Object;
        self.serialize_field(name, value)
    }

    fn separate(&mut self) {
        if !std::mem::replace(&mut self.first, false) {
            self.line.push(b',');
        }
    }

    fn close(self) {
        match self.kind {
            Kind::List => self.line.push(b']'),
            Kind::Object | Kind::Rest => self.line.push(b'}'),
            Kind::Raw => {}
        }
    }
}

impl SerializeSeq for Compound<'_> {
    type Ok = ();
    type Error = LineError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), LineError> {
        self.separate();
        value.serialize(Line::of(self.line))
    }

    fn end(self) -> Result<(), LineError> {
        self.close();
        Ok(())
    }
}

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = LineError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), LineError> {
        self.separate();
        key.serialize(Line::of(self.line))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), LineError> {
        self.line.push(b':');
        value.serialize(Line::of(self.line))
    }

    fn end(self) -> Result<(), LineError> {
        self.close();
        Ok(())
    }
}

impl SerializeStruct for Compound<'_> {
    type Ok = ();
    type Error = LineError;

    #[expect(clippy::inline_always, reason = "a name is a constant only where the field is written")]
    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), LineError> {
        if self.kind != Kind::Object {
            return self.odd_field(name, value);
        }
        self.name(name);
        value.serialize(Line::of(self.line))
    }

    fn end(self) -> Result<(), LineError> {
        self.close();
        Ok(())
    }
}

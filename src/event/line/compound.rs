//! Lists and objects of a line.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct};

use super::{Line, LineError};

/// How `serde_json` marks a value that is JSON already; its only field holds the text.
const RAW: &str = "$serde_json::private::RawValue";

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

    pub(super) fn of_struct(line: &'a mut Vec<u8>, name: &'static str) -> Self {
        if name == RAW { Self { line, kind: Kind::Raw, first: true } } else { Self::object(line) }
    }

    fn separate(&mut self) {
        if !std::mem::replace(&mut self.first, false) {
            self.line.push(b',');
        }
    }

    fn close(self) {
        match self.kind {
            Kind::List => self.line.push(b']'),
            Kind::Object => self.line.push(b'}'),
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

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), LineError> {
        if self.kind == Kind::Raw {
            return value.serialize(Line { bytes: self.line, verbatim: true });
        }
        // Field names are Rust's or renamed to plain words: nothing in them is ever escaped.
        self.line.reserve(name.len() + 4);
        self.separate();
        self.line.push(b'"');
        self.line.extend_from_slice(name.as_bytes());
        self.line.push(b'"');
        self.line.push(b':');
        value.serialize(Line::of(self.line))
    }

    fn end(self) -> Result<(), LineError> {
        self.close();
        Ok(())
    }
}

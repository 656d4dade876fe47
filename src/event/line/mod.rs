//! Writes an event as one line of JSON, byte for byte as `serde_json` would, at a fraction of the cost.
//!
//! Events are encoded twice per request, on its way. The names of fields are ours and never need escaping, and values
//! are short texts that hardly ever do, so both are copied after a look at eight bytes at once. What events do not hold
//! (bytes, tuples, enums with data) is refused; a property test holds every event against `serde_json`.

mod compound;
mod text;

use std::fmt;

use serde::ser::{self, Impossible, Serialize, Serializer};

use compound::Compound;

/// Only a defect of ours: an event holds something that this writer does not know, or a value refused to be written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LineError(String);

impl ser::Error for LineError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Adds a value to the end of a line.
pub(super) fn write<T: Serialize>(line: &mut Vec<u8>, value: &T) -> Result<(), LineError> {
    value.serialize(Line::of(line))
}

/// Adds the rest of an object of which the fields before [`REST`] stand there already, and closes it.
pub(super) fn write_rest<T: Serialize>(line: &mut Vec<u8>, object: &T) -> Result<(), LineError> {
    object.serialize(Line { bytes: line, mode: Mode::Rest })
}

/// The first fields of an event's data that are not known from the beginning on: the former of them that is there.
pub(super) const REST: [&str; 2] = ["model_served", "stream"];

/// What is written to.
struct Line<'a> {
    bytes: &'a mut Vec<u8>,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    /// Texts are JSON already.
    Verbatim,
    /// The beginning of the object is left out.
    Rest,
}

impl<'a> Line<'a> {
    fn of(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, mode: Mode::Plain }
    }

    fn raw(self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn text(self, text: &str) {
        if self.mode == Mode::Verbatim {
            return self.raw(text.as_bytes());
        }
        text::quoted(self.bytes, text);
    }

    fn integer(self, integer: impl itoa::Integer) {
        self.raw(itoa::Buffer::new().format(integer).as_bytes());
    }
}

fn unknown(what: &str) -> LineError {
    LineError(format!("an event holds no {what}"))
}

/// The methods of a type that an event may hold, each by one step.
macro_rules! written {
    ($($method:ident($value:ident: $type:ty) $write:expr;)*) => {
        $(fn $method(self, $value: $type) -> Result<(), LineError> {
            let write: fn(Self, $type) = $write;
            write(self, $value);
            Ok(())
        })*
    };
}

impl<'a> Serializer for Line<'a> {
    type Ok = ();
    type Error = LineError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Impossible<(), LineError>;
    type SerializeTupleStruct = Impossible<(), LineError>;
    type SerializeTupleVariant = Impossible<(), LineError>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Impossible<(), LineError>;

    written! {
        serialize_bool(value: bool) |line, value| line.raw(if value { b"true" } else { b"false" });
        serialize_i8(value: i8) Self::integer;
        serialize_i16(value: i16) Self::integer;
        serialize_i32(value: i32) Self::integer;
        serialize_i64(value: i64) Self::integer;
        serialize_u8(value: u8) Self::integer;
        serialize_u16(value: u16) Self::integer;
        serialize_u32(value: u32) Self::integer;
        serialize_u64(value: u64) Self::integer;
        serialize_str(value: &str) Self::text;
    }

    fn serialize_f32(self, value: f32) -> Result<(), LineError> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), LineError> {
        if value.is_finite() {
            self.raw(zmij::Buffer::new().format_finite(value).as_bytes());
            return Ok(());
        }
        self.serialize_unit()
    }

    fn serialize_char(self, value: char) -> Result<(), LineError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), LineError> {
        text::displayed(self.bytes, value)
    }

    fn serialize_unit(self) -> Result<(), LineError> {
        self.raw(b"null");
        Ok(())
    }

    fn serialize_none(self) -> Result<(), LineError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), LineError> {
        value.serialize(self)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), LineError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), LineError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), LineError> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, LineError> {
        Ok(Compound::list(self.bytes))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a>, LineError> {
        Ok(Compound::object(self.bytes))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'a>, LineError> {
        Ok(Compound::of_struct(self.bytes, self.mode, name))
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), LineError> {
        Err(unknown("bytes"))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), LineError> {
        Err(unknown("variant with data"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, LineError> {
        Err(unknown("tuple"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, LineError> {
        Err(unknown("tuple"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, LineError> {
        Err(unknown("variant with data"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, LineError> {
        Err(unknown("variant with data"))
    }
}

#[cfg(test)]
mod tests;

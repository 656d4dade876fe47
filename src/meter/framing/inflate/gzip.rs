//! `gzip`: members one after the other, each a header, deflated bytes and a trailer (RFC 1952).
//!
//! What follows the last member and is none is ignored, as `gunzip` does.

use flate2::Decompress;

use super::deflate::{all, inflate};
use super::{Step, Stop};

/// More members than anyone sends in one answer: each costs a reset.
const MEMBERS_MAX: u32 = 4096;
const TRAILER: u8 = 8;
const HAS_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

/// The decoder.
#[derive(Debug)]
pub(super) struct Gzip {
    at: Part,
    flags: u8,
    raw: Decompress,
    members: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// This many of the ten fixed bytes have come.
    Fixed(u8),
    /// The length of the extra field, whose low byte may have come.
    ExtraLength(Option<u8>),
    /// This many bytes of it are to come.
    Extra(u16),
    Name,
    Comment,
    /// This many bytes of the header's checksum are to come.
    HeaderCrc(u8),
    Body,
    /// This many bytes are to come.
    Trailer(u8),
    /// What follows is no member.
    Over,
}

impl Default for Gzip {
    fn default() -> Self {
        Self { at: Part::Fixed(0), flags: 0, raw: Decompress::new(false), members: 0 }
    }
}

impl Gzip {
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Stop> {
        match self.at {
            Part::Over => Ok(all(input)),
            Part::Body => {
                let (step, ended) = inflate(&mut self.raw, input, output)?;
                if ended {
                    self.at = Part::Trailer(TRAILER);
                }
                // To end is a step too, though nothing may be read or written by it.
                if ended && step == Step::default() { self.step(input, output) } else { Ok(step) }
            }
            _ => {
                let mut read = 0;
                for byte in input {
                    if matches!(self.at, Part::Body | Part::Over) {
                        break;
                    }
                    self.at = self.after(*byte)?;
                    read += 1;
                }
                Ok(Step { read, written: 0 })
            }
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.at == Part::Over || (self.at == Part::Fixed(0) && self.members > 0)
    }

    /// Where a byte outside the deflated bytes leads.
    fn after(&mut self, byte: u8) -> Result<Part, Stop> {
        Ok(match self.at {
            Part::Fixed(at) => self.fixed(at, byte)?,
            Part::ExtraLength(None) => Part::ExtraLength(Some(byte)),
            Part::ExtraLength(Some(low)) => match u16::from_le_bytes([low, byte]) {
                0 => self.after_extra(),
                length => Part::Extra(length),
            },
            Part::Extra(1) => self.after_extra(),
            Part::Extra(left) => Part::Extra(left - 1),
            Part::Name if byte == 0 => self.after_name(),
            Part::Comment if byte == 0 => self.after_comment(),
            Part::HeaderCrc(1) => Part::Body,
            Part::HeaderCrc(left) => Part::HeaderCrc(left - 1),
            Part::Trailer(1) => self.next_member()?,
            Part::Trailer(left) => Part::Trailer(left - 1),
            at => at,
        })
    }

    fn fixed(&mut self, at: u8, byte: u8) -> Result<Part, Stop> {
        let right = match at {
            0 => byte == 0x1f,
            1 => byte == 0x8b,
            2 => byte == 8,
            _ => true,
        };
        if !right {
            return if self.members > 0 { Ok(Part::Over) } else { Err(Stop::Broken) };
        }
        if at == 3 {
            self.flags = byte;
        }
        Ok(match at {
            9 if self.flags & HAS_EXTRA != 0 => Part::ExtraLength(None),
            9 => self.after_extra(),
            at => Part::Fixed(at + 1),
        })
    }

    fn after_extra(&self) -> Part {
        if self.flags & HAS_NAME != 0 { Part::Name } else { self.after_name() }
    }

    fn after_name(&self) -> Part {
        if self.flags & HAS_COMMENT != 0 { Part::Comment } else { self.after_comment() }
    }

    fn after_comment(&self) -> Part {
        if self.flags & HAS_CRC != 0 { Part::HeaderCrc(2) } else { Part::Body }
    }

    fn next_member(&mut self) -> Result<Part, Stop> {
        self.members += 1;
        self.raw.reset(false);
        if self.members > MEMBERS_MAX { Err(Stop::TooMuch) } else { Ok(Part::Fixed(0)) }
    }
}

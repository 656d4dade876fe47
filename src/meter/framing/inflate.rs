//! Reads compressed answers: a decoded copy on the side, piece by piece, while the client gets its bytes as they came.
//!
//! Everything is bounded: a piece by its buffer, the work on one chunk, the whole, the ratio of decoded to encoded
//! bytes, windows (8 MiB for zstd, as RFC 9659 has it for HTTP; 4 MiB for brotli, what its encoders use unasked), members
//! and codings one upon the other. Beyond a bound the reading stops and says so; the stream never does. Checksums are
//! the client's to check. One file per coding.

mod brotli;
mod deflate;
mod gzip;
mod zstd;

#[cfg(test)]
mod tests;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// The most codings one upon the other.
const STAGES_MAX: usize = 2;
/// The longest piece, in bytes.
const PIECE: usize = 16 * 1024;
/// The most bytes decoded of one chunk: it happens between two frames of a client.
const CHUNK_MAX: u64 = 8 * 1024 * 1024;
/// The most bytes decoded of one answer.
const TOTAL_MAX: u64 = 32 * 1024 * 1024;
/// Beyond this many bytes decoded, the most of them for each encoded one. Text that says anything stays far below.
const RATIO_FROM: u64 = 256 * 1024;
const RATIO_MAX: u64 = 200;

/// Whether and how an answer is compressed.
#[derive(Debug)]
pub enum Encoded {
    /// Not at all.
    Plain,
    /// In a way that can be read.
    Readable(Inflate),
    /// In another way.
    Unreadable,
}

/// Why the reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A bound was reached.
    TooMuch,
    /// The bytes are not what they are said to be.
    Broken,
}

/// The decoders of one answer.
pub struct Inflate {
    stages: Vec<Stage>,
    encoded: u64,
    decoded: u64,
}

struct Stage {
    decoder: Decoder,
    piece: Box<[u8]>,
}

enum Decoder {
    Gzip(gzip::Gzip),
    Deflate(deflate::Deflate),
    Brotli(brotli::Brotli),
    Zstd(zstd::Zstd),
}

/// What a decoder did with the bytes it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Step {
    read: usize,
    written: usize,
}

/// What may still be decoded of this chunk and of the answer.
struct Budget<'a> {
    chunk: u64,
    encoded: u64,
    decoded: &'a mut u64,
}

impl Encoded {
    /// By the head of an answer.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut stages = Vec::new();
        for line in headers.get_all(CONTENT_ENCODING) {
            let Ok(line) = line.to_str() else { return Self::Unreadable };
            for coding in line.split(',').map(str::trim).filter(|coding| !coding.is_empty()) {
                if coding.eq_ignore_ascii_case("identity") {
                    continue;
                }
                let Some(decoder) = Decoder::of(coding).filter(|_| stages.len() < STAGES_MAX) else {
                    return Self::Unreadable;
                };
                stages.push(Stage { decoder, piece: vec![0; PIECE].into() });
            }
        }
        // The coding named last was applied last, and is the first to be undone.
        stages.reverse();
        if stages.is_empty() { Self::Plain } else { Self::Readable(Inflate { stages, encoded: 0, decoded: 0 }) }
    }
}

impl Inflate {
    /// Decodes a chunk as far as it goes, and hands over what comes of it in pieces.
    pub fn feed(&mut self, chunk: &[u8], on_piece: &mut dyn FnMut(&[u8])) -> Result<(), Stop> {
        self.encoded += chunk.len() as u64;
        let mut budget = Budget { chunk: CHUNK_MAX, encoded: self.encoded, decoded: &mut self.decoded };
        run(&mut self.stages, chunk, &mut budget, on_piece)
    }

    /// Whether the compressed bytes so far are a whole.
    pub fn is_whole(&self) -> bool {
        self.stages.iter().all(|stage| stage.decoder.is_whole())
    }
}

fn run(
    stages: &mut [Stage],
    mut input: &[u8],
    budget: &mut Budget<'_>,
    on_piece: &mut dyn FnMut(&[u8]),
) -> Result<(), Stop> {
    let Some((stage, next)) = stages.split_first_mut() else {
        on_piece(input);
        return Ok(());
    };
    loop {
        let step = stage.decoder.step(input, &mut stage.piece)?;
        input = input.get(step.read..).unwrap_or_default();
        if let Some(piece) = stage.piece.get(..step.written).filter(|piece| !piece.is_empty()) {
            budget.spend(piece.len())?;
            run(next, piece, budget, on_piece)?;
        }
        // A decoder may hold more back, even when all input is taken and its piece is not full.
        if step == Step::default() {
            return Ok(());
        }
    }
}

impl Budget<'_> {
    fn spend(&mut self, bytes: usize) -> Result<(), Stop> {
        let bytes = bytes as u64;
        self.chunk = self.chunk.checked_sub(bytes).ok_or(Stop::TooMuch)?;
        *self.decoded += bytes;
        let bomb = *self.decoded > RATIO_FROM && *self.decoded > self.encoded.saturating_mul(RATIO_MAX);
        if bomb || *self.decoded > TOTAL_MAX { Err(Stop::TooMuch) } else { Ok(()) }
    }
}

impl Decoder {
    fn of(coding: &str) -> Option<Self> {
        match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip(gzip::Gzip::default())),
            "deflate" => Some(Self::Deflate(deflate::Deflate::default())),
            "br" => Some(Self::Brotli(brotli::Brotli::default())),
            "zstd" => zstd::Zstd::new().map(Self::Zstd),
            _ => None,
        }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Stop> {
        match self {
            Self::Gzip(gzip) => gzip.step(input, output),
            Self::Deflate(deflate) => deflate.step(input, output),
            Self::Brotli(brotli) => brotli.step(input, output),
            Self::Zstd(zstd) => zstd.step(input, output),
        }
    }

    fn is_whole(&self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.is_whole(),
            Self::Deflate(deflate) => deflate.is_whole(),
            Self::Brotli(brotli) => brotli.is_whole(),
            Self::Zstd(zstd) => zstd.is_whole(),
        }
    }
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inflate({} codings, {} bytes to {})", self.stages.len(), self.encoded, self.decoded)
    }
}

//! `br`: one brotli stream. One that needs more than 4 MiB of window is not read on.
//!
//! The decoder hands over nothing until its window is full, a metablock ends, or it wants input; and some metablocks
//! want none, for codes may have no bits. So the window is what bounds the work on a few bytes. Encoders use 4 MiB at
//! most unless told otherwise, and the decoder itself takes no more of it than the content needs.

use brotli_decompressor::{Allocator, BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::deflate::all;
use super::{Step, Stop};

type State = BrotliState<Window, StandardAlloc, StandardAlloc>;

/// The longest window, in bytes, with what the decoder writes beyond its end.
const WINDOW_MAX: usize = 4 * 1024 * 1024 + 4096;

/// Gives memory for bytes, of which the window is the one that can be long.
#[derive(Default)]
struct Window {
    standard: StandardAlloc,
    refused: bool,
}

impl Allocator<u8> for Window {
    type AllocatedMemory = <StandardAlloc as Allocator<u8>>::AllocatedMemory;

    /// Without memory the decoder ends with an error.
    fn alloc_cell(&mut self, length: usize) -> Self::AllocatedMemory {
        if length > WINDOW_MAX {
            self.refused = true;
            return Self::AllocatedMemory::default();
        }
        self.standard.alloc_cell(length)
    }

    fn free_cell(&mut self, memory: Self::AllocatedMemory) {
        <StandardAlloc as Allocator<u8>>::free_cell(&mut self.standard, memory);
    }
}

/// The decoder. What follows the end is ignored.
pub(super) struct Brotli {
    state: Box<State>,
    ended: bool,
}

impl Default for Brotli {
    fn default() -> Self {
        let alloc = StandardAlloc::default;
        Self { state: Box::new(BrotliState::new_strict(Window::default(), alloc(), alloc())), ended: false }
    }
}

impl Brotli {
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Stop> {
        if self.ended {
            return Ok(all(input));
        }
        let (mut left, mut read) = (input.len(), 0);
        let (mut room, mut written, mut total) = (output.len(), 0, 0);
        let (from, to) = ((&mut left, &mut read), (&mut room, &mut written));
        let state = &mut *self.state;
        match BrotliDecompressStream(from.0, from.1, input, to.0, to.1, output, &mut total, state) {
            BrotliResult::ResultFailure if state.alloc_u8.refused => return Err(Stop::TooMuch),
            BrotliResult::ResultFailure => return Err(Stop::Broken),
            BrotliResult::ResultSuccess => self.ended = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok(Step { read, written })
    }

    pub(super) fn is_whole(&self) -> bool {
        self.ended
    }
}

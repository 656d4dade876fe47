//! `br`: one brotli stream. Windows beyond the standard's 16 MiB are refused.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::deflate::all;
use super::{Step, Stop};

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// The decoder. What follows the end is ignored.
pub(super) struct Brotli {
    state: Box<State>,
    ended: bool,
}

impl Default for Brotli {
    fn default() -> Self {
        let alloc = StandardAlloc::default;
        Self { state: Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())), ended: false }
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

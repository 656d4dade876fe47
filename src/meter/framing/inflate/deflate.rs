//! `deflate`: zlib's wrapping as the RFC says, or none as some servers send it.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Step, Stop};

/// The decoder. What follows the end is ignored.
#[derive(Debug, Default)]
pub(super) struct Deflate {
    raw: Option<Decompress>,
    ended: bool,
}

impl Deflate {
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Stop> {
        if self.ended {
            return Ok(all(input));
        }
        let raw = match (&mut self.raw, input.first()) {
            (Some(raw), _) => raw,
            (None, None) => return Ok(Step::default()),
            // A zlib header's first byte ends in 8; bare deflate's would be a stored block with padding that is not zero.
            (none, Some(first)) => none.insert(Decompress::new(first & 0x0f == 8)),
        };
        let (step, ended) = inflate(raw, input, output)?;
        self.ended = ended;
        // To end is a step too, though nothing may be read or written by it.
        if ended && step == Step::default() { Ok(all(input)) } else { Ok(step) }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.ended
    }
}

/// All of the input, read and forgotten.
pub(super) fn all(input: &[u8]) -> Step {
    Step { read: input.len(), written: 0 }
}

/// One step of inflation, and whether it reached the end.
pub(super) fn inflate(raw: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<(Step, bool), Stop> {
    let before = (raw.total_in(), raw.total_out());
    let status = raw.decompress(input, output, FlushDecompress::Sync).map_err(|_| Stop::Broken)?;
    let step = Step { read: (raw.total_in() - before.0) as usize, written: (raw.total_out() - before.1) as usize };
    Ok((step, status == Status::StreamEnd))
}

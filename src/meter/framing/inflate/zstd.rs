//! `zstd`: frames one after the other. Windows beyond 8 MiB are refused (RFC 9659).

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::{Step, Stop};

/// The largest window, as a power of two.
const WINDOW_LOG_MAX: u32 = 23;

/// The decoder.
pub(super) struct Zstd {
    context: DCtx<'static>,
    /// Between two frames.
    whole: bool,
}

impl Zstd {
    /// None where no memory is to be had.
    pub(super) fn new() -> Option<Self> {
        let mut context = DCtx::try_create()?;
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).ok()?;
        Some(Self { context, whole: false })
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Stop> {
        let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(output));
        let Ok(rest) = self.context.decompress_stream(&mut to, &mut from) else {
            // What follows a whole and is no frame is ignored, as elsewhere.
            return if self.whole { Ok(Step { read: input.len(), written: 0 }) } else { Err(Stop::Broken) };
        };
        let step = Step { read: from.pos, written: to.pos() };
        if step != Step::default() {
            self.whole = rest == 0;
        }
        Ok(step)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }
}

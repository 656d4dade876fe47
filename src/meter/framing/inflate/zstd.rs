//! `zstd`: frames one after the other. Windows beyond 8 MiB are refused (RFC 9659).

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::{Step, Stop};

/// The largest window, as a power of two.
const WINDOW_LOG_MAX: u32 = 23;

/// How a frame begins, and one that is to be skipped, whose first byte has any low half.
const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// The decoder.
pub(super) struct Zstd {
    context: DCtx<'static>,
    /// Between two frames.
    whole: bool,
    /// After a whole frame: how many bytes of the next one's mark have come, and the first of them.
    mark: Option<(usize, u8)>,
    /// What follows is no frame.
    over: bool,
}

impl Zstd {
    /// None where no memory is to be had.
    pub(super) fn new() -> Option<Self> {
        let mut context = DCtx::try_create()?;
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).ok()?;
        Some(Self { context, whole: false, mark: None, over: false })
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Stop> {
        if self.over || !self.may_be_frame(input) {
            // What follows a whole and is no frame is ignored, as elsewhere.
            (self.over, self.whole) = (true, true);
            return Ok(Step { read: input.len(), written: 0 });
        }
        let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(output));
        let rest = self.context.decompress_stream(&mut to, &mut from).map_err(|_| Stop::Broken)?;
        let step = Step { read: from.pos, written: to.pos() };
        if step != Step::default() {
            self.whole = rest == 0;
            self.count(step.read, input);
        }
        Ok(step)
    }

    /// Whether the next bytes, if a frame begins with them, begin one.
    fn may_be_frame(&self, input: &[u8]) -> bool {
        let Some((come, first)) = self.mark else { return true };
        let first = if come == 0 { input.first().copied().unwrap_or(FRAME[0]) } else { first };
        let mark = if first == FRAME[0] { FRAME } else { [first, SKIPPABLE[1], SKIPPABLE[2], SKIPPABLE[3]] };
        let known = first == FRAME[0] || first & 0xf0 == SKIPPABLE[0];
        known && input.iter().zip(mark.iter().skip(come)).all(|(byte, mark)| byte == mark)
    }

    fn count(&mut self, read: usize, input: &[u8]) {
        self.mark = match (self.whole, self.mark) {
            (true, _) => Some((0, 0)),
            (false, Some((come, first))) if come + read < FRAME.len() => {
                Some((come + read, if come == 0 { input.first().copied().unwrap_or_default() } else { first }))
            }
            (false, _) => None,
        };
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }
}

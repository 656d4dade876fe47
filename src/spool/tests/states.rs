//! What a crash may leave of a disk: everything that was synced, and of the rest any part.
//!
//! Kept by the process's death: all of it. By the loss of power: each write, change of length and change of names since
//! the last sync of its file or directory is kept or lost on its own, and a write may be torn between sectors. That is
//! more than any real file system loses.

use crate::spool::disk::recorded::{Image, Op};

const SECTOR: usize = 512;
/// Up to so many unsynced operations every combination is tried.
const EXHAUSTIVE: usize = 4;
/// Of more, so many of the last are tried alone.
const ALONE: usize = 8;

/// What becomes of an operation that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Lost,
    /// Of each run of 64 sectors, those are kept whose bit is set.
    Torn(u64),
}

/// A disk up to some operation.
#[derive(Clone)]
pub(super) struct Walk {
    durable: Image,
    pending: Vec<Op>,
}

impl Walk {
    pub(super) fn new(image: Image) -> Self {
        Self { durable: image, pending: Vec::new() }
    }

    /// The next operation happened.
    pub(super) fn step(&mut self, op: &Op) {
        let settled: Box<dyn Fn(&Op) -> bool> = match op {
            Op::Sync { inode } => {
                let synced = *inode;
                Box::new(move |op| matches!(op, Op::Write { inode, .. } | Op::Length { inode, .. } if *inode == synced))
            }
            Op::SyncDir { dir } => {
                let dir = std::sync::Arc::clone(dir);
                Box::new(move |op| matches!(op, Op::Name(change) if change.path().parent() == Some(&*dir)))
            }
            other => return self.pending.push(other.clone()),
        };
        for op in self.pending.extract_if(.., |op| settled(op)) {
            self.durable.apply(&op);
        }
    }

    /// What the process's death leaves.
    pub(super) fn kept(&self) -> Image {
        self.left(&vec![Fate::Kept; self.pending.len()])
    }

    /// What the loss of power may leave, `random` of it at random.
    pub(super) fn lost(&self, random: usize, dice: &mut fastrand::Rng) -> Vec<Image> {
        let count = self.pending.len();
        let mut fates = vec![vec![Fate::Lost; count]];
        if count <= EXHAUSTIVE {
            let fate = |kept: usize, at: usize| if kept >> at & 1 == 1 { Fate::Kept } else { Fate::Lost };
            fates.extend((1..(1 << count) - 1).map(|kept| (0..count).map(|at| fate(kept, at)).collect()));
        } else {
            for at in count.saturating_sub(ALONE)..count {
                fates.push(with(vec![Fate::Kept; count], at, Fate::Lost));
                fates.push(with(vec![Fate::Lost; count], at, Fate::Kept));
            }
        }
        for at in count.saturating_sub(3)..count {
            if self.pending.get(at).is_some_and(|op| matches!(op, Op::Write { bytes, .. } if bytes.len() > 8)) {
                for mask in [1, !1, 0x5555_5555_5555_5555, !(1 << 5)] {
                    fates.push(with(vec![Fate::Kept; count], at, Fate::Torn(mask)));
                }
            }
        }
        for _ in 0..if count > 1 { random } else { 0 } {
            let any = |dice: &mut fastrand::Rng| match dice.u8(..3) {
                0 => Fate::Kept,
                1 => Fate::Lost,
                _ => Fate::Torn(dice.u64(..)),
            };
            fates.push((0..count).map(|_| any(dice)).collect());
        }
        fates.iter().map(|fates| self.left(fates)).collect()
    }

    fn left(&self, fates: &[Fate]) -> Image {
        let mut image = self.durable.clone();
        for (op, fate) in self.pending.iter().zip(fates) {
            match (fate, op) {
                (Fate::Kept, op) => image.apply(op),
                (Fate::Torn(mask), Op::Write { inode, at, bytes }) => tear(&mut image, (*inode, *at, bytes), *mask),
                (Fate::Torn(_) | Fate::Lost, _) => {}
            }
        }
        image.prune();
        image
    }
}

fn with(mut fates: Vec<Fate>, at: usize, fate: Fate) -> Vec<Fate> {
    fates[at] = fate;
    fates
}

fn tear(image: &mut Image, (inode, at, bytes): (usize, usize, &[u8]), mask: u64) {
    let mut from = 0;
    while from < bytes.len() {
        let until = bytes.len().min((at + from + 1).next_multiple_of(SECTOR) - at);
        if mask >> ((at + from) / SECTOR % 64) & 1 == 1 {
            image.write(inode, at + from, &bytes[from..until]);
        }
        from = until;
    }
}

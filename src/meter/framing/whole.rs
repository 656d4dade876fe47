//! A side copy of a whole body, for answers that are one JSON document.
//!
//! Bounded: a body beyond [`MAX`] is dropped at once and said to be too long; nothing is read of it. A body that arrives
//! in one piece is not copied at all.

use bytes::{Bytes, BytesMut};

/// The longest body that is kept, in bytes.
const MAX: usize = 8 * 1024 * 1024;

/// The copy. Its `Debug` shows no content.
#[derive(Default)]
pub struct Whole {
    kept: Kept,
    truncated: bool,
}

#[derive(Default)]
enum Kept {
    #[default]
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Whole {
    /// Adds the next piece of the body.
    pub fn push(&mut self, piece: &Bytes) {
        if self.truncated || piece.is_empty() {
            return;
        }
        if self.bytes().len() + piece.len() > MAX {
            *self = Self { kept: Kept::Nothing, truncated: true };
            return;
        }
        self.kept = match std::mem::take(&mut self.kept) {
            Kept::Nothing => Kept::One(piece.clone()),
            Kept::One(first) => {
                let mut all = BytesMut::with_capacity((first.len() + piece.len()) * 2);
                all.extend_from_slice(&first);
                all.extend_from_slice(piece);
                Kept::Many(all)
            }
            Kept::Many(mut all) => {
                all.extend_from_slice(piece);
                Kept::Many(all)
            }
        };
    }

    /// The body so far; empty when it was too long.
    pub fn bytes(&self) -> &[u8] {
        match &self.kept {
            Kept::Nothing => &[],
            Kept::One(piece) => piece,
            Kept::Many(all) => all,
        }
    }

    /// Whether the body was too long to be kept.
    pub fn truncated(&self) -> bool {
        self.truncated
    }
}

impl std::fmt::Debug for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Whole({} bytes, truncated: {})", self.bytes().len(), self.truncated)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{MAX, Whole};

    #[test]
    fn pieces_come_together_and_a_single_one_is_not_copied() {
        let mut whole = Whole::default();
        let first = Bytes::from_static(b"{\"a\":");
        whole.push(&first);
        assert_eq!(whole.bytes().as_ptr(), first.as_ptr());
        whole.push(&Bytes::new());
        whole.push(&Bytes::from_static(b"1"));
        whole.push(&Bytes::from_static(b"}"));
        assert_eq!(whole.bytes(), b"{\"a\":1}");
        assert!(!whole.truncated());
    }

    #[test]
    fn a_body_beyond_the_bound_is_dropped_and_stays_dropped() {
        let mut whole = Whole::default();
        whole.push(&Bytes::from(vec![b' '; MAX]));
        assert!(!whole.truncated());
        whole.push(&Bytes::from_static(b"x"));
        assert!(whole.truncated() && whole.bytes().is_empty());
        whole.push(&Bytes::from_static(b"y"));
        assert!(whole.truncated() && whole.bytes().is_empty());
    }
}

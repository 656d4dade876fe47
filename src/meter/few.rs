//! A queue that nearly always holds one thing at most.
//!
//! That one stands in the queue itself: of a thousand streams whose chunks come in turn each place in memory that a chunk
//! touches has left the processor's caches since the last one.

use std::collections::VecDeque;
use std::collections::vec_deque;
use std::iter::Chain;
use std::option;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Few<T> {
    /// `None` only if there are no more either.
    first: Option<T>,
    more: VecDeque<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: None, more: VecDeque::new() }
    }
}

impl<T> Few<T> {
    pub(super) fn push_back(&mut self, one: T) {
        if self.first.is_none() {
            self.first = Some(one);
        } else {
            self.more.push_back(one);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let first = self.first.take();
        if !self.more.is_empty() {
            self.first = self.more.pop_front();
        }
        first
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut()
    }

    pub(super) fn back(&self) -> Option<&T> {
        self.more.back().or(self.first.as_ref())
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn clear(&mut self) {
        self.first = None;
        self.more.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.more)
    }

    /// Takes away all from the one at this place on.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        match at.checked_sub(1) {
            None => std::mem::take(self),
            Some(at) => self.more.split_off(at.min(self.more.len())).into_iter().collect(),
        }
    }
}

impl<T> Extend<T> for Few<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, all: I) {
        all.into_iter().for_each(|one| self.push_back(one));
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut few = Self::default();
        few.extend(all);
        few
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = Chain<option::IntoIter<T>, vec_deque::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::{any, proptest};

    use super::Few;

    proptest! {
        #[test]
        fn it_is_a_queue_like_any_other(steps: Vec<(u8, u8)>, extra in any::<Vec<u8>>()) {
            let (mut few, mut queue) = (Few::default(), VecDeque::new());
            for (what, value) in steps {
                match what % 8 {
                    0..=3 => {
                        few.push_back(value);
                        queue.push_back(value);
                    }
                    4 | 5 => assert_eq!(few.pop_front(), queue.pop_front()),
                    6 => {
                        let at = usize::from(value).min(queue.len());
                        assert_eq!(Vec::from_iter(few.split_off(at)), Vec::from_iter(queue.split_off(at)));
                    }
                    _ => {
                        few.extend(extra.clone());
                        queue.extend(extra.clone());
                    }
                }
                assert_eq!((few.len(), few.is_empty(), few.back()), (queue.len(), queue.is_empty(), queue.back()));
                assert_eq!(few.front_mut(), queue.front_mut());
                assert!(few.iter().eq(&queue));
            }
        }
    }
}

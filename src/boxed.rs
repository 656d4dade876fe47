//! Large values, made where they are to stay.
//!
//! `Box::new` makes its value on the stack and then moves it. Here the place comes first, so that the compiler can have the
//! value made in it: a request's future and its event are some kilobytes each, which would be written twice.

use std::pin::Pin;

/// A box with what this makes.
#[inline]
pub fn in_place<T>(make: impl FnOnce() -> T) -> Box<T> {
    Box::write(Box::new_uninit(), make())
}

/// The same, pinned: for futures.
#[inline]
pub fn pinned<T>(make: impl FnOnce() -> T) -> Pin<Box<T>> {
    Box::into_pin(in_place(make))
}

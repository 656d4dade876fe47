//! Cuts answer bodies into payloads for a dialect, on the side: no byte is moved, held or changed on its way.

mod sse;
mod whole;

pub use sse::{Event, Sse};
pub use whole::Whole;

//! One suite that every sink passes, and what each promises besides.

mod conformance;
mod file;
#[cfg(feature = "kafka")]
mod kafka;
mod script;
mod worker;

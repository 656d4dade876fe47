//! One suite that every sink passes, and what each promises besides.

mod conformance;
mod file;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod receiver;
mod script;
mod worker;

//! Any text is a configuration or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_fuzz::in_time;

fuzz_target!(|text: &str| in_time(|| tollgate::config::fuzz(text)));

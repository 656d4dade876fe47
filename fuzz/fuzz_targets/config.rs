//! Any text is a configuration or is refused, and a keys file or none.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tollgate::config::{check_keys, fuzz};
use tollgate_fuzz::in_time;

fuzz_target!(|text: &str| {
    in_time(|| fuzz(text));
    drop(in_time(|| check_keys(text, Path::new("/nonexistent/folder/keys.yaml"))));
});

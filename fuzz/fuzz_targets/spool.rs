//! Any bytes in the log are a record or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_fuzz::in_time;

fuzz_target!(|data: &[u8]| in_time(|| tollgate::spool::fuzz(data)));

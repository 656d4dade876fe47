//! Any request is read without harm, and one that is changed to ask for usage says otherwise what it said before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_fuzz::{chosen, in_time};

fuzz_target!(|data: &[u8]| {
    let &[route, ref body @ ..] = data else { return };
    let (path, route) = chosen(route);
    in_time(|| {
        let Ok(ask) = route.dialect.read_request(path, body) else { return };
        ask.input_tokens_estimate();
        ask.most_output_tokens();
        if let Some(changed) = route.dialect.ask_for_usage(body) {
            let again = route.dialect.read_request(path, &changed).expect("a changed request is still one");
            assert_eq!((again.model, again.stream, again.max_tokens), (ask.model, ask.stream, ask.max_tokens));
        }
    });
});

//! Any request and any text are counted in time, and no text has more tokens than bytes.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use std::sync::LazyLock;
use tollgate::dialect::Operation;
use tollgate::meter::count::Models;
use tollgate_fuzz::in_time;

// One vocabulary: two, being read, would take most of the memory that an input may.
const MODELS: [&str; 4] = ["gpt-4o", "claude-sonnet-4-5", "gemini-2.0-flash", "gpt-4.1-mini"];
const OPERATIONS: [Operation; 2] = [Operation::Chat, Operation::Embeddings];

static TABLE: LazyLock<Models> = LazyLock::new(|| {
    let models = Models::default();
    models.text("gpt-4o", "is read before the clock runs");
    models
});

fuzz_target!(|data: &[u8]| {
    let &[choice, ref body @ ..] = data else { return };
    let model = MODELS[usize::from(choice) % MODELS.len()];
    let operation = OPERATIONS[usize::from(choice >> 4) % OPERATIONS.len()];
    let models = &*TABLE;
    in_time(|| {
        models.request(model, operation, body);
        let text = String::from_utf8_lossy(body);
        assert!(models.text(model, &text).tokens <= text.len() as u64);
        models.output(model, body);
    });
});

// A text is often what another is, many times over.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 16 == 0 && size > 1 {
        let unit = 1 + seed as usize / 16 % (size - 1).min(8);
        let end = (size * 4).min(max_size);
        for at in size..end {
            data[at] = data[at - unit];
        }
        return end;
    }
    libfuzzer_sys::fuzzer_mutate(data, size, max_size)
});

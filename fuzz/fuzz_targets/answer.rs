//! However an answer is cut, what is read of it is the same; as one whole body it is read without harm.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::dialect::{Dialect, Reading, Streams};
use tollgate_fuzz::{chosen, cutter, frames, in_time, pieces};

fn read<'a>(dialect: &dyn Dialect, chunks: impl Iterator<Item = &'a [u8]>) -> Reading {
    let (mut reading, mut cutter) = (Reading::default(), cutter(dialect.streams()));
    for chunk in chunks {
        cutter.feed(chunk, &mut |event| dialect.read_answer(event.payload(), &mut reading));
    }
    cutter.finish(&mut |event| dialect.read_answer(event.payload(), &mut reading));
    reading
}

fn facts(reading: &Reading) -> impl PartialEq + std::fmt::Debug {
    let usage = reading.usage().map(|usage| serde_json::to_string(&usage).expect("usage can be written"));
    let names = reading.flags().names().collect::<Vec<_>>();
    (usage, names, reading.finish_reasons.clone(), reading.model_served.clone(), reading.escaped_text().to_vec())
}

fuzz_target!(|data: &[u8]| {
    let &[route, seed, ref body @ ..] = data else { return };
    let (_, route) = chosen(route);
    let dialect = route.dialect;
    let framed = if dialect.streams() == Streams::Frames { frames(body) } else { body.to_vec() };
    in_time(|| {
        let whole = read(dialect, std::iter::once(framed.as_slice()));
        let cut = read(dialect, pieces(&framed, seed));
        assert_eq!(facts(&whole), facts(&cut), "{}", route.name());
        let mut reading = Reading::default();
        dialect.read_answer(body.into(), &mut reading);
        facts(&reading);
    });
});

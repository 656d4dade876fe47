//! However an answer is cut, what is read of it is the same, whether its events are only compared with those before them
//! or read each for itself; as one whole body it is read without harm.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::dialect::{Payload, Reading, Streams};
use tollgate_fuzz::{chosen, cutter, frames, in_time, pieces};

fn read<'a>(
    streams: Streams,
    chunks: impl Iterator<Item = &'a [u8]>,
    read_event: impl Fn(Payload<'_>, &mut Reading),
) -> Reading {
    let (mut reading, mut cutter) = (Reading::default(), cutter(streams));
    for chunk in chunks {
        cutter.feed(chunk, &mut |event| read_event(event.payload(), &mut reading));
    }
    cutter.finish(&mut |event| read_event(event.payload(), &mut reading));
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
        let compared = |payload: Payload<'_>, reading: &mut Reading| {
            route.read(payload, reading);
        };
        let each = |payload: Payload<'_>, reading: &mut Reading| dialect.read_answer(payload, reading);
        let whole = read(dialect.streams(), std::iter::once(framed.as_slice()), compared);
        let cut = read(dialect.streams(), pieces(&framed, seed), each);
        assert_eq!(facts(&whole), facts(&cut), "{}", route.name());
        let mut reading = Reading::default();
        dialect.read_answer(body.into(), &mut reading);
        facts(&reading);
    });
});

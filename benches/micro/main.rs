//! What the pieces on the way of a request cost, one at a time: see `benches/README.md`.

mod dialects;
mod event;
#[path = "../frame.rs"]
mod frame;
mod guarantee;
mod guard;
mod spool;
mod stream;
mod tap;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    guard::bench(&mut criterion);
    tap::bench(&mut criterion);
    dialects::bench(&mut criterion);
    event::bench(&mut criterion);
    spool::bench(&mut criterion);
    guarantee::bench(&mut criterion);
    criterion.final_summary();
}

//! From a configuration as written (file, environment, flags) to a checked one: all problems at once, each with where
//! it stands, what is wrong and how to mend it.
//!
//! `load` tells the way: `tree` reads a file into values that know their place, `layers` lays variables and flags over
//! it, and one file per section makes the checked form, reading through `section` and `field`. Nothing is kept between
//! two loads; a secret is in the checked form and nowhere else.

mod checked;
mod context;
mod control;
mod environment;
mod events;
mod field;
mod guard;
mod kafka;
mod keys;
mod layers;
mod limits;
mod load;
mod prices;
mod problem;
mod process;
mod proxy;
mod receivers;
mod secret;
mod section;
mod shared_limits;
mod suggest;
mod tokenizers;
mod tree;
mod upstreams;
mod url;
mod watch;

#[cfg(test)]
mod tests;

pub use checked::{
    Config, Control, Credential, Database, DialectChoice, Disconnect, Encoding, Events, File, Guard, GuardMode, Kafka,
    KafkaFormat, LimitSet, Listen, Log, LogFormat, Matching, Overhead, Proxy, Remote, Spool, SyncMode, Timeouts, Tls,
    Tokenizer, Upstream, Vocabulary, WhenFull, Workload,
};
pub use control::check_database;
pub use keys::{check_keys, load_keys};
#[cfg(fuzzing)]
pub use load::fuzz;
pub use load::{Loaded, Sources, load};
pub use prices::load_prices;
pub use problem::{Origin, Problem, Problems};
pub use receivers::{LogUsage, Organizations, Receiver, ReceiverFormat};
pub use shared_limits::{SharedLimits, WhenUnreachable};
pub use watch::Watcher;

//! From a configuration as written (file, environment, flags) to a checked one: all problems at once, each with where
//! it stands, what is wrong and how to mend it.

mod checked;

pub use checked::{
    Config, Credential, DialectChoice, Disconnect, Events, File, Guard, GuardMode, Kafka, KafkaFormat, LimitSet,
    Listen, Log, LogFormat, Matching, Proxy, Spool, SyncMode, Timeouts, Tls, Upstream, WhenFull, Workload,
};

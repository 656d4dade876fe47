//! The words of the domain: ids, secrets, key records, usage, money, patterns, time.
//!
//! Nothing here does I/O or waits; every other module may use it and it uses none of them.

mod budget;
mod grant;
mod ids;
mod key_record;
mod limits;
mod mint;
mod money;
mod pattern;
mod price;
mod secret;
mod timestamp;
mod usage;
mod written_record;

pub use budget::{Budget, Period};
pub use grant::{Grant, Returned, Slice, Used};
pub use ids::{GroupId, KeyId, OrgId, RequestId, TraceId};
pub use key_record::KeyRecord;
pub use limits::Limits;
pub use mint::NoRandomness;
pub use money::NanoUsd;
pub use pattern::Pattern;
pub use price::{Price, PriceTable};
pub use secret::{Digest, Secret};
pub use timestamp::Timestamp;
pub use usage::{Source, Usage};
pub use written_record::RecordError;

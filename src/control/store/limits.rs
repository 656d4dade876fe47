//! Limits and times as columns.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, query::Query};

use crate::types::{Limits, Timestamp};

type Bound<'q> = Query<'q, Any, sqlx::any::AnyArguments>;

/// Binds the three limits, in the order requests, tokens, concurrent.
pub(super) fn bind<'q>(query: Bound<'q>, limits: &Limits) -> Bound<'q> {
    query
        .bind(limits.requests_per_minute.map(i64::from))
        .bind(limits.tokens_per_minute.map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX)))
        .bind(limits.concurrent_requests.map(i64::from))
}

/// Reads the three columns, as they are named everywhere.
pub(super) fn read(row: &AnyRow) -> sqlx::Result<Limits> {
    let number = |name: &str| row.try_get::<Option<i64>, _>(name);
    let small = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    Ok(Limits {
        requests_per_minute: number("requests_per_minute")?.map(small),
        tokens_per_minute: number("tokens_per_minute")?.map(i64::unsigned_abs),
        concurrent_requests: number("concurrent_requests")?.map(small),
    })
}

/// A moment from a column.
pub(super) fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis.unsigned_abs())
}

/// A moment for a column.
pub(super) fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

//! How hyper is set up: bounds on what one client can make us hold, for HTTP/1.1 and HTTP/2 on the same port.
//!
//! hyper's header timeout is off on purpose (see `activity`). Its bound on the whole head is not within reach through
//! the builder that serves both protocols, so the read buffer bounds the head of an HTTP/1.1 request instead.

use std::time::Duration;

use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;

use super::streams::Streams;

/// Also bounds the head of an HTTP/1.1 request; a longer one is answered with 431.
const BUFFER: usize = 64 * 1024;
const HEADERS: usize = 64;
const HEADER_LIST: u32 = 16 * 1024;
const STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Streams that the client reset before we took them up: the sign of a rapid reset attack.
const RESETS_PENDING: usize = 20;
/// Resets that the client made us send.
const RESETS_LOCAL: usize = 100;
/// A client that answers no ping for this long is gone.
const PING: Duration = Duration::from_secs(20);

pub(super) fn builder(streams: Streams) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER)
        // Chunks are small: copied together they leave by one plain write, which costs less than a gathering one.
        .writev(false)
        .half_close(false)
        .pipeline_flush(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(BUFFER)
        .max_pending_accept_reset_streams(RESETS_PENDING)
        .max_local_error_reset_streams(RESETS_LOCAL)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}

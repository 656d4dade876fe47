//! How a stream that has begun, and cannot go on, tells its client so: one event that the client's SDK takes for an
//! error. What follows it is the cut, never an end that looks whole.

use bytes::Bytes;
use flate2::Crc;
use serde_json::json;

use super::{Reject, Style, body};
use crate::dialect::Streams;

/// The event, for a stream that is cut this way; `None` where no further document would be understood.
pub fn mid_stream(style: Style, streams: Streams, reject: &Reject, id: &str) -> Option<Bytes> {
    let event = match streams {
        Streams::Events => server_sent(style, reject, id).into_bytes(),
        Streams::Lines => format!("{}\n", body::of(style, reject, id)).into_bytes(),
        Streams::Frames => exception(reject, body::of(style, reject, id).as_bytes()),
        // One more object would be taken for a part of the answer, or break the list around them.
        Streams::Objects => return None,
    };
    Some(event.into())
}

fn server_sent(style: Style, reject: &Reject, id: &str) -> String {
    match style {
        Style::Anthropic => format!("event: error\ndata: {}\n\n", body::of(style, reject, id)),
        // Its streams have no event for errors; the last one says how the answer ended.
        Style::Cohere => {
            let delta = json!({"finish_reason": "ERROR", "error": body::message(reject)});
            format!("event: message-end\ndata: {}\n\n", json!({"type": "message-end", "delta": delta}))
        }
        _ => format!("data: {}\n\n", body::of(style, reject, id)),
    }
}

/// AWS's event stream: lengths and their checksum, headers, payload, checksum of all. Numbers are big-endian.
fn exception(reject: &Reject, payload: &[u8]) -> Vec<u8> {
    let kind = match reject {
        Reject::ShuttingDown => "serviceUnavailableException",
        _ => "modelStreamErrorException",
    };
    let mut headers = Vec::new();
    for (name, value) in
        [(":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")]
    {
        headers.push(name.len() as u8);
        headers.extend_from_slice(name.as_bytes());
        // 7: a string, with its length in two bytes.
        headers.push(7);
        headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    // Two lengths and two checksums of four bytes.
    let total = 16 + headers.len() + payload.len();
    let mut frame = Vec::with_capacity(total);
    frame.extend_from_slice(&(total as u32).to_be_bytes());
    frame.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    frame.extend_from_slice(&checksum(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload);
    let all = checksum(&frame);
    frame.extend_from_slice(&all.to_be_bytes());
    frame
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

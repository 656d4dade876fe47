//! Frames of AWS's event streams, for all benches: nothing here is shared with what reads them.

/// An event of this name.
pub(crate) fn frame(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    for (header, value) in [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")] {
        headers.push(header.len() as u8);
        headers.extend(header.as_bytes());
        headers.push(7);
        headers.extend((value.len() as u16).to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let total = (16 + headers.len() + payload.len()) as u32;
    let mut frame = [total.to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend([headers.as_slice(), payload].concat());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

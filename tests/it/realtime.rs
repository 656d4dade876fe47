//! Sessions over a WebSocket: untouched in both directions, an event for each response, and every ending known.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::world::KEYS;
use crate::support::{Mock, Reply, World, eventually};

const CREATED: &str =
    r#"{"type":"session.created","event_id":"e1","session":{"id":"sess_1","model":"gpt-realtime-2025"}}"#;
const BEGUN: &str = r#"{"type":"response.created","event_id":"e2","response":{"id":"resp_1","status":"in_progress"}}"#;
const DELTA: &str = r#"{"type":"response.output_audio.delta","event_id":"e3","delta":"AAAA"}"#;
const WRITTEN_DOWN: &str = r#"{"type":"conversation.item.input_audio_transcription.completed","transcript":"hi","usage":{"type":"tokens","total_tokens":22,"input_tokens":13,"input_token_details":{"text_tokens":0,"audio_tokens":13},"output_tokens":9}}"#;

fn done(input: u64, output: u64, status: &str) -> String {
    let total = input + output;
    format!(
        r#"{{"type":"response.done","event_id":"e9","response":{{"object":"realtime.response","id":"resp_1","status":"{status}","status_details":null,"usage":{{"total_tokens":{total},"input_tokens":{input},"output_tokens":{output},"input_token_details":{{"text_tokens":1,"audio_tokens":2,"cached_tokens":3}},"output_token_details":{{"text_tokens":1,"audio_tokens":1}}}}}}}}"#
    )
}

/// A frame of a server.
fn frame(kind: u8, text: &[u8]) -> Vec<u8> {
    let mut wire = vec![kind];
    match u8::try_from(text.len()) {
        Ok(short) if short < 126 => wire.push(short),
        _ => {
            wire.push(126);
            wire.extend((text.len() as u16).to_be_bytes());
        }
    }
    wire.extend(text);
    wire
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// A frame of a client, masked.
fn said(kind: u8, text: &[u8]) -> Vec<u8> {
    let key = [7, 250, 1, 99];
    let mut wire = vec![kind, text.len() as u8 | 0x80];
    wire.extend(key);
    wire.extend(text.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    wire
}

/// An upstream that speaks WebSocket: it answers each piece it hears with the next batch, and then does the last thing.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<(String, Vec<u8>)>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Last {
    Close,
    Break,
    Stay,
}

impl Server {
    async fn start(batches: Vec<Vec<u8>>, last: Last) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new((String::new(), Vec::new())));
        let log = Arc::clone(&heard);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let asked = head_of(&mut stream).await;
            log.lock().unwrap().0 = asked;
            let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: realtime\r\n\r\n";
            stream.write_all(agreed.as_bytes()).await.unwrap();
            let mut piece = vec![0; 4096];
            for batch in batches {
                stream.write_all(&batch).await.unwrap();
                let Ok(count @ 1..) = stream.read(&mut piece).await else { return };
                log.lock().unwrap().1.extend(&piece[..count]);
            }
            match last {
                Last::Break => return,
                Last::Close => stream.write_all(&frame(0x88, &[3, 232])).await.unwrap(),
                Last::Stay => {}
            }
            while let Ok(1..) = stream.read(&mut piece).await {}
        });
        Self { address, heard }
    }

    fn world(&self) -> crate::support::world::Builder {
        World::before_url(&format!("http://{}", self.address))
    }
}

async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    String::from_utf8(head).unwrap()
}

/// Opens a session; the stream, and the head of the answer.
async fn open(world: &World, query: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let ask = format!(
        "GET /v1/realtime{query} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n{headers}\r\n",
        world.address
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let head = head_of(&mut stream).await;
    (stream, head)
}

async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).await.expect("every byte");
    assert!(got == bytes, "the bytes differ");
}

/// The session's own event, and those of what happened in it.
fn apart(events: Vec<Value>) -> (Value, Vec<Value>) {
    let (own, parts): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|event| event["data"]["usage"]["source"] == "none");
    assert_eq!(own.len(), 1, "{own:#?}");
    (own[0]["data"].clone(), parts.into_iter().map(|event| event["data"].clone()).collect())
}

/// What the upstream is asked: with its own credential, and nothing of the client's.
fn assert_forwarded(head: &str) {
    for kept in ["authorization: bearer sk-upstream", "sec-websocket-protocol: realtime\r\n"] {
        assert!(head.contains(kept), "{kept} in {head}");
    }
    for stripped in ["sk-good", "openai-project", "permessage-deflate"] {
        assert!(!head.contains(stripped), "{stripped} in {head}");
    }
}

#[tokio::test]
async fn a_session_passes_untouched_and_every_response_leaves_an_event() {
    let first = [text(CREATED), text(BEGUN), text(DELTA), text(WRITTEN_DOWN)].concat();
    let whole = done(100, 20, "completed");
    let (one, two) = whole.as_bytes().split_at(50);
    let second = [frame(0x01, one), frame(0x89, b"ping"), frame(0x80, two)].concat();
    let third = [text(BEGUN), text(DELTA), text(&done(50, 5, "cancelled"))].concat();
    let server = Server::start(vec![first.clone(), second.clone(), third.clone()], Last::Close).await;
    let world = server.world().keys(KEYS).start().await;
    let offers = "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-good, openai-project.p\r\n";
    let (mut stream, head) = open(&world, "?model=gpt-realtime", offers).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for kept in [
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-accept: s3pplm",
        "sec-websocket-protocol: realtime",
    ] {
        assert!(head.to_lowercase().contains(kept), "{kept} in {head}");
    }
    let words = [said(0x81, b"{}"), said(0x81, b"more"), said(0x88, &[3, 232])];
    expect(&mut stream, &first).await;
    stream.write_all(&words[0]).await.unwrap();
    expect(&mut stream, &second).await;
    let committed = world.metric("tollgate_events_total{state=\"committed\"}").await;
    assert!(committed >= 2, "recorded before the client has it: {committed}");
    stream.write_all(&words[1]).await.unwrap();
    expect(&mut stream, &third).await;
    stream.write_all(&words[2]).await.unwrap();
    expect(&mut stream, &frame(0x88, &[3, 232])).await;
    drop(stream);
    let (session, parts) = apart(world.events(4).await);
    let (asked, frames) = server.heard.lock().unwrap().clone();
    assert_eq!(frames, words.concat(), "the client's frames as they were");
    assert_forwarded(&asked.to_lowercase());
    let numbers = |part: &Value| (part["usage"]["input_tokens"].clone(), part["usage"]["output_tokens"].clone());
    let want = [("transcription", 13, 9), ("realtime", 100, 20), ("realtime", 50, 5)];
    assert_eq!(parts.len(), want.len());
    for (part, (operation, input, output)) in parts.iter().zip(want) {
        assert_eq!(part["operation"], operation);
        assert_eq!(numbers(part), (input.into(), output.into()));
        assert_eq!((&part["usage"]["source"], &part["usage"]["complete"]), (&"provider".into(), &true.into()));
        assert_eq!((&part["key_id"], &part["session_id"]), (&"good".into(), &"sess_1".into()));
        assert_eq!(part["request_id"], session["request_id"]);
    }
    assert_eq!(parts[1]["model_served"], "gpt-realtime-2025");
    assert_eq!(parts[1]["usage"]["cache_read_tokens"], 3);
    assert_eq!(
        (&parts[1]["finish_reasons"][0], &parts[2]["finish_reasons"][0]),
        (&"completed".into(), &"cancelled".into())
    );
    assert!(parts[1]["timing"]["first_token_ms"].is_number());
    assert_eq!(
        (&session["outcome"], &session["status"], &session["operation"]),
        (&"ok".into(), &101.into(), &"realtime".into())
    );
    assert_eq!((&session["local"]["input_tokens"], &session["local"]["output_tokens"]), (&163.into(), &34.into()));
    assert_eq!(session["model_requested"], "gpt-realtime");
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_session_and_loses_no_response() {
    let batch = [text(CREATED), text(BEGUN), text(&done(10, 2, "completed")), text(BEGUN), text(DELTA)].concat();
    let server = Server::start(vec![batch.clone()], Last::Stay).await;
    let world = server.world().start().await;
    let (mut stream, _) = open(&world, "?model=m", "").await;
    expect(&mut stream, &batch).await;
    drop(stream);
    let (session, parts) = apart(world.events(2).await);
    assert_eq!((&session["outcome"], &session["error"]), (&"client_disconnect".into(), &"client_left".into()));
    assert_eq!((parts.len(), &parts[0]["usage"]["total_tokens"]), (1, &12.into()));
    world.stop().await;
}

#[tokio::test]
async fn an_upstream_that_breaks_off_is_told_from_one_that_says_farewell() {
    for (last, outcome) in [(Last::Break, "upstream_error"), (Last::Close, "ok")] {
        let server = Server::start(vec![text(CREATED)], last).await;
        let world = server.world().start().await;
        let (mut stream, _) = open(&world, "?model=m", "").await;
        expect(&mut stream, &text(CREATED)).await;
        stream.write_all(&said(0x81, b"hi")).await.unwrap();
        if last == Last::Close {
            expect(&mut stream, &frame(0x88, &[3, 232])).await;
            drop(stream);
        } else {
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        }
        assert_eq!(world.only_event_soon().await["data"]["outcome"], outcome);
    }
}

#[tokio::test]
async fn a_session_that_the_process_cuts_is_interrupted_and_counts_as_a_connection_until_then() {
    let server = Server::start(vec![[text(CREATED), text(&done(10, 2, "completed"))].concat()], Last::Stay).await;
    let world = server.world().start().await;
    let (mut stream, _) = open(&world, "?model=m", "").await;
    expect(&mut stream, &text(CREATED)).await;
    let events = world.finish_unless(std::future::ready(())).await;
    let (session, parts) = apart(events);
    assert_eq!((&session["outcome"], parts.len()), (&"interrupted".into(), 1));
}

#[tokio::test]
async fn an_upstream_that_refuses_the_session_is_heard() {
    let upstream =
        Mock::always(Reply::head(401, "application/json").chunk(r#"{"error":{"code":"invalid_api_key"}}"#).end()).await;
    let world = World::before(&upstream).start().await;
    let (mut stream, head) = open(&world, "?model=m", "Connection: close\r\n").await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    let mut body = Vec::new();
    stream.read_to_end(&mut body).await.unwrap();
    assert!(String::from_utf8_lossy(&body).contains("invalid_api_key"));
    let event = world.only_event().await;
    assert_eq!(
        (&event["data"]["outcome"], &event["data"]["operation"]),
        (&"upstream_error".into(), &"realtime".into())
    );
}

#[tokio::test]
async fn the_guard_stands_before_a_session_too() {
    let upstream = Mock::always(Reply::raw("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")).await;
    let keys = "- id: bound\n  key: sk-bound\n  models: [\"gpt-realtime*\"]\n";
    let world = World::before(&upstream).keys(keys).start().await;
    let key = "Authorization: Bearer sk-bound\r\n";
    let cases = [
        ("?model=gpt-realtime", "", 401),
        ("?model=other", key, 403),
        ("", key, 400),
        ("?model=gpt-realtime&model=other", key, 400),
        ("?model=gpt-realtime&%6dodel=other", key, 400),
        ("?model=gpt-realtime", "Sec-WebSocket-Protocol: openai-insecure-api-key.sk-wrong\r\n", 401),
    ];
    for (query, headers, status) in cases {
        let (_stream, head) = open(&world, query, headers).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{query} {headers} {head}");
    }
    assert!(upstream.asked().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn an_upgrade_that_nobody_takes_up_is_served_as_if_it_had_not_been_asked() {
    let upstream = Mock::always(Reply::head(200, "application/json").chunk("{}").end()).await;
    let world = World::before(&upstream).start().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let ask = "GET /v1/models HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(ask.as_bytes()).await.unwrap();
        let head = head_of(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") && !body.ends_with(b"{}") {
            body.push(stream.read_u8().await.unwrap());
        }
        if body.ends_with(b"{}") && head.to_lowercase().contains("chunked") {
            let mut rest = vec![0; 7];
            stream.read_exact(&mut rest).await.unwrap();
        }
    }
    let asked = eventually("both", || Some(upstream.asked()).filter(|asked| asked.len() == 2)).await;
    assert!(asked.iter().all(|asked| !asked.headers.contains_key("upgrade")));
    world.stop().await;
}

//! The stream passes untouched and undelayed; only its end waits, for the record.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::support::{Mock, Reply, World, chat, copy_tree, eventually};

fn content(word: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"model\":\"gpt-4o\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

const DONE: &str = "data: [DONE]\n\n";

#[tokio::test]
async fn each_piece_arrives_while_the_upstream_is_still_silent_about_the_next() {
    let gate = Arc::new(Notify::new());
    let pieces = ["one", "two", "three"].map(content);
    let reply = pieces
        .iter()
        .fold(Reply::head(200, "text/event-stream"), |reply, piece| reply.chunk(piece).gate(&gate))
        .chunk(DONE)
        .end();
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).start().await;
    let mut got = world.chat(None, &chat(true)).await;
    for piece in &pieces {
        // Would wait for ever if a frame were held until more comes.
        assert_eq!(got.piece().await.unwrap().unwrap(), piece);
        gate.notify_one();
    }
    assert_eq!(got.text().await, DONE);
    world.finish().await;
}

#[tokio::test]
async fn half_an_event_passes_at_once_where_nothing_is_hidden() {
    let gate = Arc::new(Notify::new());
    let piece = content("split");
    let (head, tail) = piece.split_at(20);
    let reply = Reply::head(200, "text/event-stream").chunk(head).gate(&gate).chunk(tail).chunk(DONE).end();
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).upstream("  inject_usage: false\n").start().await;
    let mut got = world.chat(None, &chat(true)).await;
    assert_eq!(got.piece().await.unwrap().unwrap(), head);
    gate.notify_one();
    assert_eq!(got.text().await, format!("{tail}{DONE}"));
    world.finish().await;
}

#[tokio::test]
async fn the_end_of_an_answer_is_released_only_when_its_event_is_recorded() {
    // The file sink is told after the record, so an event in the spool is what is looked for: a copy of the spool,
    // taken when the client has the last byte, is opened as after a crash.
    for stream in [true, false] {
        let whole = r#"{"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
        let reply = if stream { Reply::sse([content("x"), DONE.to_owned()]) } else { Reply::json(200, whole) };
        let upstream = Mock::always(reply).await;
        let world = World::before(&upstream).start().await;
        for _ in 0..20 {
            world.chat(None, &chat(stream)).await.bytes().await;
        }
        let copy = tempfile::tempdir().unwrap();
        copy_tree(&world.dir.path().join("spool"), copy.path());
        let recovered = World::recovered_from(copy.path());
        assert_eq!(recovered, 0, "no completed answer may be found open after a crash");
        world.finish().await;
    }
}

#[tokio::test]
async fn a_killed_process_leaves_what_a_running_answer_had_delivered() {
    let gate = Arc::new(Notify::new());
    let (hello, second) = (content("hello there"), std::time::Duration::from_millis(1_050));
    let reply = Reply::head(200, "text/event-stream").chunk(hello.clone()).gate(&gate);
    let reply = reply.pause(second).chunk(hello).gate(&gate).chunk(DONE).end();
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).start().await;
    let mut got = world.chat(None, &chat(true)).await;
    // The first time as a whole event, a second later as its numbers.
    for (frames, tokens) in [(1, 3), (2, 6)] {
        got.piece().await.unwrap().unwrap();
        // The token does not wait for the note about it, which follows at once.
        let data = eventually("what was delivered stands in the spool", || {
            let copy = tempfile::tempdir().unwrap();
            copy_tree(&world.dir.path().join("spool"), copy.path());
            let mut events = World::events_recovered_from(copy.path());
            assert_eq!((events.len(), &events[0]["data"]["outcome"]), (1, &"interrupted".into()), "{events:?}");
            Some(events.remove(0)["data"].take()).filter(|data| data["delivered"]["content_frames"] == frames)
        })
        .await;
        assert_eq!(data["model_served"], "gpt-4o", "{data}");
        assert_eq!(
            (&data["usage"]["output_tokens"], &data["usage"]["source"]),
            (&tokens.into(), &"estimate".into()),
            "{data}"
        );
        assert!(data["usage"]["complete"] == false && data["timing"]["first_token_ms"].is_number(), "{data}");
        assert_eq!(data["timing"]["inter_token_ms"].is_number(), frames == 2, "{data}");
        gate.notify_one();
    }
    got.text().await;
    let event = world.only_event().await;
    assert_eq!((&event["data"]["outcome"], &event["data"]["flags"].as_array().map(Vec::len)), (&"ok".into(), &Some(1)));
}

#[tokio::test]
async fn the_first_token_is_the_first_content_and_not_the_role() {
    let gate = Arc::new(Notify::new());
    let role =
        r#"data: {"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#
            .to_owned()
            + "\n\n";
    let wait = std::time::Duration::from_millis(120);
    let reply = Reply::head(200, "text/event-stream")
        .chunk(role)
        .pause(wait)
        .chunk(content("a"))
        .chunk(content("b"))
        .chunk(DONE)
        .end();
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).start().await;
    world.chat(None, &chat(true)).await.bytes().await;
    let timing = world.only_event().await["data"]["timing"].clone();
    let of = |name: &str| timing[name].as_f64().unwrap();
    assert!(of("first_token_ms") >= of("first_byte_ms") + 110.0, "{timing}");
    assert!(of("total_ms") >= of("first_token_ms"), "{timing}");
    drop(gate);
}

#[tokio::test]
async fn what_cannot_be_understood_passes_with_a_flag_or_none_but_always_passes() {
    let bytes: Vec<u8> = b"data: {broken\n\nnonsense\xff\xfe\r\rdata: [1,2\n\n".to_vec();
    let upstream = Mock::always(Reply::sse([bytes.clone(), DONE.into()])).await;
    let world = World::before(&upstream).start().await;
    let got = world.chat(None, &chat(true)).await.bytes().await;
    assert_eq!(got, [bytes, DONE.into()].concat());
    let data = world.only_event().await["data"].clone();
    assert_eq!(data["outcome"], "ok");
}

#[tokio::test]
async fn a_line_without_end_passes_and_the_meter_stops_reading_it() {
    let long = format!("data: {}", "x".repeat(600_000));
    let usage =
        "\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\n\n";
    let upstream = Mock::always(Reply::sse([long.clone(), usage.into(), DONE.into()])).await;
    let world = World::before(&upstream).upstream("  inject_usage: false\n").start().await;
    assert_eq!(world.chat(None, &chat(true)).await.bytes().await.len(), long.len() + usage.len() + DONE.len());
    let data = world.only_event().await["data"].clone();
    assert_eq!(data["usage"]["total_tokens"], 3, "metering goes on at the next event");
    assert!(data["flags"].as_array().unwrap().contains(&"meter_truncated".into()), "{data}");
}

#[tokio::test]
async fn a_compressed_answer_passes_untouched_and_says_that_it_was_not_read() {
    let reply = Reply::raw(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x0b\x08\x00",
    );
    let upstream = Mock::always(reply).await;
    let world = World::before(&upstream).start().await;
    assert_eq!(world.chat(None, &chat(false)).await.bytes().await, &b"\x1f\x0b\x08\x00"[..]);
    let asked = upstream.asked()[0].headers.get("accept-encoding").cloned();
    assert!(asked.is_none_or(|coding| coding == "identity"), "the upstream is asked for bytes that can be read");
    let data = world.only_event().await["data"].clone();
    assert!(data["flags"].as_array().unwrap().contains(&"meter_encoded".into()), "{data}");
}

use super::{OpenAi, answer};
use crate::dialect::lenient::PARSED;
use crate::dialect::{Ask, AskError, Dialect, Flags, Reading};

fn ask(body: &str) -> Result<Ask, AskError> {
    OpenAi.read_request("/v1/chat/completions", body.as_bytes())
}

fn read(payloads: &[&str]) -> Reading {
    let mut reading = Reading::default();
    for payload in payloads {
        OpenAi.read_answer(payload.as_bytes().into(), &mut reading);
    }
    reading
}

fn text(reading: &Reading) -> &str {
    std::str::from_utf8(reading.escaped_text()).unwrap()
}

/// A chunk as most providers send it, with this delta.
fn chunk(delta: &str) -> String {
    format!(r#"{{"id":"1","model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}],"usage":null}}"#)
}

#[test]
fn a_request_says_what_it_asks_for() {
    let asked = ask(r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"max_tokens":10,
        "max_completion_tokens":20,"n":3,"temperature":0.5,"top_p":0.9,"user":"u","messages":["12345"],"x":{}}"#);
    let want = Ask {
        model: Some("gpt-4o".to_owned()),
        stream: true,
        wants_usage: true,
        max_tokens: Some(20),
        choices: 3,
        temperature: Some(0.5),
        top_p: Some(0.9),
        end_user: Some("u".to_owned()),
        input_bytes: 9,
    };
    assert_eq!(asked, Ok(want.clone()));
    assert_eq!((want.most_output_tokens(), want.input_tokens_estimate()), (Some(60), 3));
}

#[test]
fn odd_types_of_what_is_only_reported_do_not_fail_a_request() {
    let asked = ask(r#"{"model":"m","temperature":"0.5","top_p":[],"max_tokens":"many","n":null,"user":7,
        "stream":0,"stream_options":"x"}"#)
    .unwrap();
    let want = Ask { model: Some("m".to_owned()), choices: 1, ..Ask::default() };
    assert_eq!(asked, want);
}

#[test]
fn a_request_without_json_or_model_is_refused() {
    for body in ["", "x", "{", "{\"model\":\"a\"} x", r#"["model"]"#, r#"{"model":"a","model":"b"}"#] {
        assert_eq!(ask(body), Err(AskError::NotJson), "{body}");
    }
    for body in ["{}", r#"{"model":null}"#, r#"{"model":""}"#, r#"{"model":7}"#, r#"{"x":{"model":"m"}}"#] {
        assert_eq!(ask(body), Err(AskError::NoModel), "{body}");
    }
    assert_eq!(ask(&"[".repeat(1_000_000)), Err(AskError::NotJson));
    let deep = format!(r#"{{"x":{}{},"model":"m"}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(ask(&deep).unwrap().model.as_deref(), Some("m"), "what is skipped may be deep");
}

#[test]
fn azure_names_the_model_in_the_path_and_the_body_does_not_count() {
    let path = "/openai/deployments/my-gpt/chat/completions";
    for body in ["{}", r#"{"model":"other"}"#] {
        assert_eq!(OpenAi.read_request(path, body.as_bytes()).unwrap().model.as_deref(), Some("my-gpt"));
    }
}

#[test]
fn embedded_files_are_not_taken_for_text() {
    let body = format!(
        r#"{{"model":"m","messages":[{{"image_url":"data:image/png;base64,{}"}},"text"]}}"#,
        "A".repeat(50_000)
    );
    assert!(ask(&body).unwrap().input_bytes < 100);
}

#[test]
fn the_first_content_is_not_the_role_nor_an_empty_delta() {
    let cases = [
        (r#"{"role":"assistant","content":""}"#, false),
        (r#"{"role":"assistant","content":null,"reasoning_content":null}"#, false),
        ("{}", false),
        (r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}"#, false),
        (r#"{"content" : "x"}"#, true),
        (r#"{"reasoning_content":"x"}"#, true),
        (r#"{"reasoning":"x"}"#, true),
        (r#"{"refusal":"x"}"#, true),
        (r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#, true),
        (r#"{"function_call":{"arguments":"{"}}"#, true),
        (r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"x"}]}]}"#, true),
        (r#"{"audio":{"data":"AAA="}}"#, true),
        (r#"{"content":"\"usage\":{}"}"#, true),
    ];
    for (delta, want) in cases {
        let chunk = chunk(delta);
        assert_eq!(read(&[&chunk]).had_content, want, "parsed: {delta}");
        let seen = read(&[&chunk, &chunk]);
        assert_eq!(seen.had_content, want, "at a glance: {delta}");
        assert_eq!(seen.flags(), Flags::default());
        assert!(!read(&[&chunk, "[DONE]"]).had_content, "it is about the last payload only");
    }
}

#[test]
fn a_glance_gathers_the_same_text_as_a_full_parse() {
    let deltas = [
        r#"{"content":"a\"b\n"}"#,
        r#"{"reasoning_content":"c","reasoning":"c"}"#,
        r#"{"tool_calls":[{"function":{"name":"f","arguments":"{\"x\":1}"}},{"function":{"arguments":"2"}}]}"#,
        r#"{"content":"\ud83d"}"#,
        r#"{"content":"\ude00 \"delta\":{\"content\":\"no\"}"}"#,
    ];
    let chunks: Vec<_> = deltas.map(chunk).into();
    let glanced = read(&chunks.iter().map(String::as_str).collect::<Vec<_>>());
    let mut parsed = Reading::default();
    for chunk in &chunks {
        answer::read(chunk.as_bytes(), &mut parsed);
    }
    assert_eq!((text(&glanced), &glanced.model_served), (text(&parsed), &parsed.model_served));
    let want = r#"a\"b\ncf{\"x\":1}2\ud83d\ude00 \"delta\":{\"content\":\"no\"}"#;
    assert_eq!(text(&glanced), want);
}

#[test]
fn the_model_is_found_at_a_glance_where_there_is_no_doubt_which_it_is() {
    let with = |model: &str| chunk(r#"{"role":"assistant","content":"a"}"#).replace(r#""model":"m""#, model);
    for (model, parses) in [
        (r#""model":"m""#, 0),
        (r#""model" : "m""#, 0),
        (r#""other":{"model":"x"},"model":"m""#, 1),
        (r#""model":"\u006d""#, 1),
    ] {
        let before = PARSED.get();
        let reading = read(&[&with(model)]);
        assert_eq!((reading.model_served.as_deref(), PARSED.get() - before), (Some("m"), parses), "{model}");
        assert_eq!((text(&reading), reading.had_content, reading.flags()), ("a", true, Flags::default()), "{model}");
    }
    assert_eq!(read(&[&with(r#""model":"""#), &with(r#""model":"m""#)]).model_served.as_deref(), Some("m"));
    assert_eq!(read(&[&with(r#""x":1"#)]).model_served, None);
}

#[test]
fn only_a_chunk_without_choices_and_with_usage_is_the_one_that_was_asked_for() {
    let cases = [
        (r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, true),
        (r#"{"choices": [ ], "usage" : {}}"#, true),
        (r#"{"choices":[],"usage":null}"#, false),
        (r#"{"choices":[]}"#, false),
        (r#"{"usage":{"prompt_tokens":1}}"#, false),
        (r#"{"choices":null,"usage":{"prompt_tokens":1}}"#, false),
        (r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}"#, false),
        (r#"{"choices":[],"usage":{"prompt_tokens":1},"error":{"code":"x"}}"#, false),
        ("[DONE]", false),
        ("\"usage\"", false),
    ];
    for (chunk, want) in cases {
        assert_eq!(read(&[chunk]).usage_alone, want, "{chunk}");
        assert!(!read(&[chunk, "[DONE]"]).usage_alone, "it is about the last payload only");
    }
}

#[test]
fn completions_carry_their_text_beside_the_choice() {
    let chunk = r#"{"model":"m","choices":[{"text":"ab","index":0,"finish_reason":null}]}"#;
    let reading = read(&[chunk, chunk]);
    assert_eq!((text(&reading), reading.had_content), ("abab", true));
}

#[test]
fn usage_is_found_wherever_a_provider_puts_it() {
    let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#;
    let cases = [
        format!(r#"{{"model":"m","choices":[],{usage}}}"#),
        format!(r#"{{"model":"m","choices":[{{"delta":{{"content":"x"}}}}],{usage}}}"#),
        format!(r#"{{"model":"m","choices":[{{"delta":{{}}}}],{usage}}}"#),
        format!(r#"{{"model":"m","choices":[{{"delta":{{}},"finish_reason":"stop",{usage}}}]}}"#),
        format!(r#"{{"model":"m","choices":[{{"delta":{{}}}}],"x_groq":{{"id":"r",{usage}}}}}"#),
        format!(r#"{{"model":"m","choices":"odd",{usage}}}"#),
    ];
    for last in cases {
        let usage = read(&[&chunk("{}"), &last, "[DONE]"]).usage().unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(3), Some(4)), "{last}");
    }
}

#[test]
fn a_later_null_or_absent_usage_erases_nothing_and_a_zero_is_kept() {
    let with = |usage: &str| format!(r#"{{"model":"m","choices":[],"usage":{usage}}}"#);
    let counted = with(r#"{"prompt_tokens":3,"completion_tokens":4,"prompt_tokens_details":null}"#);
    for last in [with("null"), with("{}"), with("7"), chunk("{}")] {
        let usage = read(&[&counted, &last]).usage().unwrap();
        assert_eq!(
            (usage.input_tokens, usage.total_tokens, usage.cache_read_tokens),
            (Some(3), Some(7), None),
            "{last}"
        );
    }
    let zero = read(&[&with(r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#)]).usage().unwrap();
    assert_eq!((zero.input_tokens, zero.output_tokens, zero.total_tokens), (Some(0), Some(0), Some(0)));
}

#[test]
fn parts_are_found_under_every_name_that_providers_use() {
    let parts = |more: &str| {
        let usage = read(&[&format!(
            r#"{{"usage":{{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,{more}}}}}"#
        )])
        .usage()
        .unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(100), Some(50)), "{more}");
        (usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens)
    };
    let cases = [
        (r#""prompt_tokens_details":{"cached_tokens":7,"cache_write_tokens":2}"#, (Some(7), Some(2), None)),
        (r#""prompt_token_details":{"cached_tokens":7}"#, (Some(7), None, None)),
        (r#""prompt_tokens_details":{"cached_tokens":0},"cached_tokens":7"#, (Some(7), None, None)),
        (r#""num_cached_tokens":7"#, (Some(7), None, None)),
        (r#""prompt_cache_hit_tokens":7,"prompt_cache_miss_tokens":93"#, (Some(7), None, None)),
        (r#""prompt_tokens_details":{"cache_creation_input_tokens":5}"#, (None, Some(5), None)),
        (r#""cache_read_input_tokens":7,"cache_creation_input_tokens":0"#, (Some(7), Some(0), None)),
        (r#""completion_tokens_details":{"reasoning_tokens":9}"#, (None, None, Some(9))),
        (r#""reasoning_tokens":0"#, (None, None, Some(0))),
        (r#""completion_tokens_details":"","prompt_tokens_details":[5]"#, (None, None, None)),
    ];
    for (more, want) in cases {
        assert_eq!(parts(more), want, "{more}");
    }
}

#[test]
fn embeddings_report_input_and_no_output() {
    let answer = r#"{"object":"list","data":[{"embedding":[0.1,-0.2]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    let usage = read(&[answer]).usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (Some(8), None, Some(8)));
}

#[test]
fn raw_usage_is_kept_unless_it_is_too_long() {
    let answer = |more: &str| format!("{{\"usage\": {{\n  \"prompt_tokens\": 3,\n  \"x\": \"{more}\"\n}}}}");
    let usage = read(&[&answer("a b")]).usage().unwrap();
    assert_eq!(usage.raw.unwrap().get(), r#"{"prompt_tokens":3,"x":"a b"}"#);
    let reading = read(&[&answer(&"y".repeat(5000))]);
    assert!(reading.usage().unwrap().raw.is_none());
    assert!(reading.flags().contains(Flags::RAW_OMITTED));
}

#[test]
fn finish_reasons_model_and_the_end_are_noted() {
    let finish =
        |reason: &str| format!(r#"{{"model":"late","choices":[{{"delta":{{}},"finish_reason":"{reason}"}}]}}"#);
    let empty = r#"{"model":"","choices":[]}"#;
    let reading = read(&[empty, &chunk("{}"), &finish("length"), &finish("length"), &finish("stop"), " [DONE]\n"]);
    assert_eq!(reading.finish_reasons, ["length", "stop"]);
    assert_eq!(reading.model_served.as_deref(), Some("m"));
    assert!(reading.done);
    assert!(!read(&[&finish("stop")]).done, "a missing [DONE] is not made up");
}

#[test]
fn an_error_in_the_answer_is_noted_by_its_code() {
    let cases = [
        (r#"{"error":{"message":"m","type":"server_error","code":"overloaded"}}"#, "overloaded"),
        (r#"{"error":{"message":"m","type":"server_error","code":null}}"#, "server_error"),
        (r#"{"error":{"message":"m","code":429}}"#, "429"),
        (r#"{"error":"the prompt was: secret"}"#, "error"),
        (r#"{"model":"m","x_groq":{"error":{"type":"over_capacity"}}}"#, "over_capacity"),
    ];
    for (payload, code) in cases {
        assert_eq!(read(&[&chunk("{}"), payload]).error.as_deref(), Some(code), "{payload}");
    }
    assert_eq!(read(&[r#"{"model":"m","error":null}"#]).error, None);
}

#[test]
fn what_cannot_be_understood_is_flagged_and_costs_nothing_else() {
    let usage = r#"{"model":"m","usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
    let twice = r#"{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2}}"#;
    for odd in ["{", "not json", "[1]", "\u{1}", twice, r#"{"model":"m","choices":7}"#] {
        let reading = read(&[usage, odd]);
        assert!(reading.flags().contains(Flags::METER_ERROR), "{odd}");
        assert_eq!(reading.usage().unwrap().input_tokens, Some(3), "{odd}");
    }
    let mut reading = Reading::default();
    OpenAi.read_answer(b"{\"model\":\"\xff\",\"choices\":[]}".as_slice().into(), &mut reading);
    assert!(reading.flags().contains(Flags::METER_ERROR));
    OpenAi.read_answer(b"[".repeat(1_000_000).as_slice().into(), &mut reading);
    assert!(read(&[""]).flags() == Flags::default());
}

#[test]
fn a_cost_that_the_provider_states_is_noted() {
    let cost = |cost: &str| read(&[&format!(r#"{{"usage":{{"prompt_tokens":1,"cost":{cost}}}}}"#)]).provider_cost;
    assert_eq!(cost("0.000125").map(|cost| cost.0), Some(125_000));
    assert_eq!(cost(r#"{"total_cost":1}"#).map(|cost| cost.0), Some(1_000_000_000));
    assert_eq!(cost(r#"{"request_cost":1}"#), None);
}

#[test]
fn a_plain_whole_answer_is_read_as_the_full_parse_reads_it() {
    let plain = r#"{"id":"x","model":"m","choices":[{"index":0,"message":{"content":"hi \" é"},"finish_reason":"stop"},
        {"message":{},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7},"error":null}"#;
    let (mut quick, mut full) = (Reading::default(), Reading::default());
    assert!(super::whole::read(plain.as_bytes(), &mut quick));
    super::answer::read(plain.as_bytes(), &mut full);
    assert_eq!(format!("{quick:?}"), format!("{full:?}"));
    assert_eq!(quick.finish_reasons, ["stop", "length"]);
}

#[test]
fn whatever_is_not_plain_is_left_to_the_full_parse() {
    let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":4}"#;
    for odd in [
        format!(r#"{{"model":"m","choices":[{{"message":{{}},"finish_reason":"stop"}}],{usage},"error":{{}}}}"#),
        format!(r#"{{"model":"m","choices":[{{"message":{{}},"finish_reason":null}}],{usage}}}"#),
        format!(r#"{{"model":7,"choices":[{{"message":{{}},"finish_reason":"stop"}}],{usage}}}"#),
        r#"{"model":"m","choices":[{"message":{},"finish_reason":"stop"}],"usage":null}"#.to_owned(),
        r#"{"model":"m","choices":[{"message":{},"finish_reason":"stop"}],"usage":{}}"#.to_owned(),
        r#"{"model":"m","choices":[{"message":{},"finish_reason":"stop"}]}"#.to_owned(),
        format!(r#"["message","m",{usage}]"#),
    ] {
        let mut reading = Reading::default();
        assert!(!super::whole::read(odd.as_bytes(), &mut reading), "{odd}");
        assert!(reading.finish_reasons.is_empty() && reading.model_served.is_none(), "{odd}");
    }
}

use http::Method;

use crate::config::DialectChoice;
use crate::dialect::{AskError, Flags, Operation, Reading, Route, route};

const PATH: &str = "/v1beta/models/gemini-2.5-flash:streamGenerateContent";

fn of(path: &str) -> Route {
    route(DialectChoice::Auto, &Method::POST, path)
}

fn read_by(path: &str, payloads: &[&str]) -> (Reading, Vec<bool>) {
    let (mut reading, dialect) = (Reading::default(), of(path).dialect);
    let contents = payloads.iter().map(|payload| {
        dialect.read_answer(payload.as_bytes().into(), &mut reading);
        reading.had_content
    });
    let contents = contents.collect();
    (reading, contents)
}

fn read(payloads: &[&str]) -> (Reading, Vec<bool>) {
    read_by(PATH, payloads)
}

#[test]
fn the_method_in_the_path_chooses_dialect_and_operation() {
    let vertex = "/v1/projects/p/locations/l/publishers/google/models";
    let cases = [
        (PATH.to_owned(), "google.generate_content", Operation::Chat),
        (format!("{vertex}/gemini-2.5-pro:generateContent"), "google.generate_content", Operation::Chat),
        ("/v1/models/text-embedding-004:embedContent".into(), "google.embed_content", Operation::Embeddings),
        ("/v1/models/m:batchEmbedContents".into(), "google.embed_content", Operation::Embeddings),
        (format!("{vertex}/text-embedding-005:predict"), "google.embed_content", Operation::Embeddings),
        (format!("{vertex}/imagen-4.0:predict"), "unknown", Operation::Other),
        (format!("{vertex}/gemini-2.5-pro:countTokens"), "google.count_tokens", Operation::CountTokens),
        ("/v1/models/gemini:batchGenerateContent".into(), "unknown", Operation::Other),
        ("/v1beta/openai/chat/completions".into(), "openai.chat", Operation::Chat),
    ];
    for (path, name, operation) in cases {
        assert_eq!((of(&path).name(), of(&path).operation), (name, operation), "{path}");
    }
}

#[test]
fn a_request_is_read_from_path_and_body_in_either_spelling() {
    let body = r#"{"contents":[{"parts":[{"text":"hi"},{"inlineData":{"mimeType":"a/b","data":"FILE"}}]}],
        "generationConfig":{"maxOutputTokens":100,"candidateCount":2,"temperature":0.5,"topP":0.9}}"#;
    let body = body.replace("FILE", &"AAAA".repeat(1000));
    let ask = of(PATH).dialect.read_request(PATH, body.as_bytes()).unwrap();
    assert_eq!((ask.model.as_deref(), ask.stream, ask.wants_usage), (Some("gemini-2.5-flash"), true, true));
    assert_eq!((ask.most_output_tokens(), ask.temperature, ask.top_p), (Some(200), Some(0.5), Some(0.9)));
    assert_eq!(ask.input_bytes, 75 - 4, "without the file");

    let whole = "/v1/models/gemini:generateContent";
    let snake = br#"{"system_instruction":{"parts":[]},"generation_config":{"max_output_tokens":7}}"#;
    let ask = of(whole).dialect.read_request(whole, snake).unwrap();
    assert_eq!((ask.stream, ask.max_tokens, ask.choices, ask.input_bytes), (false, Some(7), 1, 12));

    let twice = br#"{"generationConfig":{},"generation_config":{"maxOutputTokens":7}}"#;
    assert_eq!(of(whole).dialect.read_request(whole, twice), Err(AskError::NotJson));
    assert_eq!(of(whole).dialect.read_request(whole, b"[]"), Err(AskError::NotJson));
}

#[test]
fn usage_is_cumulative_and_the_last_report_counts() {
    let (reading, contents) = read(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"think","thought":true}],"role":"model"}}],
            "usageMetadata":{"trafficType":"ON_DEMAND"},"modelVersion":"gemini-2.5-flash-001"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"one"}]}}],"usageMetadata":{"promptTokenCount":9,
            "candidatesTokenCount":1,"totalTokenCount":10}}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":" two"}]},"finishReason":"STOP"}],"usageMetadata":
            {"promptTokenCount":9,"candidatesTokenCount":3,"thoughtsTokenCount":40,"totalTokenCount":52}}"#,
    ]);
    let usage = reading.usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (Some(9), Some(43), Some(52)));
    assert_eq!(usage.reasoning_tokens, Some(40));
    assert!(usage.raw.unwrap().get().starts_with("{\"promptTokenCount\":9,\"candidatesTokenCount\":3"));
    assert_eq!(reading.model_served.as_deref(), Some("gemini-2.5-flash-001"));
    assert_eq!((reading.finish_reasons.as_slice(), reading.done), (&["STOP".to_owned()][..], false));
    assert_eq!((reading.escaped_text(), contents), (&b"thinkone two"[..], vec![true, true, true]));
    assert_eq!(reading.flags(), Flags::default());
}

#[test]
fn calls_code_and_pictures_are_content_and_signatures_and_results_are_not() {
    let part = |part: &str| format!(r#"{{"candidates":[{{"content":{{"parts":[{part}]}}}}]}}"#);
    let parts = [
        part(r#"{"functionCall":{"name":"weather","args":{"city":"Ulm"}},"thoughtSignature":"AAAA"}"#),
        part(r#"{"functionCall":{"name":"now"}}"#),
        part(
            r#"{"functionCall":{"partialArgs":[{"jsonPath":"$.a","stringValue":"x\"y","willContinue":true},{"jsonPath":"$.b","numberValue":7}],"willContinue":true}}"#,
        ),
        part(r#"{"executableCode":{"language":"PYTHON","code":"print(1)"}}"#),
        part(r#"{"inlineData":{"mimeType":"image/png","data":"AAAA"}}"#),
        part(r#"{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1"}}"#),
        part(r#"{"functionCall":{}}"#),
        part(r#"{"text":"","thoughtSignature":"AAAA"}"#),
    ];
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (reading, contents) = read(&parts);
    assert_eq!(contents, [true, true, true, true, true, false, false, false]);
    let text = String::from_utf8_lossy(reading.escaped_text()).into_owned();
    assert_eq!(text, r#"weather{"city":"Ulm"}nowx\"y7print(1)"#);
}

#[test]
fn every_candidates_reason_is_told_and_so_is_that_of_a_blocked_prompt() {
    let two = r#"{"candidates":[{"finishReason":"MAX_TOKENS"},{"finishReason":"FINISH_REASON_UNSPECIFIED"},{"finishReason":"SAFETY"}]}"#;
    assert_eq!(read(&[two]).0.finish_reasons, ["MAX_TOKENS", "SAFETY"]);
    let blocked = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":5,
        "totalTokenCount":5},"modelVersion":"g"}"#;
    let (reading, contents) = read(&[blocked]);
    assert_eq!((reading.finish_reasons.as_slice(), contents), (&["PROHIBITED_CONTENT".to_owned()][..], vec![false]));
    let usage = reading.usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (Some(5), Some(0)));
}

#[test]
fn the_end_of_a_list_is_the_end_and_a_whole_list_is_read_through() {
    let chunk =
        r#"{"candidates":[],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"totalTokenCount":3}}"#;
    let (reading, _) = read(&[chunk, "]"]);
    assert!(reading.done && reading.has_usage());
    assert!(read(&["[DONE]"]).0.done);
    let refused = "[{\n  \"error\": {\"code\": 429, \"message\": \"secret\", \"status\": \"RESOURCE_EXHAUSTED\"}\n}\n]";
    let (reading, _) = read(&[chunk, refused]);
    assert_eq!((reading.error.as_deref(), reading.done), (Some("RESOURCE_EXHAUSTED"), false));
    assert_eq!(read(&[r#"{"error":{"code":500,"message":"x"}}"#]).0.error.as_deref(), Some("500"));
    assert_eq!(read(&[r#"{"error":"x"}"#]).0.error.as_deref(), Some("error"));
}

#[test]
fn odd_parts_cost_their_own_facts_only() {
    let odd = r#"{"candidates":[{"content":"x","finishReason":"STOP"},{"content":{"parts":[{"text":"a"},{"text":7}]},
        "finishReason":"MAX_TOKENS"},7],"usageMetadata":{"promptTokenCount":"many","candidatesTokenCount":2.0},"modelVersion":"g"}"#;
    let (reading, contents) = read(&[odd]);
    assert_eq!((reading.finish_reasons.as_slice(), contents), (&["MAX_TOKENS".to_owned()][..], vec![true]));
    assert_eq!(reading.usage().unwrap().output_tokens, Some(2));
    assert_eq!(reading.model_served.as_deref(), Some("g"));
    assert!(reading.flags().contains(Flags::METER_ERROR));
    let nulls = r#"{"candidates":[{"content":{"parts":null},"finishReason":null},{"content":null}],"usageMetadata":{},
        "promptFeedback":null,"modelVersion":null}"#;
    assert_eq!(read(&[nulls]).0.flags(), Flags::default());
    for (payload, flags) in
        [("", Flags::default()), ("{", Flags::METER_ERROR), ("x", Flags::METER_ERROR), ("[", Flags::METER_ERROR)]
    {
        assert_eq!(read(&[payload]).0.flags(), flags, "{payload}");
    }
}

#[test]
fn embeddings_report_their_input_by_either_method() {
    let gemini = r#"{"embedding":{"values":[0.1]},"usageMetadata":{"promptTokenCount":6,"totalTokenCount":6}}"#;
    let (reading, _) = read_by("/v1beta/models/gemini-embedding-001:embedContent", &[gemini]);
    let usage = reading.usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (Some(6), None, Some(6)));

    let vertex = "/v1/projects/p/locations/l/publishers/google/models/text-embedding-005:predict";
    let one = r#"{"predictions":[{"embeddings":{"values":[0.1],"statistics":{"truncated":false,"token_count":4}}}],
        "metadata":{"billableCharacterCount":11}}"#;
    let usage = read_by(vertex, &[one]).0.usage().unwrap();
    assert_eq!((usage.input_tokens, usage.raw.unwrap().get()), (Some(4), r#"{"truncated":false,"token_count":4}"#));
    let two = r#"{"predictions":[{"embeddings":{"statistics":{"token_count":4}}},{"embeddings":{"statistics":{"tokenCount":3.0}}}]}"#;
    let usage = read_by(vertex, &[two]).0.usage().unwrap();
    assert_eq!((usage.input_tokens, usage.raw.unwrap().get()), (Some(7), r#"[{"token_count":4},{"tokenCount":3.0}]"#));
    for silent in [r#"{"predictions":[]}"#, r#"{"predictions":[{"embeddings":{"values":[]}}]}"#, r#"{"embedding":{}}"#]
    {
        assert!(read_by(vertex, &[silent]).0.usage().is_none(), "{silent}");
    }
}

#[test]
fn counting_tokens_spends_none() {
    let path = "/v1beta/models/gemini-2.5-pro:countTokens";
    let counted = r#"{"totalTokens":31,"promptTokensDetails":[{"modality":"TEXT","tokenCount":31}]}"#;
    let (reading, _) = read_by(path, &[counted]);
    assert!(reading.usage().is_none() && reading.flags() == Flags::default());
    assert_eq!(of(path).dialect.read_request(path, b"{}").unwrap().model.as_deref(), Some("gemini-2.5-pro"));
}

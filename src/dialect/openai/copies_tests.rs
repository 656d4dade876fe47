//! What the providers that copy OpenAI's chat do otherwise, by answers as they send them.

use super::OpenAi;
use crate::dialect::{Dialect, Flags, Reading};

fn read(payloads: &[&str]) -> Reading {
    let mut reading = Reading::default();
    for payload in payloads {
        OpenAi.read_answer(payload.as_bytes().into(), &mut reading);
    }
    reading
}

/// Input, output, total, read from the cache, reasoning.
type Numbers = (Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<u64>);

fn numbers(reading: &Reading) -> Numbers {
    let usage = reading.usage().unwrap();
    let counts = (usage.input_tokens, usage.output_tokens, usage.total_tokens);
    (counts.0, counts.1, counts.2, usage.cache_read_tokens, usage.reasoning_tokens)
}

#[test]
fn azure_begins_with_a_filter_result_that_names_no_model() {
    let first = r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,
        "content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}"#;
    let role = r#"{"choices":[{"content_filter_results":{},"delta":{"content":"","refusal":null,"role":"assistant"},
        "finish_reason":null,"index":0,"logprobs":null}],"created":1,"id":"c","model":"gpt-4o-2024-08-06","usage":null}"#;
    let text = r#"{"choices":[{"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}},"delta":{"content":"Hi"},
        "finish_reason":null,"index":0}],"created":1,"id":"c","model":"gpt-4o-2024-08-06","usage":null}"#;
    let begun = read(&[first, role]);
    assert!(!begun.had_content);
    let reading = read(&[first, role, text]);
    assert_eq!((reading.model_served.as_deref(), reading.had_content), (Some("gpt-4o-2024-08-06"), true));
    assert_eq!(reading.flags(), Flags::default());
}

#[test]
fn xai_counts_reasoning_outside_its_completion() {
    let last = r#"{"id":"x","object":"chat.completion.chunk","model":"grok-4","choices":[],"usage":{"prompt_tokens":32,
        "completion_tokens":9,"total_tokens":229,"prompt_tokens_details":{"text_tokens":32,"audio_tokens":0,"image_tokens":0,
        "cached_tokens":6},"completion_tokens_details":{"reasoning_tokens":188,"audio_tokens":0,
        "accepted_prediction_tokens":0,"rejected_prediction_tokens":0},"num_sources_used":0}}"#;
    assert_eq!(numbers(&read(&[last])), (Some(32), Some(197), Some(229), Some(6), Some(188)));
}

#[test]
fn deepseek_says_hits_and_misses_of_its_cache() {
    let last = r#"{"id":"d","model":"deepseek-reasoner","choices":[{"index":0,"delta":{"content":"","reasoning_content":null},
        "finish_reason":"stop"}],"usage":{"prompt_tokens":339,"completion_tokens":92,"total_tokens":431,
        "prompt_tokens_details":{"cached_tokens":320},"completion_tokens_details":{"reasoning_tokens":48},
        "prompt_cache_hit_tokens":320,"prompt_cache_miss_tokens":19}}"#;
    assert_eq!(numbers(&read(&[last])), (Some(339), Some(92), Some(431), Some(320), Some(48)));
}

#[test]
fn groq_has_the_usage_of_a_stream_in_a_field_of_its_own() {
    let last = r#"{"id":"g","model":"llama-3.3","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{
        "id":"req_1","usage":{"queue_time":0.1,"prompt_tokens":18,"prompt_time":0.01,"completion_tokens":439,
        "completion_time":0.6,"total_tokens":457,"total_time":0.7,"completion_tokens_details":{"reasoning_tokens":71}}}}"#;
    assert_eq!(numbers(&read(&[last])), (Some(18), Some(439), Some(457), None, Some(71)));
}

#[test]
fn perplexity_repeats_usage_counts_searches_and_says_its_price_as_an_object() {
    let chunk = |output: u64| {
        format!(
            r#"{{"id":"p","model":"sonar-pro","choices":[{{"index":0,"delta":{{"role":"assistant","content":"x"}},"finish_reason":null}}],
            "usage":{{"prompt_tokens":9,"completion_tokens":{output},"total_tokens":{},"search_context_size":"low",
            "num_search_queries":2,"cost":{{"input_tokens_cost":0.00003,"output_tokens_cost":0.001,"request_cost":0.006,
            "total_cost":0.007}}}}}}"#,
            9 + output
        )
    };
    let reading = read(&[&chunk(1), &chunk(2), &chunk(73)]);
    assert_eq!(numbers(&reading), (Some(9), Some(73), Some(82), None, None));
    assert_eq!(reading.usage().unwrap().searches, Some(2));
    assert_eq!(reading.provider_cost.map(|cost| cost.0), Some(7_000_000));
}

#[test]
fn moonshot_has_usage_in_the_choice() {
    let last = r#"{"id":"m","model":"kimi-k2","choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{
        "prompt_tokens":19,"completion_tokens":13,"total_tokens":32,"cached_tokens":10}}]}"#;
    assert_eq!(numbers(&read(&[last])), (Some(19), Some(13), Some(32), Some(10), None));
}

#[test]
fn alibaba_says_what_it_wrote_to_its_cache() {
    let last = r#"{"model":"qwen-plus","choices":[],"usage":{"prompt_tokens":3019,"completion_tokens":104,"total_tokens":3123,
        "prompt_tokens_details":{"cached_tokens":0,"cache_creation_input_tokens":2048,"cache_type":"ephemeral",
        "cache_creation":{"ephemeral_5m_input_tokens":2048}}}}"#;
    assert_eq!(numbers(&read(&[last])), (Some(3019), Some(104), Some(3123), Some(0), None));
    assert_eq!(read(&[last]).usage().unwrap().cache_write_tokens, Some(2048));
}

#[test]
fn cerebras_sends_its_times_beside_usage() {
    let last = r#"{"id":"c","choices":[{"delta":{},"finish_reason":"stop","index":0}],"model":"gpt-oss-120b","usage":{
        "prompt_tokens":74,"completion_tokens":41,"total_tokens":115,"completion_tokens_details":{
        "accepted_prediction_tokens":0},"prompt_tokens_details":{"cached_tokens":0}},
        "time_info":{"queue_time":0.0001,"completion_time":0.02}}"#;
    assert_eq!(numbers(&read(&[last])), (Some(74), Some(41), Some(115), Some(0), None));
}

#[test]
fn openrouter_states_what_it_charges_and_may_fail_in_the_stream() {
    let last = r#"{"id":"gen-1","provider":"Anthropic","model":"anthropic/claude","choices":[{"index":0,"delta":{"role":"assistant",
        "content":""},"finish_reason":null}],"usage":{"prompt_tokens":194,"completion_tokens":2,"total_tokens":196,
        "cost":0.95,"is_byok":false,"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":100},
        "cost_details":{"upstream_inference_cost":null},"completion_tokens_details":{"reasoning_tokens":0}}}"#;
    let reading = read(&[last]);
    assert_eq!(numbers(&reading), (Some(194), Some(2), Some(196), Some(0), Some(0)));
    assert_eq!(reading.usage().unwrap().cache_write_tokens, Some(100));
    assert_eq!(reading.provider_cost.map(|cost| cost.0), Some(950_000_000));
    let failed = r#"{"id":"gen-1","model":"m","error":{"code":502,"message":"secret"},"choices":[{"index":0,
        "delta":{"content":""},"finish_reason":"error"}]}"#;
    let reading = read(&[failed]);
    assert_eq!((reading.error.as_deref(), &*reading.finish_reasons), (Some("502"), &["error".to_owned()][..]));
}

#[test]
fn vllm_may_report_as_it_goes_and_the_last_report_counts() {
    let chunk = |output: u64| {
        format!(
            r#"{{"id":"v","model":"qwen","choices":[{{"index":0,"delta":{{"content":"x"}},"finish_reason":null}}],
            "usage":{{"prompt_tokens":7,"total_tokens":{},"completion_tokens":{output}}}}}"#,
            7 + output
        )
    };
    let last = r#"{"id":"v","model":"qwen","choices":[],"usage":{"prompt_tokens":7,"total_tokens":17,"completion_tokens":10,"prompt_tokens_details":null}}"#;
    assert_eq!(numbers(&read(&[&chunk(1), &chunk(2)])), (Some(7), Some(2), Some(9), None, None));
    assert_eq!(numbers(&read(&[&chunk(1), &chunk(10), last])), (Some(7), Some(10), Some(17), None, None));
}

#[test]
fn llama_cpp_has_numbers_of_its_own_that_count_where_usage_is_missing() {
    let timings = r#""timings":{"cache_n":236,"prompt_n":1,"prompt_ms":30.9,"predicted_n":35,"predicted_ms":661.0}"#;
    let last =
        format!(r#"{{"choices":[{{"finish_reason":"stop","index":0,"delta":{{}}}}],"model":"gpt-oss",{timings}}}"#);
    assert_eq!(numbers(&read(&[&last])), (Some(237), Some(35), Some(272), Some(236), None));
    let usage = format!(
        r#"{{"choices":[],"model":"gpt-oss","usage":{{"completion_tokens":35,"prompt_tokens":237,"total_tokens":272}},{timings}}}"#
    );
    let reading = read(&[&last, &usage]);
    assert_eq!(numbers(&reading), (Some(237), Some(35), Some(272), Some(236), None));
    assert!(reading.usage().unwrap().raw.unwrap().get().contains("total_tokens"));
}

#[test]
fn llama_cpps_numbers_are_found_in_the_last_piece_of_a_stream_and_in_each_that_has_them() {
    let piece = |text: &str, rest: &str| {
        format!(
            r#"{{"choices":[{{"finish_reason":null,"index":0,"delta":{{"content":"{text}"}}}}],"model":"gpt-oss"{rest}}}"#
        )
    };
    let last = |rest: &str| {
        format!(r#"{{"choices":[{{"finish_reason":"stop","index":0,"delta":{{}}}}],"model":"gpt-oss"{rest}}}"#)
    };
    let timings = |predicted: u64| {
        format!(
            r#","timings":{{"cache_n":2,"prompt_n":1,"prompt_ms":30.9,"predicted_n":{predicted},"predicted_ms":66.0}}"#
        )
    };
    let numbers_of = |events: &[String]| numbers(&read(&events.iter().map(String::as_str).collect::<Vec<_>>()));

    let at_the_end = [piece("a", ""), piece("b", ""), piece("c", ""), last(&timings(3))];
    assert_eq!(numbers_of(&at_the_end), (Some(3), Some(3), Some(6), Some(2), None));
    let with_each = [piece("a", &timings(1)), piece("b", &timings(2)), piece("c", &timings(3))];
    assert_eq!(numbers_of(&with_each), (Some(3), Some(3), Some(6), Some(2), None));
    let usage =
        r#"{"choices":[],"model":"gpt-oss","usage":{"completion_tokens":4,"prompt_tokens":3,"total_tokens":7}}"#;
    let then_usage = [piece("a", &timings(1)), usage.to_owned(), last(&timings(9))];
    assert_eq!(numbers_of(&then_usage), (Some(3), Some(4), Some(7), Some(2), None));
}

#[test]
fn mistral_thinks_in_a_list_and_hears_in_seconds() {
    let chunk = r#"{"id":"m","model":"magistral","choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[
        {"type":"text","text":"hm"}]}]},"finish_reason":null}]}"#;
    let reading = read(&[chunk]);
    assert_eq!((reading.escaped_text(), reading.had_content), (b"hm".as_slice(), true));
    let last = r#"{"id":"m","model":"voxtral","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],
        "usage":{"prompt_audio_seconds":13,"prompt_tokens":400,"total_tokens":408,"completion_tokens":8}}"#;
    assert_eq!(read(&[last]).usage().unwrap().audio_ms, Some(13_000));
    let odd = r#"{"usage":{"prompt_audio_seconds":{},"prompt_tokens":4,"total_tokens":5,"completion_tokens":1}}"#;
    assert_eq!(numbers(&read(&[odd])), (Some(4), Some(1), Some(5), None, None));
}

#[test]
fn usage_that_comes_after_the_end_is_still_read() {
    let usage = r#"{"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
    let reading = read(&["[DONE]", usage]);
    assert_eq!((reading.done, numbers(&reading).2), (true, Some(7)));
}

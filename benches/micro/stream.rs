//! A stream as OpenAI sends it, chunk by chunk: the bytes that the tap sees.

/// 64 chunks with text, the finish, the usage, `[DONE]`: one HTTP chunk each, of about 275 bytes.
pub(crate) fn chunks() -> Vec<Vec<u8>> {
    let mut chunks = vec![chunk(
        r#"[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]"#,
        "null",
    )];
    chunks.extend((0..64).map(|number| {
        chunk(
            &format!(r#"[{{"index":0,"delta":{{"content":" word{number}\n"}},"logprobs":null,"finish_reason":null}}]"#),
            "null",
        )
    }));
    chunks.push(chunk(r#"[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]"#, "null"));
    chunks.push(chunk("[]", r#"{"prompt_tokens":212,"completion_tokens":64,"total_tokens":276,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#));
    chunks.push(b"data: [DONE]\n\n".to_vec());
    chunks
}

fn chunk(choices: &str, usage: &str) -> Vec<u8> {
    format!(
        "data: {{\"id\":\"chatcmpl-Bq3VwYxT7mPz9kLr2NdHs5JfGc8Ae\",\"object\":\"chat.completion.chunk\",\"created\":1763719200,\
         \"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_5c0ffee5\",\
         \"choices\":{choices},\"usage\":{usage}}}\n\n"
    )
    .into_bytes()
}

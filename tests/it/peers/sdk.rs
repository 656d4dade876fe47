//! The official OpenAI clients, as an application would use them: what it saw, and how many tries it took.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::{installed, limited, printed, python, script};

/// One client, set up for one base URL and key.
#[derive(Debug)]
pub(crate) struct Sdk {
    command: fn() -> Command,
    base_url: String,
    key: String,
    model: String,
    max_tokens: u32,
    headers: BTreeMap<String, String>,
}

impl Sdk {
    /// The client for Python. `base_url` ends in `/v1`.
    pub(crate) fn python(base_url: &str, key: &str) -> Self {
        Self::new(|| python("openai_python.py"), base_url, key)
    }

    /// The client for Node.js. `base_url` ends in `/v1`.
    pub(crate) fn node(base_url: &str, key: &str) -> Self {
        Self::new(node, base_url, key)
    }

    /// Asks for another model than `demo`.
    pub(crate) fn model(mut self, model: &str) -> Self {
        model.clone_into(&mut self.model);
        self
    }

    /// Asks for at most this many tokens; 8 if not said.
    pub(crate) fn max_tokens(mut self, max_tokens: u32) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// Sends one more header with every request.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Plays one scenario: `whole`, `stream`, `stream_with_usage`, `completion`, `embeddings` or `refusal`.
    ///
    /// Always in the answer: `ok`, `tries`, `statuses`, `retry_after`, `seconds`, `sdk`. If `ok`: `model`, `usage` and the
    /// scenario's own (`text`, `finish_reason`, `chunks`, `empty_choices`, `usage_chunks`, `vectors`, `dimensions`). If not:
    /// `error` with `class`, `status`, `code`, `type` and `message`.
    pub(crate) fn ask(&self, scenario: &str) -> Value {
        let mut command = (self.command)();
        command
            .arg(scenario)
            .env("BASE_URL", &self.base_url)
            .env("KEY", &self.key)
            .env("MODEL", &self.model)
            .env("MAX_TOKENS", self.max_tokens.to_string())
            .env("HEADERS", json!(self.headers).to_string());
        serde_json::from_str(&printed(command, "")).expect("a scenario prints one line of JSON")
    }

    fn new(command: fn() -> Command, base_url: &str, key: &str) -> Self {
        let (base_url, key) = (base_url.to_owned(), key.to_owned());
        Self { command, base_url, key, model: "demo".to_owned(), max_tokens: 8, headers: BTreeMap::new() }
    }
}

fn node() -> Command {
    let mut command = limited(installed("node/node"));
    command.arg(script("openai_node.mjs")).env("NODE_MODULES", installed("node/node_modules"));
    command
}

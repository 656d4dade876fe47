//! A real llama.cpp server with a tiny random model: real tokens, real usage, real streams, in milliseconds.

use std::sync::LazyLock;

use super::{Process, installed, script, tied};

/// A server that answers the OpenAI routes (chat, completions, embeddings, responses) and Anthropic's messages, any model name.
#[derive(Debug)]
pub(crate) struct LlamaPeer {
    /// `http://host:port`, without `/v1`.
    pub(crate) url: String,
    _process: Process,
}

impl LlamaPeer {
    /// The server that all tests of this run share, started by the first that asks. It keeps no state that a test can see,
    /// but `cached_tokens` depends on what was asked before.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<LlamaPeer> = LazyLock::new(LlamaPeer::alone);
        &SHARED
    }

    /// A server for one test, which may drop it.
    pub(crate) fn alone() -> Self {
        let mut command = tied(installed("python/bin/python"));
        command.arg(script("llama-server.py")).arg(installed("tiny.gguf")).arg("0");
        let started = Process::start(command, |line| line.strip_prefix("ready ").map(str::to_owned));
        let (process, url) = started.unwrap_or_else(|e| panic!("{e}"));
        Self { url, _process: process }
    }
}

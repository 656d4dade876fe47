//! What a request asks for, in words that every dialect shares.

/// Facts of a request. Fields that are only reported are absent when they are missing or of an odd type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ask {
    /// The model that will be asked, from the path where the format has it there.
    pub model: Option<String>,
    /// Whether the answer is to be a stream.
    pub stream: bool,
    /// Whether the client itself asked for usage in the stream.
    pub wants_usage: bool,
    /// The most output tokens of one choice.
    pub max_tokens: Option<u64>,
    /// How many choices are asked for; each may use `max_tokens`.
    pub choices: u64,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// The end user that the request names.
    pub end_user: Option<String>,
    /// Bytes of what the model reads, without embedded binary files: four to a token, roughly.
    pub input_bytes: u64,
}

impl Ask {
    /// The most output tokens of all choices together, when the request bounds them.
    pub fn most_output_tokens(&self) -> Option<u64> {
        self.max_tokens.map(|most| most.saturating_mul(self.choices.max(1)))
    }

    /// A rough count of input tokens for reservations: never a reported number.
    pub fn input_tokens_estimate(&self) -> u64 {
        self.input_bytes.div_ceil(4)
    }
}

/// Why a request cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It is not one JSON object, or says a thing twice that we act on, so that the upstream could read it otherwise.
    #[error("the request body is not a JSON object, or repeats a field")]
    NotJson,
    /// It names no model.
    #[error("the request names no model")]
    NoModel,
}

//! Which tokenizer a model uses, by its name.
//!
//! Only what OpenAI has published. Claude, Gemini and most open models have tokenizers of their own: for them there is
//! none here, and a count is an estimate.

use crate::config::Encoding;

/// Families in order: the first whose name the model has, alone or before a separator, holds.
const FAMILIES: [(&str, Encoding); 22] = [
    ("gpt-4o", Encoding::O200k),
    ("chatgpt-4o", Encoding::O200k),
    ("gpt-4.1", Encoding::O200k),
    ("gpt-4.5", Encoding::O200k),
    ("gpt-5", Encoding::O200k),
    ("gpt-5.1", Encoding::O200k),
    ("gpt-5.2", Encoding::O200k),
    ("gpt-5.3", Encoding::O200k),
    ("gpt-5.4", Encoding::O200k),
    ("gpt-5.5", Encoding::O200k),
    ("gpt-oss", Encoding::O200k),
    ("o1", Encoding::O200k),
    ("o3", Encoding::O200k),
    ("o4", Encoding::O200k),
    ("codex", Encoding::O200k),
    ("gpt-4", Encoding::Cl100k),
    ("gpt-3.5", Encoding::Cl100k),
    ("gpt-35", Encoding::Cl100k),
    ("text-embedding-3", Encoding::Cl100k),
    ("text-embedding-ada-002", Encoding::Cl100k),
    ("davinci-002", Encoding::Cl100k),
    ("babbage-002", Encoding::Cl100k),
];

impl Encoding {
    /// The model's encoding, if it is known. Provider prefixes (`openai/…`) and fine-tunes (`ft:…`) are seen through.
    pub(super) fn of(model: &str) -> Option<Self> {
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        FAMILIES.iter().find(|(family, _)| is_of(name, family)).map(|(_, encoding)| *encoding)
    }

    /// The name in events.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::O200k => "o200k_base",
            Self::Cl100k => "cl100k_base",
        }
    }
}

fn is_of(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':', '@']))
}

#[cfg(test)]
mod tests {
    use super::Encoding;

    #[test]
    fn a_models_name_tells_its_encoding_or_none() {
        let cases = [
            ("gpt-4o-2024-08-06", Some("o200k_base")),
            ("gpt-4.1-nano", Some("o200k_base")),
            ("gpt-5-mini", Some("o200k_base")),
            ("o3-mini", Some("o200k_base")),
            ("openai/gpt-oss-120b", Some("o200k_base")),
            ("ft:gpt-4o-mini:acme::abc", Some("o200k_base")),
            ("gpt-4-turbo", Some("cl100k_base")),
            ("gpt-4", Some("cl100k_base")),
            ("gpt-35-turbo", Some("cl100k_base")),
            ("gpt-3.5-turbo-instruct:20230824-v2", Some("cl100k_base")),
            ("text-embedding-3-small", Some("cl100k_base")),
            ("claude-opus-4", None),
            ("o1x", None),
            ("gpt-40", None),
            ("", None),
        ];
        for (model, want) in cases {
            assert_eq!(Encoding::of(model).map(Encoding::name), want, "{model}");
        }
    }
}

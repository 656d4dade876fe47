//! Which model a path names, and what is to be done with it: `/model/{id}/{action}`.
//!
//! The id is a model's name (`anthropic.claude-…`), an inference profile's (`us.anthropic.claude-…`), or the ARN of
//! either, percent-encoded. It is taken as it is: what an application inference profile stands for only AWS knows.

use std::borrow::Cow;

use crate::dialect::Operation;
use crate::dialect::path::decoded;

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// The model's id, decoded.
    pub(super) model: Cow<'a, str>,
    /// What is to be done with it.
    pub(super) action: &'a str,
}

impl<'a> Target<'a> {
    /// Reads a path, without its query.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        const BEFORE: &str = "/model/";
        let (path, action) = path.trim_end_matches('/').rsplit_once('/')?;
        // Some clients leave the slashes of an ARN as they are.
        let id = path.get(path.rfind(BEFORE)? + BEFORE.len()..).filter(|id| !id.is_empty())?;
        Some(Self { model: decoded(id), action })
    }

    /// Whether the answer is a stream.
    pub(super) fn streams(&self) -> bool {
        self.action.ends_with("-stream")
    }

    /// What a model is invoked for: only its name says it, and most are for conversation.
    pub(super) fn invoked(&self) -> Operation {
        let named = |part: &str| self.model.contains(part);
        match () {
            () if named("embed") => Operation::Embeddings,
            () if named("rerank") => Operation::Rerank,
            () if named("stability.") || named("image-generator") || named("canvas") => Operation::Image,
            () => Operation::Chat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;
    use crate::dialect::Operation;

    #[test]
    fn model_and_action_are_found_under_any_prefix() {
        let arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2";
        let cases = [
            (
                "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse",
                "anthropic.claude-3-haiku-20240307-v1:0",
                false,
            ),
            ("/gw/model/us.amazon.nova-lite-v1:0/converse-stream/", "us.amazon.nova-lite-v1:0", true),
            (
                "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2/invoke",
                arn,
                false,
            ),
            (
                "/model/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2/invoke-with-response-stream",
                arn,
                true,
            ),
        ];
        for (path, model, streams) in cases {
            let target = Target::of(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((&*target.model, target.streams()), (model, streams), "{path}");
        }
        for path in ["/model//converse", "/model/converse", "/models/m/converse", "/converse", "/"] {
            assert_eq!(Target::of(path), None, "{path}");
        }
    }

    #[test]
    fn a_models_name_says_what_it_is_invoked_for() {
        let cases = [
            ("amazon.titan-embed-text-v2%3A0", Operation::Embeddings),
            ("cohere.embed-v4:0", Operation::Embeddings),
            ("cohere.rerank-v3-5:0", Operation::Rerank),
            ("stability.sd3-5-large-v1:0", Operation::Image),
            ("amazon.nova-canvas-v1:0", Operation::Image),
            ("amazon.titan-image-generator-v2:0", Operation::Image),
            ("meta.llama3-8b-instruct-v1:0", Operation::Chat),
        ];
        for (model, operation) in cases {
            assert_eq!(Target::of(&format!("/model/{model}/invoke")).unwrap().invoked(), operation, "{model}");
        }
    }
}

//! Which model a path names, and what is to be done with it: `…/models/{model}:{method}`.
//!
//! Also under Vertex's longer paths. A tuned model or an endpoint keeps its collection before its name
//! (`tunedModels/x`, `endpoints/7`), so that nobody's own name for a model passes for one of Google's.

use crate::dialect::path::decoded;

/// The collections a model can stand in.
const COLLECTIONS: [&str; 3] = ["/models/", "/tunedModels/", "/endpoints/"];

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The model's name, decoded.
    pub(super) model: String,
    /// The method's name.
    pub(super) method: String,
}

impl Target {
    /// Reads a path, without its query.
    pub(super) fn of(path: &str) -> Option<Self> {
        // Most paths are not Google's: they have no colon, plain or encoded.
        if !path.contains([':', '%']) {
            return None;
        }
        let path = decoded(path);
        let (name, method) = path.trim_end_matches('/').rsplit_once(':')?;
        let (at, collection) = COLLECTIONS
            .iter()
            .filter_map(|name_of| Some((name.rfind(name_of)?, name_of)))
            .max_by_key(|found| found.0)?;
        let kept = if *collection == "/models/" { at + collection.len() } else { at + 1 };
        let model = name.get(kept..)?;
        let named = !model.is_empty() && !model.ends_with('/') && !method.contains('/');
        named.then(|| Self { model: model.to_owned(), method: method.to_owned() })
    }

    /// Whether the answer is a stream.
    pub(super) fn streams(&self) -> bool {
        self.method.starts_with("stream")
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn model_and_method_are_found_under_any_prefix() {
        let vertex = "/v1/projects/p-1/locations/us-central1/publishers/google/models/gemini-2.5-pro:generateContent";
        let endpoint = "/v1beta1/projects/p/locations/l/endpoints/123:streamGenerateContent";
        let cases = [
            ("/v1beta/models/gemini-2.0-flash:generateContent", "gemini-2.0-flash", "generateContent"),
            ("/gw/v1/models/gemini-2.0-flash:streamGenerateContent", "gemini-2.0-flash", "streamGenerateContent"),
            ("/v1/models/gemini%2D2.0%3AgenerateContent", "gemini-2.0", "generateContent"),
            ("/v1/models%2Fgemini:generateContent", "gemini", "generateContent"),
            ("/v1/models/a%2Fb:generateContent", "a/b", "generateContent"),
            ("/v1beta/tunedModels/my-gemini:generateContent", "tunedModels/my-gemini", "generateContent"),
            ("/v1/models/ft:x:y:countTokens", "ft:x:y", "countTokens"),
            (vertex, "gemini-2.5-pro", "generateContent"),
            (endpoint, "endpoints/123", "streamGenerateContent"),
        ];
        for (path, model, method) in cases {
            let target = Target::of(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((target.model.as_str(), target.method.as_str()), (model, method), "{path}");
        }
    }

    #[test]
    fn other_paths_name_nothing() {
        for path in ["/v1/models", "/v1/models/:generateContent", "/v1/files:upload", "/v1/models/m:a/b", "/a:b", "/%"]
        {
            assert_eq!(Target::of(path), None, "{path}");
        }
    }
}

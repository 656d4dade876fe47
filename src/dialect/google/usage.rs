//! Google's usage object. Thinking and tool-use prompts are counted beside the other two, cached tokens inside the prompt.
//! Interactions have the same numbers under other names.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::{Counts, Place, lenient};

/// Every field that is a number we want. Unknown fields are skipped, odd values are no values.
#[derive(Deserialize)]
pub(in crate::dialect) struct GoogleUsage {
    #[serde(rename = "promptTokenCount", alias = "total_input_tokens", default, deserialize_with = "lenient::count")]
    prompt: Option<u64>,
    #[serde(
        rename = "toolUsePromptTokenCount",
        alias = "total_tool_use_tokens",
        default,
        deserialize_with = "lenient::count"
    )]
    tool_prompt: Option<u64>,
    #[serde(
        rename = "candidatesTokenCount",
        alias = "total_output_tokens",
        default,
        deserialize_with = "lenient::count"
    )]
    candidates: Option<u64>,
    #[serde(
        rename = "thoughtsTokenCount",
        alias = "total_thought_tokens",
        default,
        deserialize_with = "lenient::count"
    )]
    thoughts: Option<u64>,
    #[serde(
        rename = "cachedContentTokenCount",
        alias = "total_cached_tokens",
        default,
        deserialize_with = "lenient::count"
    )]
    cached: Option<u64>,
    #[serde(rename = "totalTokenCount", alias = "total_tokens", default, deserialize_with = "lenient::count")]
    total: Option<u64>,
}

impl GoogleUsage {
    /// The numbers of a usage object of an answer that generates; none if it is no object.
    pub(in crate::dialect) fn read(raw: &RawValue) -> Option<Counts> {
        lenient::inner_object::<Self>(raw).map(|usage| usage.counts())
    }

    /// The numbers of an answer that generates.
    fn counts(&self) -> Counts {
        let input = self.input();
        Counts {
            input,
            output: self.candidates.or_else(|| self.candidates_left_out(input)),
            total: self.total,
            cache_read: self.cached,
            reasoning: self.thoughts,
            cache: Place::Inside,
            thought: self.thought(input),
            ..Counts::default()
        }
    }

    /// The numbers of an answer that only reads.
    pub(super) fn read_only(&self) -> Counts {
        Counts {
            input: self.input(),
            total: self.total,
            cache_read: self.cached,
            cache: Place::Inside,
            ..Counts::default()
        }
    }

    fn input(&self) -> Option<u64> {
        self.prompt.map(|prompt| prompt.saturating_add(self.tool_prompt.unwrap_or(0)))
    }

    /// A blocked answer, or one that is all thought so far, leaves the candidates out: the total says how many there were.
    fn candidates_left_out(&self, input: Option<u64>) -> Option<u64> {
        let from_total = || Some(self.total?.saturating_sub(input?).saturating_sub(self.thoughts.unwrap_or(0)));
        from_total().or(self.thoughts.map(|_| 0))
    }

    /// Some versions counted thoughts among the candidates too; then the total has no room for them.
    fn thought(&self, input: Option<u64>) -> Place {
        let sum = input.zip(self.candidates).map(|(input, candidates)| input.saturating_add(candidates));
        let within = self.candidates.zip(self.thoughts).is_some_and(|(all, part)| part > 0 && part <= all);
        if within && sum == self.total { Place::Inside } else { Place::Outside }
    }
}

#[cfg(test)]
mod tests {
    use super::GoogleUsage;

    fn settled(json: &str) -> (Option<u64>, Option<u64>, Option<u64>, Option<u64>) {
        let usage = serde_json::from_str::<GoogleUsage>(json).unwrap();
        let (usage, flags) = usage.counts().settle();
        assert_eq!(flags.names().next(), None, "{json}");
        (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.cache_read_tokens)
    }

    #[test]
    fn thoughts_and_tool_prompts_are_added_and_cached_tokens_are_not() {
        let all = r#"{"promptTokenCount":10,"toolUsePromptTokenCount":5,"candidatesTokenCount":20,"thoughtsTokenCount":30,
            "cachedContentTokenCount":8,"totalTokenCount":65}"#;
        assert_eq!(settled(all), (Some(15), Some(50), Some(65), Some(8)));
        let within =
            r#"{"promptTokenCount":10,"candidatesTokenCount":50,"thoughtsTokenCount":30,"totalTokenCount":60}"#;
        assert_eq!(settled(within), (Some(10), Some(50), Some(60), None));
    }

    #[test]
    fn candidates_that_are_left_out_are_what_the_total_leaves() {
        assert_eq!(settled(r#"{"promptTokenCount":9,"totalTokenCount":9}"#), (Some(9), Some(0), Some(9), None));
        let thinking = r#"{"promptTokenCount":9,"thoughtsTokenCount":50,"totalTokenCount":59}"#;
        assert_eq!(settled(thinking), (Some(9), Some(50), Some(59), None));
        assert_eq!(settled(r#"{"promptTokenCount":9,"thoughtsTokenCount":5}"#), (Some(9), Some(5), Some(14), None));
        assert_eq!(settled(r#"{"promptTokenCount":9}"#), (Some(9), None, None, None));
        assert_eq!(settled(r#"{"trafficType":"ON_DEMAND"}"#), (None, None, None, None));
    }
}

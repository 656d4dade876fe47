//! The numbers of a usage object as the provider means them, and their way to ours.
//!
//! Ours: input includes cached and cache-written tokens, output includes reasoning tokens. Providers differ, and many
//! that copy a format do not copy its arithmetic, so where a format leaves it open the numbers themselves decide: a
//! part that is larger than its whole cannot lie inside it, and the provider's total shows what was counted apart.

use super::Flags;
use crate::types::{Source, Usage};

/// Whether a part is counted inside its whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The whole includes it.
    Inside,
    /// The whole must be added to it.
    Outside,
    /// The numbers decide.
    #[default]
    Deduce,
}

/// Reported numbers. Absent means not reported; zero is a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tokens read.
    pub input: Option<u64>,
    /// Tokens written.
    pub output: Option<u64>,
    /// The provider's own total.
    pub total: Option<u64>,
    /// Read from the cache.
    pub cache_read: Option<u64>,
    /// Written to the cache.
    pub cache_write: Option<u64>,
    /// Of those, written to be kept for an hour, which costs more.
    pub cache_write_1h: Option<u64>,
    /// Spent on reasoning.
    pub reasoning: Option<u64>,
    /// Audio heard or spoken, in milliseconds.
    pub audio_ms: Option<u64>,
    /// Characters spoken or translated.
    pub characters: Option<u64>,
    /// Pictures made.
    pub images: Option<u64>,
    /// Searches of the web or through documents.
    pub searches: Option<u64>,
    /// Input tokens that are billed, where a provider bills other numbers than it counts.
    pub billed_input: Option<u64>,
    /// Output tokens that are billed, likewise.
    pub billed_output: Option<u64>,
    /// Whether `input` includes the cached tokens.
    pub cache: Place,
    /// Whether `output` includes the reasoning tokens.
    pub thought: Place,
}

impl Counts {
    /// Whether anything was reported.
    pub fn is_empty(&self) -> bool {
        let tokens = [self.input, self.output, self.total, self.cache_read, self.cache_write, self.reasoning];
        let others = [self.audio_ms, self.characters, self.images, self.searches];
        let billed = [self.billed_input, self.billed_output];
        tokens.iter().chain(&others).chain(&billed).all(Option::is_none)
    }

    /// Takes a later report over an earlier one. Reports are cumulative: what is repeated replaces, what is absent stays.
    pub fn update(&mut self, later: &Self) {
        // A total belongs to the numbers that it was sent with.
        let renewed = later.input.is_some() || later.output.is_some();
        self.total = if renewed { later.total } else { later.total.or(self.total) };
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
        self.cache_read = later.cache_read.or(self.cache_read);
        self.cache_write = later.cache_write.or(self.cache_write);
        self.cache_write_1h = later.cache_write_1h.or(self.cache_write_1h);
        self.reasoning = later.reasoning.or(self.reasoning);
        self.audio_ms = later.audio_ms.or(self.audio_ms);
        self.characters = later.characters.or(self.characters);
        self.images = later.images.or(self.images);
        self.searches = later.searches.or(self.searches);
        self.billed_input = later.billed_input.or(self.billed_input);
        self.billed_output = later.billed_output.or(self.billed_output);
        self.cache = later.cache;
        self.thought = later.thought;
    }

    /// The numbers in our convention, without `raw`, and what was odd about them. The total is always the provider's own
    /// where it gives one.
    pub fn settle(&self) -> (Usage, Flags) {
        let mut flags = Flags::default();
        let input = self.input.map(|n| if self.cache_is_outside() { n.saturating_add(self.cached()) } else { n });
        let mut output =
            self.output.map(|n| if self.thought_is_outside() { n.saturating_add(self.thoughts()) } else { n });
        if let Some(all) = self.hidden_output(input, output) {
            output = Some(all);
            flags.insert(Flags::OUTPUT_FROM_TOTAL);
        }
        let sum = input.zip(output).map(|(input, output)| input.saturating_add(output));
        if self.total.zip(sum).is_some_and(|(total, sum)| total != sum) {
            flags.insert(Flags::TOTAL_DIFFERS);
        }
        let usage = Usage {
            input_tokens: input,
            output_tokens: output,
            total_tokens: self.total.or(sum),
            cache_read_tokens: self.cache_read,
            cache_write_tokens: self.cache_write,
            cache_write_1h_tokens: self.cache_write_1h,
            reasoning_tokens: self.reasoning,
            audio_ms: self.audio_ms,
            characters: self.characters,
            images: self.images,
            searches: self.searches,
            source: Source::Provider,
            complete: true,
            raw: None,
        };
        (usage, flags)
    }

    fn cached(&self) -> u64 {
        self.cache_read.unwrap_or(0).saturating_add(self.cache_write.unwrap_or(0))
    }

    fn thoughts(&self) -> u64 {
        self.reasoning.unwrap_or(0)
    }

    /// What the total counts beyond input and output, when all three are known.
    fn gap(&self) -> Option<u64> {
        let sum = self.input?.saturating_add(self.output?);
        self.total?.checked_sub(sum)
    }

    fn thought_is_outside(&self) -> bool {
        let thoughts = self.thoughts();
        match self.thought {
            Place::Inside => false,
            Place::Outside => true,
            // xAI's total shows it; DeepInfra and Perplexity leave it out of the total too, but it exceeds the output.
            Place::Deduce => {
                let both = thoughts.saturating_add(self.cached());
                thoughts > self.output.unwrap_or(u64::MAX)
                    || (thoughts > 0 && self.gap().is_some_and(|gap| gap == thoughts || gap == both))
            }
        }
    }

    fn cache_is_outside(&self) -> bool {
        let cached = self.cached();
        match self.cache {
            Place::Inside => false,
            Place::Outside => true,
            Place::Deduce => {
                let both = cached.saturating_add(self.thoughts());
                // Where reasoning alone explains the gap, it does.
                let shown = |gap| (gap == cached && gap != self.thoughts()) || gap == both;
                // Tokens that were written to the cache and read from it at once stand in both counts (seen of Gemini by
                // way of OpenRouter, May 2026): where the total has no room for more, each may be as large as the input.
                let part =
                    if self.gap() == Some(0) { self.cache_read.max(self.cache_write).unwrap_or(0) } else { cached };
                part > self.input.unwrap_or(u64::MAX) || (cached > 0 && self.gap().is_some_and(shown))
            }
        }
    }

    /// Google's OpenAI-style endpoint counts thinking in the total and nowhere else: then output is what is not input.
    fn hidden_output(&self, input: Option<u64>, output: Option<u64>) -> Option<u64> {
        if self.reasoning.is_some() || self.thought != Place::Deduce {
            return None;
        }
        let all = self.total?.checked_sub(input?)?;
        (all > output?).then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Place};
    use crate::dialect::Flags;

    fn counts(input: u64, output: u64, total: u64) -> Counts {
        Counts { input: Some(input), output: Some(output), total: Some(total), ..Counts::default() }
    }

    fn settled(counts: Counts) -> (u64, u64, Flags) {
        let (usage, flags) = counts.settle();
        (usage.input_tokens.unwrap(), usage.output_tokens.unwrap(), flags)
    }

    #[test]
    fn reasoning_is_added_only_when_the_numbers_show_that_it_is_apart() {
        let inside = Counts { reasoning: Some(58), ..counts(322, 65, 387) };
        assert_eq!(settled(inside), (322, 65, Flags::default()));
        let in_total_only = Counts { reasoning: Some(340), cache_read: Some(11), ..counts(12, 2, 354) };
        assert_eq!(settled(in_total_only), (12, 342, Flags::default()));
        let small_but_in_total = Counts { reasoning: Some(3), ..counts(10, 20, 33) };
        assert_eq!(settled(small_but_in_total), (10, 23, Flags::default()));
        let larger_than_output = Counts { reasoning: Some(1081), ..counts(19, 84, 103) };
        assert_eq!(settled(larger_than_output), (19, 1165, Flags::TOTAL_DIFFERS));
    }

    #[test]
    fn cached_tokens_are_added_only_when_the_numbers_show_that_they_are_apart() {
        let inside = Counts { cache_read: Some(8), ..counts(10, 5, 15) };
        assert_eq!(settled(inside), (10, 5, Flags::default()));
        let in_total = Counts { cache_read: Some(6), cache_write: Some(2), ..counts(10, 5, 23) };
        assert_eq!(settled(in_total), (18, 5, Flags::default()));
        let larger = Counts { total: None, cache_read: Some(100), ..counts(10, 5, 0) };
        assert_eq!(settled(larger), (110, 5, Flags::default()));
        let both = Counts { cache_read: Some(6), reasoning: Some(3), ..counts(10, 5, 24) };
        assert_eq!(settled(both), (16, 8, Flags::default()));
        let at_once = Counts { cache_read: Some(8), cache_write: Some(8), ..counts(10, 5, 15) };
        assert_eq!(settled(at_once), (10, 5, Flags::default()));
        let said = Counts { cache: Place::Outside, cache_read: Some(1), total: None, ..counts(10, 5, 0) };
        assert_eq!(settled(said), (11, 5, Flags::default()));
    }

    #[test]
    fn output_that_only_the_total_shows_is_output_and_flagged() {
        assert_eq!(settled(counts(8, 13, 532)), (8, 524, Flags::OUTPUT_FROM_TOTAL));
        let explained = Counts { reasoning: Some(0), ..counts(8, 13, 532) };
        assert_eq!(settled(explained), (8, 13, Flags::TOTAL_DIFFERS));
    }

    #[test]
    fn a_later_report_replaces_what_it_repeats_and_keeps_the_rest() {
        let mut seen = Counts { cache_read: Some(4), ..counts(10, 1, 11) };
        seen.update(&Counts { output: Some(300), ..Counts::default() });
        assert_eq!((seen.input, seen.output, seen.total, seen.cache_read), (Some(10), Some(300), None, Some(4)));
        seen.update(&counts(0, 0, 0));
        assert_eq!((seen.input, seen.output, seen.total), (Some(0), Some(0), Some(0)), "a reported zero is a value");
    }
}

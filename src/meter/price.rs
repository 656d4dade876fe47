//! What a request costs, in whole nano-dollars.
//!
//! Parts that the table prices apart (cached, cache-written, reasoning) are taken out of their wholes first, so nothing is
//! paid twice. Each side is rounded once, to the nearest nano-dollar; no float is involved. Without a price, or without any
//! count, there is no cost: absent is not zero.

use std::sync::Arc;

use crate::event::Cost;
use crate::types::{NanoUsd, Price, PriceTable, Source, Usage};

/// Prices are per this many tokens.
const PER: i128 = 1_000_000;

/// The tokens that are paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: u64,
    cache_write: u64,
    /// Of those written.
    cache_write_1h: u64,
    reasoning: u64,
}

impl Bill {
    /// What an estimate comes to.
    pub fn estimated(input: u64, output: u64) -> Self {
        Self { input: Some(input), output: Some(output), ..Self::default() }
    }

    /// The tokens used, unless the provider says that it bills others, of input and output each. Billed tokens have no
    /// parts: what was cached or reasoned is among those counted.
    pub fn of(usage: &Usage, billed: (Option<u64>, Option<u64>)) -> Self {
        let counted = Self {
            input: usage.input_tokens,
            output: usage.output_tokens,
            cache_read: usage.cache_read_tokens.unwrap_or(0),
            cache_write: usage.cache_write_tokens.unwrap_or(0),
            cache_write_1h: usage.cache_write_1h_tokens.unwrap_or(0),
            reasoning: usage.reasoning_tokens.unwrap_or(0),
        };
        if usage.source != Source::Provider || billed == (None, None) {
            return counted;
        }
        let (input, output) = (billed.0.or(counted.input), billed.1.or(counted.output));
        Self { input, output, ..Self::default() }
    }
}

/// The cost of a bill, by the price of the model that answered, else of the one that was asked for.
pub fn cost(table: &PriceTable, served: Option<&str>, requested: Option<&str>, bill: &Bill) -> Option<Cost> {
    let (input, output) = parts(table, place(table, served, requested), bill)?;
    Some(Cost {
        currency: "USD".into(),
        total_nano: input.saturating_add(output),
        input_nano: input,
        output_nano: output,
        price: Arc::clone(&table.version),
    })
}

/// Which row of the table a model is paid by.
pub fn place(table: &PriceTable, served: Option<&str>, requested: Option<&str>) -> Option<usize> {
    [served, requested].into_iter().flatten().find_map(|model| table.place(model))
}

/// What input and output cost by a row of the table.
pub fn parts(table: &PriceTable, place: Option<usize>, bill: &Bill) -> Option<(NanoUsd, NanoUsd)> {
    if bill.input.is_none() && bill.output.is_none() {
        return None;
    }
    let price = table.rows.get(place?)?;
    Some((input_cost(price, bill), output_cost(price, bill)))
}

fn input_cost(price: &Price, bill: &Bill) -> NanoUsd {
    let all = bill.input.unwrap_or(0);
    let read = bill.cache_read.min(all);
    let written = bill.cache_write.min(all - read);
    let for_an_hour = bill.cache_write_1h.min(written);
    let write = price.cache_write.unwrap_or(price.input);
    sum([
        (all - read - written, price.input),
        (read, price.cache_read.unwrap_or(price.input)),
        (written - for_an_hour, write),
        (for_an_hour, price.cache_write_1h.unwrap_or(write)),
    ])
}

fn output_cost(price: &Price, bill: &Bill) -> NanoUsd {
    let all = bill.output.unwrap_or(0);
    let thought = bill.reasoning.min(all);
    sum([(all - thought, price.output), (thought, price.reasoning.unwrap_or(price.output))])
}

fn sum<const N: usize>(parts: [(u64, NanoUsd); N]) -> NanoUsd {
    let product = |(tokens, price): (u64, NanoUsd)| i128::from(tokens) * i128::from(price.0);
    let exact: i128 = parts.into_iter().map(product).fold(0, i128::saturating_add);
    let nearest = exact.saturating_add(PER / 2).div_euclid(PER);
    NanoUsd(i64::try_from(nearest).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Bill, cost};
    use crate::types::{NanoUsd, Pattern, Price, PriceTable, Source, Usage};

    fn table() -> PriceTable {
        let row = |models: &str, cache_read, cache_write, reasoning| Price {
            models: Pattern::new(models),
            // 2.50 and 10 dollars for a million tokens.
            input: NanoUsd(2_500_000_000),
            output: NanoUsd(10_000_000_000),
            cache_read,
            cache_write,
            cache_write_1h: None,
            reasoning,
        };
        let apart = [1_250_000_000, 3_000_000_000, 20_000_000_000].map(|nano| Some(NanoUsd(nano)));
        let rows = vec![row("apart*", apart[0], apart[1], apart[2]), row("gpt-4o*", None, None, None)];
        PriceTable { version: "2026-11-01".into(), rows }
    }

    fn usage(input: Option<u64>, output: Option<u64>) -> Usage {
        Usage { input_tokens: input, output_tokens: output, ..Usage::default() }
    }

    fn bill(usage: &Usage) -> Bill {
        Bill::of(usage, (None, None))
    }

    fn nano(model: &str, usage: &Usage) -> (i64, i64, i64) {
        let cost = cost(&table(), Some(model), None, &bill(usage)).unwrap();
        assert_eq!((&*cost.currency, &*cost.price), ("USD", "2026-11-01"));
        (cost.total_nano.0, cost.input_nano.0, cost.output_nano.0)
    }

    #[test]
    fn tokens_cost_their_price() {
        assert_eq!(nano("gpt-4o", &usage(Some(12), Some(34))), (370_000, 30_000, 340_000));
        assert_eq!(nano("gpt-4o", &usage(Some(0), Some(0))), (0, 0, 0), "a reported zero costs nothing, and is a cost");
        assert_eq!(nano("gpt-4o", &usage(Some(8), None)), (20_000, 20_000, 0), "embeddings have no output");
    }

    #[test]
    fn parts_are_priced_apart_and_never_twice() {
        let parts = Usage {
            cache_read_tokens: Some(100),
            cache_write_tokens: Some(50),
            reasoning_tokens: Some(30),
            ..usage(Some(200), Some(40))
        };
        assert_eq!(nano("apart-1", &parts), (1_100_000, 400_000, 700_000));
        assert_eq!(
            nano("gpt-4o", &parts),
            (900_000, 500_000, 400_000),
            "without own prices parts cost what the whole costs"
        );
        let odd = Usage { cache_read_tokens: Some(999), cache_write_tokens: Some(999), ..usage(Some(10), Some(0)) };
        assert_eq!(nano("apart-1", &odd).1, 12_500, "a part is never larger than its whole");
    }

    #[test]
    fn what_is_cached_for_an_hour_has_its_own_price_or_that_of_what_is_cached() {
        let written =
            Usage { cache_write_tokens: Some(50), cache_write_1h_tokens: Some(20), ..usage(Some(100), Some(0)) };
        assert_eq!(nano("apart-1", &written).1, 50 * 2_500 + 50 * 3_000);
        let mut table = table();
        table.rows[0].cache_write_1h = Some(NanoUsd(5_000_000_000));
        let cost = cost(&table, Some("apart-1"), None, &bill(&written)).unwrap();
        assert_eq!(cost.input_nano, NanoUsd(50 * 2_500 + 30 * 3_000 + 20 * 5_000));
    }

    #[test]
    fn what_a_provider_bills_is_paid_and_not_what_it_counts() {
        let counted = Usage { cache_read_tokens: Some(704), source: Source::Provider, ..usage(Some(1445), Some(43)) };
        let cost_of = |billed| cost(&table(), Some("apart-1"), None, &Bill::of(&counted, billed)).unwrap();
        let billed = cost_of((Some(46), Some(14)));
        assert_eq!((billed.input_nano, billed.output_nano), (NanoUsd(46 * 2_500), NanoUsd(14 * 10_000)));
        assert_eq!(cost_of((Some(0), Some(0))).total_nano, NanoUsd(0), "billed at zero is free");
        assert_eq!(cost_of((None, None)).input_nano, NanoUsd(741 * 2_500 + 704 * 1_250));
        let local = Usage { source: Source::Tokenizer, ..counted.clone() };
        assert_eq!(Bill::of(&local, (Some(46), Some(14))), bill(&local), "our own count knows nothing of bills");
    }

    #[test]
    fn the_model_that_answered_is_priced_before_the_one_that_was_asked_for() {
        let found = |served, requested| cost(&table(), served, requested, &bill(&usage(Some(1), None))).is_some();
        assert!(found(Some("nobody-knows"), Some("gpt-4o")));
        assert!(found(None, Some("gpt-4o")));
        assert!(!found(Some("nobody-knows"), None));
    }

    #[test]
    fn without_any_count_there_is_no_cost() {
        assert_eq!(cost(&table(), Some("gpt-4o"), None, &Bill::default()), None);
    }

    #[test]
    fn absurd_counts_stay_within_the_range() {
        assert_eq!(nano("gpt-4o", &usage(Some(u64::MAX), Some(u64::MAX))).0, i64::MAX);
    }

    #[test]
    fn each_side_is_rounded_once_to_the_nearest() {
        let mut table = table();
        table.rows[1].input = NanoUsd(1_500_000 / 2);
        let one = cost(&table, Some("gpt-4o"), None, &bill(&usage(Some(1), None))).unwrap();
        assert_eq!(one.input_nano, NanoUsd(1));
    }
}

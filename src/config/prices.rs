//! What a backend charges, in either of the two units that price lists have.

use super::reader::Reader;
use crate::domain::{Price, Prices};

/// One price: its key in USD per 1000 tokens, and the one per million.
type Keys = (&'static str, &'static str);

const FLAT: Keys = ("cost_per_1k_tokens", "cost_per_1m_tokens");
const INPUT: Keys = ("input_cost_per_1k_tokens", "input_cost_per_1m_tokens");
const OUTPUT: Keys = ("output_cost_per_1k_tokens", "output_cost_per_1m_tokens");
const CACHED: Keys = ("cached_input_cost_per_1k_tokens", "cached_input_cost_per_1m_tokens");

/// A price as it was found.
struct Given {
    /// The key that it is written under; the one per 1000 where there is none.
    key: &'static str,
    /// Presence is the document's, not the value's: a price that is out of range is not missing too.
    is_there: bool,
    price: Option<Price>,
}

/// One price for all tokens, or one for each kind; without any, the backend is free.
pub(super) fn read(reader: &mut Reader<'_, '_>) -> Prices {
    let [flat, input, output, cached] = [FLAT, INPUT, OUTPUT, CACHED].map(|keys| given(reader, keys));
    let (of_input, of_output) = (input.key, output.key);
    match [&flat, &input, &output, &cached].map(|given| given.is_there) {
        [true, false, false, _] | [false, true, true, _] | [false, false, false, false] => {}
        [true, ..] => reader.problem(flat.key, format!("give either this or {of_input} and {of_output}")),
        [_, true, false, _] => reader.problem(of_output, format!("missing, since {of_input} is given")),
        [_, false, true, _] => reader.problem(of_input, format!("missing, since {of_output} is given")),
        [_, false, false, true] => {
            reader.problem(cached.key, format!("needs {of_input} and {of_output}, or {}", flat.key));
        }
    }
    let free = Price::default();
    let of_input = input.price.or(flat.price);
    Prices {
        input: of_input.unwrap_or(free),
        output: output.price.or(flat.price).unwrap_or(free),
        cached_input: cached.price.or(of_input).unwrap_or(free),
    }
}

fn given(reader: &mut Reader<'_, '_>, (thousand, million): Keys) -> Given {
    let there = [thousand, million].map(|key| reader.has(key));
    let price = reader.optional_number(thousand, 0.0..=1_000.0).map(Price::from_usd_per_1k);
    let other = reader.optional_number(million, 0.0..=1_000_000.0).map(Price::from_usd_per_1m);
    if there == [true, true] {
        reader.problem(million, format!("give either this or {thousand}"));
    }
    let key = if there == [false, true] { million } else { thousand };
    Given { key, is_there: there != [false, false], price: price.or(other) }
}

//! Rounds into rows.

use std::{fmt, time::Duration};

use crate::drive::Round;

pub(crate) const HEAD: &str = "\
| body | connections | Envoy | requests/s | p50 | p99 | ratio (least–most of the rounds) |
| ---: | ---: | --- | ---: | ---: | ---: | ---: |";

/// One line of the table.
pub(crate) struct Row {
    bytes: usize,
    connections: usize,
    variant: String,
    per_second: f64,
    p50: Duration,
    p99: Duration,
    /// To the first variant's requests a second in the same round: least, median, most.
    ratio: [f64; 3],
}

impl Row {
    pub(crate) fn new(bytes: usize, connections: usize, variant: &str, rounds: &[Round], first: &[Round]) -> Self {
        let ratios = sorted(rounds.iter().zip(first).map(|(round, first)| round.per_second / first.per_second));
        let at = |index: usize| ratios.get(index).copied().unwrap_or(f64::NAN);
        Self {
            bytes,
            connections,
            variant: variant.to_owned(),
            per_second: middle(&sorted(rounds.iter().map(|round| round.per_second))),
            p50: Duration::from_secs_f64(middle(&sorted(rounds.iter().map(|round| round.p50.as_secs_f64())))),
            p99: Duration::from_secs_f64(middle(&sorted(rounds.iter().map(|round| round.p99.as_secs_f64())))),
            ratio: [at(0), middle(&ratios), at(ratios.len().saturating_sub(1))],
        }
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The median; of an even number, the upper of the two in the middle. Zero of none.
fn middle(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [least, median, most] = self.ratio;
        write!(
            f,
            "| {} kB | {} | {} | {:.0} | {} µs | {} µs | {median:.2} ({least:.2}–{most:.2}) |",
            self.bytes / 1024,
            self.connections,
            self.variant,
            self.per_second,
            self.p50.as_micros(),
            self.p99.as_micros(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_medians_and_the_ratio_round_by_round() {
        let round = |per_second, p50| Round {
            per_second,
            p50: Duration::from_micros(p50),
            p99: Duration::from_micros(2 * p50),
        };
        let first = [round(1_000.0, 100), round(2_000.0, 50), round(4_000.0, 25)];
        let second = [round(900.0, 110), round(1_000.0, 70), round(3_000.0, 40)];
        let row = Row::new(16 << 10, 16, "noop", &second, &first);
        assert_eq!(row.to_string(), "| 16 kB | 16 | noop | 1000 | 70 µs | 140 µs | 0.75 (0.50–0.90) |");
    }
}

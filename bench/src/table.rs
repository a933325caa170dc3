//! The table: for each line the median over rounds, and how kv compares.
//!
//! A ratio above 1 is always in kv's favour, also where less is better.

use std::fmt::Write as _;

use crate::engine::Kind;
use crate::rounds::Results;

struct Line {
    name: &'static str,
    what: &'static str,
    better: Better,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    More,
    Less,
    /// Told, not compared.
    Neither,
}

const fn line(name: &'static str, what: &'static str, better: Better) -> Line {
    Line { name, what, better }
}

use Better::{Less, More, Neither};

const LINES: [Line; 43] = [
    line("insert per s", "random inserts /s", More),
    line("insert p50 us", "  p50 µs", Less),
    line("insert p99 us", "  p99 µs", Less),
    line("insert p99.99 us", "  p99.99 µs", Less),
    line("insert max us", "  longest µs", Less),
    line("insert settle s", "  then settled after s", Less),
    line("insert written", "  bytes written per user byte", Less),
    line("insert cpu us", "  processor time each, all threads µs", Less),
    line("insert peak MiB", "  peak memory MiB", Less),
    line("insert busy s", "  writer held up by the store s", Neither),
    line("insert job s", "  work on its thread for jobs s", Neither),
    line("insert longest job us", "  longest such work µs", Neither),
    line("hit open s", "reopened after s", Less),
    line("hit per s", "reads that hit /s", More),
    line("hit p50 us", "  p50 µs", Less),
    line("hit p99 us", "  p99 µs", Less),
    line("hit p99.99 us", "  p99.99 µs", Less),
    line("hit max us", "  longest µs", Less),
    line("hit cache hits", "  found in the cache, share", Neither),
    line("hit cpu us", "  processor time each, all threads µs", Less),
    line("hit peak MiB", "  peak memory MiB", Less),
    line("miss per s", "reads that miss /s", More),
    line("miss p50 us", "  p50 µs", Less),
    line("miss p99 us", "  p99 µs", Less),
    line("miss p99.99 us", "  p99.99 µs", Less),
    line("miss max us", "  longest µs", Less),
    line("miss false positives", "  filter's false positives, share", Neither),
    line("miss cpu us", "  processor time each, all threads µs", Less),
    line("miss peak MiB", "  peak memory MiB", Less),
    line("scan per s", "scanned entries /s", More),
    line("scan cpu us", "  processor time each, all threads µs", Less),
    line("scan peak MiB", "  peak memory MiB", Less),
    line("compact s", "full compaction s", Less),
    line("compact disk", "  on disk / logical size", Less),
    line("compact tables", "    of that tables", Less),
    line("compact log", "    of that log", Neither),
    line("compact reserve", "    of that room for a full disk", Neither),
    line("compact cpu us", "  processor time each, all threads µs", Less),
    line("compact peak MiB", "  peak memory MiB", Less),
    line("sync100 per s", "synced batches of 100 /s", More),
    line("sync1 per s", "synced single writes /s", More),
    line("sync16 per s", "same, 16 writers /s", More),
    line("sync16 syncs", "  syncs of the log", Neither),
];

/// Lays out everything that was measured.
pub(crate) fn text(results: &Results) -> String {
    let median = |engine: Kind, name: &str| {
        let rounds = results.engines.get(engine.name())?;
        median(rounds.iter().filter_map(|numbers| numbers.get(name).copied()).collect())
    };
    let mut text = format!(
        "{:<40}{:>12}{:>12}{:>12}{:>10}{:>11}{:>11}\n",
        "", "kv", "fjall", "rocksdb", "kv/fjall", "kv/rocksdb", "kv/better"
    );
    for line in &LINES {
        let [kv, fjall, rocks] =
            [Kind::Kv, Kind::Fjall, Kind::Rocksdb].map(|kind| median(kind, line.name));
        if [kv, fjall, rocks].iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(
            text,
            "{:<40}{:>12}{:>12}{:>12}",
            line.what,
            number(kv),
            number(fjall),
            number(rocks)
        );
        if let (Some(kv), true) = (kv, line.better != Neither) {
            let ratio = |other: f64| if line.better == More { kv / other } else { other / kv };
            let ratios = [fjall, rocks].map(|other| other.map(ratio));
            let worst = ratios.iter().flatten().copied().reduce(f64::min);
            let [a, b, c] = [ratios[0], ratios[1], worst].map(marked);
            let _ = write!(text, "{a:>10}{b:>11}{c:>11}");
        }
        text.push('\n');
    }
    if let (Some(over), Some(grown)) =
        (median_of(results, |raw| raw.0), median_of(results, |raw| raw.1))
    {
        let _ = writeln!(
            text,
            "\nThe bare device: {over:.0} syncs/s in place, {grown:.0} syncs/s of a file that grows."
        );
    }
    text
}

fn median_of(results: &Results, which: impl Fn(&(f64, f64)) -> f64) -> Option<f64> {
    median(results.raw_syncs.iter().map(which).collect())
}

/// None of no numbers.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let upper = *numbers.get(numbers.len() / 2)?;
    let lower = numbers[(numbers.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

fn number(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(number) if number >= 100.0 => format!("{number:.0}"),
        Some(number) if number >= 1.0 => format!("{number:.2}"),
        Some(number) => format!("{number:.4}"),
    }
}

/// Below 1.0 with a mark.
fn marked(ratio: Option<f64>) -> String {
    match ratio {
        None => "-".to_owned(),
        Some(ratio) if ratio < 1.0 => format!("! {ratio:.2}"),
        Some(ratio) => format!("{ratio:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn less_is_better_for_times_and_a_shortfall_is_marked() {
        let mut results = Results::default();
        for (engine, rate, time) in [("kv", 50.0, 2.0), ("fjall", 100.0, 4.0)] {
            let numbers = [("insert per s", rate), ("insert max us", time)];
            let numbers = numbers.map(|(name, number)| (name.to_owned(), number));
            results.engines.insert(engine, vec![numbers.into()]);
        }
        let text = text(&results);
        let of = |what| text.lines().find(|line| line.contains(what)).unwrap().to_owned();
        assert!(of("random inserts").contains("! 0.50"), "{text}");
        assert!(of("longest").contains("2.00") && !of("longest").contains('!'), "{text}");
    }
}

//! The table: for each line the medians over the rounds and kv's share of etcd's, then the goals.

use std::fmt::Write as _;

use crate::Plan;
use crate::load::{Numbers, Operation};
use crate::rounds::{Line, Results};
use crate::servers::System;

type Pick = fn(&Numbers) -> f64;

/// What is told of each line.
const ROWS: [(&str, Pick); 6] = [
    ("per second", |it| it.per_second),
    ("p50 ms", |it| it.p50),
    ("p99 ms", |it| it.p99),
    ("servers' processor µs each", |it| it.server_processor),
    ("clients' processor µs each", |it| it.client_processor),
    ("failed, share", |it| it.failed),
];

/// A ratio kv/etcd that is due.
struct Goal {
    name: &'static str,
    line: Line,
    pick: Pick,
    due: Due,
}

enum Due {
    AtLeast(f64),
    AtMost(f64),
}

use Due::{AtLeast, AtMost};

const GOALS: [Goal; 6] = [
    goal("puts, 64 clients", (Operation::Put, 64), |it| it.per_second, AtLeast(2.0)),
    goal("reads, 64 clients", (Operation::Read, 64), |it| it.per_second, AtLeast(2.5)),
    goal("puts, 1 client", (Operation::Put, 1), |it| it.per_second, AtLeast(1.2)),
    goal("p99 of puts, 64 clients", (Operation::Put, 64), |it| it.p99, AtMost(0.6)),
    goal("p99 of reads, 64 clients", (Operation::Read, 64), |it| it.p99, AtMost(0.6)),
    goal("processor time per put", (Operation::Put, 64), |it| it.server_processor, AtMost(0.5)),
];

const fn goal(name: &'static str, line: Line, pick: Pick, due: Due) -> Goal {
    Goal { name, line, pick, due }
}

/// Lays out everything that was measured.
pub(crate) fn text(plan: &Plan, results: &Results) -> String {
    let mut text = String::new();
    for &operation in &plan.operations {
        for &count in &plan.clients {
            add_line(&mut text, results, (operation, count));
        }
    }
    for goal in &GOALS {
        let Some(ratio) = ratio(results, goal.line, goal.pick) else { continue };
        let (met, due) = match goal.due {
            AtLeast(least) => (ratio >= least, format!("at least {least}")),
            AtMost(most) => (ratio <= most, format!("at most {most}")),
        };
        let word = if met { "met" } else { "MISSED" };
        let _ = writeln!(text, "{:<28} kv/etcd {ratio:>6.2}, due {due:<12} {word}", goal.name);
    }
    let pairs = || results.lines.values().flatten();
    let mut syncs: Vec<f64> = pairs().flat_map(|pair| pair.syncs.iter().copied()).collect();
    syncs.sort_by(f64::total_cmp);
    if let [least, .., most] = syncs[..] {
        let unsteady = pairs().filter(|pair| !pair.is_steady()).count();
        let _ = writeln!(
            text,
            "device: {:.0} syncs/s in the median, from {least:.0} to {most:.0}; it changed more than twofold during {unsteady} of {} pairs",
            syncs[syncs.len() / 2],
            pairs().count(),
        );
    }
    text
}

fn add_line(text: &mut String, results: &Results, line: Line) {
    let (operation, count) = line;
    let what = match operation {
        Operation::Put => "puts",
        Operation::Read => "linearizable reads",
    };
    let title = format!("{what}, {count} clients ({} rounds)", results.counted(line).len());
    let _ = writeln!(text, "{title:<40}{:>12}{:>12}{:>10}", "kv", "etcd", "kv/etcd");
    for (name, pick) in ROWS {
        let [kv, etcd] =
            [System::Kv, System::Etcd].map(|system| median(results, line, system, pick));
        let ratio = ratio(results, line, pick).map_or_else(|| "-".into(), |it| format!("{it:.2}"));
        let _ = writeln!(text, "  {name:<38}{:>12}{:>12}{ratio:>10}", number(kv), number(etcd));
    }
    text.push('\n');
}

/// kv's median as a share of etcd's.
fn ratio(results: &Results, line: Line, pick: Pick) -> Option<f64> {
    let ratio =
        median(results, line, System::Kv, pick)? / median(results, line, System::Etcd, pick)?;
    ratio.is_finite().then_some(ratio)
}

fn median(results: &Results, line: Line, system: System, pick: Pick) -> Option<f64> {
    let pairs = results.counted(line);
    let halves = pairs.iter().filter_map(|pair| pair.halves.get(&system));
    let mut numbers: Vec<f64> = halves.map(pick).collect();
    numbers.sort_by(f64::total_cmp);
    let upper = *numbers.get(numbers.len() / 2)?;
    Some(f64::midpoint(upper, numbers[(numbers.len() - 1) / 2]))
}

fn number(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(number) if number >= 100.0 => format!("{number:.0}"),
        Some(number) => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Pair;
    use std::time::Duration;

    #[test]
    fn a_goal_is_judged_by_the_ratio_of_medians() {
        let pair = |[kv, etcd]: [f64; 2]| {
            let numbers = |per_second| Numbers { per_second, p99: 5.0, ..Numbers::default() };
            let halves = [(System::Kv, numbers(kv)), (System::Etcd, numbers(etcd))];
            Pair { halves: halves.into(), syncs: vec![100.0, 100.0] }
        };
        let pairs = [[10.0, 10.0], [30.0, 10.0], [900.0, 1.0]].map(pair).into();
        let results = Results { lines: [((Operation::Put, 64), pairs)].into() };
        let plan = Plan {
            systems: vec![System::Kv, System::Etcd],
            operations: vec![Operation::Put],
            clients: vec![64],
            rounds: 3,
            time: Duration::from_secs(1),
        };
        let text = text(&plan, &results);
        let of = |what: &str| text.lines().find(|it| it.starts_with(what)).unwrap().to_owned();
        assert!(of("puts, 64 clients   ").contains("3.00, due at least 2"), "{text}");
        assert!(of("puts, 64 clients   ").ends_with("met"), "{text}");
        assert!(of("p99 of puts").ends_with("MISSED"), "{text}");
        assert!(!text.contains("puts, 1 client  "), "what was not measured is not judged: {text}");
    }
}

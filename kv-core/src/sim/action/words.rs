//! Actions in words, for people.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Action, ClientOperation, StrongOperation};
use crate::rng::Ratio;
use crate::sim::config::{LinkConfig, NetworkConfig, Workload};
use crate::text::of_bytes as text;

impl Action {
    /// What is done, in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Crash { node } => format!("crash {}", name(*node)),
            Self::Restart { node } => format!("restart {}", name(*node)),
            Self::Pause { node } => format!("suspend {}", name(*node)),
            Self::Resume { node } => format!("resume {}", name(*node)),
            Self::Wipe { node } => format!("wipe the disk of {}", name(*node)),
            Self::Set { node, changes } => {
                let changes: Vec<String> = changes
                    .iter()
                    .map(|(setting, value)| format!("{} = {value}", setting.spec().name))
                    .collect();
                format!("set {} on {}", changes.join(", "), name(*node))
            }
            Self::Client { node, operation, .. } => {
                format!("ask {}: {}", name(*node), operation.words())
            }
            Self::Workload(workload) => {
                let Workload { clients, per_second, strong, .. } = workload;
                let mut words = format!("{clients} clients: {per_second} operations per second");
                if strong.numerator > 0 {
                    words += &format!(", {} of them strong", ratio(*strong));
                }
                words
            }
            Self::Fill { .. }
            | Self::Free { .. }
            | Self::Slow { .. }
            | Self::Flip { .. }
            | Self::FailSync { .. }
            | Self::Misread { .. } => self.disk_words(),
            Self::Drift { .. } | Self::Jump { .. } => self.clock_words(),
            Self::Cut { .. }
            | Self::Mend { .. }
            | Self::Partition { .. }
            | Self::Heal
            | Self::Network(_)
            | Self::Link { .. }
            | Self::Lose { .. }
            | Self::Delay { .. } => self.network_words(),
        }
    }

    fn disk_words(&self) -> String {
        match self {
            Self::Fill { node, free } => {
                format!("fill the disk of {} up to {free} bytes", name(*node))
            }
            Self::Free { node } => format!("free the disk of {}", name(*node)),
            Self::Slow { node, wait } => {
                format!("let each sync of {} take {} ms", name(*node), wait.as_millis())
            }
            Self::Flip { node, file, offset, bit } => {
                format!("flip bit {bit} of byte {offset} in {file} of {}", name(*node))
            }
            Self::FailSync { node } => format!("fail the next sync of {}", name(*node)),
            Self::Misread { node } => {
                format!("let {} read a table at the wrong place once", name(*node))
            }
            _ => String::new(),
        }
    }

    fn clock_words(&self) -> String {
        match self {
            Self::Drift { node, ppm } => {
                format!("let the clock of {} run {}", name(*node), pace(*ppm))
            }
            Self::Jump { node, by } => {
                let way = if *by < 0 { "back" } else { "ahead" };
                format!("set the time of {} {way} by {}", name(*node), span(by.unsigned_abs()))
            }
            _ => String::new(),
        }
    }

    fn network_words(&self) -> String {
        match self {
            Self::Cut { from, to } => format!("cut {}", way(*from, *to)),
            Self::Mend { from, to } => format!("mend {}", way(*from, *to)),
            Self::Partition { groups } => {
                format!("partition the network: {}", sides(groups).join(" | "))
            }
            Self::Heal => "heal the network".to_owned(),
            Self::Network(network) => format!("network: {}", network_words(network)),
            Self::Link { from, to, own } => {
                let how = own.map_or_else(|| "as the network".to_owned(), |own| link_words(&own));
                format!("link {}: {how}", way(*from, *to))
            }
            Self::Lose { message } => format!("lose message {message}"),
            Self::Delay { message, by } => {
                format!("hold message {message} up by {} ms", by.as_millis())
            }
            _ => String::new(),
        }
    }

    /// The one node it is done to; none if there is no such one.
    #[must_use]
    pub fn node(&self) -> Option<u16> {
        match self {
            Self::Crash { node }
            | Self::Restart { node }
            | Self::Pause { node }
            | Self::Resume { node }
            | Self::Wipe { node }
            | Self::Set { node, .. }
            | Self::Fill { node, .. }
            | Self::Free { node }
            | Self::Slow { node, .. }
            | Self::Flip { node, .. }
            | Self::FailSync { node }
            | Self::Misread { node }
            | Self::Drift { node, .. }
            | Self::Jump { node, .. }
            | Self::Client { node, .. } => Some(*node),
            Self::Cut { .. }
            | Self::Mend { .. }
            | Self::Partition { .. }
            | Self::Heal
            | Self::Network(_)
            | Self::Link { .. }
            | Self::Lose { .. }
            | Self::Delay { .. }
            | Self::Workload(_) => None,
        }
    }
}

impl ClientOperation {
    /// What is asked for, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Get { key } => format!("get {}", text(key)),
            Self::Put { key, value } => format!("put {} = {}", text(key), text(value)),
            Self::Delete { key } => format!("delete {}", text(key)),
            Self::Strong(StrongOperation::Get { key }) => format!("get {} (strong)", text(key)),
            Self::Strong(StrongOperation::Put { key, value }) => {
                format!("put {} = {} (strong)", text(key), text(value))
            }
            Self::Strong(StrongOperation::Delete { key }) => {
                format!("delete {} (strong)", text(key))
            }
        }
    }
}

fn name(node: u16) -> String {
    format!("n{}", u32::from(node) + 1)
}

fn way(from: u16, to: u16) -> String {
    format!("{} → {}", name(from), name(to))
}

/// Who is in each group, the group of the first node first.
fn sides(groups: &[u8]) -> Vec<String> {
    let is_first = |(place, group): &(usize, &u8)| !groups[..*place].contains(group);
    let side = |(_, group): (usize, &u8)| {
        let nodes = (0..).zip(groups).filter(|(_, of)| *of == group);
        nodes.map(|(node, _)| name(node)).collect::<Vec<_>>().join(" ")
    };
    groups.iter().enumerate().filter(is_first).map(side).collect()
}

fn pace(ppm: i32) -> String {
    match ppm {
        0 => "as it should".to_owned(),
        1.. => format!("{} too fast", share(ppm.unsigned_abs())),
        _ => format!("{} too slow", share(ppm.unsigned_abs())),
    }
}

/// So many parts per million; in percent where that is a whole number.
fn share(ppm: u32) -> String {
    const PERCENT: u32 = 10_000;
    match ppm % PERCENT {
        0 => format!("{} %", ppm / PERCENT),
        _ => format!("{ppm} parts per million"),
    }
}

/// In percent where that is a whole number.
fn ratio(Ratio { numerator, denominator }: Ratio) -> String {
    let percent = (u64::from(numerator) * 100).checked_div(u64::from(denominator));
    match percent {
        Some(percent) if percent * u64::from(denominator) == u64::from(numerator) * 100 => {
            format!("{percent} %")
        }
        _ => format!("{numerator} of {denominator}"),
    }
}

/// A time in microseconds, in the greatest unit of which it is a whole number.
fn span(micros: u64) -> String {
    let millis = micros / 1_000;
    let units = [(3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let whole = units.iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{millis} ms"), |(unit, name)| format!("{} {name}", millis / unit))
}

fn network_words(network: &NetworkConfig) -> String {
    let mut words = link_words(&network.link());
    let NetworkConfig { stragglers, straggle, duplication, reordering, .. } = network;
    for (ratio, what) in [
        (stragglers, format!("up to {straggle} times slower")),
        (duplication, "twice".to_owned()),
        (reordering, "out of order".to_owned()),
    ] {
        if ratio.numerator > 0 {
            words += &format!(", {} of {} {what}", ratio.numerator, ratio.denominator);
        }
    }
    words
}

fn link_words(link: &LinkConfig) -> String {
    format!(
        "{} to {} ms, {} of {} lost",
        link.latency_min.as_millis(),
        link.latency_max.as_millis(),
        link.loss.numerator,
        link.loss.denominator
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_people_say_them() {
        let words = |action: Action| action.words();
        let drift = |ppm| words(Action::Drift { node: 2, ppm });
        assert_eq!(drift(100_000), "let the clock of n3 run 10 % too fast");
        assert_eq!(drift(-1_500), "let the clock of n3 run 1500 parts per million too slow");
        let jump = |by| words(Action::Jump { node: 0, by });
        assert_eq!(jump(3_600_000_000), "set the time of n1 ahead by 1 h");
        assert_eq!(jump(-90_000_000), "set the time of n1 back by 90 s");
        assert_eq!(jump(1_500_000), "set the time of n1 ahead by 1500 ms");
        let workload =
            Workload { per_second: 3, strong: Ratio::per_mille(250), ..Workload::default() };
        let partition = words(Action::Partition { groups: alloc::vec![3, 0, 3, 1] });
        assert_eq!(partition, "partition the network: n1 n3 | n2 | n4");
        let strong = words(Action::Workload(workload));
        assert_eq!(strong, "4 clients: 3 operations per second, 25 % of them strong");
        assert_eq!(ratio(Ratio::per_mille(333)), "333 of 1000");
    }

    #[test]
    fn what_a_link_brings_cannot_command_a_terminal() {
        let (key, value) = ("k\n".into(), "\u{1b}[2J\u{202e}".into());
        let put = ClientOperation::Put { key, value };
        assert_eq!(put.words(), "put k\\n = \\u{1b}[2J\\u{202e}");
        assert_eq!(put.clone().in_strong().words(), "put k\\n = \\u{1b}[2J\\u{202e} (strong)");
        let asked = Action::Client { client: None, node: 0, operation: put };
        assert_eq!(asked.command(), None);
    }
}

//! Actions as commands of scenario scripts (`kv-core/tests/scripts`), there and back.
//!
//! A command is a name, words and pairs, as in `link n1 n2 latency=5ms lose=1/10`. Nodes are named from n1
//! on. What a pair leaves out stays as it is in the world; what is written down leaves nothing out.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Action, ClientOperation, StrongOperation};
use crate::id::FileId;
use crate::ordered;
use crate::rng::Ratio;
use crate::settings::Setting;
use crate::sim::World;
use crate::sim::config::{ActionRefused, LinkConfig, NetworkConfig, SimConfig, Workload, refuse};
use crate::text::is_harmless;
use crate::time::Micros;

/// Pairs as they stand in a command.
pub type Pairs<'a> = [(&'a str, &'a str)];

impl Action {
    /// The command that does it; none for an operation on bytes that are no text for a line.
    #[must_use]
    pub fn command(&self) -> Option<String> {
        Some(match self {
            Self::Crash { node } => format!("crash {}", name(*node)),
            Self::Restart { node } => format!("restart {}", name(*node)),
            Self::Pause { node } => format!("pause {}", name(*node)),
            Self::Resume { node } => format!("resume {}", name(*node)),
            Self::Wipe { node } => format!("wipe {}", name(*node)),
            Self::Cut { from, to } => format!("cut {} {}", name(*from), name(*to)),
            Self::Mend { from, to } => format!("mend {} {}", name(*from), name(*to)),
            Self::Partition { groups } => format!("partition {}", sides(groups).join(" ")),
            Self::Heal => String::from("heal"),
            Self::Network(network) => format!("network {}", network_pairs(network).join(" ")),
            Self::Link { from, to, own: Some(own) } => {
                format!("link {} {} {}", name(*from), name(*to), link_pairs(own).join(" "))
            }
            Self::Link { from, to, own: None } => format!("unlink {} {}", name(*from), name(*to)),
            Self::Lose { message } => format!("lose {message}"),
            Self::Delay { message, by } => format!("delay {message} by={}", span(*by)),
            Self::Set { node, changes } => {
                format!("set {} {}", name(*node), setting_pairs(changes).join(" "))
            }
            Self::Fill { node, free } => format!("fill {} free={free}", name(*node)),
            Self::Free { node } => format!("free {}", name(*node)),
            Self::Slow { node, wait } => format!("slow {} {}", name(*node), span(*wait)),
            Self::Flip { node, file, offset, bit } => {
                format!("flip {} file={} offset={offset} bit={bit}", name(*node), file.0)
            }
            Self::FailSync { node } => format!("failsync {}", name(*node)),
            Self::Misread { node } => format!("misread {}", name(*node)),
            Self::Drift { node, ppm } => {
                let way = if *ppm < 0 { "slow" } else { "fast" };
                format!("drift {} {way}={}", name(*node), ppm.unsigned_abs())
            }
            Self::Jump { node, by } => {
                let way = if *by < 0 { "back" } else { "ahead" };
                format!("jump {} {way}={}", name(*node), span(Micros(by.unsigned_abs())))
            }
            Self::Workload(workload) => format!("workload {}", workload_pairs(workload).join(" ")),
            Self::Client { client, node, operation } => {
                let client = client.map_or_else(String::new, |client| format!(" as={client}"));
                format!("{}{client}", operation_command(*node, operation)?)
            }
        })
    }

    /// The action of a command, in a world as it is now.
    pub fn of_command(
        world: &World,
        name: &str,
        words: &[&str],
        pairs: &Pairs<'_>,
    ) -> Result<Self, ActionRefused> {
        Ok(match (name, words, pairs) {
            ("crash", [node], []) => Self::Crash { node: node_of(node)? },
            ("restart", [node], []) => Self::Restart { node: node_of(node)? },
            ("pause", [node], []) => Self::Pause { node: node_of(node)? },
            ("resume", [node], []) => Self::Resume { node: node_of(node)? },
            ("wipe", [node], []) => Self::Wipe { node: node_of(node)? },
            ("cut", [from, to], []) => Self::Cut { from: node_of(from)?, to: node_of(to)? },
            ("mend", [from, to], []) => Self::Mend { from: node_of(from)?, to: node_of(to)? },
            ("partition", sides, []) => Self::Partition { groups: groups(world.nodes(), sides)? },
            ("heal", [], []) => Self::Heal,
            ("network", [], pairs) => {
                let mut network = world.network();
                each(pairs, |name, value| change_network(&mut network, name, value))?;
                Self::Network(network)
            }
            ("link", [from, to], pairs) => {
                let (from, to) = (node_of(from)?, node_of(to)?);
                let mut own = world.link_config(from, to).unwrap_or_else(|| world.network().link());
                each(pairs, |name, value| change_link(&mut own, name, value))?;
                Self::Link { from, to, own: Some(own) }
            }
            ("unlink", [from, to], []) => {
                Self::Link { from: node_of(from)?, to: node_of(to)?, own: None }
            }
            ("lose", [message], []) => Self::Lose { message: number(message)? },
            ("delay", [message], [("by", by)]) => {
                Self::Delay { message: number(message)?, by: span_of(by)? }
            }
            ("set", [node], pairs) => {
                Self::Set { node: node_of(node)?, changes: settings_of(pairs)? }
            }
            ("workload", [], pairs) => {
                let mut workload = world.workload();
                each(pairs, |name, value| change_workload(&mut workload, name, value))?;
                Self::Workload(workload)
            }
            (
                "put" | "get" | "delete" | "strong_put" | "strong_get" | "strong_delete",
                words,
                pairs,
            ) => operation_of(name, words, pairs)?,
            _ => return disk_or_clock(name, words, pairs),
        })
    }
}

fn disk_or_clock(name: &str, words: &[&str], pairs: &Pairs<'_>) -> Result<Action, ActionRefused> {
    Ok(match (name, words, pairs) {
        ("fill", [node], [("free", free)]) => {
            Action::Fill { node: node_of(node)?, free: number(free)? }
        }
        ("free", [node], []) => Action::Free { node: node_of(node)? },
        ("slow", [node, wait], []) => Action::Slow { node: node_of(node)?, wait: span_of(wait)? },
        ("flip", [node], [("file", file), ("offset", offset), ("bit", bit)]) => Action::Flip {
            node: node_of(node)?,
            file: FileId(number(file)?),
            offset: number(offset)?,
            bit: number(bit)?,
        },
        ("failsync", [node], []) => Action::FailSync { node: node_of(node)? },
        ("misread", [node], []) => Action::Misread { node: node_of(node)? },
        ("drift", [node], [("fast", ppm)]) => {
            Action::Drift { node: node_of(node)?, ppm: number(ppm)? }
        }
        ("drift", [node], [("slow", ppm)]) => {
            Action::Drift { node: node_of(node)?, ppm: -number::<i32>(ppm)? }
        }
        ("jump", [node], [("ahead", by)]) => {
            Action::Jump { node: node_of(node)?, by: span_of(by)?.0.cast_signed() }
        }
        ("jump", [node], [("back", by)]) => {
            let by = span_of(by)?.0.cast_signed();
            Action::Jump { node: node_of(node)?, by: by.saturating_neg() }
        }
        _ => return refuse(format!("{name} is no command, or wants other arguments")),
    })
}

impl SimConfig {
    /// What of it differs from the default, as pairs.
    #[must_use]
    pub fn pairs(&self) -> Vec<String> {
        let plain = Self::default();
        let mut pairs = alloc::vec![format!("nodes={}", self.nodes), format!("seed={}", self.seed)];
        pairs.push(format!("partitions={}", self.partitions));
        pairs.push(format!("shards={}", self.shards));
        pairs.push(format!("sync={}", span(self.sync)));
        if self.network != plain.network {
            pairs.extend(network_pairs(&self.network));
        }
        if self.workload != plain.workload {
            pairs.extend(workload_pairs(&self.workload));
        }
        pairs.extend(setting_pairs(&self.settings));
        pairs
    }

    /// The configuration with these changes.
    pub fn with_pairs(mut self, pairs: &Pairs<'_>) -> Result<Self, ActionRefused> {
        each(pairs, |name, value| {
            match name {
                "nodes" => self.nodes = number(value)?,
                "seed" => self.seed = number(value)?,
                "partitions" => self.partitions = number(value)?,
                "shards" => self.shards = number(value)?,
                "sync" => self.sync = span_of(value)?,
                "clients" | "per_second" | "keys" | "writes" | "quorum" | "strong" => {
                    change_workload(&mut self.workload, name, value)?;
                }
                "latency" | "lose" | "late" | "times" | "twice" | "overtake" => {
                    change_network(&mut self.network, name, value)?;
                }
                _ => self.settings.extend(settings_of(&[(name, value)])?),
            }
            Ok(())
        })?;
        Ok(self)
    }
}

fn each(
    pairs: &Pairs<'_>,
    mut change: impl FnMut(&str, &str) -> Result<(), ActionRefused>,
) -> Result<(), ActionRefused> {
    pairs.iter().try_for_each(|(name, value)| change(name, value))
}

fn network_pairs(network: &NetworkConfig) -> Vec<String> {
    let mut pairs = link_pairs(&network.link());
    let NetworkConfig { stragglers, straggle, duplication, reordering, .. } = network;
    pairs.push(format!("late={}", share(*stragglers)));
    pairs.push(format!("times={straggle}"));
    pairs.push(format!("twice={}", share(*duplication)));
    pairs.push(format!("overtake={}", share(*reordering)));
    pairs
}

fn change_network(
    network: &mut NetworkConfig,
    name: &str,
    value: &str,
) -> Result<(), ActionRefused> {
    match name {
        "late" => network.stragglers = share_of(value)?,
        "times" => network.straggle = number(value)?,
        "twice" => network.duplication = share_of(value)?,
        "overtake" => network.reordering = share_of(value)?,
        _ => {
            let mut link = network.link();
            change_link(&mut link, name, value)?;
            let LinkConfig { latency_min, latency_max, loss } = link;
            *network = NetworkConfig { latency_min, latency_max, loss, ..*network };
        }
    }
    Ok(())
}

fn link_pairs(link: &LinkConfig) -> Vec<String> {
    let LinkConfig { latency_min, latency_max, loss } = *link;
    let latency = match latency_min == latency_max {
        true => span(latency_min),
        false => format!("{}..{}", span(latency_min), span(latency_max)),
    };
    alloc::vec![format!("latency={latency}"), format!("lose={}", share(loss))]
}

fn change_link(link: &mut LinkConfig, name: &str, value: &str) -> Result<(), ActionRefused> {
    match name {
        "latency" => {
            let (least, most) = value.split_once("..").unwrap_or((value, value));
            (link.latency_min, link.latency_max) = (span_of(least)?, span_of(most)?);
        }
        "lose" => link.loss = share_of(value)?,
        _ => return refuse(format!("a link has no {name}")),
    }
    Ok(())
}

fn workload_pairs(workload: &Workload) -> Vec<String> {
    let Workload { clients, per_second, keys, writes, quorum, strong } = workload;
    alloc::vec![
        format!("clients={clients}"),
        format!("per_second={per_second}"),
        format!("keys={keys}"),
        format!("writes={}", share(*writes)),
        format!("quorum={quorum}"),
        format!("strong={}", share(*strong)),
    ]
}

fn change_workload(workload: &mut Workload, name: &str, value: &str) -> Result<(), ActionRefused> {
    match name {
        "clients" => workload.clients = number(value)?,
        "per_second" => workload.per_second = number(value)?,
        "keys" => workload.keys = number(value)?,
        "writes" => workload.writes = share_of(value)?,
        "quorum" => workload.quorum = number(value)?,
        "strong" => workload.strong = share_of(value)?,
        _ => return refuse(format!("a workload has no {name}")),
    }
    Ok(())
}

fn setting_pairs(changes: &[(Setting, u64)]) -> Vec<String> {
    let pair = |(setting, value): &(Setting, u64)| format!("{}={value}", setting.spec().name);
    changes.iter().map(pair).collect()
}

/// Settings by their names.
pub fn settings_of(pairs: &Pairs<'_>) -> Result<Vec<(Setting, u64)>, ActionRefused> {
    let change = |(name, value): &(&str, &str)| match Setting::of_name(name) {
        Some(setting) => Ok((setting, number(value)?)),
        None => refuse(format!("there is no setting {name}")),
    };
    pairs.iter().map(change).collect()
}

fn operation_command(node: u16, operation: &ClientOperation) -> Option<String> {
    let (node, key) = (name(node), quoted(operation.key())?);
    Some(match operation {
        ClientOperation::Get { .. } => format!("get {node} {key}"),
        ClientOperation::Put { value, .. } => format!("put {node} {key} {}", quoted(value)?),
        ClientOperation::Delete { .. } => format!("delete {node} {key}"),
        ClientOperation::Strong(StrongOperation::Get { .. }) => format!("strong_get {node} {key}"),
        ClientOperation::Strong(StrongOperation::Put { value, .. }) => {
            format!("strong_put {node} {key} {}", quoted(value)?)
        }
        ClientOperation::Strong(StrongOperation::Delete { .. }) => {
            format!("strong_delete {node} {key}")
        }
    })
}

fn operation_of(name: &str, words: &[&str], pairs: &Pairs<'_>) -> Result<Action, ActionRefused> {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let (name, strong) = match name.strip_prefix("strong_") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (node, operation) = match (name, words) {
        ("get", [node, key]) => (node, ClientOperation::Get { key: bytes(key) }),
        ("delete", [node, key]) => (node, ClientOperation::Delete { key: bytes(key) }),
        ("put", [node, key, value]) => {
            (node, ClientOperation::Put { key: bytes(key), value: bytes(value) })
        }
        _ => return refuse(format!("{name} wants other arguments")),
    };
    let operation = if strong { operation.in_strong() } else { operation };
    let client = match pairs {
        [] => None,
        [("as", client)] => Some(number(client)?),
        _ => return refuse(format!("{name} wants other arguments")),
    };
    Ok(Action::Client { client, node: node_of(node)?, operation })
}

/// Text as one word of a script, in quotes where it needs them; none for what would break a line.
fn quoted(bytes: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(bytes).ok().filter(|text| text.chars().all(is_harmless))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let bare = text.starts_with(plain) && text.chars().all(|c| plain(c) || "-./@".contains(c));
    Some(if bare { text.to_string() } else { format!("{text:?}") })
}

/// The name of a node in scripts.
fn name(node: u16) -> String {
    format!("n{}", u32::from(node) + 1)
}

/// The node of a name.
pub fn node_of(name: &str) -> Result<u16, ActionRefused> {
    let number = name.strip_prefix('n').and_then(|digits| digits.parse::<u16>().ok());
    match number.and_then(|number| number.checked_sub(1)) {
        Some(node) => Ok(node),
        None => refuse(format!("nodes are named n1, n2, …, and not {name}")),
    }
}

/// The nodes of each group, joined; those of one group stand together.
fn sides(groups: &[u8]) -> Vec<String> {
    let mut numbers = groups.to_vec();
    ordered::sort(&mut numbers);
    numbers.dedup();
    let side = |group: &u8| {
        let nodes = (0..).zip(groups).filter(|(_, of)| *of == group);
        nodes.map(|(node, _)| name(node)).collect::<Vec<_>>().join("-")
    };
    numbers.iter().map(side).collect()
}

/// The number of the group of each node; those that are not named are a group as well.
fn groups(nodes: u16, sides: &[&str]) -> Result<Vec<u8>, ActionRefused> {
    let mut groups = alloc::vec![0; usize::from(nodes)];
    for (group, side) in (1..).zip(sides) {
        for node in side.split('-') {
            match groups.get_mut(usize::from(node_of(node)?)) {
                Some(of) => *of = group,
                None => return refuse(format!("there is no node {node}")),
            }
        }
    }
    Ok(groups)
}

fn number<T: core::str::FromStr>(text: &str) -> Result<T, ActionRefused> {
    text.parse().or_else(|_| refuse(format!("{text} is no number, or too large")))
}

fn share(ratio: Ratio) -> String {
    format!("{}/{}", ratio.numerator, ratio.denominator)
}

fn share_of(text: &str) -> Result<Ratio, ActionRefused> {
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    Ok(Ratio { numerator: number(numerator)?, denominator: number(denominator)? })
}

/// A span of time in the largest unit in which it is whole.
fn span(span: Micros) -> String {
    match span.0 {
        micros if !micros.is_multiple_of(1_000) => format!("{micros}us"),
        micros if !micros.is_multiple_of(1_000_000) => format!("{}ms", micros / 1_000),
        micros => format!("{}s", micros / 1_000_000),
    }
}

/// A span of time: a whole number of `us`, `ms` or `h`, or of `s` with up to six decimals.
pub fn span_of(text: &str) -> Result<Micros, ActionRefused> {
    let units = [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("h", 3_600_000_000)];
    let found = units.iter().find_map(|(unit, micros)| Some((text.strip_suffix(unit)?, *micros)));
    let Some((count, micros)) = found else {
        return refuse(format!("a time ends in us, ms, s or h, and {text} does not"));
    };
    let (whole, decimals) = match count.split_once('.') {
        Some((whole, decimals)) if micros == 1_000_000 && decimals.len() <= 6 => (whole, decimals),
        _ => (count, ""),
    };
    let parts = number::<u64>(&format!("{decimals:0<6}"))?;
    Ok(Micros(number::<u64>(whole)?.saturating_mul(micros).saturating_add(parts)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::sim::nemesis::Nemesis;

    /// The action of a line without quotes.
    fn read(world: &World, line: &str) -> Result<Action, ActionRefused> {
        let mut parts = line.split(' ');
        let name = parts.next().unwrap();
        let (pairs, words): (Vec<_>, Vec<_>) = parts.partition(|part| part.contains('='));
        let pairs: Vec<_> = pairs.iter().filter_map(|pair| pair.split_once('=')).collect();
        Action::of_command(world, name, &words, &pairs)
    }

    #[test]
    fn what_a_nemesis_does_can_be_written_down_and_read_again() {
        let mut kinds = alloc::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut nemesis = Nemesis::moving_partitions(seed, 5);
            let config = nemesis.config(seed);
            let pairs = config.pairs();
            let pairs: Vec<_> = pairs.iter().filter_map(|pair| pair.split_once('=')).collect();
            assert_eq!(SimConfig::default().with_pairs(&pairs), Ok(config.clone()));
            let mut world = World::new(config).unwrap();
            for _ in 0..60 {
                nemesis.strike(&mut world);
            }
            for timed in world.actions() {
                let line = timed.action.command().unwrap();
                let again = read(&world, &line).unwrap_or_else(|error| panic!("{line}: {error}"));
                assert_eq!(again.command().as_ref(), Some(&line));
                match &timed.action {
                    // The numbers of groups may differ, as long as the same nodes are in one.
                    Action::Partition { .. } => {}
                    action => assert_eq!(again, *action, "{line}"),
                }
                kinds.insert(String::from(line.split(' ').next().unwrap()));
            }
        }
        assert!(kinds.len() > 18, "{kinds:?}");
    }

    #[test]
    fn what_no_nemesis_does_can_be_written_down_too() {
        let world = World::new(SimConfig::default()).unwrap();
        let key = || Bytes::from("a/b-1");
        let value = Bytes::from("v.1");
        let actions = [
            Action::Flip { node: 2, file: FileId::table(7), offset: 9, bit: 3 },
            Action::Misread { node: 0 },
            Action::Workload(Workload { keys: 3, ..Workload::default() }),
            Action::Client {
                client: None,
                node: 1,
                operation: ClientOperation::Get { key: key() },
            },
            Action::Client {
                client: Some(4),
                node: 1,
                operation: ClientOperation::Put { key: key(), value },
            },
        ];
        for action in actions {
            assert_eq!(read(&world, &action.command().unwrap()), Ok(action));
        }
        let word = |text: &'static str| quoted(text.as_bytes());
        assert_eq!(word("two words").as_deref(), Some("\"two words\""));
        assert_eq!(word("").as_deref(), Some("\"\""));
        assert_eq!(word("two\nlines"), None);
    }

    #[test]
    fn spans_are_exact() {
        let mut rng = Rng::new(8);
        for _ in 0..1_000 {
            let most = 10_u64.pow(rng.below(10) as u32);
            let micros = Micros(rng.below(most) * [1, 1_000, 1_000_000][rng.below(3) as usize]);
            assert_eq!(span_of(&span(micros)), Ok(micros));
        }
        assert_eq!(span_of("1.25s"), Ok(Micros(1_250_000)));
        assert_eq!(span_of("2h"), Ok(Micros(7_200_000_000)));
        for wrong in ["5", "ms", "1.5ms", "-1s", "1.0000001s"] {
            assert!(span_of(wrong).is_err(), "{wrong}");
        }
    }
}

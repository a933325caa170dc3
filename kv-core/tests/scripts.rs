//! Scenario scripts: what a cluster does, as transcripts that can be read and are checked.
//!
//! Each file below `scripts/` is one scenario on a simulated cluster: commands, then what came of them.
//! `UPDATE=1` writes the transcripts anew; every line that changes wants an explanation.
//!
//! | command | what |
//! | --- | --- |
//! | `cluster nodes=3 [replicas= read_quorum= …]` | a cluster, running until all nodes are members |
//! | `nodes 3` | the same at its very beginning |
//! | `put n1 KEY VALUE`, `get n1 KEY`, `delete n1 KEY` | a client asks n1 and waits; with `[later]` it does not |
//! | `answers` | what came of everything that was asked `[later]` |
//! | `crash n1`, `restart n1`, `cut n1 n2`, `mend n1 n2`, `partition n1-n2 n3`, `heal`, `lose percent=30` | faults, and their end |
//! | `pause n1`, `resume n1`, `wipe n1` | a stopped process, and a lost disk |
//! | `link n1 n2 latency=300ms percent=10`, `unlink n1 n2` | one direction of a link is slow and loses messages |
//! | `twice percent=100`, `overtake percent=50`, `late percent=5 times=20` | messages arrive twice, out of order, late |
//! | `drift n1 fast=1000`, `drift n1 slow=1000` (parts per million), `jump n1 ahead=1h`, `jump n1 back=5s` | clocks |
//! | `fill n1 free=100`, `free n1`, `slow n1 200ms`, `failsync n1` | what becomes of a disk |
//! | `set n1 NAME=VALUE …` | somebody changes settings on n1 |
//! | `run 500ms`, `run 2s` | time passes |
//! | `key KEY`, `members`, `settings NAME`, `events` | what the nodes hold, think of each other, go by, and tell |

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use bytes::Bytes;
use goldenscript::{Command, Context, Runner};
use kv_core::event::{EventKind, Severity};
use kv_core::id::NodeId;
use kv_core::node::PeerView;
use kv_core::request::{Receipt, Reply};
use kv_core::rng::Ratio;
use kv_core::settings::Setting;
use kv_core::sim::{
    Action, ClientOperation, LinkConfig, NetworkConfig, OperationRecord, Outcome, SimConfig, World,
};
use kv_core::time::{Micros, Mono};
use kv_core::version::{Dot, Object};

#[test]
fn quorum() {
    play("quorum");
}

#[test]
fn membership() {
    play("membership");
}

#[test]
fn failure() {
    play("failure");
}

#[test]
fn settings() {
    play("settings");
}

#[test]
fn recovery() {
    play("recovery");
}

/// Plays all scripts of an area.
fn play(area: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(area);
    let entries = fs::read_dir(&folder).expect("the area has a folder");
    let mut scripts: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "{} has no scripts", folder.display());
    for path in scripts {
        let script = fs::read_to_string(&path).expect("a script can be read");
        let played = goldenscript::generate(&mut Stage::default(), &script)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, played).expect("a script can be written");
        } else {
            let lines = played.lines().zip(script.lines()).zip(1..);
            for ((now, record), number) in lines {
                assert_eq!(now, record, "{}:{number}", path.display());
            }
            assert_eq!(played.len(), script.len(), "{} ends elsewhere", path.display());
        }
    }
}

/// How long a client of a script waits for its answer.
const PATIENCE: Micros = Micros::from_millis(20_000);

/// A script being played.
#[derive(Default)]
struct Stage {
    world: Option<World>,
    /// The operations that nobody waited for.
    later: Vec<u64>,
    /// The first event that was not told yet.
    told: u64,
    names: Names,
}

/// The names of nodes by their ids and data folders.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

type Told = Result<String, Box<dyn Error>>;

impl Runner for Stage {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Told {
        if let Some(world) = &self.world {
            self.names.learn(world);
        }
        let mut args = command.consume_args();
        let mut words = Vec::new();
        while let Some(word) = args.next_pos() {
            words.push(word);
        }
        let mut pairs = Vec::new();
        while let Some(pair) = args.next_key() {
            pairs.push(pair);
        }
        match (command.name.as_str(), words.as_slice(), pairs.as_slice()) {
            ("cluster", [], pairs) => self.cluster(pairs),
            ("nodes", [count], pairs) => {
                self.begin(count, pairs)?;
                Ok(String::new())
            }
            ("put", [node, key, value], []) => {
                let value = Bytes::from((*value).to_owned());
                self.ask(node, ClientOperation::Put { key: bytes(key), value }, context)
            }
            ("get", [node, key], []) => {
                self.ask(node, ClientOperation::Get { key: bytes(key) }, context)
            }
            ("delete", [node, key], []) => {
                self.ask(node, ClientOperation::Delete { key: bytes(key) }, context)
            }
            ("answers", [], []) => self.answers(),
            ("run", [span], []) => {
                self.pass(time(span)?)?;
                Ok(String::new())
            }
            ("key", [key], []) => self.key(key),
            ("members", [], []) => self.members(),
            ("settings", [name], []) => self.settings(name),
            ("events", [], []) => self.events(),
            (name, words, pairs) => {
                let action = action(self.world()?, name, words, pairs)?;
                self.world_mut()?.act(action)?;
                Ok(String::new())
            }
        }
    }
}

fn action(
    world: &World,
    name: &str,
    words: &[&str],
    pairs: &[(&str, &str)],
) -> Result<Action, Box<dyn Error>> {
    Ok(match (name, words, pairs) {
        ("crash", [node], []) => Action::Crash { node: number(node)? },
        ("restart", [node], []) => Action::Restart { node: number(node)? },
        ("cut", [from, to], []) => Action::Cut { from: number(from)?, to: number(to)? },
        ("mend", [from, to], []) => Action::Mend { from: number(from)?, to: number(to)? },
        ("heal", [], []) => Action::Heal,
        ("partition", sides, []) => {
            let mut groups = vec![0; usize::from(world.nodes())];
            for (group, side) in (1..).zip(sides) {
                for node in side.split('-') {
                    let group_of = groups.get_mut(usize::from(number(node)?));
                    *group_of.ok_or("there is no such node")? = group;
                }
            }
            Action::Partition { groups }
        }
        ("lose", [], [("percent", share)]) => {
            Action::Network(NetworkConfig { loss: percent(share)?, ..world.network() })
        }
        ("pause", [node], []) => Action::Pause { node: number(node)? },
        ("resume", [node], []) => Action::Resume { node: number(node)? },
        ("wipe", [node], []) => Action::Wipe { node: number(node)? },
        ("link", [from, to], [("latency", latency), ("percent", share)]) => {
            let latency = time(latency)?;
            let (latency_min, latency_max) = (latency, latency);
            let own = LinkConfig { latency_min, latency_max, loss: percent(share)? };
            Action::Link { from: number(from)?, to: number(to)?, own: Some(own) }
        }
        ("unlink", [from, to], []) => {
            Action::Link { from: number(from)?, to: number(to)?, own: None }
        }
        ("twice", [], [("percent", share)]) => {
            Action::Network(NetworkConfig { duplication: percent(share)?, ..world.network() })
        }
        ("overtake", [], [("percent", share)]) => {
            Action::Network(NetworkConfig { reordering: percent(share)?, ..world.network() })
        }
        ("late", [], [("percent", share), ("times", times)]) => {
            let (stragglers, straggle) = (percent(share)?, times.parse()?);
            Action::Network(NetworkConfig { stragglers, straggle, ..world.network() })
        }
        ("drift", [node], [(way, ppm)]) => {
            let ppm: i32 = ppm.parse()?;
            Action::Drift { node: number(node)?, ppm: if *way == "slow" { -ppm } else { ppm } }
        }
        ("jump", [node], [(way, span)]) => {
            let by = i64::try_from(time(span)?.0)?;
            Action::Jump { node: number(node)?, by: if *way == "back" { -by } else { by } }
        }
        ("failsync", [node], []) => Action::FailSync { node: number(node)? },
        ("fill", [node], [("free", free)]) => {
            Action::Fill { node: number(node)?, free: free.parse()? }
        }
        ("free", [node], []) => Action::Free { node: number(node)? },
        ("slow", [node, wait], []) => Action::Slow { node: number(node)?, wait: time(wait)? },
        ("set", [node], pairs) => Action::Set { node: number(node)?, changes: changes(pairs)? },
        _ => return Err(format!("{name} is no command, or wants other arguments").into()),
    })
}

impl Stage {
    fn world(&self) -> Result<&World, Box<dyn Error>> {
        self.world.as_ref().ok_or_else(|| "begin with `cluster` or `nodes`".into())
    }

    fn world_mut(&mut self) -> Result<&mut World, Box<dyn Error>> {
        self.world.as_mut().ok_or_else(|| "begin with `cluster` or `nodes`".into())
    }

    fn begin(&mut self, nodes: &str, pairs: &[(&str, &str)]) -> Result<(), Box<dyn Error>> {
        let settings = changes(pairs)?;
        let nodes = nodes.parse()?;
        // One latency for all, so that a message more or less in the core leaves a transcript alone.
        let latency = Micros::from_millis(5);
        let network = NetworkConfig {
            latency_min: latency,
            latency_max: latency,
            ..NetworkConfig::default()
        };
        let config = SimConfig { nodes, partitions: 8, network, settings, ..SimConfig::default() };
        self.world = Some(World::new(config)?);
        Ok(())
    }

    fn cluster(&mut self, pairs: &[(&str, &str)]) -> Told {
        let [("nodes", nodes), settings @ ..] = pairs else {
            return Err("say how many nodes first".into());
        };
        self.begin(nodes, settings)?;
        let wanted = changes(settings)?;
        let ready = |world: &World| {
            (0..world.nodes()).all(|index| {
                let view = world.view(index);
                view.is_some_and(|view| {
                    view.layout.is_some_and(|layout| {
                        layout.moving.is_none()
                            && layout.members.len() == usize::from(world.nodes())
                    }) && wanted
                        .iter()
                        .all(|(setting, value)| view.settings.get(*setting) == *value)
                        && view.peers.iter().all(|peer| peer.alive)
                })
            })
        };
        while !ready(self.world()?) {
            self.pass(Micros::from_millis(50))?;
            if self.world()?.now() > Mono(20_000_000) {
                return Err("the cluster did not come together".into());
            }
        }
        self.told = self.world()?.trace_len();
        Ok(String::new())
    }

    fn pass(&mut self, span: Micros) -> Result<(), Box<dyn Error>> {
        let world = self.world_mut()?;
        world.run_until(world.now() + span, u64::MAX);
        Ok(())
    }

    fn ask(&mut self, node: &str, operation: ClientOperation, context: &Context) -> Told {
        let node = number(node)?;
        let world = self.world_mut()?;
        world.act(Action::Client { client: None, node, operation })?;
        let number = world.operations().last().map(|record| record.number).unwrap_or_default();
        if context.tags.contains("later") {
            self.later.push(number);
            return Ok(String::new());
        }
        let give_up = world.now() + PATIENCE;
        while self.record(number)?.outcome.is_none() {
            if self.world_mut()?.step() > give_up {
                return Err("no answer ever came".into());
            }
        }
        self.answer(number)
    }

    fn record(&self, number: u64) -> Result<OperationRecord, Box<dyn Error>> {
        let record = self.world()?.operations_since(number).next().cloned();
        record.ok_or_else(|| "the operation is kept no longer".into())
    }

    fn answers(&mut self) -> Told {
        let mut text = String::new();
        for number in core::mem::take(&mut self.later) {
            text += &self.answer(number)?;
        }
        Ok(text)
    }

    /// An operation and its outcome, in a line.
    fn answer(&self, number: u64) -> Told {
        let record = self.record(number)?;
        let key = String::from_utf8_lossy(record.operation.key()).into_owned();
        let what = match &record.operation {
            ClientOperation::Get { .. } => format!("get {key}"),
            ClientOperation::Put { value, .. } => {
                format!("put {key}={}", String::from_utf8_lossy(value))
            }
            ClientOperation::Delete { .. } => format!("delete {key}"),
        };
        let outcome = match &record.outcome {
            Some((_, outcome)) => told(&self.names, outcome),
            None => "no answer yet".into(),
        };
        Ok(format!("n{} {what}: {outcome}\n", record.node + 1))
    }

    /// What each owner holds under a key.
    fn key(&self, key: &str) -> Told {
        let world = self.world()?;
        let up = (0..world.nodes()).find_map(|index| world.view(index));
        let layout = up.and_then(|node| node.layout).ok_or("there is no layout")?;
        let owners = layout.owners(layout.ring.partition_of(key.as_bytes()));
        let mut text = String::new();
        for index in 0..world.nodes() {
            let owner = owners.contains(&world.node_id(index));
            let held = match world.node(index) {
                None => "is down".into(),
                Some(_) => match world.object(index, key.as_bytes()) {
                    Some(object) => format!("holds {}", held(&self.names, &object)),
                    None if owner => "holds nothing".into(),
                    None => continue,
                },
            };
            let role = if owner { "" } else { " (no owner)" };
            writeln!(text, "n{}{role} {held}", index + 1)?;
        }
        Ok(text)
    }

    fn members(&self) -> Told {
        let world = self.world()?;
        let mut text = String::new();
        for index in 0..world.nodes() {
            let Some(view) = world.view(index) else {
                let words = world.failure(index).unwrap_or("is down");
                writeln!(text, "n{} {words}", index + 1)?;
                continue;
            };
            let Some(layout) = view.layout else {
                writeln!(text, "n{} is in no cluster", index + 1)?;
                continue;
            };
            let moving = if layout.moving.is_some() { ", partitions are moving" } else { "" };
            let (alive, dead): (Vec<_>, Vec<_>) = view.peers.iter().partition(|peer| peer.alive);
            let names = |peers: Vec<&PeerView>| match peers.as_slice() {
                [] => "nobody".to_owned(),
                peers => self.names.of_all(peers.iter().map(|peer| &peer.node)),
            };
            let (alive, dead) = (names(alive), names(dead));
            writeln!(
                text,
                "n{} knows {} members{moving}, hears {alive}, suspects {dead}",
                index + 1,
                layout.members.len()
            )?;
        }
        Ok(text)
    }

    fn settings(&self, name: &str) -> Told {
        let setting = Setting::of_name(name).ok_or("there is no such setting")?;
        let world = self.world()?;
        let mut text = String::new();
        for index in 0..world.nodes() {
            match world.node(index) {
                Some(node) => {
                    writeln!(text, "n{} goes by {}", index + 1, node.settings().get(setting))?;
                }
                None => writeln!(text, "n{} is down", index + 1)?,
            }
        }
        Ok(text)
    }

    /// What the nodes told since the last time, but for what every request and link tells.
    fn events(&mut self) -> Told {
        let from = self.told;
        let world = self.world()?;
        let mut text = String::new();
        for entry in world.trace_since(from) {
            let kind = &entry.event.kind;
            let link = matches!(kind, EventKind::LinkUp(_) | EventKind::LinkDown(_));
            if kind.severity() > Severity::Trace && !link {
                writeln!(text, "n{} {}", entry.node + 1, self.names.put_into(&kind.to_string()))?;
            }
        }
        self.told = self.world()?.trace_len();
        Ok(text)
    }
}

impl Names {
    /// Learns the ids of the nodes that run; those of others stay known.
    fn learn(&mut self, world: &World) {
        for (index, number) in (0..world.nodes()).zip(1..) {
            let name = format!("n{number}");
            if let Some(node) = world.node(index) {
                self.0.insert(node.hello().incarnation.to_string(), name.clone());
            }
            self.0.insert(world.node_id(index).to_string(), name);
        }
    }

    /// The text with names in the place of ids and data folders.
    fn put_into(&self, text: &str) -> String {
        let text = text.to_owned();
        self.0.iter().fold(text, |text, (id, name)| text.replace(id, name))
    }

    fn of(&self, node: NodeId) -> String {
        self.put_into(&node.to_string())
    }

    fn of_all<'a>(&self, nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
        let mut names: Vec<String> = nodes.into_iter().map(|node| self.of(*node)).collect();
        names.sort();
        names.join(" ")
    }

    fn of_dot(&self, dot: Dot) -> String {
        format!("{}:{}", self.put_into(&dot.actor.to_string()), dot.counter)
    }
}

/// The outcome of an operation, in words.
fn told(names: &Names, outcome: &Outcome) -> String {
    let on = |receipt: &Receipt| names.of_all(&receipt.acknowledged);
    match outcome {
        Ok(Reply::Read { values, receipt, .. }) => {
            let shown: Vec<_> =
                values.iter().map(|value| String::from_utf8_lossy(&value.value)).collect();
            let shown = if shown.is_empty() { "absent".to_owned() } else { shown.join(" and ") };
            let mended = if receipt.repaired.is_empty() {
                String::new()
            } else {
                format!(", mended {}", names.of_all(&receipt.repaired))
            };
            format!("{shown} (from {}{mended})", on(receipt))
        }
        Ok(Reply::Written { dot, siblings, receipt, .. }) => {
            let beside =
                if *siblings > 1 { format!(", {siblings} siblings") } else { String::new() };
            format!("written as {} on {}{beside}", names.of_dot(*dot), on(receipt))
        }
        Ok(Reply::Keys(_) | Reply::Done) => "done".into(),
        Err(error) => error.to_string(),
    }
}

/// An object: its values with their dots, and how far it has seen each node's writes.
fn held(names: &Names, object: &Object) -> String {
    let values: Vec<String> = object
        .siblings()
        .map(|(dot, sibling)| {
            let value = sibling.value.as_ref();
            let value =
                value.map_or_else(|| "a delete".into(), |value| String::from_utf8_lossy(value));
            format!("{value} ({})", names.of_dot(dot))
        })
        .collect();
    let seen: Vec<String> = object
        .clock()
        .entries()
        .map(|(actor, entry)| names.of_dot(Dot { actor, counter: entry.counter }))
        .collect();
    format!("{}, has seen {}", values.join(" and "), seen.join(" "))
}

fn number(node: &str) -> Result<u16, Box<dyn Error>> {
    let number: u16 = node.strip_prefix('n').ok_or("nodes are named n1, n2, …")?.parse()?;
    Ok(number.checked_sub(1).ok_or("nodes are counted from 1")?)
}

fn changes(pairs: &[(&str, &str)]) -> Result<Vec<(Setting, u64)>, Box<dyn Error>> {
    let change = |(name, value): &(&str, &str)| {
        let setting = Setting::of_name(name).ok_or("there is no such setting")?;
        Ok((setting, value.parse()?))
    };
    pairs.iter().map(change).collect()
}

fn time(span: &str) -> Result<Micros, Box<dyn Error>> {
    let millis = match span.strip_suffix("ms") {
        Some(millis) => millis.parse()?,
        None => match span.strip_suffix('h') {
            Some(hours) => hours.parse::<u64>()? * 3_600_000,
            None => {
                let seconds = span.strip_suffix('s').ok_or("a time ends in ms, s or h")?;
                seconds.parse::<u64>()? * 1_000
            }
        },
    };
    Ok(Micros::from_millis(millis))
}

fn percent(share: &str) -> Result<Ratio, Box<dyn Error>> {
    Ok(Ratio { numerator: share.parse()?, denominator: 100 })
}

fn bytes(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

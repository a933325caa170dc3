//! The stage on which scenario scripts are played; `scripts.rs` has the list of commands.

use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Command, Context, Runner};
use kv_core::event::{EventKind, Severity};
use kv_core::node::PeerView;
use kv_core::settings::Setting;
use kv_core::sim::action::command::{settings_of, span_of};
use kv_core::sim::told::{self, Names};
use kv_core::sim::{Action, NetworkConfig, OperationRecord, SimConfig, World, script};
use kv_core::time::{Micros, Mono};

/// How long a client of a script waits for its answer.
const PATIENCE: Micros = Micros::from_millis(20_000);

/// A script being played.
#[derive(Default)]
pub(crate) struct Stage {
    pub(crate) world: Option<World>,
    /// The operations that nobody waited for.
    later: Vec<u64>,
    /// The first event that was not told yet.
    told: u64,
    names: Names,
}

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
        if let Some(at) = &context.prefix {
            // What has a time is done at that time, and nobody waits for what comes of it.
            let action = Action::of_command(self.world()?, &command.name, &words, &pairs)?;
            self.pass_until(Mono(span_of(at)?.0))?;
            self.world_mut()?.act(action)?;
            return Ok(String::new());
        }
        match (command.name.as_str(), words.as_slice(), pairs.as_slice()) {
            ("begin", [], pairs) => {
                self.world = Some(World::new(SimConfig::default().with_pairs(pairs)?)?);
                Ok(String::new())
            }
            ("cluster", [], pairs) => self.cluster(pairs),
            ("nodes", [count], pairs) => {
                self.begin(count, pairs)?;
                Ok(String::new())
            }
            (
                "put" | "get" | "delete" | "strong_put" | "strong_get" | "strong_delete",
                words,
                [],
            ) => {
                let action = Action::of_command(self.world()?, &command.name, words, &[])?;
                self.ask(action, context)
            }
            ("answers", [], []) => self.answers(),
            ("judge", [], []) => Ok(script::judge(self.world()?)),
            ("run", [span], []) => {
                self.pass(span_of(span)?)?;
                Ok(String::new())
            }
            ("run", [], [("until", at)]) => {
                self.pass_until(Mono(span_of(at)?.0))?;
                Ok(String::new())
            }
            ("key", [key], []) => self.key(key),
            ("members", [], []) => self.members(),
            ("settings", [name], []) => self.settings(name),
            ("events", [], []) => self.events(),
            (name, words, pairs) => {
                let action = Action::of_command(self.world()?, name, words, pairs)?;
                self.world_mut()?.act(action)?;
                Ok(String::new())
            }
        }
    }
}

impl Stage {
    fn world(&self) -> Result<&World, Box<dyn Error>> {
        self.world.as_ref().ok_or_else(|| "begin with `cluster` or `nodes`".into())
    }

    fn world_mut(&mut self) -> Result<&mut World, Box<dyn Error>> {
        self.world.as_mut().ok_or_else(|| "begin with `cluster` or `nodes`".into())
    }

    fn begin(&mut self, nodes: &str, pairs: &[(&str, &str)]) -> Result<(), Box<dyn Error>> {
        let settings = settings_of(pairs)?;
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
        let wanted = settings_of(settings)?;
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

    fn pass_until(&mut self, at: Mono) -> Result<(), Box<dyn Error>> {
        let world = self.world_mut()?;
        if at < world.now() {
            return Err("that time is past".into());
        }
        world.run_until(at, u64::MAX);
        Ok(())
    }

    fn ask(&mut self, action: Action, context: &Context) -> Told {
        let world = self.world_mut()?;
        world.act(action)?;
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
        Ok(told::operation(&self.names, &self.record(number)?))
    }

    fn record(&self, number: u64) -> Result<OperationRecord, Box<dyn Error>> {
        let record = self.world()?.operations_since(number).next().cloned();
        record.ok_or_else(|| "the operation is kept no longer".into())
    }

    fn answers(&mut self) -> Told {
        if self.later.is_empty() {
            let answers = script::answers(self.world()?, &self.names);
            return answers.ok_or_else(|| "there are more operations than are kept".into());
        }
        let later = core::mem::take(&mut self.later).into_iter();
        later.map(|number| Ok(told::operation(&self.names, &self.record(number)?))).collect()
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
                    Some(object) => format!("holds {}", told::object(&self.names, &object)),
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

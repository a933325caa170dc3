//! What a simulated run is made of: a configuration and a list of timed actions.
//!
//! Both are plain data with one encoding, so a run travels as a short text ([`super::link`]).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::action::TimedAction;
use crate::ring::PARTITIONS;
use crate::ring::layout::SHARDS;
use crate::rng::{Ratio, Rng};
use crate::settings::{Setting, Settings};
use crate::time::{Micros, Mono};

/// How a run begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimConfig {
    /// The seed of everything random in it.
    pub seed: u64,
    /// How many nodes there are, from 1 to [`Self::NODES_MAX`]; they are named n1, n2, ….
    pub nodes: u16,
    /// Into how many partitions the hash space is cut: a power of two.
    pub partitions: u16,
    /// How many shards the strong keyspace has.
    pub shards: u32,
    /// The network at first.
    pub network: NetworkConfig,
    /// How long a sync takes.
    pub sync: Micros,
    /// Settings that differ from their defaults at first.
    pub settings: Vec<(Setting, u64)>,
    /// What the clients do at first.
    pub workload: Workload,
}

impl SimConfig {
    /// The most nodes a run has.
    pub const NODES_MAX: u16 = 200;
    /// The longest anything in the network or on a disk takes.
    pub const DELAY_MAX: Micros = Micros::from_millis(60_000);

    /// Whether a run can begin so; else words that say what to change.
    pub fn check(&self) -> Result<(), ActionRefused> {
        if !(1..=Self::NODES_MAX).contains(&self.nodes) {
            return refuse(format!(
                "a simulated cluster has from 1 to {} nodes, not {}",
                Self::NODES_MAX,
                self.nodes
            ));
        }
        if !self.partitions.is_power_of_two() || !PARTITIONS.contains(&self.partitions) {
            return refuse(format!(
                "the number of partitions must be a power of two from {} to {}, not {}",
                PARTITIONS.start(),
                PARTITIONS.end(),
                self.partitions
            ));
        }
        if !SHARDS.contains(&self.shards) {
            return refuse(format!(
                "the number of shards is from {} to {}, not {}",
                SHARDS.start(),
                SHARDS.end(),
                self.shards
            ));
        }
        check_wait(self.sync)?;
        Settings::default().with(&self.settings).map_err(ActionRefused)?;
        self.network.check()?;
        self.workload.check()
    }
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            nodes: 5,
            partitions: 64,
            shards: 1,
            network: NetworkConfig::default(),
            sync: Micros(2_000),
            settings: Vec::new(),
            workload: Workload::default(),
        }
    }
}

/// What draws random numbers in a run. Each has a generator of its own, so that changing one thing
/// disturbs nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chance {
    /// The entropy of a node at each start.
    Entropy(u16),
    /// What a crash leaves on a node's disk.
    Crash(u16),
    /// Latency and loss from one node to another.
    Link(u16, u16),
    /// What a generated client does.
    Client(u16),
    /// What the nemesis does.
    Nemesis,
}

impl Chance {
    /// The generator in the run of this seed.
    pub(super) fn generator(self, seed: u64) -> Rng {
        let (kind, first, second) = match self {
            Self::Entropy(node) => (1_u64, node, 0),
            Self::Crash(node) => (2, node, 0),
            Self::Link(from, to) => (3, from, to),
            Self::Client(client) => (4, client, 0),
            Self::Nemesis => (5, 0, 0),
        };
        Rng::stream(seed, kind << 32 | u64::from(first) << 16 | u64::from(second))
    }
}

/// How messages travel on every link that has no settings of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// The shortest time a message takes.
    pub latency_min: Micros,
    /// The longest, but for stragglers.
    pub latency_max: Micros,
    /// How many messages are lost.
    pub loss: Ratio,
    /// How many messages take longer than the others, on every link.
    pub stragglers: Ratio,
    /// Up to how many times longer these take, from 1 to [`Self::STRAGGLE_MAX`].
    pub straggle: u32,
    /// How many messages arrive twice, on every link.
    pub duplication: Ratio,
    /// How many messages go their own way on every link: they overtake others of their lane and are
    /// overtaken, as their latencies have it.
    pub reordering: Ratio,
}

/// How messages travel in one direction of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkConfig {
    /// The shortest time a message takes.
    pub latency_min: Micros,
    /// The longest, but for stragglers.
    pub latency_max: Micros,
    /// How many messages are lost.
    pub loss: Ratio,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            latency_min: Micros(2_000),
            latency_max: Micros(10_000),
            loss: Ratio::ZERO,
            stragglers: Ratio::ZERO,
            straggle: 10,
            duplication: Ratio::ZERO,
            reordering: Ratio::ZERO,
        }
    }
}

impl NetworkConfig {
    /// How many times longer a message may take at most.
    pub const STRAGGLE_MAX: u32 = 1_000;

    /// What holds for links without settings of their own.
    #[must_use]
    pub fn link(&self) -> LinkConfig {
        let Self { latency_min, latency_max, loss, .. } = *self;
        LinkConfig { latency_min, latency_max, loss }
    }

    /// Whether a network can be so; else words that say what to change.
    pub fn check(&self) -> Result<(), ActionRefused> {
        self.link().check()?;
        if !(1..=Self::STRAGGLE_MAX).contains(&self.straggle) {
            return refuse(format!(
                "stragglers take up to 1 to {} times longer, not {}",
                Self::STRAGGLE_MAX,
                self.straggle
            ));
        }
        check_ratio("stragglers", self.stragglers)?;
        check_ratio("duplication", self.duplication)?;
        check_ratio("reordering", self.reordering)
    }
}

impl LinkConfig {
    /// Whether a link can be so; else words that say what to change.
    pub fn check(&self) -> Result<(), ActionRefused> {
        if self.latency_min > self.latency_max {
            return refuse(
                "the shortest latency exceeds the longest; raise one or lower the other",
            );
        }
        if self.latency_max > SimConfig::DELAY_MAX {
            let most = SimConfig::DELAY_MAX.as_millis();
            return refuse(format!("the longest latency is at most {most} ms"));
        }
        check_ratio("loss", self.loss)
    }
}

/// What generated clients do: puts, gets and deletes of a few keys, on nodes picked at random. Each
/// client does one thing after the other; what it writes nobody else writes in that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// How many clients there are, from 1 to [`Self::CLIENTS_MAX`].
    pub clients: u16,
    /// How many operations all of them together begin per second of simulated time, on average; zero
    /// for none. Fewer begin where answers take longer than the pauses between them.
    pub per_second: u32,
    /// Over how many keys, named k1, k2, ….
    pub keys: u32,
    /// How many of the operations write.
    pub writes: Ratio,
    /// How many replicas every operation asks for, also those of actions; what the settings say if zero.
    pub quorum: u32,
    /// How many of the operations are of the strong keyspace.
    pub strong: Ratio,
}

impl Default for Workload {
    fn default() -> Self {
        let (writes, strong) = (Ratio::per_mille(500), Ratio::ZERO);
        Self { clients: 4, per_second: 0, keys: 8, writes, quorum: 0, strong }
    }
}

impl Workload {
    /// The most clients.
    pub const CLIENTS_MAX: u16 = 1_000;
    /// The most operations a second.
    pub const PER_SECOND_MAX: u32 = 10_000;
    /// The most keys.
    pub const KEYS_MAX: u32 = 1_000_000;

    /// Whether clients can do so; else words that say what to change.
    pub fn check(&self) -> Result<(), ActionRefused> {
        if !(1..=Self::CLIENTS_MAX).contains(&self.clients) {
            return refuse(format!("a workload has from 1 to {} clients", Self::CLIENTS_MAX));
        }
        if self.per_second > Self::PER_SECOND_MAX {
            return refuse(format!("at most {} operations a second", Self::PER_SECOND_MAX));
        }
        if !(1..=Self::KEYS_MAX).contains(&self.keys) {
            return refuse(format!("a workload uses from 1 to {} keys", Self::KEYS_MAX));
        }
        check_ratio("writes", self.writes)?;
        check_ratio("strong", self.strong)
    }
}

/// A whole run: all of it follows from the first two, and the rest tells whether it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// How it began.
    pub config: SimConfig,
    /// What was done to it, in order.
    pub actions: Vec<TimedAction>,
    /// How far it went.
    pub until: Mono,
    /// How many simulator events that were. They count because a run can be stopped between two
    /// events of one moment.
    pub steps: u64,
    /// The hash it reached.
    pub hash: u64,
}

/// Why an action was not done, or a run cannot be. Nothing changed and nothing was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRefused(pub String);

impl fmt::Display for ActionRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for ActionRefused {}

pub(super) fn refuse<T>(words: impl Into<String>) -> Result<T, ActionRefused> {
    Err(ActionRefused(words.into()))
}

/// Whether a sync can take so long; else words that say so.
pub(super) fn check_wait(wait: Micros) -> Result<(), ActionRefused> {
    let most = SimConfig::DELAY_MAX;
    if wait > most {
        return refuse(format!("a sync takes at most {} ms", most.as_millis()));
    }
    Ok(())
}

/// Whether a message can be held up for so long; else words that say so.
pub(super) fn check_delay(by: Micros) -> Result<(), ActionRefused> {
    let most = SimConfig::DELAY_MAX;
    if by > most {
        return refuse(format!("a message is held up for at most {} ms", most.as_millis()));
    }
    Ok(())
}

fn check_ratio(what: &str, ratio: Ratio) -> Result<(), ActionRefused> {
    if ratio.denominator == 0 || ratio.numerator > ratio.denominator {
        return refuse(format!(
            "{what} must be a share from 0 to 1, not {} of {}",
            ratio.numerator, ratio.denominator
        ));
    }
    Ok(())
}

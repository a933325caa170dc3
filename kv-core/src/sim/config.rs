//! What a simulated run is made of: a configuration and a list of timed actions.
//!
//! Both are plain data with one encoding, so a run travels as a short text ([`super::link`]).

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::rng::Ratio;
use crate::settings::Setting;
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
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            nodes: 5,
            partitions: 64,
            network: NetworkConfig::default(),
            sync: Micros(2_000),
            settings: Vec::new(),
            workload: Workload::default(),
        }
    }
}

/// How messages travel on every link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// The shortest time a message takes.
    pub latency_min: Micros,
    /// The longest.
    pub latency_max: Micros,
    /// How many messages are lost.
    pub loss: Ratio,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { latency_min: Micros(2_000), latency_max: Micros(10_000), loss: Ratio::ZERO }
    }
}

/// What generated clients do: puts, gets and deletes of a few keys, on nodes picked at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// How many operations begin per second of simulated time, on average; zero for none.
    pub per_second: u32,
    /// Over how many keys, named k1, k2, ….
    pub keys: u32,
    /// How many of the operations write.
    pub writes: Ratio,
}

impl Default for Workload {
    fn default() -> Self {
        Self { per_second: 0, keys: 8, writes: Ratio::per_mille(500) }
    }
}

/// One thing done to the world. Nodes are counted from 0, as the page shows them from left to right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// A node loses power: what its disk had not synced is gone, but for a torn part.
    Crash {
        /// Which.
        node: u16,
    },
    /// A crashed node starts again from its disk.
    Restart {
        /// Which.
        node: u16,
    },
    /// Messages from one node to another no longer arrive.
    Cut {
        /// From which.
        from: u16,
        /// To which.
        to: u16,
    },
    /// They arrive again.
    Mend {
        /// From which.
        from: u16,
        /// To which.
        to: u16,
    },
    /// Only nodes of one group reach each other.
    Partition {
        /// The number of the group of each node.
        groups: Vec<u8>,
    },
    /// All cuts and partitions end.
    Heal,
    /// The network changes for messages sent from now on.
    Network(NetworkConfig),
    /// Somebody changes settings on a node.
    Set {
        /// On which.
        node: u16,
        /// To what.
        changes: Vec<(Setting, u64)>,
    },
    /// The generated clients change.
    Workload(Workload),
    /// A client asks a node for something.
    Client {
        /// Which node.
        node: u16,
        /// What.
        operation: ClientOperation,
    },
}

/// What a client asks for in a simulated run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientOperation {
    /// Read a key.
    Get {
        /// The key.
        key: Bytes,
    },
    /// Write a key, replacing what a read quorum holds.
    Put {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Delete a key, replacing what a read quorum holds.
    Delete {
        /// The key.
        key: Bytes,
    },
}

/// An action and when it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedAction {
    /// When.
    pub at: Mono,
    /// What.
    pub action: Action,
}

/// Why an action was not done. Nothing changed and nothing was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRefused(pub String);

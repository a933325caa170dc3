//! What the page does to a run, and how a run begins, as plain objects.
//!
//! The shapes mirror [`kv_core::sim::config`] with what JavaScript can hold: settings by name, seeds as
//! text, probabilities in a thousandth. Left out: every check, for the core makes them.

use kv_core::id::FileId;
use kv_core::rng::Ratio;
use kv_core::settings::Setting;
use kv_core::sim::{
    Action, ActionRefused, ClientOperation, LinkConfig, NetworkConfig, SimConfig, Workload,
};
use kv_core::time::Micros;
use serde::Serialize;
use tsify::Tsify;
use wasm_bindgen::JsValue;

use crate::fields::Fields;

/// How a run begins.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct RunConfig {
    /// The seed of everything random in it: up to 16 hexadecimal digits.
    pub seed: String,
    /// How many nodes there are.
    pub nodes: u16,
    /// Into how many partitions the hash space is cut: a power of two.
    pub partitions: u16,
    /// How many shards the strong keyspace has.
    pub shards: u32,
    /// The network at first.
    pub network: Network,
    /// How long a sync takes, in microseconds.
    pub sync_us: u64,
    /// Settings that differ from their defaults at first.
    pub settings: Vec<SettingValue>,
    /// What the clients do at first.
    pub workload: Clients,
}

/// How messages travel on every link without settings of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct Network {
    /// The shortest time a message takes, in microseconds.
    pub latency_min_us: u64,
    /// The longest, but for stragglers.
    pub latency_max_us: u64,
    /// How many of a thousand messages are lost.
    pub loss_per_mille: u32,
    /// How many of a thousand messages take longer than the others.
    pub stragglers_per_mille: u32,
    /// Up to how many times longer these take.
    pub straggle: u32,
    /// How many of a thousand messages arrive twice.
    pub duplication_per_mille: u32,
    /// How many of a thousand messages overtake others and are overtaken.
    pub reordering_per_mille: u32,
}

/// How messages travel in one direction of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct LinkSettings {
    /// The shortest time a message takes, in microseconds.
    pub latency_min_us: u64,
    /// The longest, but for stragglers.
    pub latency_max_us: u64,
    /// How many of a thousand messages are lost.
    pub loss_per_mille: u32,
}

/// What generated clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct Clients {
    /// How many clients there are, each with one operation at a time.
    pub clients: u16,
    /// How many operations begin per second of simulated time, on average.
    pub per_second: u32,
    /// Over how many keys.
    pub keys: u32,
    /// How many of a thousand operations write.
    pub writes_per_mille: u32,
    /// How many replicas each operation asks for; what the settings say if zero or absent.
    #[tsify(optional)]
    pub quorum: u32,
    /// How many of a thousand operations are of the strong keyspace; none if absent.
    #[tsify(optional)]
    pub strong_per_mille: u32,
}

/// A setting and a value for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct SettingValue {
    /// Its name in the settings table.
    pub name: String,
    /// The value; 0 or 1 for a switch.
    pub value: u64,
}

/// One thing done to the world. Nodes are counted from 0.
#[derive(Clone, Debug, Serialize, Tsify)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Act {
    /// A node loses power.
    Crash {
        /// Which.
        node: u16,
    },
    /// A crashed node starts again.
    Restart {
        /// Which.
        node: u16,
    },
    /// A node's process is stopped.
    Pause {
        /// Which.
        node: u16,
    },
    /// It goes on.
    Resume {
        /// Which.
        node: u16,
    },
    /// A node loses power and its disk.
    Wipe {
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
    /// All cuts end.
    Heal,
    /// The network changes.
    Network(Network),
    /// One direction of a link goes by settings of its own.
    Link {
        /// From which node.
        from: u16,
        /// To which.
        to: u16,
        /// Which settings.
        own: LinkSettings,
    },
    /// It goes by those of the network again.
    Unlink {
        /// From which node.
        from: u16,
        /// To which.
        to: u16,
    },
    /// One message under way is lost.
    Lose {
        /// Its number.
        message: u64,
    },
    /// One message under way is held up.
    Delay {
        /// Its number.
        message: u64,
        /// By how much, in microseconds.
        by_us: u64,
    },
    /// Somebody changes settings on a node.
    Set {
        /// On which.
        node: u16,
        /// To what.
        changes: Vec<SettingValue>,
    },
    /// A node's disk takes so many more bytes.
    Fill {
        /// Whose.
        node: u16,
        /// How many.
        free: u64,
    },
    /// There is room on a node's disk again.
    Free {
        /// Whose.
        node: u16,
    },
    /// Each sync and each job of a node takes so long.
    Slow {
        /// Whose.
        node: u16,
        /// How long, in microseconds.
        wait_us: u64,
    },
    /// A bit on a node's disk turns over.
    Flip {
        /// Whose.
        node: u16,
        /// The id of the file.
        file: u64,
        /// Which byte, counted from 0.
        offset: u64,
        /// Which bit of it, from 0 to 7.
        bit: u8,
    },
    /// A node's next sync fails.
    FailSync {
        /// Whose.
        node: u16,
    },
    /// A node's next read of a table gives the bytes of another place.
    Misread {
        /// Whose.
        node: u16,
    },
    /// A node's clocks run too fast or too slow.
    Drift {
        /// Whose.
        node: u16,
        /// By how much, in parts per million; negative for too slow.
        ppm: i32,
    },
    /// A node's civil time is set ahead or back.
    Jump {
        /// Whose.
        node: u16,
        /// By how much, in milliseconds; negative for back.
        by_ms: i32,
    },
    /// The generated clients change.
    Workload(Clients),
    /// A client reads a key.
    Get {
        /// On which node.
        node: u16,
        /// The key.
        key: String,
    },
    /// A client writes a key.
    Put {
        /// On which node.
        node: u16,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// A client deletes a key.
    Delete {
        /// On which node.
        node: u16,
        /// The key.
        key: String,
    },
}

impl RunConfig {
    /// Reads the object that the page made.
    pub fn read(object: &JsValue) -> Result<Self, ActionRefused> {
        let fields = Fields::of(object);
        Ok(Self {
            seed: fields.text("seed")?,
            nodes: fields.number("nodes")?,
            partitions: fields.number("partitions")?,
            shards: fields.number("shards")?,
            network: fields.object("network", Network::read)?,
            sync_us: fields.number("sync_us")?,
            settings: SettingValue::read_all(&fields.list("settings")?)?,
            workload: fields.object("workload", Clients::read)?,
        })
    }

    /// As the core has it; else words that say what it cannot be.
    pub fn to_core(&self) -> Result<SimConfig, ActionRefused> {
        let seed = u64::from_str_radix(&self.seed, 16).map_err(|_| {
            ActionRefused(format!(
                "the seed must be 1 to 16 hexadecimal digits, not \"{}\"",
                self.seed
            ))
        })?;
        Ok(SimConfig {
            seed,
            nodes: self.nodes,
            partitions: self.partitions,
            shards: self.shards,
            network: self.network.to_core(),
            sync: Micros(self.sync_us),
            settings: settings_to_core(&self.settings)?,
            workload: self.workload.to_core(),
        })
    }

    /// As the page has it.
    #[must_use]
    pub fn of(config: &SimConfig) -> Self {
        let setting = |&(setting, value): &(Setting, u64)| SettingValue {
            name: setting.spec().name.into(),
            value,
        };
        Self {
            seed: format!("{:x}", config.seed),
            nodes: config.nodes,
            partitions: config.partitions,
            shards: config.shards,
            network: Network::of(config.network),
            sync_us: config.sync.0,
            settings: config.settings.iter().map(setting).collect(),
            workload: Clients::of(config.workload),
        }
    }
}

impl Network {
    fn read(fields: &Fields<'_>) -> Result<Self, ActionRefused> {
        Ok(Self {
            latency_min_us: fields.number("latency_min_us")?,
            latency_max_us: fields.number("latency_max_us")?,
            loss_per_mille: fields.number("loss_per_mille")?,
            stragglers_per_mille: fields.number("stragglers_per_mille")?,
            straggle: fields.number("straggle")?,
            duplication_per_mille: fields.number("duplication_per_mille")?,
            reordering_per_mille: fields.number("reordering_per_mille")?,
        })
    }

    fn to_core(self) -> NetworkConfig {
        NetworkConfig {
            latency_min: Micros(self.latency_min_us),
            latency_max: Micros(self.latency_max_us),
            loss: Ratio::per_mille(self.loss_per_mille),
            stragglers: Ratio::per_mille(self.stragglers_per_mille),
            straggle: self.straggle,
            duplication: Ratio::per_mille(self.duplication_per_mille),
            reordering: Ratio::per_mille(self.reordering_per_mille),
        }
    }

    /// As the page has it.
    #[must_use]
    pub fn of(network: NetworkConfig) -> Self {
        Self {
            latency_min_us: network.latency_min.0,
            latency_max_us: network.latency_max.0,
            loss_per_mille: per_mille(network.loss),
            stragglers_per_mille: per_mille(network.stragglers),
            straggle: network.straggle,
            duplication_per_mille: per_mille(network.duplication),
            reordering_per_mille: per_mille(network.reordering),
        }
    }
}

impl LinkSettings {
    fn read(fields: &Fields<'_>) -> Result<Self, ActionRefused> {
        Ok(Self {
            latency_min_us: fields.number("latency_min_us")?,
            latency_max_us: fields.number("latency_max_us")?,
            loss_per_mille: fields.number("loss_per_mille")?,
        })
    }

    fn to_core(self) -> LinkConfig {
        LinkConfig {
            latency_min: Micros(self.latency_min_us),
            latency_max: Micros(self.latency_max_us),
            loss: Ratio::per_mille(self.loss_per_mille),
        }
    }

    /// As the page has it.
    #[must_use]
    pub fn of(link: LinkConfig) -> Self {
        Self {
            latency_min_us: link.latency_min.0,
            latency_max_us: link.latency_max.0,
            loss_per_mille: per_mille(link.loss),
        }
    }
}

impl Clients {
    fn read(fields: &Fields<'_>) -> Result<Self, ActionRefused> {
        Ok(Self {
            clients: fields.number("clients")?,
            per_second: fields.number("per_second")?,
            keys: fields.number("keys")?,
            writes_per_mille: fields.number("writes_per_mille")?,
            quorum: fields.number_or_zero("quorum")?,
            strong_per_mille: fields.number_or_zero("strong_per_mille")?,
        })
    }

    fn to_core(self) -> Workload {
        Workload {
            clients: self.clients,
            per_second: self.per_second,
            keys: self.keys,
            writes: Ratio::per_mille(self.writes_per_mille),
            quorum: self.quorum,
            strong: Ratio::per_mille(self.strong_per_mille),
        }
    }

    /// As the page has it.
    #[must_use]
    pub fn of(workload: Workload) -> Self {
        Self {
            clients: workload.clients,
            per_second: workload.per_second,
            keys: workload.keys,
            writes_per_mille: per_mille(workload.writes),
            quorum: workload.quorum,
            strong_per_mille: per_mille(workload.strong),
        }
    }
}

impl SettingValue {
    /// Reads the objects that the page made.
    pub fn read_all(objects: &[JsValue]) -> Result<Vec<Self>, ActionRefused> {
        let read = |object| {
            let fields = Fields::of(object);
            Ok(Self { name: fields.text("name")?, value: fields.number("value")? })
        };
        objects.iter().map(read).collect()
    }
}

impl Act {
    /// Reads the object that the page made.
    pub fn read(object: &JsValue) -> Result<Self, ActionRefused> {
        let fields = Fields::of(object);
        let kind = fields.text("kind")?;
        match kind.as_str() {
            "cut" | "mend" | "unlink" | "link" => Self::read_of_link(&kind, &fields),
            "partition" => {
                let groups = fields.list("groups")?;
                let group = |group: &JsValue| group.as_f64().unwrap_or(0.0) as u8;
                Ok(Self::Partition { groups: groups.iter().map(group).collect() })
            }
            "heal" => Ok(Self::Heal),
            "network" => Network::read(&fields).map(Self::Network),
            "workload" => Clients::read(&fields).map(Self::Workload),
            "lose" => Ok(Self::Lose { message: fields.number("message")? }),
            "delay" => Ok(Self::Delay {
                message: fields.number("message")?,
                by_us: fields.number("by_us")?,
            }),
            _ => Self::read_of_node(&kind, &fields),
        }
    }

    /// What is done to one direction of a link.
    fn read_of_link(kind: &str, fields: &Fields<'_>) -> Result<Self, ActionRefused> {
        let (from, to) = (fields.number("from")?, fields.number("to")?);
        Ok(match kind {
            "cut" => Self::Cut { from, to },
            "mend" => Self::Mend { from, to },
            "unlink" => Self::Unlink { from, to },
            _ => Self::Link { from, to, own: fields.object("own", LinkSettings::read)? },
        })
    }

    /// What is done to one node, or asked of it.
    fn read_of_node(kind: &str, fields: &Fields<'_>) -> Result<Self, ActionRefused> {
        let node = fields.number("node")?;
        let key = || fields.text("key");
        Ok(match kind {
            "crash" => Self::Crash { node },
            "restart" => Self::Restart { node },
            "pause" => Self::Pause { node },
            "resume" => Self::Resume { node },
            "wipe" => Self::Wipe { node },
            "set" => Self::Set { node, changes: SettingValue::read_all(&fields.list("changes")?)? },
            "fill" => Self::Fill { node, free: fields.number("free")? },
            "free" => Self::Free { node },
            "slow" => Self::Slow { node, wait_us: fields.number("wait_us")? },
            "flip" => Self::Flip {
                node,
                file: fields.number("file")?,
                offset: fields.number("offset")?,
                bit: fields.number("bit")?,
            },
            "fail_sync" => Self::FailSync { node },
            "misread" => Self::Misread { node },
            "drift" => Self::Drift { node, ppm: fields.number("ppm")? },
            "jump" => Self::Jump { node, by_ms: fields.number("by_ms")? },
            "get" => Self::Get { node, key: key()? },
            "put" => Self::Put { node, key: key()?, value: fields.text("value")? },
            "delete" => Self::Delete { node, key: key()? },
            _ => return Err(ActionRefused(["there is no action named ", kind].concat())),
        })
    }

    /// As the core has it; else words that say what it cannot be.
    pub fn to_core(&self) -> Result<Action, ActionRefused> {
        let client = |node: u16, operation| Action::Client { client: None, node, operation };
        Ok(match self {
            &Self::Crash { node } => Action::Crash { node },
            &Self::Restart { node } => Action::Restart { node },
            &Self::Pause { node } => Action::Pause { node },
            &Self::Resume { node } => Action::Resume { node },
            &Self::Wipe { node } => Action::Wipe { node },
            &Self::Cut { from, to } => Action::Cut { from, to },
            &Self::Mend { from, to } => Action::Mend { from, to },
            Self::Partition { groups } => Action::Partition { groups: groups.clone() },
            Self::Heal => Action::Heal,
            Self::Network(network) => Action::Network(network.to_core()),
            &Self::Link { from, to, own } => Action::Link { from, to, own: Some(own.to_core()) },
            &Self::Unlink { from, to } => Action::Link { from, to, own: None },
            &Self::Lose { message } => Action::Lose { message },
            &Self::Delay { message, by_us } => Action::Delay { message, by: Micros(by_us) },
            Self::Set { node, changes } => {
                Action::Set { node: *node, changes: settings_to_core(changes)? }
            }
            &Self::Fill { node, free } => Action::Fill { node, free },
            &Self::Free { node } => Action::Free { node },
            &Self::Slow { node, wait_us } => Action::Slow { node, wait: Micros(wait_us) },
            &Self::Flip { node, file, offset, bit } => {
                Action::Flip { node, file: FileId(file), offset, bit }
            }
            &Self::FailSync { node } => Action::FailSync { node },
            &Self::Misread { node } => Action::Misread { node },
            &Self::Drift { node, ppm } => Action::Drift { node, ppm },
            &Self::Jump { node, by_ms } => Action::Jump { node, by: i64::from(by_ms) * 1_000 },
            Self::Workload(clients) => Action::Workload(clients.to_core()),
            Self::Get { node, key } => {
                client(*node, ClientOperation::Get { key: key.clone().into() })
            }
            Self::Put { node, key, value } => client(
                *node,
                ClientOperation::Put { key: key.clone().into(), value: value.clone().into() },
            ),
            Self::Delete { node, key } => {
                client(*node, ClientOperation::Delete { key: key.clone().into() })
            }
        })
    }
}

/// Changes of settings as the core has them; else words that name the unknown one.
pub fn settings_to_core(changes: &[SettingValue]) -> Result<Vec<(Setting, u64)>, ActionRefused> {
    let known = |change: &SettingValue| {
        let setting = Setting::of_name(&change.name).ok_or_else(|| {
            ActionRefused(format!("there is no setting named \"{}\"", change.name))
        })?;
        Ok((setting, change.value))
    };
    changes.iter().map(known).collect()
}

fn per_mille(ratio: Ratio) -> u32 {
    let denominator = u64::from(ratio.denominator.max(1));
    (u64::from(ratio.numerator) * 1_000 / denominator).min(1_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_the_way_there_and_back() {
        let mut config = SimConfig { seed: 0xfeed_0123_4567_89ab, ..SimConfig::default() };
        config.network.loss = Ratio::per_mille(35);
        config.network.stragglers = Ratio::per_mille(3);
        config.network.straggle = 40;
        config.network.duplication = Ratio::per_mille(20);
        config.network.reordering = Ratio::per_mille(7);
        config.workload.clients = 17;
        config.settings = vec![(Setting::ReadQuorum, 1), (Setting::GossipIntervalMs, 200)];
        config.workload.per_second = 7;
        config.workload.strong = Ratio::per_mille(250);
        assert_eq!(RunConfig::of(&config).to_core(), Ok(config));
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let mut config = RunConfig::of(&SimConfig::default());
        config.seed = "twelve".into();
        assert!(config.to_core().unwrap_err().0.contains("hexadecimal"));
        let unknown = SettingValue { name: "replicaz".into(), value: 3 };
        let words = settings_to_core(&[unknown]).unwrap_err().0;
        assert_eq!(words, "there is no setting named \"replicaz\"");
    }
}

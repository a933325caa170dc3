//! The one table of live settings, and the document by which nodes agree on their values.
//!
//! [`TABLE`] says for each setting its name, range, default, unit, meaning and trade-off. Validation,
//! the sliders of the page, the CLI, `/config` and its documentation are all made from it. [`Settings`]
//! is one consistent set of values, pinned by a request when it starts. [`SettingsDocument`] is what
//! spreads: for each changed setting its value, stamp and author; documents merge by the greater
//! (stamp, author), so every order of delivery ends in the same values.
//!
//! `replicas` is in the table but not in the document: it decides ownership, so it changes by a cluster
//! command. Left out: settings of one keyspace or one node.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::hash;
use crate::id::NodeId;
use crate::ordered::Map;
use crate::time::{Micros, Stamp};

/// A live setting. Its number is its place in [`TABLE`] and its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Setting {
    /// N.
    Replicas,
    /// R.
    ReadQuorum,
    /// W.
    WriteQuorum,
    /// Whether a read waits until what it returns stands on a read quorum.
    BlockingReadRepair,
    /// How long a request may take.
    RequestTimeoutMs,
    /// How often a node gossips.
    GossipIntervalMs,
    /// The non-renewal allowed time.
    GossipAllowedMs,
    /// How many \[server:version\] pairs a version vector keeps.
    ClockThreshold,
    /// How large a value may be.
    ValueBytesMax,
    /// How long a replica of a Raft group waits for its leader.
    ElectionTimeoutMs,
    /// How often the leader of a Raft group says that it leads.
    RaftHeartbeatMs,
}

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number in a range, both ends included.
    Number {
        /// The smallest value.
        min: u64,
        /// The greatest value.
        max: u64,
    },
    /// Off (0) or on (1).
    Switch,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Which setting it is.
    pub setting: Setting,
    /// Its name on every surface.
    pub name: &'static str,
    /// Its values.
    pub kind: Kind,
    /// Its value until someone changes it.
    pub default: u64,
    /// Its unit, or nothing.
    pub unit: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// What more of it gains and costs.
    pub trade_off: &'static str,
}

/// All settings, each at the index of its number.
pub const TABLE: [Spec; 11] = [
    Spec {
        setting: Setting::Replicas,
        name: "replicas",
        kind: Kind::Number { min: 1, max: 9 },
        default: 3,
        unit: "nodes",
        meaning: "N: on how many nodes each key is stored.",
        trade_off: "More copies survive more failures and cost more disk and more messages per write.",
    },
    Spec {
        setting: Setting::ReadQuorum,
        name: "read_quorum",
        kind: Kind::Number { min: 1, max: 9 },
        default: 2,
        unit: "nodes",
        meaning: "R: how many replicas must answer a read.",
        trade_off: "With R + W > N a read sees the last acknowledged write; a smaller R answers sooner and with more nodes down.",
    },
    Spec {
        setting: Setting::WriteQuorum,
        name: "write_quorum",
        kind: Kind::Number { min: 1, max: 9 },
        default: 2,
        unit: "nodes",
        meaning: "W: on how many disks a write must be before it is acknowledged.",
        trade_off: "A greater W loses less when disks die; a smaller W answers sooner and with more nodes down.",
    },
    Spec {
        setting: Setting::BlockingReadRepair,
        name: "blocking_read_repair",
        kind: Kind::Switch,
        default: 1,
        unit: "",
        meaning: "A read that finds stale replicas mends a quorum of them before it answers.",
        trade_off: "On, a later read does not show less than an earlier one, as long as R is a majority of N and at least W; off, the first read after a failure is faster.",
    },
    Spec {
        setting: Setting::RequestTimeoutMs,
        name: "request_timeout_ms",
        kind: Kind::Number { min: 10, max: 60_000 },
        default: 2_000,
        unit: "ms",
        meaning: "How long a request waits for its quorum.",
        trade_off: "Longer rides out slow nodes; shorter tells the client sooner.",
    },
    Spec {
        setting: Setting::GossipIntervalMs,
        name: "gossip_interval_ms",
        kind: Kind::Number { min: 20, max: 60_000 },
        default: 500,
        unit: "ms",
        meaning: "How often each node tells a few others whom it has heard of.",
        trade_off: "Shorter finds failures and spreads settings sooner and sends more messages.",
    },
    Spec {
        setting: Setting::GossipAllowedMs,
        name: "gossip_allowed_ms",
        kind: Kind::Number { min: 100, max: 600_000 },
        default: 2_500,
        unit: "ms",
        meaning: "The non-renewal allowed time: a node whose heartbeat has not grown for so long is suspected.",
        trade_off: "Longer suspects fewer healthy nodes; shorter notices dead ones sooner.",
    },
    Spec {
        setting: Setting::ClockThreshold,
        name: "clock_threshold",
        kind: Kind::Number { min: 3, max: 256 },
        default: 16,
        unit: "pairs",
        meaning: "How many [server:version] pairs a version vector keeps when a client writes; the oldest go first.",
        trade_off: "More pairs tell concurrent writes apart for longer; fewer keep keys small and may show a sibling that was none.",
    },
    Spec {
        setting: Setting::ValueBytesMax,
        name: "value_bytes_max",
        kind: Kind::Number { min: 1, max: 64 << 20 },
        default: 8 << 20,
        unit: "bytes",
        meaning: "How large a value may be.",
        trade_off: "Larger values fit; each of them holds up its link and its log for longer.",
    },
    Spec {
        setting: Setting::ElectionTimeoutMs,
        name: "election_timeout_ms",
        kind: Kind::Number { min: 100, max: 60_000 },
        default: 1_000,
        unit: "ms",
        meaning: "How long a replica waits for its leader before it stands for election; each waits up to twice as long, by chance.",
        trade_off: "Longer rides out slow links and busy nodes; shorter replaces a dead leader sooner.",
    },
    Spec {
        setting: Setting::RaftHeartbeatMs,
        name: "raft_heartbeat_ms",
        kind: Kind::Number { min: 10, max: 10_000 },
        default: 100,
        unit: "ms",
        meaning: "How often a leader says that it still leads.",
        trade_off: "Shorter notices losses sooner and sends more messages; it must be well below the election timeout.",
    },
];

impl Setting {
    /// The row of this setting.
    #[must_use]
    pub fn spec(self) -> &'static Spec {
        &TABLE[self as usize]
    }

    /// The setting of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|spec| spec.name == name).map(|spec| spec.setting)
    }

    /// Whether this value is one the setting takes; else words that say which are.
    pub fn check(self, value: u64) -> Result<(), String> {
        let spec = self.spec();
        match spec.kind {
            Kind::Number { min, max } if (min..=max).contains(&value) => Ok(()),
            Kind::Number { min, max } => Err(format!(
                "{} must be a whole number from {min} to {max}, not {value}; nothing was changed",
                spec.name
            )),
            Kind::Switch if value <= 1 => Ok(()),
            Kind::Switch => {
                Err(format!("{} must be true or false; nothing was changed", spec.name))
            }
        }
    }
}

/// One consistent set of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings([u64; TABLE.len()]);

impl Default for Settings {
    fn default() -> Self {
        Self(TABLE.map(|spec| spec.default))
    }
}

impl Settings {
    /// The value of a setting.
    #[must_use]
    pub fn get(&self, setting: Setting) -> u64 {
        self.0[setting as usize]
    }

    /// The value of a setting in milliseconds, as a span of time.
    #[must_use]
    pub fn span(&self, setting: Setting) -> Micros {
        Micros::from_millis(self.get(setting))
    }

    /// Whether a switch is on.
    #[must_use]
    pub fn is_on(&self, setting: Setting) -> bool {
        self.get(setting) != 0
    }

    /// These values with others in their place, if the whole set is then valid; else words that say
    /// what is wrong. Nothing changes half.
    pub fn with(&self, changes: &[(Setting, u64)]) -> Result<Self, String> {
        let mut changed = self.clone();
        for &(setting, value) in changes {
            setting.check(value)?;
            changed.0[setting as usize] = value;
        }
        changed.check_together()?;
        Ok(changed)
    }

    /// The rules that more than one setting takes part in.
    fn check_together(&self) -> Result<(), String> {
        let replicas = self.get(Setting::Replicas);
        for quorum in [Setting::ReadQuorum, Setting::WriteQuorum] {
            if self.get(quorum) > replicas {
                return Err(format!(
                    "{} ({}) cannot exceed replicas ({replicas}); nothing was changed, lower it or raise replicas in the same change",
                    quorum.spec().name,
                    self.get(quorum)
                ));
            }
        }
        if self.get(Setting::ClockThreshold) < replicas + 2 {
            return Err(format!(
                "clock_threshold must be at least replicas + 2 = {}; nothing was changed",
                replicas + 2
            ));
        }
        if self.get(Setting::ElectionTimeoutMs) < 5 * self.get(Setting::RaftHeartbeatMs) {
            return Err(String::from(
                "election_timeout_ms must be at least five times raft_heartbeat_ms, else one lost message unseats a leader; nothing was changed",
            ));
        }
        if self.get(Setting::GossipAllowedMs) < 2 * self.get(Setting::GossipIntervalMs) {
            return Err(String::from(
                "gossip_allowed_ms must be at least twice gossip_interval_ms, else healthy nodes are suspected; nothing was changed",
            ));
        }
        Ok(())
    }
}

/// A value that someone chose, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Choice {
    /// When it was chosen.
    pub stamp: Stamp,
    /// On which node.
    pub author: NodeId,
    /// The value.
    pub value: u64,
}

/// The choices of the whole cluster, as one node knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsDocument(Map<Setting, Choice>);

impl SettingsDocument {
    /// Records choices made on this node. [`Setting::Replicas`] is not taken.
    pub fn choose(&mut self, changes: &[(Setting, u64)], stamp: Stamp, author: NodeId) {
        for &(setting, value) in changes {
            if setting != Setting::Replicas {
                self.0.insert(setting, Choice { stamp, author, value });
            }
        }
    }

    /// Takes in what another node knows; for each setting the later choice stays. Choices outside
    /// their setting's range are not taken. Returns the settings that changed.
    pub fn merge(&mut self, other: &Self) -> Vec<Setting> {
        let mut changed = Vec::new();
        for (&setting, choice) in &other.0 {
            let later = self.0.get(&setting).is_none_or(|mine| choice > mine);
            if later && setting != Setting::Replicas && setting.check(choice.value).is_ok() {
                self.0.insert(setting, *choice);
                changed.push(setting);
            }
        }
        changed
    }

    /// The latest choice of a setting, if it was ever changed.
    #[must_use]
    pub fn choice(&self, setting: Setting) -> Option<&Choice> {
        self.0.get(&setting)
    }

    /// The latest stamp of all choices.
    #[must_use]
    pub fn latest(&self) -> Stamp {
        self.0.values().map(|choice| choice.stamp).max().unwrap_or_default()
    }

    /// A number that tells whether two nodes know the same choices.
    #[must_use]
    pub fn digest(&self) -> u64 {
        hash::of(&codec::encode(self))
    }

    /// The values that follow, with this many replicas.
    ///
    /// Choices made apart may not fit together (R chosen here, N there). Then the offending one falls
    /// back to the nearest value that fits, by the same rule on every node.
    #[must_use]
    pub fn values(&self, replicas: u64) -> Settings {
        let mut values = Settings::default();
        for (&setting, choice) in &self.0 {
            values.0[setting as usize] = choice.value;
        }
        values.0[Setting::Replicas as usize] = replicas;
        let mut clamp = |setting: Setting, min: u64, max: u64| {
            let value = &mut values.0[setting as usize];
            *value = (*value).max(min).min(max);
        };
        clamp(Setting::ReadQuorum, 1, replicas);
        clamp(Setting::WriteQuorum, 1, replicas);
        clamp(Setting::ClockThreshold, replicas + 2, u64::MAX);
        let interval = values.get(Setting::GossipIntervalMs);
        let allowed = &mut values.0[Setting::GossipAllowedMs as usize];
        *allowed = (*allowed).max(2 * interval);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_stands_at_the_number_of_its_setting_and_its_default_is_valid() {
        for (index, spec) in TABLE.iter().enumerate() {
            assert_eq!(spec.setting as usize, index, "{}", spec.name);
            assert_eq!(spec.setting.check(spec.default), Ok(()));
            assert_eq!(Setting::of_name(spec.name), Some(spec.setting));
        }
        assert_eq!(Settings::default().check_together(), Ok(()));
    }

    #[test]
    fn an_invalid_set_changes_nothing_and_says_why() {
        let settings = Settings::default();
        let words = settings.with(&[(Setting::ReadQuorum, 4)]).unwrap_err();
        assert!(words.contains("read_quorum (4) cannot exceed replicas (3)"), "{words}");
        let words = settings.with(&[(Setting::GossipIntervalMs, 5)]).unwrap_err();
        assert!(words.contains("from 20 to 60000"), "{words}");
        let both = [(Setting::ReadQuorum, 4), (Setting::Replicas, 5)];
        assert!(settings.with(&both).is_ok());
    }

    #[test]
    fn documents_merge_to_the_same_values_in_any_order() {
        let mut left = SettingsDocument::default();
        left.choose(&[(Setting::ReadQuorum, 1)], Stamp(5), NodeId(1));
        let mut right = SettingsDocument::default();
        right.choose(&[(Setting::ReadQuorum, 3)], Stamp(5), NodeId(2));
        right.choose(&[(Setting::WriteQuorum, 1)], Stamp(4), NodeId(2));
        let (mut a, mut b) = (left.clone(), right.clone());
        assert_eq!(a.merge(&right).len(), 2);
        assert_eq!(b.merge(&left).len(), 0);
        assert_eq!(a, b);
        assert_eq!(a.digest(), b.digest());
        assert_eq!(a.values(3).get(Setting::ReadQuorum), 3);
    }

    #[test]
    fn choices_that_do_not_fit_together_fall_back_alike() {
        let mut document = SettingsDocument::default();
        document.choose(&[(Setting::ReadQuorum, 3)], Stamp(1), NodeId(1));
        assert_eq!(document.values(2).get(Setting::ReadQuorum), 2);
        assert_eq!(document.values(3).get(Setting::ReadQuorum), 3);
    }
}

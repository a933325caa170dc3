//! What a node shows of itself: plain data, read only, made on demand.
//!
//! The status surfaces, the page's inspector and the checkers all read this and nothing else.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{BootCount, Incarnation, LogPosition, NodeId};
use crate::ring::layout::Layout;
use crate::settings::{Settings, SettingsDocument};
use crate::time::Micros;

/// A node as it is right now.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where others reach it.
    pub address: String,
    /// Its data folder.
    pub incarnation: Incarnation,
    /// How often that was opened.
    pub boot: BootCount,
    /// The layout it knows; none until it is a member of a cluster.
    pub layout: Option<Layout>,
    /// The other members, and what it thinks of them.
    pub peers: Vec<PeerView>,
    /// The values of all settings in force here.
    pub settings: Settings,
    /// Who chose them, and when.
    pub choices: SettingsDocument,
    /// Its store.
    pub storage: StorageView,
    /// How many client requests are open.
    pub requests_open: u64,
    /// How many outputs wait for a sync.
    pub outputs_held: u64,
    /// How often each kind of event has happened since it was opened.
    pub counters: BTreeMap<&'static str, u64>,
    /// Why it has stopped for good, if it has.
    pub halted: Option<String>,
}

/// Another member, in the opinion of this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// Which.
    pub node: NodeId,
    /// Whether a link to it is up.
    pub linked: bool,
    /// Whether it is thought to be alive. An opinion: it never changes who owns what.
    pub alive: bool,
    /// How long ago its heartbeat last grew; none if it never did.
    pub silent: Option<Micros>,
}

/// The state of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageView {
    /// How many keys with a live value it holds.
    pub keys_live: u64,
    /// How many keys it holds, deleted ones included.
    pub keys: u64,
    /// How many bytes of keys and values it holds in memory.
    pub bytes: u64,
    /// Its log segments, oldest first, with their bytes.
    pub segments: Vec<(u64, u64)>,
    /// Where the log ends.
    pub end: LogPosition,
    /// Up to where it is known to be durable.
    pub durable: LogPosition,
    /// Bytes behind that.
    pub unsynced_bytes: u64,
    /// Whether it refuses writes because the disk is full.
    pub full: bool,
}

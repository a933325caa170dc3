//! What a node shows of itself: plain data, read only, made on demand.
//!
//! The status surfaces, the page's inspector and the checkers all read this and nothing else.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Node;
use crate::id::{BootCount, Incarnation, NodeId};
use crate::ordered::Map;
use crate::raft::{Group, GroupView};
use crate::ring::layout::Layout;
use crate::settings::{Settings, SettingsDocument};
use crate::storage::StoreView;
use crate::time::{Micros, Mono};

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
    /// Its store: how many entries, where the log ends, how much of it is durable.
    pub storage: StoreView,
    /// How many client requests are open.
    pub requests_open: u64,
    /// How many outputs wait for a sync.
    pub outputs_held: u64,
    /// How often each kind of event has happened since it was opened.
    pub counters: Map<&'static str, u64>,
    /// Its Raft groups.
    pub groups: Vec<GroupView>,
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

impl Node {
    /// The node as it is now.
    #[must_use]
    pub fn view(&self, now: Mono) -> NodeView {
        let hello = self.cluster.hello();
        NodeView {
            node: hello.node,
            name: hello.name.clone(),
            address: hello.address.clone(),
            incarnation: hello.incarnation,
            boot: hello.boot,
            layout: self.cluster.layout().cloned(),
            peers: self
                .gossip
                .peers(now)
                .map(|(node, linked, alive, silent)| PeerView { node, linked, alive, silent })
                .collect(),
            settings: self.settings.clone(),
            choices: self.gossip.document().clone(),
            storage: self.store.view(),
            requests_open: self.eventual.open_requests() + self.strong.open_requests(),
            outputs_held: self.out.held(),
            counters: self.out.counters(),
            groups: self.groups.iter().map(Group::view).collect(),
            halted: self.halted.clone(),
        }
    }
}

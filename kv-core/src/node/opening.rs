//! Opening a node: reading its folder back, or formatting a new one.
//!
//! Besides keys and leases a store holds three entries: the identity of the folder, the layout, and the
//! settings document.

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Node;
use crate::cluster::Cluster;
use crate::cluster::change::NAME_BYTES;
use crate::codec;
use crate::disk::Disk;
use crate::event::EventKind;
use crate::eventual::{Eventual, Leases};
use crate::gossip::Gossip;
use crate::id::{BootCount, Incarnation, LogPosition, NodeId};
use crate::io::Boot;
use crate::message::Hello;
use crate::ordered::{Map, Set};
use crate::outbox::Outbox;
use crate::raft;
use crate::raft::groups::Groups;
use crate::ring::PARTITIONS;
use crate::ring::layout::{Layout, SHARDS};
use crate::rng::Rng;
use crate::settings::{Setting, Settings, SettingsDocument};
use crate::storage::{self, Batch, Store};
use crate::strong::Strong;
use crate::time::{HybridClock, Now};
use crate::timers::TimerTable;

/// Where the layout stands in the store.
pub(super) const LAYOUT: &[u8] = b"m/layout";

/// Where the settings document stands in the store.
pub(super) const SETTINGS: &[u8] = b"m/settings";

const IDENTITY: &[u8] = b"m/identity";

/// Who a folder belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    name: String,
    incarnation: Incarnation,
    boot: BootCount,
}

/// Why a node cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The store cannot be opened.
    Storage(storage::OpenError),
    /// The folder belongs to a node of another name. Nothing changed.
    OtherNode {
        /// That name.
        found: String,
        /// The name it was opened under.
        wanted: String,
    },
    /// The boot values themselves are wrong. Nothing changed.
    Invalid(String),
    /// The store's checksums hold and yet an entry of the node itself is of another release.
    Unreadable(&'static str),
    /// An entry of the node itself is damaged. Nothing changed.
    Damaged(&'static str, storage::Unreadable),
    /// The first record could not be written.
    Write(storage::StoreError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => write!(f, "{error}"),
            Self::OtherNode { found, wanted } => write!(
                f,
                "the data folder belongs to node {found}, not {wanted}: start it as {found}, or give {wanted} a folder of its own; nothing was changed"
            ),
            Self::Invalid(words) => f.write_str(words),
            Self::Unreadable(what) => write!(
                f,
                "the data folder was written by another release ({what} cannot be read): start that release; nothing was changed"
            ),
            Self::Damaged(what, fault) => write!(
                f,
                "{what} cannot be read, for {fault}. Nothing was changed. Put an undamaged copy of the file back; or move the data folder away and start the node with an empty one under the same name"
            ),
            Self::Write(error) => write!(f, "the data folder cannot be written: {error}"),
        }
    }
}

impl core::error::Error for OpenError {}

pub(super) fn open(boot: Boot, now: Now, disk: &mut impl Disk) -> Result<Node, OpenError> {
    check(&boot)?;
    let (mut store, recovery) = Store::open(boot.storage, disk).map_err(OpenError::Storage)?;
    let mut rng = Rng::new(boot.entropy);
    let identity = identify(&mut store, &*disk, &boot.name, &mut rng)?;
    let layout: Option<Layout> = read(&mut store, &*disk, LAYOUT, "the layout")?;
    let document: SettingsDocument =
        read(&mut store, &*disk, SETTINGS, "the settings")?.unwrap_or_default();
    let leases = Leases::read(&store, &*disk)
        .map_err(|fault| OpenError::Damaged("its leases", fault))?
        .ok_or(OpenError::Unreadable("a lease"))?;
    let mut batch = Batch::default();
    batch.put(IDENTITY, codec::encode(&identity));
    let at = store.apply_always(&batch, disk).map_err(OpenError::Write)?;

    let Identity { incarnation, boot: count, .. } = identity;
    let me = NodeId::of_name(&boot.name);
    let mut out = Outbox::new(me, incarnation, now);
    out.speak_after(at);
    if let Some(layout) = &layout {
        out.speak_for(layout.cluster, at);
    }
    out.event(EventKind::Opened { incarnation, boot: count, records: recovery.records });
    if let Some(cut) = recovery.cut {
        out.event(EventKind::LogCut { at: cut.at, bytes: cut.bytes });
    }
    let hello = Hello {
        node: me,
        name: boot.name,
        address: boot.address,
        incarnation,
        boot: count,
        cluster: layout.as_ref().map(|layout| layout.cluster),
    };
    let default = Settings::default().get(Setting::Replicas);
    let replicas = layout.as_ref().map_or(default, |layout| layout.replicas);
    let settings = document.values(replicas);
    let gossip_rng = Rng::new(rng.any());
    let mut node = Node {
        gossip: Gossip::new(me, incarnation, count, document, gossip_rng),
        cluster: Cluster::new(now, hello, (boot.partitions, boot.shards), boot.founding, layout),
        eventual: Eventual::new(me, incarnation, count, leases),
        strong: Strong::new(me, count),
        groups: Groups::default(),
        state: None,
        voters_due: false,
        shards_due: false,
        dismissed: Set::new(),
        damaged: Set::new(),
        store,
        out,
        clock: HybridClock::default(),
        rng,
        settings,
        listings: Map::new(),
        timers: TimerTable::default(),
        sync_outstanding: false,
        full: false,
        halted: None,
    };
    let opened = node.open_metadata(now, &*disk);
    opened.and_then(|()| node.open_shards(now, &*disk)).map_err(|error| match error {
        raft::OpenError::Unreadable(fault) => OpenError::Damaged("a replicated log", fault),
        raft::OpenError::Malformed(what) => OpenError::Unreadable(what),
    })?;
    node.timers.set(super::SCRUB_TIMER, now.mono + super::SCRUB);
    node.timers.set(super::REVIEW_TIMER, now.mono + super::REVIEW);
    node.resume(now, at, disk);
    Ok(node)
}

impl Node {
    /// Goes on as a member, or takes the first step towards becoming one.
    fn resume(&mut self, now: Now, at: LogPosition, disk: &mut impl Disk) {
        self.cluster.layout_read(at);
        self.gossip.document_written(at);
        if let Some(layout) = self.cluster.membership().cloned() {
            self.gossip.adopt(now, &layout, &self.settings);
            self.with_eventual(now, disk, |eventual, ground| eventual.on_layout(ground));
            self.follow_shards(now, disk);
        } else {
            let entropy = self.rng.any();
            let replicas = self.settings.get(Setting::Replicas);
            let adoption = self.cluster.seek_membership(now, entropy, replicas, &mut self.out);
            if let Some(adoption) = adoption {
                self.adopt(now, adoption, disk);
            }
        }
        self.settle(now, true, disk);
    }
}

fn check(boot: &Boot) -> Result<(), OpenError> {
    if !NAME_BYTES.contains(&boot.name.len()) {
        return Err(OpenError::Invalid(format!(
            "a node's name has {} to {} bytes, not {}: choose another",
            NAME_BYTES.start(),
            NAME_BYTES.end(),
            boot.name.len()
        )));
    }
    if !boot.partitions.is_power_of_two() || !PARTITIONS.contains(&boot.partitions) {
        return Err(OpenError::Invalid(format!(
            "the number of partitions is a power of two from {} to {}, not {}",
            PARTITIONS.start(),
            PARTITIONS.end(),
            boot.partitions
        )));
    }
    if !SHARDS.contains(&boot.shards) {
        return Err(OpenError::Invalid(format!(
            "the number of shards is from {} to {}, not {}",
            SHARDS.start(),
            SHARDS.end(),
            boot.shards
        )));
    }
    Ok(())
}

/// The identity in the folder, opened once more, or a new one.
fn identify(
    store: &mut Store,
    disk: &impl Disk,
    name: &str,
    rng: &mut Rng,
) -> Result<Identity, OpenError> {
    let found: Option<Identity> = read(store, disk, IDENTITY, "its identity")?;
    match found {
        Some(found) if found.name != name => {
            Err(OpenError::OtherNode { found: found.name, wanted: String::from(name) })
        }
        Some(found) => Ok(Identity { boot: BootCount(found.boot.0 + 1), ..found }),
        None => Ok(Identity {
            name: String::from(name),
            incarnation: Incarnation(rng.any()),
            boot: BootCount(1),
        }),
    }
}

fn read<T: DeserializeOwned>(
    store: &mut Store,
    disk: &impl Disk,
    key: &[u8],
    what: &'static str,
) -> Result<Option<T>, OpenError> {
    let found = store.get(key, disk).map_err(|fault| OpenError::Damaged(what, fault))?;
    let Some((bytes, _)) = found else { return Ok(None) };
    codec::decode(&bytes).map(Some).map_err(|_| OpenError::Unreadable(what))
}

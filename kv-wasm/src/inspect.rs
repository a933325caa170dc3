//! What the reader looks into on demand: one node, one key, the settings, a share link.
//!
//! Plain objects made from [`kv_core::node::NodeView`] and the objects under keys. Ids appear
//! by name, 64-bit numbers that are no counts as text.

use kv_core::disk::Disk;
use kv_core::id::{FileId, FileKind};
use kv_core::node::NodeView;
use kv_core::node::metadata::METADATA;
use kv_core::ordered::{self, Set};
use kv_core::raft::GroupView;
use kv_core::ring;
use kv_core::settings::{Kind, TABLE};
use kv_core::sim::disk::SimDisk;
use kv_core::sim::link::Link;
use kv_core::sim::{Action, World};
use kv_core::text::of_bytes as text;
use kv_core::version::Object;
use serde::Serialize;
use tsify::Tsify;

use crate::storage::StorageObject;
use crate::words::Names;

/// How many keys of a node are shown.
const KEYS_SHOWN: usize = 200;

/// One row of the settings table.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct SettingRow {
    /// Its name on every surface.
    pub name: String,
    /// Whether it is off or on, rather than a number.
    pub switch: bool,
    /// Its smallest value.
    pub min: u64,
    /// Its greatest value.
    pub max: u64,
    /// Its value until someone changes it.
    pub default: u64,
    /// Its unit, or nothing.
    pub unit: String,
    /// What it does.
    pub meaning: String,
    /// What more of it gains and costs.
    pub trade_off: String,
}

/// The values of a setting in the cluster.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct SettingState {
    /// Its name.
    pub name: String,
    /// Its value on the live node that knows the latest choice.
    pub value: u64,
    /// Its value on each node; nothing on those that are down.
    pub nodes: Vec<Option<u64>>,
}

/// A node as it is right now.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct NodeObject {
    /// Its name.
    pub name: String,
    /// Its id: the hash of its name.
    pub id: String,
    /// Its data folder.
    pub incarnation: String,
    /// How often that was opened.
    pub boot: u64,
    /// The layout it knows; nothing until it is a member.
    pub layout: Option<LayoutObject>,
    /// Who leads the metadata group, as far as it knows.
    pub metadata_leader: Option<String>,
    /// What it thinks of the others.
    pub peers: Vec<PeerObject>,
    /// Its store.
    pub storage: StorageObject,
    /// Keys with a live value.
    pub keys_live: u64,
    /// Open client requests.
    pub requests_open: u64,
    /// Outputs that wait for a sync.
    pub outputs_held: u64,
    /// Keys it holds, in their order.
    pub keys: Vec<KeyCopy>,
    /// How many more keys it holds.
    pub keys_more: u64,
    /// How often each kind of event has happened.
    pub counters: Vec<(String, u64)>,
    /// Why it has stopped for good, if it has.
    pub halted: Option<String>,
}

/// What a node runs on, whether it runs or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct MachineObject {
    /// How much too fast its clocks run, in parts per million; negative if too slow.
    pub drift_ppm: i32,
    /// How far its civil time was set ahead, in milliseconds; negative if back.
    pub ahead_ms: i32,
    /// How long each sync takes, in microseconds.
    pub sync_us: u64,
    /// Whether its disk takes only so many more bytes.
    pub limited: bool,
    /// Why it could not be started from its disk, if it could not.
    pub failure: Option<String>,
    /// The files on its disk that hold something: the log, tables, roots, each by number.
    pub files: Vec<FileObject>,
}

/// A file on a node's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Tsify)]
pub struct FileObject {
    /// Its id.
    pub file: u64,
    /// What it is, in words.
    pub words: String,
    /// Whether it is a table.
    pub table: bool,
    /// Its bytes; of the log without the room at its end that nothing was written to.
    pub bytes: u64,
}

/// The layout a node knows.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct LayoutObject {
    /// Its version.
    pub epoch: u64,
    /// The members.
    pub members: Vec<String>,
    /// N.
    pub replicas: u64,
    /// Whether partitions are moving.
    pub moving: bool,
    /// How many partitions this node claimed.
    pub partitions: u64,
}

/// A node in the opinion of another.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct PeerObject {
    /// Its name.
    pub name: String,
    /// Whether a link to it is up.
    pub linked: bool,
    /// Whether it is thought to be alive.
    pub alive: bool,
    /// How long ago its heartbeat last grew, in milliseconds.
    pub silent_ms: Option<u64>,
}

/// What one node holds under one key.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct KeyCopy {
    /// The key.
    pub key: String,
    /// The values that no known write has replaced.
    pub siblings: Vec<SiblingObject>,
    /// The version vector: actor and counter.
    pub clock: Vec<(String, u64)>,
    /// Tells whether two copies are the same.
    pub digest: String,
}

impl KeyCopy {
    fn is_live(&self) -> bool {
        self.siblings.iter().any(|sibling| sibling.value.is_some())
    }
}

/// One value.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct SiblingObject {
    /// Who coordinated the write.
    pub actor: String,
    /// Its number there.
    pub counter: u64,
    /// The value; nothing if the write was a delete.
    pub value: Option<String>,
}

/// A key in the whole cluster.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct KeyObject {
    /// The key.
    pub key: String,
    /// Its partition.
    pub partition: u16,
    /// Its owners, first the one that prefers to coordinate its writes.
    pub owners: Vec<u16>,
    /// What each node holds; nothing on those that are down or hold nothing.
    pub copies: Vec<Option<KeyCopy>>,
}

/// What a share link holds, before it is played.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct LinkObject {
    /// The core it was made with.
    pub build: String,
    /// Whether that is this core.
    pub same_build: bool,
    /// The seed.
    pub seed: String,
    /// How many nodes there are.
    pub nodes: u16,
    /// How many actions it holds.
    pub actions: u64,
    /// Up to when it plays, in microseconds.
    pub until_us: u64,
    /// The trace hash it must end with.
    pub hash: String,
}

/// The settings table.
#[must_use]
pub fn settings_rows() -> Vec<SettingRow> {
    let row = |spec: &kv_core::settings::Spec| {
        let (switch, min, max) = match spec.kind {
            Kind::Number { min, max } => (false, min, max),
            Kind::Switch => (true, 0, 1),
        };
        SettingRow {
            name: spec.name.into(),
            switch,
            min,
            max,
            default: spec.default,
            unit: spec.unit.into(),
            meaning: spec.meaning.into(),
            trade_off: spec.trade_off.into(),
        }
    };
    TABLE.iter().map(row).collect()
}

/// The values of all settings on all nodes.
#[must_use]
pub fn settings(world: &World) -> Vec<SettingState> {
    let views: Vec<Option<NodeView>> = (0..world.nodes()).map(|index| world.view(index)).collect();
    let latest = views.iter().flatten().max_by_key(|view| {
        (view.choices.latest(), view.layout.as_ref().map(|layout| layout.epoch))
    });
    let state = |spec: &kv_core::settings::Spec| SettingState {
        name: spec.name.into(),
        value: latest.map_or(spec.default, |view| view.settings.get(spec.setting)),
        nodes: views.iter().map(|view| Some(view.as_ref()?.settings.get(spec.setting))).collect(),
    };
    TABLE.iter().map(state).collect()
}

/// A node, unless it is down.
#[must_use]
pub fn node(world: &World, index: u16, names: &Names) -> Option<NodeObject> {
    let view = world.view(index)?;
    let mut copies: Vec<KeyCopy> = known_keys(world)
        .into_iter()
        .filter_map(|key| Some(copy(&key, &world.object(index, &key)?, names)))
        .collect();
    let keys_live = copies.iter().filter(|copy| copy.is_live()).count() as u64;
    let keys_more = copies.len().saturating_sub(KEYS_SHOWN) as u64;
    copies.truncate(KEYS_SHOWN);
    Some(NodeObject {
        name: view.name.clone(),
        id: view.node.to_string(),
        incarnation: view.incarnation.to_string(),
        boot: view.boot.0,
        layout: layout(&view),
        metadata_leader: metadata(&view)
            .and_then(|group| group.leader)
            .map(|leader| names.name(leader.node)),
        peers: peers(&view, names),
        storage: StorageObject::of(&view.storage),
        keys_live,
        requests_open: view.requests_open,
        outputs_held: view.outputs_held,
        keys: copies,
        keys_more,
        counters: view.counters.iter().map(|(name, count)| ((*name).into(), *count)).collect(),
        halted: view.halted.clone(),
    })
}

/// What a node runs on; nothing if there is no such node.
#[must_use]
pub fn machine(world: &World, index: u16) -> Option<MachineObject> {
    let (clocks, disk) = (world.clocks(index)?, world.disk(index)?);
    Some(MachineObject {
        drift_ppm: clocks.drift(),
        // It is at most a day.
        ahead_ms: (clocks.ahead() / 1_000) as i32,
        sync_us: world.sync_time(index)?.0,
        limited: disk.capacity().is_some(),
        failure: world.failure(index).map(str::to_owned),
        files: disk.list().into_iter().flatten().filter_map(|file| file_of(disk, file)).collect(),
    })
}

fn file_of(disk: &SimDisk, file: FileId) -> Option<FileObject> {
    let kind = file.kind()?;
    let bytes = match kind {
        FileKind::Reserve => return None,
        FileKind::Log => written(disk, file)?,
        // Whoever reads a table may get the bytes of another place, and with that end a fault: looking at
        // a disk must not change the run.
        FileKind::Table | FileKind::Root => disk.len(file).ok()?,
    };
    let table = kind == FileKind::Table;
    (bytes > 0).then(|| FileObject { file: file.0, words: file.to_string(), table, bytes })
}

/// Where the last byte of a file that is not zero ends.
fn written(disk: &SimDisk, file: FileId) -> Option<u64> {
    const CHUNK: u64 = 4_096;
    let mut end = disk.len(file).ok()?;
    while end > 0 {
        let length = end.min(CHUNK);
        let chunk = disk.read_at(file, end - length, length).ok()?;
        if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
            return Some(end - length + last as u64 + 1);
        }
        end -= length;
    }
    Some(0)
}

/// A key on all nodes, with the owners that the node with the latest layout knows.
#[must_use]
pub fn key(world: &World, key: &str, names: &Names) -> KeyObject {
    let views = (0..world.nodes()).filter_map(|index| world.view(index));
    let layout = views.filter_map(|view| view.layout).max_by_key(|layout| layout.epoch);
    let partition = ring::partition_of(key.as_bytes(), world.config().partitions);
    let owners = layout.map_or_else(Vec::new, |layout| {
        let partition = layout.ring.partition_of(key.as_bytes());
        layout.owners(partition).into_iter().filter_map(|owner| names.index(owner)).collect()
    });
    KeyObject {
        key: key.into(),
        partition,
        owners,
        copies: (0..world.nodes())
            .map(|node| Some(copy(key.as_bytes(), &world.object(node, key.as_bytes())?, names)))
            .collect(),
    }
}

/// What a share link holds.
#[must_use]
pub fn link(link: &Link) -> LinkObject {
    LinkObject {
        build: link.build.clone(),
        same_build: link.build == kv_core::BUILD,
        seed: format!("{:x}", link.run.config.seed),
        nodes: link.run.config.nodes,
        actions: link.run.actions.len() as u64,
        until_us: link.run.until.0,
        hash: format!("{:016x}", link.run.hash),
    }
}

/// The keys that anyone can have written: those of generated clients and those of the reader.
#[must_use]
pub fn known_keys(world: &World) -> Set<Vec<u8>> {
    let asked = world.actions().iter().filter_map(|timed| match &timed.action {
        Action::Client { operation, .. } => Some(operation),
        _ => None,
    });
    let recent = world.operations().map(|record| &record.operation);
    let mut keys: Set<Vec<u8>> = Set::new();
    let eventual = asked.chain(recent).filter(|operation| !operation.is_strong());
    keys.extend(eventual.map(|operation| operation.key().to_vec()));
    let workloads = world.actions().iter().filter_map(|timed| match &timed.action {
        Action::Workload(workload) => Some(workload.keys),
        _ => None,
    });
    let generated = workloads.chain([world.config().workload.keys]).max().unwrap_or(0);
    keys.extend((1..=generated.min(1_000)).map(|number| format!("k{number}").into_bytes()));
    keys
}

fn copy(key: &[u8], object: &Object, names: &Names) -> KeyCopy {
    KeyCopy {
        key: text(key),
        siblings: object
            .siblings()
            .map(|(dot, sibling)| SiblingObject {
                actor: names.say(dot.actor),
                counter: dot.counter,
                value: sibling.value.as_deref().map(text),
            })
            .collect(),
        clock: object
            .clock()
            .entries()
            .map(|(actor, entry)| (names.say(actor), entry.counter))
            .collect(),
        digest: format!("{:016x}", object.digest()),
    }
}

fn layout(view: &NodeView) -> Option<LayoutObject> {
    let layout = view.layout.as_ref()?;
    let claimed = (0..layout.ring.partitions())
        .filter(|index| layout.ring.claimant(kv_core::id::PartitionId(*index)) == Some(view.node));
    Some(LayoutObject {
        epoch: layout.epoch.0,
        members: layout.members.values().map(|member| member.name.clone()).collect(),
        replicas: layout.replicas,
        moving: layout.moving.is_some(),
        partitions: claimed.count() as u64,
    })
}

/// A node's replica of the metadata group, which puts changes of the cluster in order.
#[must_use]
pub fn metadata(view: &NodeView) -> Option<&GroupView> {
    view.groups.iter().find(|group| group.group == METADATA)
}

fn peers(view: &NodeView, names: &Names) -> Vec<PeerObject> {
    let mut peers: Vec<_> = view.peers.iter().collect();
    ordered::sort_by_key(&mut peers, |peer| names.index(peer.node));
    peers
        .into_iter()
        .map(|peer| PeerObject {
            name: names.name(peer.node),
            linked: peer.linked,
            alive: peer.alive,
            silent_ms: peer.silent.map(|silent| silent.as_millis()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use kv_core::rng::Ratio;
    use kv_core::sim::{SimConfig, Workload};
    use kv_core::time::Mono;

    use super::*;

    #[test]
    fn looking_at_a_disk_ends_no_fault_of_it() {
        let writes = Ratio::per_mille(500);
        let workload = Workload { clients: 20, per_second: 200, writes, ..Workload::default() };
        let mut world =
            World::new(SimConfig { nodes: 3, workload, ..SimConfig::default() }).unwrap();
        let mut until = Mono(0);
        while world.act(Action::Misread { node: 0 }).is_err() {
            until = Mono(until.0 + 100_000);
            world.run_until(until, u64::MAX);
        }
        let mut seen = world.clone();
        let files = machine(&seen, 0).unwrap().files;
        assert!(files.iter().any(|file| file.table) && files.iter().any(|file| !file.table));
        for world in [&mut world, &mut seen] {
            world.run_until(Mono(until.0 + 5_000_000), u64::MAX);
        }
        assert_eq!(seen.hash(), world.hash());
    }
}

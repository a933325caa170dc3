//! A seeded opponent that breaks a cluster in every way the simulator knows, and mends it again.
//!
//! It does only what a person could do on the page: it acts on a [`World`]. Its faults have no upper
//! bound except that each ends at some time; a cluster may well lose every node at once. [`run`] is a
//! whole run under attack, the same on every platform for a seed.
//!
//! A third of the runs spares disks, in a third nodes lose theirs, and in a third the tables of one node
//! rot: bits turn over, and reads give the bytes of another place. While partitions move nothing rots.
//!
//! Left out is what the protocol is not built to survive: damage to a second disk before the first is
//! filled again, and the loss of the disk of the node that is told to found the cluster.

use alloc::vec::Vec;

use super::action::{Action, TimedAction};
use super::clock::Clocks;
use super::config::{Chance, LinkConfig, NetworkConfig, SimConfig, Workload};
use super::fault::{Fault, Faults};
use super::world::World;
use crate::disk::Disk;
use crate::id::{FileKind, Incarnation, ShardId};
use crate::node::NodeView;
use crate::ordered::Map;
use crate::raft::{GroupView, RoleView};
use crate::ring::layout::Layout;
use crate::rng::{Ratio, Rng};
use crate::settings::Setting;
use crate::time::{Micros, Mono};

/// What happens to the disks of a run that no mending takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disks {
    /// Nothing: they may be slow, full, or fail to sync.
    Stay,
    /// Nodes lose theirs.
    GetLost,
    /// The tables of one node rot.
    Rot,
}

/// The opponent.
#[derive(Clone, Debug)]
pub struct Nemesis {
    rng: Rng,
    /// The most replicas it sets; from [`Setting::Replicas`]' default on.
    replicas_max: u64,
    /// Whether clients say how many replicas to ask, so that it may set the quorums to anything.
    clients_choose: bool,
    /// The kinds of faults that it uses.
    faults: Faults,
    /// What happens to disks in this run.
    disks: Disks,
    /// The node whose tables do.
    rotten: Option<u16>,
    /// The data folders that it wiped last, by their nodes.
    folders: Map<u16, Incarnation>,
}

impl Nemesis {
    /// The opponent of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Chance::Nemesis.generator(seed);
        let clients_choose = rng.below(3) == 0;
        let disks = [Disks::Rot, Disks::GetLost, Disks::Stay][rng.below(3) as usize];
        Self {
            rng,
            replicas_max: REPLICAS,
            clients_choose,
            faults: Faults::ALL,
            disks,
            rotten: None,
            folders: Map::new(),
        }
    }

    /// One that also changes the number of replicas, from 3 to this, and so moves partitions.
    #[must_use]
    pub fn moving_partitions(seed: u64, replicas_max: u64) -> Self {
        let mut nemesis = Self::new(seed);
        if nemesis.disks == Disks::Rot {
            nemesis.disks = Disks::GetLost;
        }
        Self { replicas_max: replicas_max.max(REPLICAS), ..nemesis }
    }

    /// The same one, using only these kinds of faults.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// How a cluster that it attacks begins: from 1 to 7 nodes and a few clients.
    pub fn config(&mut self, seed: u64) -> SimConfig {
        let nodes = [1, 2, 3, 3, 4, 5, 5, 6, 7][self.rng.below(9) as usize];
        let partitions = 8 << self.rng.below(3);
        let network = self.network();
        let plain = !self.faults.contains(Fault::Loss);
        let mut settings = alloc::vec![
            (Setting::RequestTimeoutMs, 500),
            (Setting::ReadQuorum, self.majority()),
            (Setting::WriteQuorum, self.majority()),
        ];
        if partitions == 8 {
            // Another leader is there before clients have given the last one up.
            settings.extend([(Setting::ElectionTimeoutMs, 150), (Setting::RaftHeartbeatMs, 25)]);
        }
        SimConfig {
            seed,
            nodes,
            partitions,
            shards: u32::from(partitions / 8).min(2),
            network: if plain { NetworkConfig::default() } else { network },
            sync: Micros(self.rng.between(0, 20_000)),
            settings,
            workload: Workload {
                clients: self.rng.between(1, 20) as u16,
                // What is to rot must have come as far as a table.
                per_second: if self.disks == Disks::Rot { 240 } else { 80 },
                keys: self.rng.between(1, 12) as u32,
                writes: Ratio::per_mille(600),
                quorum: if self.clients_choose { self.majority() as u32 } else { 0 },
                strong: Ratio::per_mille(400),
            },
        }
    }

    /// Lets some time pass, then breaks or mends something. An action that makes no sense at that
    /// moment is refused by the world and simply not done.
    pub fn strike(&mut self, world: &mut World) {
        world.run_until(self.next_strike(world.now()), u64::MAX);
        self.strike_now(world);
    }

    /// When it strikes next. What is to be lost or to rot must have been written first, by a cluster that is
    /// whole.
    pub(super) fn next_strike(&mut self, now: Mono) -> Mono {
        let calm =
            if self.disks != Disks::Stay && now == Mono::default() { CALM } else { Micros(0) };
        now + calm + Micros(self.rng.between(1, 300_000))
    }

    /// Breaks or mends something.
    pub(super) fn strike_now(&mut self, world: &mut World) {
        for _ in 0..DRAWS {
            let drawn = self.draw(world);
            let allowed = drawn.iter().filter(|action| self.faults.allow(action)).cloned();
            let actions: Vec<Action> = allowed.collect();
            if actions.is_empty() && !drawn.is_empty() {
                continue; // Of a kind that is not used.
            }
            for action in actions {
                // Refused where it makes no sense now; that changes nothing.
                drop(world.act(action));
            }
            return;
        }
    }

    /// What to do next.
    fn draw(&mut self, world: &World) -> Vec<Action> {
        let nodes = u64::from(world.nodes());
        let node = self.rng.below(nodes) as u16;
        let other = self.rng.below(nodes) as u16;
        let everyone = || 0..world.nodes();
        match self.rng.below(if self.disks == Disks::Stay { 35 } else { 40 }) {
            0..=2 => alloc::vec![Action::Crash { node }],
            3 | 4 => everyone().map(|node| Action::Crash { node }).collect(),
            5..=7 => alloc::vec![Action::Restart { node }],
            8 | 9 => everyone().map(|node| Action::Restart { node }).collect(),
            10 | 11 => alloc::vec![Action::Cut { from: node, to: other }],
            12 | 13 => alloc::vec![Action::Mend { from: node, to: other }],
            14 => alloc::vec![Action::Partition { groups: self.groups(nodes) }],
            15..=17 => alloc::vec![Action::Heal],
            18 | 19 => alloc::vec![Action::Network(self.network())],
            20 => alloc::vec![Action::Fill { node, free: self.rng.below(4_000) }],
            21 | 22 => everyone().map(|node| Action::Free { node }).collect(),
            23 => alloc::vec![Action::Slow { node, wait: Micros(self.rng.between(0, 200_000)) }],
            24 => alloc::vec![Action::Set { node, changes: self.settings() }],
            25 | 26 => alloc::vec![Action::Pause { node }],
            27..=29 => everyone().map(|node| Action::Resume { node }).collect(),
            30 => alloc::vec![self.link(node, other)],
            31 => self.picked(world).into_iter().collect(),
            32 => alloc::vec![Action::FailSync { node }],
            33 => alloc::vec![self.drift(node)],
            34 => alloc::vec![self.jump(node)],
            _ if self.disks == Disks::Rot => self.rot(world, node).unwrap_or_default(),
            _ => self.wipe(world, node).into_iter().collect(),
        }
    }

    /// Ends every fault and every load: all nodes run, and all messages arrive.
    pub fn relent(world: &mut World) {
        let nodes = world.nodes();
        let workload = Workload { per_second: 0, ..world.workload() };
        let network = Action::Network(NetworkConfig::default());
        let mut calm = alloc::vec![Action::Heal, network, Action::Workload(workload)];
        let links = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
        calm.extend(links.map(|(from, to)| Action::Link { from, to, own: None }));
        let wait = world.config().sync;
        for node in 0..nodes {
            let by = -world.clocks(node).map_or(0, Clocks::ahead);
            calm.extend([
                Action::Free { node },
                Action::Slow { node, wait },
                Action::Drift { node, ppm: 0 },
                Action::Jump { node, by },
                Action::Resume { node },
            ]);
        }
        for action in calm {
            // Refused where there is nothing to end.
            drop(world.act(action));
        }
        for node in 0..nodes {
            // It stopped for good when its disk failed, and whoever minds it starts it again.
            if world.node(node).is_some_and(|node| node.halted().is_some()) {
                drop(world.act(Action::Crash { node }));
            }
            drop(world.act(Action::Restart { node }));
            let rots = |timed: &TimedAction| matches!(timed.action, Action::Flip { node: of, .. } if of == node);
            if world.failure(node).is_some() && world.actions().iter().any(rots) {
                // Where it needs what was damaged to open, its owner begins with an empty folder.
                drop(world.act(Action::Wipe { node }));
                drop(world.act(Action::Restart { node }));
            }
        }
    }

    fn network(&mut self) -> NetworkConfig {
        let latency_min = Micros(self.rng.between(0, 5_000));
        let latency_max = Micros(latency_min.0 + self.rng.between(0, 30_000));
        let loss = Ratio::per_mille([0, 0, 10, 100, 300][self.rng.below(5) as usize]);
        let mut rare = || Ratio::per_mille([0, 0, 0, 20, 200][self.rng.below(5) as usize]);
        let (stragglers, duplication, reordering) = (rare(), rare(), rare());
        let straggle = self.rng.between(1, 10) as u32;
        NetworkConfig {
            latency_min,
            latency_max,
            loss,
            stragglers,
            straggle,
            duplication,
            reordering,
        }
    }

    /// A link gets slow or loses much, or is like the others again.
    fn link(&mut self, from: u16, to: u16) -> Action {
        let latency_min = Micros(self.rng.between(0, 100_000));
        let latency_max = Micros(latency_min.0 + self.rng.between(0, 100_000));
        let loss = Ratio::per_mille(self.rng.below(500) as u32);
        let own = LinkConfig { latency_min, latency_max, loss };
        Action::Link { from, to, own: (self.rng.below(3) > 0).then_some(own) }
    }

    /// One of the messages under way is lost or held up.
    fn picked(&mut self, world: &World) -> Option<Action> {
        let place = self.rng.below(world.in_flight().count() as u64);
        let message = world.in_flight().nth(place as usize)?.number;
        Some(match self.rng.below(2) {
            0 => Action::Lose { message },
            _ => Action::Delay { message, by: Micros(self.rng.between(1, 1_000_000)) },
        })
    }

    fn drift(&mut self, node: u16) -> Action {
        let most = Clocks::DRIFT_MAX;
        let ppm = self.rng.below(2 * most as u64 + 1) as i32 - most;
        Action::Drift { node, ppm }
    }

    fn jump(&mut self, node: u16) -> Action {
        let most = [10_000, 1_000_000, 7_200_000_000][self.rng.below(3) as usize];
        let by = self.rng.below(2 * most + 1) as i64 - most as i64;
        Action::Jump { node, by }
    }

    /// A node loses its disk, if nothing else of it is missing: a value that was acknowledged stands on
    /// two disks at least, and not on more, and most voters must keep theirs. And never the first node:
    /// without its disk and cut off from the others it would found a cluster of its own, as it was told.
    fn wipe(&mut self, world: &World, node: u16) -> Option<Action> {
        let founder = world.view(0)?;
        let layout = founder.layout.as_ref().filter(|layout| layout.moving.is_none())?;
        let filled = |index: u16| {
            let member = layout.members.get(&world.node_id(index))?;
            let known = self.folders.get(&index);
            Some(known.is_none_or(|wiped| member.incarnation != *wiped))
        };
        let whole = (0..world.nodes()).all(|index| filled(index) == Some(true));
        let mine = layout.members.get(&world.node_id(node))?.incarnation;
        if node == 0 || !whole || !logs_spare(world, &founder, layout, node) {
            return None;
        }
        self.folders.insert(node, mine);
        Some(Action::Wipe { node })
    }

    /// Some bits of a table turn over, or the next read of one goes astray; always on one node, which is not
    /// the founder, and once all have joined. A bit may cost the whole disk, if the node needs it to open.
    fn rot(&mut self, world: &World, node: u16) -> Option<Vec<Action>> {
        let (place, misreads) = (self.rng.any(), self.rng.below(3) == 0);
        let bits: [(u64, u8); BITS] =
            core::array::from_fn(|_| (self.rng.any(), self.rng.below(8) as u8));
        let founder = world.view(0)?;
        let layout = founder.layout.as_ref().filter(|layout| layout.moving.is_none())?;
        let whole = layout.members.len() == usize::from(world.nodes());
        let node = self.rotten.unwrap_or(node);
        if node == 0 || !whole || u64::from(world.nodes()) < REPLICAS {
            return None;
        }
        let disk = world.disk(node)?;
        let mut tables = disk.list().ok()?;
        tables.retain(|file| file.kind() == Some(FileKind::Table));
        let file = *tables.get(place.checked_rem(tables.len() as u64)? as usize)?;
        let length = disk.len(file).ok().filter(|length| *length > 0)?;
        let all_placed = layout.shards.iter().all(|shard| shard.settled);
        let may_be_lost = all_placed && layout.replicas > 2 && voters_stay(&founder, layout);
        if !misreads && !may_be_lost {
            return None;
        }
        self.rotten = Some(node);
        Some(if misreads {
            alloc::vec![Action::Misread { node }]
        } else {
            let flip = |(at, bit)| Action::Flip { node, file, offset: at % length, bit };
            bits.map(flip).into()
        })
    }

    fn groups(&mut self, nodes: u64) -> Vec<u8> {
        (0..nodes).map(|_| self.rng.below(2) as u8).collect()
    }

    /// Only settings with which reads see what was written before: R + W > N; or any, if clients do not
    /// go by them.
    fn settings(&mut self) -> Vec<(Setting, u64)> {
        let least = if self.clients_choose { 1 } else { self.majority() };
        let kinds = if self.replicas_max > REPLICAS { 8 } else { 5 };
        match self.rng.below(kinds) {
            0 => alloc::vec![(Setting::GossipIntervalMs, self.rng.between(50, 400))],
            1 => alloc::vec![(Setting::ClockThreshold, self.rng.between(8, 16))],
            2 => alloc::vec![(Setting::ReadQuorum, least), (Setting::WriteQuorum, least)],
            3 => alloc::vec![(Setting::ReadQuorum, REPLICAS)],
            4 => alloc::vec![(Setting::WriteQuorum, REPLICAS)],
            _ => alloc::vec![(Setting::Replicas, self.rng.between(REPLICAS, self.replicas_max))],
        }
    }

    /// A quorum that meets every other one of as many replicas as there may be.
    fn majority(&self) -> u64 {
        self.replicas_max / 2 + 1
    }
}

/// How often it draws until it has something of a kind that it uses.
const DRAWS: u32 = 100;

/// How long a cluster is left alone at first whose disks get lost or rot.
const CALM: Micros = Micros::from_millis(4_000);

/// How many bits of a table turn over at once.
const BITS: usize = 6;

/// The fewest replicas it sets.
const REPLICAS: u64 = 3;

/// How many strikes make a run of a few thousand events.
pub const STRIKES: u32 = 40;

/// The run of this seed: so many strikes, then calm, then a second of peace.
#[must_use]
pub fn run(seed: u64, strikes: u32) -> Option<World> {
    let mut nemesis = Nemesis::new(seed);
    let mut world = World::new(nemesis.config(seed)).ok()?;
    for _ in 0..strikes {
        nemesis.strike(&mut world);
    }
    Nemesis::relent(&mut world);
    let end = Mono(world.now().0 + 1_000_000);
    world.run_until(end, u64::MAX);
    Some(world)
}

/// Whether nobody enters or leaves a replicated log, and all who vote are members, as the founder sees it.
fn voters_stay(founder: &NodeView, layout: &Layout) -> bool {
    founder.groups.iter().all(|group| {
        let mut voters = group.membership.voters.iter();
        !group.membership.is_joint()
            && group.membership_at <= group.commit
            && voters.all(|voter| layout.is_member(voter.node, voter.incarnation))
    })
}

/// Whether all replicated logs bear the loss of a node's disk.
fn logs_spare(world: &World, founder: &NodeView, layout: &Layout, node: u16) -> bool {
    let mut shards = (0..layout.shards.len() as u32).map(ShardId);
    voters_stay(founder, layout) && shards.all(|shard| spares(world, layout, shard, node))
}

/// Whether a shard bears the loss of a node's disk: its voters are those of the layout, and those whose disk
/// is left are a majority.
fn spares(world: &World, layout: &Layout, shard: ShardId, node: u16) -> bool {
    let views = (0..world.nodes()).filter_map(|index| world.view(index));
    let groups = views.flat_map(|view| view.groups).filter(|group| group.group == shard.group());
    let settled = |group: &GroupView| {
        !group.membership.is_joint()
            && group.membership_at <= group.commit
            && group.membership.voters == layout.replicas_of(shard)
    };
    let mut leaders = groups.filter(|group| group.role == RoleView::Leader);
    let holds = layout.holders(shard).any(|holder| holder == world.node_id(node));
    leaders.any(|leader| settled(&leader)) && (!holds || layout.holders(shard).count() > 2)
}

//! A whole attack from one seed: clients, faults of every kind, then peace, in which all must get well.
//!
//! ```text
//! cluster of the seed ─▶ clients and faults ─▶ all faults end ─▶ one leader, equal logs, a fresh write
//! ```

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use kv_core::id::{GroupId, Replica};
use kv_core::message::raft::{Membership, Payload};
use kv_core::ordered::Set;
use kv_core::raft::log::Log;
use kv_core::raft::{Group, Limits, RoleView};
use kv_core::rng::Rng;
use kv_core::time::Micros;

use super::{Cluster, Config};

/// What came of an attack.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) objection: Option<String>,
    /// How often each kind of thing happened, so that an attack that attacks nothing is noticed.
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

/// The election timeout of all attacked clusters.
const TIMEOUT: Micros = Micros::from_millis(300);

/// How many election timeouts a cluster is attacked, and has to get well.
const ATTACKED: u64 = 35;
const PATIENCE: u64 = 40;

/// Attacks the cluster of a seed.
pub(crate) fn attack(seed: u64, forgets_incarnations: bool) -> Report {
    let played = catch_unwind(|| {
        let mut nemesis = Nemesis::new(seed, forgets_incarnations);
        nemesis.play();
        nemesis.report()
    });
    played.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).into()));
        let objection = Some(format!("panicked: {}", words.unwrap_or_default()));
        Report { objection, ..Report::default() }
    })
}

struct Nemesis {
    rng: Rng,
    cluster: Cluster,
    /// Replicas whose disks are lost.
    gone: Set<Replica>,
    counts: BTreeMap<&'static str, u64>,
}

impl Nemesis {
    fn new(seed: u64, forgets_incarnations: bool) -> Self {
        let mut rng = Rng::stream(seed, 1 << 33);
        let hosts = rng.between(3, 7);
        let founders = hosts.min([1, 3, 3, 3, 5][rng.below(5) as usize]);
        let groups = 1 + u64::from(rng.below(4) == 0);
        let limits = Limits {
            election_timeout: TIMEOUT,
            heartbeat: Micros::from_millis(rng.between(20, 50)),
            append_bytes_max: rng.between(30, 400),
            in_flight_max: rng.between(1, 8) as usize,
            in_flight_bytes_max: rng.between(200, 2_000),
            uncommitted_bytes_max: rng.between(200, 5_000),
            command_bytes_max: 500,
            chunks_in_flight: rng.between(1, 4) as u32,
            log_bytes_max: rng.between(200, 4_000),
            trailing_entries: rng.below(12),
        };
        let config = Config { seed, hosts, founders, groups, limits, forgets_incarnations };
        let mut cluster = Cluster::new(config);
        cluster.network.delay = (Micros(200), Micros(rng.between(1_000, 10_000)));
        for number in cluster.numbers() {
            let host = cluster.host_mut(number);
            host.drift = rng.between(0, 100_000) as i64 - 50_000;
            host.sync = (Micros(100), Micros(rng.between(500, 8_000)));
        }
        Self { rng, cluster, gone: Set::new(), counts: BTreeMap::new() }
    }

    fn play(&mut self) {
        let end = self.cluster.now + ATTACKED * TIMEOUT.0;
        while self.cluster.now < end && self.cluster.objection.is_none() {
            let pause = self.rng.between(1_000, 25_000);
            self.cluster.run_for(Micros(pause));
            match self.rng.below(100) {
                0..45 => self.write(),
                45..70 => self.read(),
                70..82 => self.strike(),
                _ => {}
            }
        }
        self.end_faults();
        self.get_well();
    }

    fn report(mut self) -> Report {
        for (_, _, _, event) in &self.cluster.events {
            *self.counts.entry(event.name()).or_default() += 1;
        }
        let clients = &self.cluster.clients;
        self.counts.extend([("acknowledged", clients.acknowledged), ("served", clients.served)]);
        Report { objection: self.cluster.objection, counts: self.counts }
    }

    fn any_host(&mut self) -> u64 {
        self.rng.between(1, self.cluster.config.hosts)
    }

    fn any_group(&mut self) -> GroupId {
        GroupId(self.rng.between(1, self.cluster.config.groups))
    }

    /// Somebody who believes to lead and is not stopped, if there is anybody.
    fn any_leader(&mut self, group: GroupId) -> Option<u64> {
        let leads = |number: &u64| {
            let leads = self.cluster.group(*number, group).is_some_and(Group::is_leader);
            leads && !self.cluster.host(*number).paused
        };
        let leaders: Vec<u64> = self.cluster.numbers().filter(leads).collect();
        let which = self.rng.below(leaders.len() as u64) as usize;
        leaders.get(which).copied()
    }

    fn write(&mut self) {
        let group = self.any_group();
        let Some(leader) = self.any_leader(group) else { return };
        for _ in 0..self.rng.between(1, 3) {
            let bytes = if self.rng.below(10) == 0 { 400 } else { self.rng.below(60) };
            let _ = self.cluster.write(leader, group, bytes);
        }
    }

    fn read(&mut self) {
        let group = self.any_group();
        let host = match self.any_leader(group) {
            Some(leader) if self.rng.below(2) == 0 => leader,
            Some(_) | None => self.any_host(),
        };
        if !self.cluster.host(host).paused {
            self.cluster.read(host, group);
        }
    }

    /// Something bad happens, or something bad ends.
    fn strike(&mut self) {
        let number = self.any_host();
        let runs = self.cluster.runs(number);
        let what = match self.rng.below(34) {
            0..3 if runs => self.crash(number),
            0..7 if !runs => self.start(number),
            3..5 => {
                self.crash(number);
                self.start(number)
            }
            5 => self.crash_leader(),
            6 if runs => {
                let paused = self.cluster.host(number).paused;
                self.cluster.pause(number, !paused);
                "paused"
            }
            7..9 => self.cut_off(),
            9..11 => {
                let other = self.any_host();
                self.cluster.network.cut(number, other);
                "one-way cut"
            }
            11..15 => {
                self.cluster.network.heal();
                "healed"
            }
            15..17 => self.weather(),
            17..22 => self.change(),
            22..24 => self.transfer(),
            24..29 => self.harm_disk(number),
            29..31 => self.wipe(number),
            _ => self.calm(number),
        };
        *self.counts.entry(what).or_default() += 1;
    }

    fn crash(&mut self, number: u64) -> &'static str {
        self.cluster.crash(number);
        "crashed"
    }

    fn start(&mut self, number: u64) -> &'static str {
        if !self.cluster.runs(number) {
            self.cluster.start(number);
        }
        "started"
    }

    fn crash_leader(&mut self) -> &'static str {
        let group = self.any_group();
        if let Some(leader) = self.any_leader(group) {
            self.crash(leader);
            if self.rng.below(2) == 0 {
                self.start(leader);
            }
        }
        "leader crashed"
    }

    /// Some machines can no longer talk to the others.
    fn cut_off(&mut self) -> &'static str {
        let here: Vec<u64> = self.cluster.numbers().filter(|_| self.rng.below(3) == 0).collect();
        for &number in &here {
            for other in self.cluster.numbers().filter(|other| !here.contains(other)) {
                self.cluster.network.cut(number, other);
                self.cluster.network.cut(other, number);
            }
        }
        "partitioned"
    }

    fn weather(&mut self) -> &'static str {
        let worst = [0, 50, 300][self.rng.below(3) as usize];
        self.cluster.network.lost = self.rng.below(worst + 1) as u32;
        self.cluster.network.doubled = self.rng.below(worst + 1) as u32;
        self.cluster.network.late = self.rng.below(worst + 1) as u32;
        "weather"
    }

    /// Other members: any, or all others.
    fn change(&mut self) -> &'static str {
        let group = self.any_group();
        let Some(leader) = self.any_leader(group) else { return "no change" };
        let Some(view) = self.cluster.view(leader, group) else { return "no change" };
        let all: Vec<Replica> = self.cluster.numbers().map(|n| self.cluster.replica(n)).collect();
        let others: Vec<Replica> =
            all.iter().copied().filter(|replica| !view.membership.is_voter(*replica)).collect();
        let mut from = if self.rng.below(4) == 0 && !others.is_empty() { others } else { all };
        let voters = self.rng.between(1, 5);
        let voters: Set<Replica> = self.rng.draw(&mut from, voters).into_iter().collect();
        let learners = self.rng.below(3);
        let learners = self.rng.draw(&mut from, learners).into_iter().collect();
        match self.cluster.change(leader, group, voters, learners) {
            Ok(()) => "change begun",
            Err(_) => "change refused",
        }
    }

    fn transfer(&mut self) -> &'static str {
        let group = self.any_group();
        let Some(leader) = self.any_leader(group) else { return "no transfer" };
        let to = self.any_host();
        match self.cluster.transfer(leader, group, self.cluster.replica(to)) {
            Ok(()) => "transfer begun",
            Err(_) => "transfer refused",
        }
    }

    fn harm_disk(&mut self, number: u64) -> &'static str {
        let (room, moment) = (self.rng.below(6_000), self.rng.below(12));
        let slow = self.rng.between(20_000, 400_000);
        let host = self.cluster.host_mut(number);
        match self.rng.below(4) {
            0 => {
                host.sync.1 = Micros(slow);
                "slow disk"
            }
            1 => {
                host.disk.limit(Some(host.disk.used() + room));
                "full disk"
            }
            2 => {
                host.disk.fail_next_sync();
                "failing sync"
            }
            _ => {
                host.fail_power_after(moment);
                "torn write"
            }
        }
    }

    /// A machine gets well.
    fn calm(&mut self, number: u64) -> &'static str {
        self.cluster.pause(number, false);
        let host = self.cluster.host_mut(number);
        host.disk.mend();
        host.sync.1 = Micros(8_000);
        self.start(number)
    }

    /// A machine loses its disk, if every membership that is anywhere can do without it.
    fn wipe(&mut self, number: u64) -> &'static str {
        let lost = self.cluster.replica(number);
        if !self.can_do_without(lost) {
            return "not wiped";
        }
        self.crash(number);
        self.cluster.wipe(number);
        if !self.cluster.config.forgets_incarnations {
            self.gone.insert(lost);
        }
        self.start(number);
        "wiped"
    }

    fn can_do_without(&mut self, replica: Replica) -> bool {
        let gone: Set<Replica> = self.gone.iter().copied().chain([replica]).collect();
        let mut memberships = Vec::new();
        for number in self.cluster.numbers() {
            for group in self.cluster.groups() {
                if self.cluster.view(number, group).is_some_and(|view| view.changing) {
                    return false;
                }
                if let Some(group) = self.cluster.group(number, group) {
                    memberships.extend(voters_of(group.log()));
                }
                if let Some(image) = self.cluster.host_mut(number).durable(group) {
                    memberships.extend(voters_of(image.log()));
                }
            }
        }
        memberships.iter().all(|voters| {
            let lost = voters.iter().filter(|voter| gone.contains(voter)).count();
            voters.is_empty() || lost <= (voters.len() - 1) / 2
        })
    }

    fn end_faults(&mut self) {
        self.cluster.network.heal();
        for number in self.cluster.numbers() {
            if self.cluster.host(number).shaky {
                self.crash(number);
            }
            self.calm(number);
        }
    }

    /// Without faults, everything must be well after a while, and stay so.
    fn get_well(&mut self) {
        for _ in 0..PATIENCE {
            self.cluster.run_for(TIMEOUT);
            if self.cluster.objection.is_some() {
                return;
            }
            if self.cluster.groups().all(|group| self.illness(group).is_none()) {
                break;
            }
        }
        for group in self.cluster.groups() {
            if let Some(illness) = self.illness(group) {
                self.cluster.objection = Some(format!("never gets well: {illness}"));
                return;
            }
            let before = self.cluster.clients.acknowledged;
            let leader = self.cluster.leader(group).expect("it is well");
            let written = self.cluster.write(leader, group, 0);
            self.cluster.run_for(TIMEOUT);
            if self.cluster.objection.is_none() && self.cluster.clients.acknowledged == before {
                self.cluster.objection = Some(format!("a fresh write: {written:?}"));
            }
        }
        let owed = self.cluster.numbers().find(|n| self.cluster.clients.unanswered(*n) > 0);
        if let Some(number) = owed {
            let words: String = self.cluster.groups().map(|group| self.words(group)).collect();
            let objection = || format!("n{number} never answers a read\n{words}");
            self.cluster.objection.get_or_insert_with(objection);
        }
    }

    /// Every replica of a group in a line.
    fn words(&self, group: GroupId) -> String {
        let names = |replicas: &Set<Replica>| -> Vec<u64> {
            replicas.iter().map(|replica| replica.incarnation.0).collect()
        };
        let line = |number| {
            let Some(view) = self.cluster.view(number, group) else { return String::new() };
            let Membership { voters, outgoing, learners } = &view.membership;
            let peers = view.peers.iter().map(|peer| {
                let (name, matched) = (peer.replica.incarnation.0, peer.matched.0);
                format!(" {name}:{matched}<{} {}", peer.next.0, peer.flow)
            });
            format!(
                "{} {} t{} {}..{} durable {} commit {} applied {} voters {:?} outgoing {:?} learners {:?}{}\n",
                view.me.incarnation.0,
                view.role.name(),
                view.term.0,
                view.base,
                view.last,
                view.durable.0,
                view.commit.0,
                view.applied.0,
                names(voters),
                names(outgoing),
                names(learners),
                peers.collect::<String>(),
            )
        };
        self.cluster.numbers().map(line).collect()
    }

    /// What a group still suffers from.
    fn illness(&self, group: GroupId) -> Option<String> {
        let views = self.cluster.numbers().filter_map(|n| self.cluster.view(n, group));
        let leaders: Vec<_> = views.filter(|view| view.role == RoleView::Leader).collect();
        let [leader] = &leaders[..] else {
            return Some(format!("{} leaders of {group:?}\n{}", leaders.len(), self.words(group)));
        };
        if leader.membership.is_joint() || leader.changing {
            return Some(format!("a change is not done\n{}", self.words(group)));
        }
        let present = |replica: &Replica| self.cluster.replica(replica.node.0) == *replica;
        for replica in leader.membership.replicas().filter(present) {
            let view = self.cluster.view(replica.node.0, group);
            let same = view.as_ref().is_some_and(|view| {
                view.last == leader.last
                    && view.commit == leader.last.index
                    && view.applied == leader.last.index
            });
            if !same {
                return Some(format!("n{} is behind\n{}", replica.node.0, self.words(group)));
            }
        }
        None
    }
}

/// Both halves of every membership in a log.
fn voters_of(log: &Log) -> Vec<Set<Replica>> {
    let base = Membership::clone(log.membership_at(log.base().index).1);
    let entries = log.from(log.base().index.next()).filter_map(|entry| match &entry.payload {
        Payload::Membership(membership) => Some(Membership::clone(membership)),
        Payload::Empty | Payload::Command(_) => None,
    });
    let all = [base].into_iter().chain(entries);
    all.flat_map(|membership| [membership.voters, membership.outgoing]).collect()
}

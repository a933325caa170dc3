//! A whole attack from one seed: clients, faults of every kind, then peace, in which all must get well.
//!
//! ```text
//! cluster and temper of the seed ─▶ clients and strikes ─▶ all faults end ─▶ one leader, equal logs,
//!                                                                            all lost replicas replaced,
//!                                                                            a fresh write
//! ```
//!
//! Left out is what the protocol is not built to survive: more disks lost or damaged at a time than leave a
//! majority of every membership that is still anywhere.

mod peace;
mod strikes;
mod temper;

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use kv_core::id::{GroupId, Replica};
use kv_core::message::raft::{Membership, Payload};
use kv_core::ordered::Set;
use kv_core::raft::Group;
use kv_core::raft::log::Log;
use kv_core::rng::Rng;
use kv_core::time::Micros;

pub(crate) use self::temper::Temper;
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

/// Attacks the cluster of a seed, in its temper or in this one.
pub(crate) fn attack(seed: u64, temper: Option<Temper>, forgets_incarnations: bool) -> Report {
    let played = catch_unwind(|| {
        let mut nemesis = Nemesis::new(seed, temper, forgets_incarnations);
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
    temper: Temper,
    /// Replicas whose disks are lost, or damaged.
    gone: Set<Replica>,
    /// The leader that was cut off last, and may not know yet that it leads no longer.
    prey: Option<u64>,
    counts: BTreeMap<&'static str, u64>,
}

impl Nemesis {
    fn new(seed: u64, temper: Option<Temper>, forgets_incarnations: bool) -> Self {
        let mut rng = Rng::stream(seed, 1 << 33);
        let drawn = Temper::of(&mut rng);
        let temper = temper.unwrap_or(drawn);
        let hosts = rng.between(3, 7);
        let founders = temper.founders(&mut rng, hosts);
        let groups = 1 + u64::from(rng.below(4) == 0);
        let limits = temper.limits(&mut rng);
        let chunk_bytes = temper.chunk_bytes(&mut rng);
        let config =
            Config { seed, hosts, founders, groups, limits, chunk_bytes, forgets_incarnations };
        let mut cluster = Cluster::new(config);
        // Who founds a group promises nothing before that is durable, and nobody else could tell it the members.
        cluster.run_for(Micros(1));
        cluster.network.delay = (Micros(200), temper.delay_max(&mut rng));
        for number in cluster.numbers() {
            let host = cluster.host_mut(number);
            host.drift = rng.between(0, 100_000) as i64 - 50_000;
            host.sync = (Micros(100), temper.sync_max(&mut rng));
        }
        let counts = BTreeMap::from([(temper.name(), 1)]);
        let mut nemesis = Self { rng, cluster, temper, gone: Set::new(), prey: None, counts };
        if temper != Temper::Even {
            nemesis.weather();
        }
        nemesis
    }

    fn play(&mut self) {
        let end = self.cluster.now + ATTACKED * TIMEOUT.0;
        let (writes, reads, strikes) = self.temper.deeds();
        while self.cluster.now < end && self.cluster.objection.is_none() {
            let pause = self.rng.between(1_000, 25_000);
            self.cluster.run_for(Micros(pause));
            let deed = self.rng.below(100);
            if deed < writes {
                self.write();
            } else if deed < writes + reads {
                self.read();
            } else if deed < writes + reads + strikes {
                self.strike();
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
        self.counts.extend([
            ("acknowledged", clients.acknowledged),
            ("served", clients.served),
            ("damaged disk refused", self.cluster.refused_to_open),
        ]);
        Report { objection: self.cluster.objection, counts: self.counts }
    }

    fn note(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
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
            self.write_at(leader, group);
        }
    }

    fn write_at(&mut self, number: u64, group: GroupId) {
        let bytes = self.temper.bytes(&mut self.rng);
        if !self.cluster.host(number).paused {
            let _ = self.cluster.write(number, group, bytes);
        }
    }

    fn read(&mut self) {
        let group = self.any_group();
        let host = match self.any_leader(group) {
            Some(leader) if self.rng.below(2) == 0 => leader,
            Some(_) | None => self.any_host(),
        };
        let count = if self.temper == Temper::Echo { self.rng.between(1, 4) } else { 1 };
        for _ in 0..count {
            if !self.cluster.host(host).paused {
                self.cluster.read(host, group);
            }
        }
    }
}

/// Both halves of every membership in a log.
fn voters_of(log: &Log) -> Vec<Set<Replica>> {
    let base = Membership::clone(log.membership_at(log.base().index).1);
    let entries = log.from(log.base().index.next()).flat_map(|entry| halves(&entry.payload));
    [base.voters, base.outgoing].into_iter().chain(entries).collect()
}

/// Both halves of a membership, if it is one.
fn halves(payload: &Payload) -> Vec<Set<Replica>> {
    match payload {
        Payload::Membership(membership) => {
            vec![membership.voters.clone(), membership.outgoing.clone()]
        }
        Payload::Empty | Payload::Command(_) => Vec::new(),
    }
}

//! What is due once all faults have ended.

use kv_core::id::{GroupId, Replica};
use kv_core::message::raft::Membership;
use kv_core::ordered::Set;
use kv_core::raft::RoleView;

use super::{Nemesis, PATIENCE, TIMEOUT};

impl Nemesis {
    pub(super) fn end_faults(&mut self) {
        self.cluster.network.heal();
        for number in self.cluster.numbers() {
            // What was damaged shows when it is read again.
            if self.cluster.host(number).shaky || self.cluster.host(number).rotten {
                self.crash(number);
            }
            self.calm(number);
        }
    }

    /// Without faults, everything must be well after a while, and stay so.
    pub(super) fn get_well(&mut self) {
        for _ in 0..PATIENCE {
            self.look_after_machines();
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

    /// What the owner of the machines does: whoever stopped is started, with an empty disk if it cannot read
    /// the one it has, and takes its old place in the groups as the new replica that it is.
    fn look_after_machines(&mut self) {
        for number in self.cluster.numbers() {
            if !self.cluster.runs(number) {
                self.cluster.start(number);
            }
            if !self.cluster.runs(number) && self.cluster.host(number).rotten {
                let what = self.begin_anew(number);
                self.note(what);
            }
        }
        for group in self.cluster.groups() {
            let Some(leader) = self.cluster.leader(group) else { continue };
            let Some(view) = self.cluster.view(leader, group) else { continue };
            let Membership { voters, learners, .. } = &view.membership;
            let renewed = |replicas: &Set<Replica>| -> Set<Replica> {
                replicas.iter().map(|replica| self.cluster.replica(replica.node.0)).collect()
            };
            let (new, mut others) = (renewed(voters), renewed(learners));
            others.retain(|learner| !new.contains(learner));
            let lost = new != *voters || others != *learners;
            if lost && !view.changing && self.cluster.change(leader, group, new, others).is_ok() {
                self.note("lost replica replaced");
            }
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
        for replica in leader.membership.replicas() {
            if self.cluster.replica(replica.node.0) != replica {
                return Some(format!("{replica:?} was not replaced\n{}", self.words(group)));
            }
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

//! What must hold at every moment, whatever happens.
//!
//! Looked at are only views, logs and disks: how the protocol gets there is its own business. Numbers of
//! promises follow the Raft paper, figure 3, and Ongaro's dissertation.
//!
//! | file | what |
//! | --- | --- |
//! | here | one leader per term, logs that match, what is committed stays, states that are equal |
//! | `promises` | what is on disk before a message leaves; one vote per term for ever |
//! | `order` | what only grows on one replica, memberships that follow on each other, bounds |

mod order;
mod promises;

use std::collections::{BTreeMap, BTreeSet};

use kv_core::codec;
use kv_core::hash;
use kv_core::id::{GroupId, Index, Replica, Term};
use kv_core::message::raft::{EntryId, Membership};
use kv_core::raft::log::Log;
use kv_core::raft::{GroupView, Limits, RoleView};

use self::order::Seen;
use super::host::Host;

pub(crate) type Checked = Result<(), String>;

/// Everything that was ever seen.
#[derive(Debug)]
pub(crate) struct Watch {
    limits: Limits,
    /// Who led in which term.
    leaders: BTreeMap<(GroupId, Term), Replica>,
    /// What each entry held, and the term of the one before it.
    entries: BTreeMap<(GroupId, EntryId), (u64, Term)>,
    /// What is committed, with the term of the leader who found that.
    committed: BTreeMap<(GroupId, Index), (EntryId, Term)>,
    /// The state after each entry.
    states: BTreeMap<(GroupId, Index), u64>,
    /// For whom each replica voted.
    votes: BTreeMap<(Replica, GroupId, Term), Replica>,
    /// The latest term that was on the disk of each replica.
    terms: BTreeMap<(Replica, GroupId), Term>,
    /// Memberships that follow on each other, as they were encoded, and were found in order.
    steps: BTreeSet<Vec<u8>>,
    /// How each group looked on each machine since that was switched on.
    seen: BTreeMap<(u64, GroupId), Seen>,
    /// When a machine last heard from another.
    heard: BTreeMap<(u64, u64), u64>,
}

impl Watch {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            leaders: BTreeMap::new(),
            entries: BTreeMap::new(),
            committed: BTreeMap::new(),
            states: BTreeMap::new(),
            votes: BTreeMap::new(),
            terms: BTreeMap::new(),
            steps: BTreeSet::new(),
            seen: BTreeMap::new(),
            heard: BTreeMap::new(),
        }
    }

    /// A machine has lost power.
    pub(crate) fn crashed(&mut self, number: u64) {
        self.seen.retain(|(host, _), _| *host != number);
    }

    /// How many entries of a group are known to be committed.
    pub(crate) fn committed(&self, group: GroupId) -> Index {
        let all = (group, Index(0))..=(group, Index(u64::MAX));
        self.committed.range(all).next_back().map_or(Index(0), |((_, index), _)| *index)
    }

    /// A state machine has taken an entry, and this is the hash of its state now.
    pub(crate) fn applies(&mut self, group: GroupId, index: Index, state: u64) -> Checked {
        if *self.states.entry((group, index)).or_insert(state) != state {
            return Err(format!("states differ after {index:?} of {group:?}"));
        }
        Ok(())
    }

    /// A machine has ended a turn.
    pub(crate) fn looks(&mut self, hosts: &mut [Host], now: u64, number: u64) -> Checked {
        let host = &hosts[number as usize - 1];
        let Some(process) = &host.process else { return Ok(()) };
        order::queues_are_bounded(process)?;
        // What could not be written or read is not handed on.
        let waits = process.refused || process.failed;
        let members: Vec<(GroupView, Log, Index, u64)> = process
            .members
            .values()
            .map(|member| {
                let machine = &member.machine;
                let log = member.group.log().clone();
                (member.group.view(), log, machine.index, machine.hash)
            })
            .collect();
        for (view, log, index, state) in members {
            if view.applied < index || (index < view.applied && !waits) {
                return Err(format!("{:?} was given to a state of {index:?}", view.applied));
            }
            if index != Index(0) {
                self.applies(view.group, index, state)?;
            }
            self.logs_match(number, &view, &log)?;
            self.leads_alone(hosts, number, &view, &log)?;
            promises::confirmed(hosts, &view, &log)?;
            self.commits(hosts, number, &view, &log)?;
            self.goes_on(hosts, now, number, &view, &log)?;
        }
        Ok(())
    }

    /// Two logs that have an entry of the same index and term are the same up to it.
    fn logs_match(&mut self, number: u64, view: &GroupView, log: &Log) -> Checked {
        let known = match self.seen.get(&(number, view.group)) {
            Some(seen) if log.matches(seen.last) => seen.last.index,
            Some(_) | None => log.base().index,
        };
        for entry in log.from(known.next()) {
            let before = log.term(entry.id.index.previous()).unwrap_or_default();
            let held = (hash::of(&codec::encode(entry)), before);
            if *self.entries.entry((view.group, entry.id)).or_insert(held) != held {
                return Err(format!("logs do not match at {}", entry.id));
            }
        }
        Ok(())
    }

    /// One leader in a term, for ever, with all that was committed before.
    fn leads_alone(
        &mut self,
        hosts: &mut [Host],
        number: u64,
        view: &GroupView,
        log: &Log,
    ) -> Checked {
        if view.role != RoleView::Leader {
            return Ok(());
        }
        let (group, term) = (view.group, view.term);
        match self.leaders.insert((group, term), view.me) {
            Some(leader) if leader == view.me => return Ok(()),
            Some(other) => return Err(format!("{other:?} led in {term:?}, now {:?}", view.me)),
            None => {}
        }
        promises::elected(&mut hosts[number as usize - 1], view)?;
        let all = (group, log.base().index.next())..=(group, Index(u64::MAX));
        for ((_, index), (id, in_term)) in self.committed.range(all) {
            if *in_term < term && !log.matches(*id) {
                return Err(format!("leads in {term:?} without {id}, committed ({index:?})"));
            }
        }
        Ok(())
    }

    /// What is committed stays so, and was on the disks of a quorum when it was.
    fn commits(&mut self, hosts: &mut [Host], number: u64, view: &GroupView, log: &Log) -> Checked {
        let group = view.group;
        // Who commits that it has left leads no longer at the end of the turn.
        let led = self.seen.get(&(number, group)).is_some_and(|seen| seen.led_in(view.term));
        let leads = led || view.role == RoleView::Leader;
        let known = self.committed(group);
        for entry in log.from(log.base().index.next()) {
            let index = entry.id.index;
            if view.commit < index {
                break;
            }
            match self.committed.get(&(group, index)) {
                Some((id, _)) if *id == entry.id => {}
                Some((id, _)) => return Err(format!("{id} was committed, now {}", entry.id)),
                None if !leads => {
                    return Err(format!("{} is committed, and no leader knows", entry.id));
                }
                None => {
                    self.committed.insert((group, index), (entry.id, view.term));
                }
            }
        }
        if known < view.commit && leads {
            let last = log.get(view.commit).ok_or("what is committed is not there")?.id;
            if last.term != view.term {
                return Err(format!("{last} was committed by counting in {:?}", view.term));
            }
            // A commit may bring about the next membership; it was counted in the one before.
            let before = self.seen.get(&(number, group)).map_or(view.last, |seen| seen.last);
            is_on_a_quorum(hosts, group, last, log.membership_at(before.index).1)?;
        }
        Ok(())
    }
}

/// Whether the disks of a quorum hold an entry, and so all before it.
fn is_on_a_quorum(
    hosts: &mut [Host],
    group: GroupId,
    id: EntryId,
    membership: &Membership,
) -> Checked {
    let mut holds = |replica: &Replica| {
        let host = &mut hosts[replica.node.0 as usize - 1];
        if host.replica() != *replica {
            return true; // Its disk is lost; what it confirmed was on it, as `promises` saw.
        }
        let Ok(image) = host.durable(group) else { return true }; // The same.
        image.is_some_and(|image| id.index <= image.log().base().index || image.log().matches(id))
    };
    for voters in [&membership.voters, &membership.outgoing] {
        let held = voters.iter().filter(|voter| holds(voter)).count();
        if !voters.is_empty() && held <= voters.len() / 2 {
            let disks: Vec<_> =
                voters.iter().map(|voter| (voter.incarnation.0, holds(voter))).collect();
            return Err(format!("{id} is committed, on disk? {disks:?}"));
        }
    }
    Ok(())
}

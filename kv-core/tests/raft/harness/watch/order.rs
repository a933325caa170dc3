//! What only grows on one replica, what follows on what, and what has bounds.

use std::collections::BTreeSet;

use kv_core::codec;
use kv_core::id::{GroupId, Index, Replica, Term};
use kv_core::message::raft::{Entry, EntryId, Membership, Payload};
use kv_core::raft::log::Log;
use kv_core::raft::{GroupView, RoleView};

use super::{Checked, Watch};
use crate::harness::host::Host;
use crate::harness::process::Process;

/// A group on a machine, as it was at its last turn.
#[derive(Debug)]
pub(super) struct Seen {
    term: Term,
    vote: Option<Replica>,
    commit: Index,
    applied: Index,
    membership_at: Index,
    pub(super) last: EntryId,
    leads: bool,
    /// Since when it leads this membership.
    since: u64,
}

impl Seen {
    pub(super) fn led_in(&self, term: Term) -> bool {
        self.leads && self.term == term
    }
}

/// For how many election timeouts a leader may be wrong about a quorum, with a clock that is slow.
const PATIENCE: u64 = 3;

/// More messages than this do not wait for one sync.
const HELD_MAX: usize = 5_000;

impl Watch {
    /// A message has reached a machine.
    pub(crate) fn arrives(&mut self, now: u64, from: u64, to: u64) {
        self.heard.insert((to, from), now);
    }

    /// A process that was stopped goes on: it could not know how late it is.
    pub(crate) fn resumed(&mut self, now: u64, number: u64) {
        let all = (number, GroupId(0))..=(number, GroupId(u64::MAX));
        self.seen.range_mut(all).for_each(|(_, seen)| seen.since = now);
    }

    /// A replica goes on from how it was.
    pub(super) fn goes_on(
        &mut self,
        hosts: &mut [Host],
        now: u64,
        number: u64,
        view: &GroupView,
        log: &Log,
    ) -> Checked {
        let leads = view.role == RoleView::Leader;
        let before = self.seen.remove(&(number, view.group));
        let since = before.as_ref().filter(|before| {
            before.leads && before.term == view.term && before.membership_at == view.membership_at
        });
        let since = since.map_or(now, |before| before.since);
        if leads {
            self.hears_a_quorum(now, since, view)?;
        }
        let raised = before.as_ref().is_some_and(|before| before.term < view.term);
        if raised && view.vote == Some(view.me) {
            self.was_heard_of(now, view)?;
        }
        let seen = Seen {
            term: view.term,
            vote: view.vote,
            commit: view.commit,
            applied: view.applied,
            last: view.last,
            membership_at: view.membership_at,
            leads,
            since,
        };
        self.seen.insert((number, view.group), seen);
        self.is_on_disk(&mut hosts[number as usize - 1], view)?;
        let ordered = view.base.index <= view.applied
            && view.applied <= view.commit.min(view.durable)
            && view.commit.max(view.durable) <= view.last.index;
        if !ordered {
            return Err(format!("out of order: {view:?}"));
        }
        if let Some(before) = before {
            only_grows(&before, view, log)?;
        }
        self.memberships_follow(view, log)?;
        self.in_bounds(view, log)
    }

    /// What counts as durable is, and no term that ever was on disk is forgotten, not over a crash either.
    fn is_on_disk(&mut self, host: &mut Host, view: &GroupView) -> Checked {
        let Ok(image) = host.durable(view.group) else { return Ok(()) };
        let disk = image.map_or(Index(0), |image| image.log().last().index);
        // A state that was received counts before it is on disk; nothing is counted on it.
        if disk < view.durable && view.base.index < view.durable {
            return Err(format!("{:?} counts as durable; the disk has {disk:?}", view.durable));
        }
        let term = image.map_or(Term(0), |image| image.state().0);
        let known = self.terms.entry((view.me, view.group)).or_default();
        if view.term < *known {
            return Err(format!("went back to {:?} from {known:?}", view.term));
        }
        *known = term.max(*known);
        Ok(())
    }

    /// Of two memberships that follow on each other in a log any two quorums intersect, and a leader that
    /// knows what is committed has at most one that is not.
    fn memberships_follow(&mut self, view: &GroupView, log: &Log) -> Checked {
        let mut before = log.membership_at(log.base().index).1.as_ref().clone();
        let mut open = 0;
        for entry in log.from(log.base().index.next()) {
            let Payload::Membership(next) = &entry.payload else { continue };
            // Who was told nothing yet begins with no members.
            if !before.voters.is_empty() && self.steps.insert(codec::encode(&(&before, next))) {
                if !follows(&before, next) {
                    return Err(format!("{next:?} follows on {before:?}"));
                }
                if !quorums_meet(&before, next) {
                    return Err(format!("quorums of {before:?} and {next:?} may miss each other"));
                }
            }
            before = (**next).clone();
            open += u32::from(view.commit < entry.id.index);
        }
        let knows = log.term(view.commit) == Some(view.term);
        if view.role == RoleView::Leader && knows && 1 < open {
            return Err(format!("{open} memberships are not committed"));
        }
        Ok(())
    }

    /// A leader that has heard from no quorum for long does not lead.
    fn hears_a_quorum(&self, now: u64, since: u64, view: &GroupView) -> Checked {
        let long_ago = now.saturating_sub(PATIENCE * self.limits.election_timeout.0);
        let heard = |replica: &&Replica| {
            let heard = self.heard.get(&(view.me.node.0, replica.node.0)).copied();
            **replica == view.me || long_ago <= heard.unwrap_or_default()
        };
        for voters in [&view.membership.voters, &view.membership.outgoing] {
            let few = voters.iter().filter(heard).count() <= voters.len() / 2;
            if since < long_ago && !voters.is_empty() && few {
                return Err(format!("{:?} leads, and hears from no quorum", view.me));
            }
        }
        Ok(())
    }

    /// Who stands was told so by a leader, or told by others that they would vote for it: one that has heard
    /// from nobody for long stays in its term, and so disturbs nobody when it is back.
    fn was_heard_of(&self, now: u64, view: &GroupView) -> Checked {
        let long_ago = now.saturating_sub(PATIENCE * self.limits.election_timeout.0);
        let me = view.me.node.0;
        let mut heard = self.heard.range((me, 0)..=(me, u64::MAX));
        if !view.membership.is_sole_voter(view.me) && !heard.any(|(_, at)| long_ago <= *at) {
            return Err(format!(
                "{:?} has heard from nobody, and goes on to {:?}",
                view.me, view.term
            ));
        }
        Ok(())
    }

    /// What a leader sends ahead, and what waits for a commit, has bounds.
    fn in_bounds(&self, view: &GroupView, log: &Log) -> Checked {
        let limits = &self.limits;
        let bytes = |after: Index, upto: Index| -> u64 {
            let between = log.from(after.next()).take_while(|entry| entry.id.index <= upto);
            between.map(Entry::bytes).sum()
        };
        for peer in &view.peers {
            if peer.next <= peer.matched {
                return Err(format!("{peer:?} is sent what it has"));
            }
            let ahead = bytes(peer.matched, peer.next.previous());
            let most = limits.in_flight_bytes_max + 2 * limits.append_bytes_max;
            if peer.flow == "replicate" && most + limits.command_bytes_max < ahead {
                return Err(format!("{ahead} bytes are on their way to {peer:?}"));
            }
        }
        Ok(())
    }
}

/// What waits in a process has bounds.
pub(super) fn queues_are_bounded(process: &Process) -> Checked {
    let held = process.held();
    if HELD_MAX < held {
        return Err(format!("{held} messages wait for the disk"));
    }
    Ok(())
}

fn only_grows(before: &Seen, view: &GroupView, log: &Log) -> Checked {
    let Seen { term, vote, commit, applied, last, leads, .. } = before;
    if view.term < *term || view.commit < *commit || view.applied < *applied {
        return Err(format!("went back from {before:?} to {view:?}"));
    }
    if view.term == *term && vote.is_some() && view.vote != *vote {
        return Err(format!("took its vote in {term:?} back: {vote:?}, {:?}", view.vote));
    }
    let keeps = last.index <= log.base().index || log.matches(*last);
    if *leads && view.term == *term && !keeps {
        return Err(format!("a leader lost its entry {last}"));
    }
    Ok(())
}

fn follows(before: &Membership, next: &Membership) -> bool {
    let same = before.voters == next.voters && before.outgoing == next.outgoing;
    let enters = !before.is_joint() && before.voters == next.outgoing;
    let leaves = before.is_joint() && !next.is_joint() && before.voters == next.voters;
    next.is_sound() && (same || enters || leaves)
}

/// Whether any quorum of one membership has a replica in common with any of the other: every set of voters
/// is tried, whatever the rules of changes say.
fn quorums_meet(before: &Membership, next: &Membership) -> bool {
    let halves = [&before.voters, &before.outgoing, &next.voters, &next.outgoing];
    let all: Vec<Replica> =
        BTreeSet::from_iter(halves.into_iter().flatten().copied()).into_iter().collect();
    (0..1_u64 << all.len()).all(|set| {
        let has = |replica: &Replica| all.binary_search(replica).is_ok_and(|at| set >> at & 1 == 1);
        !(is_quorum(before, has) && is_quorum(next, |replica| !has(replica)))
    })
}

fn is_quorum(membership: &Membership, has: impl Fn(&Replica) -> bool) -> bool {
    [&membership.voters, &membership.outgoing].into_iter().all(|half| {
        half.is_empty() || half.len() / 2 < half.iter().filter(|voter| has(voter)).count()
    })
}

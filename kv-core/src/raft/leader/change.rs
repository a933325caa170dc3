//! Changing who belongs to the group: one mechanism, joint consensus, in force as soon as it is in a log
//! (dissertation, 4.3).
//!
//! ```text
//! wanted ─▶ newcomers learn ─▶ joint: old and new voters decide ─▶ new voters decide ─▶ done
//!             (nobody's vote changes)     (committed by both)       (committed by the new)
//! ```
//!
//! Newcomers first catch up as learners, so that they do not hold up the quorum that will need them
//! (4.2.1). A leader that finds a joint membership, its own or one it inherited, leaves it as soon as it
//! is committed. A leader that is not among the new voters leads until they are in force, then hands on.

use alloc::boxed::Box;

use super::{Fate, Leader};
use crate::bugs::{Bug, planted};
use crate::id::{Index, Replica};
use crate::message::raft::{Membership, Payload, RaftBody};
use crate::ordered::Set;
use crate::raft::core::{After, Core};
use crate::raft::{ChangeError, RaftEvent};
use crate::time::Mono;

/// A change that somebody wants.
#[derive(Clone, Debug)]
pub(in crate::raft) struct Change {
    voters: Set<Replica>,
    learners: Set<Replica>,
    stage: Stage,
}

/// How far it is.
#[derive(Clone, Debug)]
enum Stage {
    /// Newcomers catch up, in rounds: each ends when they have what the log had when it began.
    CatchUp {
        /// That entry.
        target: Index,
        began: Mono,
        /// When a newcomer last got further, and how far all are together.
        moved: Mono,
        sum: u64,
    },
    /// The joint membership, or the new one, is in the log.
    Entered,
}

/// For how many election timeouts a newcomer may stand still before the change is given up.
const STANDSTILL: u64 = 10;

impl Leader {
    /// Begins a change to these voters and learners, in place of one whose newcomers still catch up.
    pub(in crate::raft) fn change(
        &mut self,
        core: &mut Core,
        now: Mono,
        voters: Set<Replica>,
        learners: Set<Replica>,
    ) -> Result<(), ChangeError> {
        let (at, current) = core.log.membership();
        let wanted = Membership { voters, outgoing: Set::new(), learners };
        if !wanted.is_sound() {
            return Err(ChangeError::NoVoter);
        }
        if !self.knows_commit(core) {
            return Err(ChangeError::TooEarly);
        }
        if let Some(change) = &self.change
            && change.voters == wanted.voters
            && change.learners == wanted.learners
        {
            return Ok(()); // It is under way.
        }
        let entered = matches!(&self.change, Some(Change { stage: Stage::Entered, .. }));
        let open = entered || current.is_joint() || core.commit < at;
        if self.transfer.is_some() || (open && !planted(Bug::ChangesOverlap)) {
            return Err(ChangeError::Busy);
        }
        // Nobody's vote has changed while newcomers catch up: another wish can take the place of that one.
        if self.change.take().is_some() {
            core.event(RaftEvent::ChangeFailed);
        }
        let current = core.log.membership().1;
        let newcomers: Set<Replica> =
            wanted.voters.iter().copied().filter(|voter| !current.is_voter(*voter)).collect();
        let mut learning = (**current).clone();
        learning.learners.extend(newcomers.iter().chain(&wanted.learners).copied());
        learning.learners.retain(|learner| !learning.voters.contains(learner));
        let learns = learning != **current;
        let stage =
            Stage::CatchUp { target: core.log.last().index, began: now, moved: now, sum: 0 };
        self.change = Some(Change { voters: wanted.voters, learners: wanted.learners, stage });
        if learns {
            self.append(core, now, Payload::Membership(Box::new(learning)));
        }
        self.on_caught_up(core, now);
        Ok(())
    }

    /// Whether somebody wants a change that is not done.
    pub(in crate::raft) fn is_changing(&self) -> bool {
        self.change.is_some()
    }

    /// A replica has more than before: perhaps the newcomers are ready.
    pub(super) fn on_caught_up(&mut self, core: &mut Core, now: Mono) {
        let Some(change) = &mut self.change else { return };
        let Stage::CatchUp { target, began, moved, sum } = &mut change.stage else { return };
        let (at, current) = core.log.membership();
        if core.commit < at && !planted(Bug::ChangesOverlap) {
            return; // One membership at a time.
        }
        let newcomers = change.voters.iter().filter(|voter| !current.is_voter(**voter));
        let matched = newcomers.map(|voter| {
            if *voter == core.me {
                return core.log.durable().0;
            }
            self.peers.get(voter).map_or(0, |progress| progress.matched.0)
        });
        let (mut least, mut all) = (u64::MAX, 0_u64);
        for index in matched {
            least = least.min(index);
            all = all.saturating_add(index);
        }
        if *sum < all {
            (*sum, *moved) = (all, now);
        }
        if least < target.0 {
            return;
        }
        if least != u64::MAX && core.limits.election_timeout < now - *began {
            // So much came meanwhile that they would be far behind again: another round.
            (*target, *began) = (core.log.last().index, now);
            if least < target.0 {
                return;
            }
        }
        self.enter_change(core, now);
    }

    /// The newcomers are ready: what is wanted enters the log.
    fn enter_change(&mut self, core: &mut Core, now: Mono) {
        let Some(change) = &mut self.change else { return };
        change.stage = Stage::Entered;
        let current = core.log.membership().1;
        // Who is let go as a voter may stay as a learner, once it no longer votes.
        let mut next = Membership {
            voters: change.voters.clone(),
            outgoing: current.voters.clone(),
            learners: change.learners.clone(),
        };
        if next.voters == next.outgoing {
            next.outgoing.clear();
        }
        next.learners.retain(|learner| !next.outgoing.contains(learner));
        if next == **current {
            self.on_commit(core, now);
            return;
        }
        self.append(core, now, Payload::Membership(Box::new(next)));
    }

    /// More is committed: a joint membership is left, a change may be done, a leader may have to go.
    pub(super) fn on_commit(&mut self, core: &mut Core, now: Mono) -> Fate {
        let (at, current) = core.log.membership();
        if core.commit < at || !self.knows_commit(core) {
            return Fate::Leads;
        }
        if current.is_joint() && self.change.is_none() && planted(Bug::JointNeverLeft) {
            return Fate::Leads;
        }
        if current.is_joint() {
            let mut next = (**current).clone();
            next.outgoing.clear();
            let wanted = self.change.as_ref().map(|change| change.learners.clone());
            next.learners = wanted.unwrap_or(next.learners);
            self.append(core, now, Payload::Membership(Box::new(next)));
            return Fate::Leads;
        }
        self.let_go(core);
        if self.change.as_ref().is_some_and(|change| matches!(change.stage, Stage::Entered)) {
            self.change = None;
            core.event(RaftEvent::Changed { at });
        } else {
            self.on_caught_up(core, now);
        }
        let (at, current) = core.log.membership();
        if core.commit < at || current.voters.contains(&core.me) {
            return Fate::Leads; // What was just entered may leave it out, and needs it until the end.
        }
        let best = core.log.membership().1.voters.iter();
        let best = best.filter_map(|voter| Some((self.peers.get(voter)?.matched, *voter))).max();
        if let Some((_, successor)) = best {
            core.send(successor, After::Nothing, RaftBody::TimeoutNow);
        }
        Fate::StepsDown
    }

    /// Those who are no longer in the membership, which is committed, hear of that and no more.
    fn let_go(&mut self, core: &mut Core) {
        let membership = core.log.membership().1.clone();
        let commit = core.commit;
        self.peers.retain(|peer, progress| {
            let stays = membership.contains(*peer);
            if !stays {
                let commit = commit.min(progress.matched);
                core.send(*peer, After::Nothing, RaftBody::Commit { commit });
            }
            stays
        });
    }

    /// Gives a change up whose newcomers do not answer. They stay learners.
    pub(super) fn give_up_change(&mut self, core: &mut Core, now: Mono) {
        let patience = core.limits.election_timeout.0.saturating_mul(STANDSTILL);
        let still = |change: &mut Change| match change.stage {
            Stage::CatchUp { moved, .. } => patience < (now - moved).0,
            Stage::Entered => false,
        };
        if self.change.take_if(still).is_some() {
            core.event(RaftEvent::ChangeFailed);
        }
    }
}

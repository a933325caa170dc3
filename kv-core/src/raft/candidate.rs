//! Standing for election: first asking whether it would succeed, then asking for votes.
//!
//! The question before the election (PreVote, dissertation 9.6) changes nobody's term, so a replica that
//! was cut off disturbs nobody when it returns. The candidate's own vote counts like any other: when it
//! is on disk.

use super::core::{After, Core};
use super::quorum::{self, Election};
use crate::id::{Replica, Term};
use crate::message::raft::RaftBody;
use crate::ordered::{Map, Set};

/// A replica that wants to lead.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) stage: Stage,
    votes: Map<Replica, bool>,
}

/// How far a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It asks whether it would be elected.
    Asking,
    /// It asks for votes.
    Standing,
}

impl Candidate {
    /// Asks whether others would vote for this replica in the next term.
    pub(super) fn ask(core: &mut Core) -> Self {
        let votes = Map::from([(core.me, true)]);
        let body = RaftBody::PreVote { last: core.log.last() };
        let term = core.term.next();
        to_all(core, |core, voter| {
            core.send_in(term, voter, After::Nothing, body.clone());
        });
        Self { stage: Stage::Asking, votes }
    }

    /// Asks for votes in a new term.
    pub(super) fn stand(core: &mut Core, transfer: bool) -> Self {
        core.enter(core.term.next(), Some(core.me));
        let body = RaftBody::Vote { last: core.log.last(), transfer };
        // An advertised entry that a crash could take might elect this replica for a log it has lost.
        to_all(core, |core, voter| core.send(voter, After::Log, body.clone()));
        Self { stage: Stage::Standing, votes: Map::new() }
    }

    /// Somebody answered. Votes are counted once, the first of each.
    pub(super) fn on_vote(&mut self, from: Replica, granted: bool) {
        self.votes.entry(from).or_insert(granted);
    }

    /// The term in which it would lead, or does stand.
    pub(super) fn term(&self, core: &Core) -> Term {
        match self.stage {
            Stage::Asking => core.term.next(),
            Stage::Standing => core.term,
        }
    }

    /// How the election stands.
    pub(super) fn election(&mut self, core: &Core) -> Election {
        if self.stage == Stage::Standing && core.state_is_durable() {
            self.votes.insert(core.me, true);
        }
        quorum::election(core.membership(), |voter| self.votes.get(&voter).copied())
    }

    /// Who votes for it so far.
    pub(super) fn supporters(&self) -> Set<Replica> {
        self.votes.iter().filter(|(_, granted)| **granted).map(|(voter, _)| *voter).collect()
    }
}

/// Does something for every other voter.
fn to_all(core: &mut Core, mut send: impl FnMut(&mut Core, Replica)) {
    let membership = core.log.membership().1.clone();
    let me = core.me;
    for voter in membership.replicas().filter(|peer| *peer != me && membership.is_voter(*peer)) {
        send(core, voter);
    }
}

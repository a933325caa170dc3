//! What a message promises is on the sender's disk before it leaves, for good.
//!
//! The disk is asked itself: it is opened as it would be after a loss of power at this moment.

use kv_core::id::{GroupId, Index, Replica, Term};
use kv_core::message::raft::{Appended, EntryId, RaftBody, RaftMessage};
use kv_core::raft::log::Log;
use kv_core::raft::{GroupView, Opened};

use super::{Checked, Watch};
use crate::harness::host::Host;

impl Watch {
    /// A machine sends a message.
    pub(crate) fn sends(
        &mut self,
        hosts: &mut [Host],
        number: u64,
        to: Replica,
        message: &RaftMessage,
    ) -> Checked {
        if message.body == RaftBody::TimeoutNow {
            successor_has_everything(hosts, number, to, message.group)?;
        }
        let host = &mut hosts[number as usize - 1];
        let me = host.replica();
        let RaftMessage { group, term, body, .. } = message;
        let confirmed = match body {
            RaftBody::AppendReply(Appended::UpTo(index)) => host.entry_in(*term, *group, *index),
            _ => None,
        };
        let kept = Kept::of(host, *group);
        let fulfilled = kept.is_damaged
            || match body {
                // These change nothing anywhere; the term is not the sender's own.
                RaftBody::PreVote { .. } | RaftBody::PreVoteReply { granted: true } => true,
                RaftBody::Vote { last, .. } => {
                    self.votes(me, *group, *term, me)?;
                    kept.voted(*term, me) && (*term < kept.term || kept.has(*last))
                }
                RaftBody::VoteReply { granted: true } => {
                    self.votes(me, *group, *term, to)?;
                    kept.voted(*term, to)
                }
                RaftBody::AppendReply(Appended::UpTo(index)) => {
                    let same = confirmed.is_none_or(|id| kept.has(id));
                    *term < kept.term || (*term == kept.term && kept.last(*index) && same)
                }
                _ => *term <= kept.term,
            };
        if fulfilled {
            return Ok(());
        }
        let has = kept.image.map(|image| (image.log().base(), image.log().last()));
        let has = has.map(|(base, last)| format!("{base}..{last}"));
        Err(format!("sent before it was on disk: {message:?}; there is {:?} {has:?}", kept.term))
    }

    /// One vote in a term, for ever.
    fn votes(&mut self, me: Replica, group: GroupId, term: Term, candidate: Replica) -> Checked {
        let vote = *self.votes.entry((me, group, term)).or_insert(candidate);
        if vote != candidate {
            return Err(format!("voted for {vote:?} in {term:?}, and for {candidate:?}"));
        }
        Ok(())
    }
}

/// Who is told to lead next has on disk all that the leader has; that of one that has left and leads no
/// longer, all that is committed.
fn successor_has_everything(
    hosts: &mut [Host],
    number: u64,
    to: Replica,
    group: GroupId,
) -> Checked {
    let process = hosts[number as usize - 1].process.as_ref();
    let Some(member) = process.and_then(|process| process.members.get(&group)) else {
        return Ok(());
    };
    let view = member.group.view();
    let index = if member.group.is_leader() { view.last.index } else { view.commit };
    let term = member.group.log().term(index).unwrap_or_default();
    let successor = &mut hosts[to.node.0 as usize - 1];
    if successor.replica() == to && !Kept::of(successor, group).has(EntryId { term, index }) {
        return Err(format!("{to:?} is to lead without {index:?}"));
    }
    Ok(())
}

/// A leader counted its own vote: its disk has it.
pub(super) fn elected(host: &mut Host, view: &GroupView) -> Checked {
    let kept = Kept::of(host, view.group);
    if kept.is_damaged {
        return Ok(());
    }
    if view.membership.is_voter(view.me) && !kept.voted(view.term, view.me) {
        return Err(format!("leads in {:?} and has not voted on disk", view.term));
    }
    Ok(())
}

/// What a leader counts on is on the disk of the one who confirmed it: up to there the logs are equal.
pub(super) fn confirmed(hosts: &mut [Host], view: &GroupView, log: &Log) -> Checked {
    for peer in &view.peers {
        let host = &mut hosts[peer.replica.node.0 as usize - 1];
        let Some(term) = log.term(peer.matched) else { continue };
        if host.replica() != peer.replica {
            continue; // Its disk is lost.
        }
        let kept = Kept::of(host, view.group);
        // Who has gone on to a later term may have let go of it.
        let id = EntryId { term, index: peer.matched };
        if kept.term <= view.term && !kept.has(id) {
            return Err(format!("counts on {id} of {:?}, who does not have it", peer.replica));
        }
    }
    Ok(())
}

/// What a loss of power would leave of a group.
struct Kept<'a> {
    image: Option<&'a Opened>,
    term: Term,
    /// Nobody can tell any more what was there.
    is_damaged: bool,
}

impl<'a> Kept<'a> {
    fn of(host: &'a mut Host, group: GroupId) -> Self {
        let durable = host.durable(group);
        let is_damaged = durable.is_err();
        let image = durable.ok().flatten();
        Self { image, term: image.map_or(Term(0), |image| image.state().0), is_damaged }
    }

    fn voted(&self, term: Term, candidate: Replica) -> bool {
        let vote = self.image.and_then(|image| image.state().1);
        term < self.term || (term == self.term && vote == Some(candidate))
    }

    fn has(&self, id: EntryId) -> bool {
        match self.image {
            _ if self.is_damaged => true,
            Some(image) => id.index <= image.log().base().index || image.log().matches(id),
            None => id.index == Index(0),
        }
    }

    fn last(&self, index: Index) -> bool {
        self.image.map_or(Index(0), |image| image.log().last().index) >= index
    }
}

//! What replicas of a Raft group promise each other by their messages; see the table in [`crate::raft`].

use alloc::format;
use alloc::string::String;

use super::image::Image;
use crate::disk::Disk;
use crate::id::{GroupId, Index, Replica, Term};
use crate::message::Envelope;
use crate::message::raft::{Appended, EntryId, RaftBody, RaftMessage};
use crate::ordered::Map;
use crate::raft::{GroupView, Kept};

/// Which entries replicas were sent: what one confirms is that its log equals the sender's.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    /// The term of the last entry of a message, by the replica it is for, the group, the leader's term and
    /// the entry's index.
    entries: Map<(Replica, GroupId, Term, Index), Term>,
}

/// What was sent is forgotten when there is so much: what is confirmed later is looked at less closely.
const SENT_MAX: usize = 4_096;

impl Sent {
    /// What is not true of a message, for the image of its sender does not hold it, in words.
    pub(super) fn broken(
        &mut self,
        envelope: &Envelope,
        messages: &[RaftMessage],
        view: impl Fn(GroupId) -> Option<GroupView>,
        image: &Image,
    ) -> Option<String> {
        let me = Replica { node: envelope.from, incarnation: envelope.incarnation };
        messages.iter().find_map(|message| {
            self.note(envelope, message);
            let Some(kept) = image.group(message.group) else {
                return Some(String::from("says something, and nothing can be read back"));
            };
            let to = Replica { node: envelope.to, incarnation: message.to };
            if self.is_kept(message, (me, to), &kept) || is_over(message, me, &kept, &view) {
                return None;
            }
            let (what, term) = (message.body.name(), message.term.0);
            Some(format!("sends {what} of term {term} of group {}", message.group.0))
        })
    }

    fn note(&mut self, envelope: &Envelope, message: &RaftMessage) {
        let RaftBody::Append { prev, entries, .. } = &message.body else { return };
        if self.entries.len() >= SENT_MAX {
            self.entries.clear();
        }
        let to = Replica { node: envelope.to, incarnation: message.to };
        let last = entries.last().map_or(*prev, |entry| entry.id);
        self.entries.insert((to, message.group, message.term, last.index), last.term);
    }

    fn is_kept<D: Disk>(
        &self,
        message: &RaftMessage,
        (me, to): (Replica, Replica),
        kept: &Kept<'_, D>,
    ) -> bool {
        let RaftMessage { group, term, body, .. } = message;
        let (durable, vote) = kept.state();
        let voted = |candidate| *term < durable || (*term == durable && vote == Some(candidate));
        match body {
            // These change nothing anywhere; the term is not the sender's own.
            RaftBody::PreVote { .. } | RaftBody::PreVoteReply { granted: true } => true,
            RaftBody::Vote { last, .. } => voted(me) && (*term < durable || kept.has(*last)),
            RaftBody::VoteReply { granted: true } => voted(to),
            RaftBody::AppendReply(Appended::UpTo(index)) => {
                let sent = self.entries.get(&(me, *group, *term, *index));
                let same = sent.is_none_or(|term| kept.has(EntryId { term: *term, index: *index }));
                *term < durable || (*term == durable && kept.reaches(*index) && same)
            }
            _ => *term <= durable,
        }
    }
}

/// Whether the sender has gone on, so that nothing depends on it any more: it has no replica of the group, or
/// asks for votes in a term whose leader it follows by now, who may have replaced what it boasts of.
fn is_over<D: Disk>(
    message: &RaftMessage,
    me: Replica,
    kept: &Kept<'_, D>,
    view: impl Fn(GroupId) -> Option<GroupView>,
) -> bool {
    let Some(view) = view(message.group) else { return !kept.is_there() };
    let stands = matches!(message.body, RaftBody::Vote { .. });
    let follows = view.term == message.term && view.leader.is_some_and(|leader| leader != me);
    stands && follows && kept.state() == (message.term, Some(me))
}

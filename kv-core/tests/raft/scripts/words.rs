//! How a transcript calls things.

use std::fmt::Write as _;

use kv_core::id::{Index, Replica};
use kv_core::message::raft::{Appended, Entry, Membership, Payload, RaftBody, RaftMessage};
use kv_core::raft::log::Log;
use kv_core::raft::{DropReason, GroupView, RaftEvent};

use crate::harness::network::Flying;

/// A replica: `n2`, and `n2.3` if its disk is the third.
pub(super) fn name(replica: Replica) -> String {
    match replica.incarnation.0 % 1_000 {
        1 => format!("n{}", replica.node.0),
        disk => format!("n{}.{disk}", replica.node.0),
    }
}

pub(super) fn names<'a>(replicas: impl IntoIterator<Item = &'a Replica>) -> String {
    let all: Vec<String> = replicas.into_iter().map(|replica| name(*replica)).collect();
    all.join(" ")
}

/// A message under way.
pub(super) fn flying(flying: &Flying) -> String {
    let RaftMessage { term, body, .. } = &flying.message;
    let (from, to) = (name(flying.from), name(flying.to));
    format!("{from} → {to} {}, term {}", said(body), term.0)
}

fn said(body: &RaftBody) -> String {
    let word = body.name();
    match body {
        RaftBody::PreVote { last } | RaftBody::Vote { last, transfer: false } => {
            format!("{word} for a log up to {last}")
        }
        RaftBody::Vote { last, transfer: true } => {
            format!("{word} for a log up to {last}, told to stand")
        }
        RaftBody::PreVoteReply { granted } | RaftBody::VoteReply { granted } => {
            format!("{word} {}", if *granted { "yes" } else { "no" })
        }
        RaftBody::Append { prev, entries, commit } => {
            format!("{word} {} after {prev}, commit {}", range(entries), commit.0)
        }
        RaftBody::AppendReply(Appended::UpTo(index)) => format!("{word} up to {}", index.0),
        RaftBody::AppendReply(Appended::Missing { prev, hint }) => {
            format!("{word} {} is missing, perhaps {hint}", prev.0)
        }
        RaftBody::Heartbeat { commit, read: 0 } => format!("{word} commit {}", commit.0),
        RaftBody::Heartbeat { commit, read } => {
            format!("{word} commit {}, read round {read}", commit.0)
        }
        RaftBody::HeartbeatReply { read: 0 } => word.into(),
        RaftBody::HeartbeatReply { read } => format!("{word} read round {read}"),
        RaftBody::Commit { commit } => format!("{word} {}", commit.0),
        RaftBody::ReadReply { index, .. } => format!("{word} at {}", index.0),
        RaftBody::Offer(manifest) => {
            let chunks = manifest.chunks.len();
            format!("{word} up to {}, {chunks} chunks", manifest.last)
        }
        RaftBody::Chunk { number, .. } => format!("{word} {number}"),
        RaftBody::Have { next, .. } => format!("{word} all before {next}"),
        RaftBody::StateLost { applied } => format!("{word} behind {}", applied.0),
        RaftBody::Read { .. } | RaftBody::TimeoutNow | RaftBody::Stale | RaftBody::Removed => {
            word.into()
        }
    }
}

fn range(entries: &[Entry]) -> String {
    match entries {
        [] => "nothing".into(),
        [only] => only.id.to_string(),
        [first, .., last] => format!("{}..{}", first.id, last.id),
    }
}

/// An event, as far as a view does not show it.
pub(super) fn event(event: RaftEvent) -> String {
    match event {
        RaftEvent::Asked { term } => format!("asks about term {}", term.0),
        RaftEvent::Stood { .. } => "stands".into(),
        RaftEvent::Elected { term } => format!("leads in term {}", term.0),
        RaftEvent::Follows { leader, .. } => format!("follows {}", name(leader)),
        RaftEvent::SteppedDown { .. } => "leads no longer".into(),
        RaftEvent::Installed { last } => format!("took over a state up to {}", last.0),
        RaftEvent::Changed { at } => format!("the change is done with {}", at.0),
        RaftEvent::ChangeFailed => "the change is given up".into(),
        RaftEvent::TransferFailed => "goes on leading".into(),
        RaftEvent::Removed => "was told that it has left".into(),
        RaftEvent::Dropped { reason, .. } => format!("dropped: {}", why(reason)),
    }
}

fn why(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Misdirected => "misdirected",
        DropReason::Nonsense => "nonsense",
        DropReason::FutureTerm => "a term from the future",
        DropReason::Impostor => "an impostor",
        DropReason::LeaderIsThere => "there is a leader",
    }
}

/// Why something was not begun, in a word.
pub(super) fn refusal(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split('(').next().unwrap_or_default().into()
}

/// What differs between two views of a replica.
pub(super) fn changes(before: &GroupView, now: &GroupView) -> Vec<String> {
    let mut all = Vec::new();
    if before.term != now.term {
        all.push(format!("term {}", now.term.0));
    }
    if let Some(vote) = now.vote
        && (before.term, before.vote) != (now.term, now.vote)
        && vote != now.me
    {
        all.push(format!("votes for {}", name(vote)));
    }
    if before.last != now.last {
        all.push(format!("log to {}", now.last));
    }
    if before.base != now.base {
        all.push(format!("log from {}", now.base.index.0 + 1));
    }
    if before.durable != now.durable {
        all.push(format!("disk to {}", now.durable.0));
    }
    if before.commit != now.commit {
        all.push(format!("commit {}", now.commit.0));
    }
    if before.applied != now.applied && now.applied != now.commit {
        all.push(format!("applied {}", now.applied.0));
    }
    if before.membership != now.membership {
        all.push(format!("members {}", members(&now.membership)));
    }
    all
}

/// A membership: voters, then those who voted before, then learners.
pub(super) fn members(membership: &Membership) -> String {
    let mut text = names(&membership.voters);
    if membership.is_joint() {
        let _ = write!(text, " from {}", names(&membership.outgoing));
    }
    if !membership.learners.is_empty() {
        let _ = write!(text, " learning {}", names(&membership.learners));
    }
    text
}

/// A replica in a line, without its log.
pub(super) fn view(view: &GroupView) -> String {
    let GroupView { term, last, durable, commit, .. } = view;
    let (name, role) = (name(view.me), view.role.name());
    let mut text = format!("{name} {role}, term {}", term.0);
    if let Some(vote) = view.vote {
        let _ = write!(text, ", voted {}", self::name(vote));
    }
    if let Some(leader) = view.leader.filter(|leader| *leader != view.me) {
        let _ = write!(text, ", follows {}", self::name(leader));
    }
    let _ = write!(text, ", log to {last}, disk to {}, commit {}", durable.0, commit.0);
    let _ = write!(text, ", members {}", members(&view.membership));
    for peer in &view.peers {
        let name = self::name(peer.replica);
        let (flow, matched, next) = (peer.flow, peer.matched.0, peer.next.0);
        let _ = write!(text, "\n   {name} {flow}, has {matched}, next {next}");
    }
    text
}

/// The entries of a log; those that hold more than a command with what it is.
pub(super) fn log(log: &Log) -> String {
    let base = log.base();
    let mut text = if base.index == Index(0) { String::new() } else { format!(" …{base}") };
    for entry in log.from(base.index.next()) {
        let _ = match &entry.payload {
            Payload::Empty => write!(text, " {}(empty)", entry.id),
            Payload::Membership(next) => write!(text, " {}({})", entry.id, members(next)),
            Payload::Command(_) => write!(text, " {}", entry.id),
        };
    }
    if text.is_empty() { " empty".into() } else { text }
}

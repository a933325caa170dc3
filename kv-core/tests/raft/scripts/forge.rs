//! Messages that nobody sent: malformed, hostile, or from a time that is over.
//!
//! | kind | its arguments |
//! | --- | --- |
//! | `pre_vote`, `vote` | `last=4@2`, for `vote` also `transfer=yes` |
//! | `pre_vote_reply`, `vote_reply` | `granted=yes` |
//! | `append` | `prev=3@1 entries=4@2-5@2 commit=3`; `members=` makes each entry a membership, of nobody |
//! | `append_reply` | `upto=5`, or `missing=5 hint=3@1` |
//! | `heartbeat`, `heartbeat_reply`, `commit` | `commit=3`, `read=1` |
//! | `read`, `read_reply` | `attempt=1`, `index=3` |
//! | `snapshot_offer` | `last=5@2 chunks=3 members=n1-n2 membership_at=0` |
//! | `snapshot_chunk`, `snapshot_have` | `snapshot=1`, `number=0`, `next=2` |
//! | `timeout_now`, `stale`, `removed` | |
//!
//! What is not given is zero or no.

use std::collections::BTreeMap;
use std::error::Error;
use std::str::FromStr;

use bytes::Bytes;
use kv_core::id::{Index, Replica, Term};
use kv_core::message::raft::{Appended, Entry, EntryId, Manifest, Membership, Payload, RaftBody};

/// The arguments of a command by their names.
pub(super) type Pairs<'a> = BTreeMap<&'a str, &'a str>;

/// The number under a name, or zero.
pub(super) fn number<T: FromStr + Default>(
    pairs: &Pairs<'_>,
    name: &str,
) -> Result<T, Box<dyn Error>> {
    let parse = |text: &&str| text.parse().map_err(|_| format!("{name}={text} is no number"));
    Ok(pairs.get(name).map(parse).transpose()?.unwrap_or_default())
}

fn entry_id(text: &str) -> Result<EntryId, Box<dyn Error>> {
    let (index, term) = text.split_once('@').ok_or("an entry is called INDEX@TERM")?;
    Ok(EntryId { term: Term(term.parse()?), index: Index(index.parse()?) })
}

fn id(pairs: &Pairs<'_>, name: &str) -> Result<EntryId, Box<dyn Error>> {
    pairs.get(name).map_or_else(|| Ok(EntryId::default()), |text| entry_id(text))
}

/// The entry of a name, the same wherever it is made.
pub(super) fn entry(id: EntryId) -> Entry {
    let command = [id.term.0.to_be_bytes(), id.index.0.to_be_bytes()].concat();
    Entry { id, payload: Payload::Command(Bytes::from(command)) }
}

fn entries(pairs: &Pairs<'_>) -> Result<Vec<Entry>, Box<dyn Error>> {
    let Some(names) = pairs.get("entries") else { return Ok(Vec::new()) };
    let make = |name| {
        let mut entry = entry(entry_id(name)?);
        if pairs.contains_key("members") {
            entry.payload = Payload::Membership(Box::default());
        }
        Ok(entry)
    };
    names.split('-').map(make).collect()
}

/// What a message of this kind says.
pub(super) fn body(
    kind: &str,
    pairs: &Pairs<'_>,
    members: Vec<Replica>,
) -> Result<RaftBody, Box<dyn Error>> {
    let yes = |name: &str| pairs.get(name) == Some(&"yes");
    let index = |name: &str| number(pairs, name).map(Index);
    Ok(match kind {
        "pre_vote" => RaftBody::PreVote { last: id(pairs, "last")? },
        "pre_vote_reply" => RaftBody::PreVoteReply { granted: yes("granted") },
        "vote" => RaftBody::Vote { last: id(pairs, "last")?, transfer: yes("transfer") },
        "vote_reply" => RaftBody::VoteReply { granted: yes("granted") },
        "append" => RaftBody::Append {
            prev: id(pairs, "prev")?,
            entries: entries(pairs)?,
            commit: index("commit")?,
        },
        "append_reply" if pairs.contains_key("missing") => {
            RaftBody::AppendReply(Appended::Missing {
                prev: index("missing")?,
                hint: id(pairs, "hint")?,
            })
        }
        "append_reply" => RaftBody::AppendReply(Appended::UpTo(index("upto")?)),
        "heartbeat" => {
            RaftBody::Heartbeat { commit: index("commit")?, read: number(pairs, "read")? }
        }
        "heartbeat_reply" => RaftBody::HeartbeatReply { read: number(pairs, "read")? },
        "commit" => RaftBody::Commit { commit: index("commit")? },
        "read" => RaftBody::Read { attempt: number(pairs, "attempt")? },
        "read_reply" => {
            RaftBody::ReadReply { attempt: number(pairs, "attempt")?, index: index("index")? }
        }
        "snapshot_offer" => RaftBody::Offer(Box::new(Manifest {
            last: id(pairs, "last")?,
            membership: Membership::of(members),
            membership_at: index("membership_at")?,
            chunks: vec![0; number(pairs, "chunks")?],
        })),
        "snapshot_chunk" => RaftBody::Chunk {
            snapshot: number(pairs, "snapshot")?,
            number: number(pairs, "number")?,
            bytes: Bytes::from_static(b"chunk"),
        },
        "snapshot_have" => {
            RaftBody::Have { snapshot: number(pairs, "snapshot")?, next: number(pairs, "next")? }
        }
        "timeout_now" => RaftBody::TimeoutNow,
        "stale" => RaftBody::Stale,
        "removed" => RaftBody::Removed,
        "state_lost" => RaftBody::StateLost { applied: index("applied")? },
        other => return Err(format!("no message is called {other}").into()),
    })
}

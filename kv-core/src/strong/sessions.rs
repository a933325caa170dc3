//! The clients that a shard remembers, so that each of their writes is carried out at most once.
//!
//! A session keeps the answers that its client may still ask for: of the numbers behind the last one
//! that the client has acknowledged. A number that was answered is answered again; one that was
//! acknowledged is never carried out again. Everything follows from the log, so all replicas remember and
//! forget alike; the sessions stand in the store among the state of the shard and travel with it.
//!
//! After Ongaro's dissertation, section 6.3, with a window in place of one open write. Left out: sessions
//! over several clusters.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::command::WriteName;
use crate::bugs::{Bug, planted};
use crate::error::RequestError;
use crate::id::Index;
use crate::ordered::{Map, Set};
use crate::request::strong::{SESSION_TTL, SESSION_WINDOW, StrongReply};
use crate::time::Wall;

/// The most sessions of a shard. When there are as many, the one that was silent for longest makes room.
const SESSIONS_MAX: usize = 10_000;

/// The sessions of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    all: Map<Index, Session>,
    /// The same by the time they were last heard.
    by_age: Set<(Wall, Index)>,
}

/// One client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// When it was last heard, by the clock of the log.
    heard: Wall,
    /// The client has all answers up to this number.
    floor: u64,
    /// The answers behind it, by number.
    replies: Map<u64, StrongReply>,
}

/// What a named write is to come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was not carried out yet: carry it out, then remember the answer in this.
    Fresh(Session),
    /// It was carried out before, with this answer.
    Done(StrongReply),
    /// It must not be carried out.
    Refused(RequestError),
}

impl Sessions {
    /// The session with this name, as it was read back.
    pub(super) fn restore(&mut self, name: Index, session: Session) {
        self.by_age.insert((session.heard, name));
        self.all.insert(name, session);
    }

    /// What a write of this name comes to.
    pub(super) fn standing(&self, name: WriteName) -> Standing {
        let Some(session) = self.all.get(&name.session) else {
            return Standing::Refused(RequestError::Conflict(String::from(
                "there is no such session, or it was silent for too long and is forgotten; this attempt changed nothing, and what came of earlier attempts with this number is unknown: read, then open a session",
            )));
        };
        if let Some(reply) = session.replies.get(&name.seq)
            && !planted(Bug::SessionForgotten)
        {
            return Standing::Done(reply.clone());
        }
        let floor = session.floor.max(name.acknowledged.min(name.seq.saturating_sub(1)));
        if name.seq <= session.floor {
            return Standing::Refused(RequestError::Conflict(format!(
                "number {} of this session was acknowledged by its client before; nothing was changed, use a number behind {floor}",
                name.seq
            )));
        }
        if SESSION_WINDOW < name.seq - floor {
            return Standing::Refused(RequestError::Invalid(format!(
                "number {} is more than {SESSION_WINDOW} ahead of the last acknowledged one, {floor}; nothing was changed, acknowledge answers first",
                name.seq
            )));
        }
        let mut session = session.clone();
        session.floor = floor;
        session.replies.retain(|seq, _| floor < *seq);
        Standing::Fresh(session)
    }

    /// Takes a session in, or another state of one.
    pub(super) fn put(&mut self, name: Index, session: Session) {
        self.remove(name);
        self.restore(name, session);
    }

    /// Forgets a session.
    pub(super) fn remove(&mut self, name: Index) {
        if let Some(session) = self.all.remove(&name) {
            self.by_age.remove(&(session.heard, name));
        }
    }

    /// The sessions that are over at this time of the log.
    pub(super) fn expired(&self, clock: Wall) -> Vec<Index> {
        let over = |(heard, _): &&(Wall, Index)| heard.0.saturating_add(SESSION_TTL.0) < clock.0;
        self.by_age.iter().take_while(over).map(|(_, name)| *name).collect()
    }

    /// The session that has to make room for a new one, if one has to. `leaving` are gone already.
    pub(super) fn crowded_out(&self, leaving: &[Index]) -> Option<Index> {
        let full = SESSIONS_MAX <= self.all.len() - leaving.len();
        let mut staying = self.by_age.iter().filter(|(_, name)| !leaving.contains(name));
        staying.next().filter(|_| full).map(|(_, name)| *name)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

impl Session {
    /// A session that begins now.
    pub(super) fn opened(clock: Wall) -> Self {
        Self { heard: clock, ..Self::default() }
    }

    /// Remembers an answer.
    pub(super) fn remember(&mut self, clock: Wall, seq: u64, reply: StrongReply) {
        self.heard = clock;
        self.replies.insert(seq, reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Index = Index(7);

    fn name(seq: u64, acknowledged: u64) -> WriteName {
        WriteName { session: NAME, seq, acknowledged }
    }

    fn reply(revision: u64) -> StrongReply {
        StrongReply::Written {
            revision: Index(revision),
            replaced: Vec::new(),
            clock: Wall(revision),
        }
    }

    fn carry_out(sessions: &mut Sessions, write: WriteName, revision: u64) {
        let Standing::Fresh(mut session) = sessions.standing(write) else {
            panic!("{write:?} is not fresh")
        };
        session.remember(Wall(revision), write.seq, reply(revision));
        sessions.put(NAME, session);
    }

    #[test]
    fn a_number_is_carried_out_once_and_answered_until_it_is_acknowledged() {
        let mut sessions = Sessions::default();
        sessions.put(NAME, Session::opened(Wall(1)));
        for (seq, revision) in [(2, 10), (1, 11), (3, 12)] {
            carry_out(&mut sessions, name(seq, 0), revision);
            assert_eq!(sessions.standing(name(seq, 0)), Standing::Done(reply(revision)));
        }
        carry_out(&mut sessions, name(4, 2), 13);
        assert!(matches!(sessions.standing(name(1, 0)), Standing::Refused(_)));
        assert!(matches!(sessions.standing(name(2, 0)), Standing::Refused(_)));
        assert_eq!(sessions.standing(name(3, 0)), Standing::Done(reply(12)));
    }

    #[test]
    fn only_so_many_numbers_are_open_at_a_time() {
        let mut sessions = Sessions::default();
        sessions.put(NAME, Session::opened(Wall(1)));
        carry_out(&mut sessions, name(SESSION_WINDOW, 0), 10);
        let ahead = sessions.standing(name(SESSION_WINDOW + 1, 0));
        assert!(matches!(ahead, Standing::Refused(RequestError::Invalid(_))));
        carry_out(&mut sessions, name(SESSION_WINDOW + 1, 1), 11);
        assert!(matches!(sessions.standing(name(1, 0)), Standing::Refused(_)));
        assert!(
            matches!(sessions.standing(name(0, 0)), Standing::Refused(_)),
            "numbers begin at 1"
        );
    }

    #[test]
    fn who_is_silent_is_forgotten_and_never_heard_again() {
        let mut sessions = Sessions::default();
        sessions.put(NAME, Session::opened(Wall(1)));
        assert_eq!(sessions.expired(Wall(1 + SESSION_TTL.0)), []);
        assert_eq!(sessions.expired(Wall(2 + SESSION_TTL.0)), [NAME]);
        sessions.remove(NAME);
        assert!(matches!(sessions.standing(name(1, 0)), Standing::Refused(_)));
        assert_eq!(sessions.len(), 0);
    }

    #[test]
    fn the_longest_silent_one_makes_room() {
        let mut sessions = Sessions::default();
        for number in 0..SESSIONS_MAX as u64 {
            assert_eq!(sessions.crowded_out(&[]), None);
            sessions.put(Index(number), Session::opened(Wall(number)));
        }
        assert_eq!(sessions.crowded_out(&[]), Some(Index(0)));
        assert_eq!(sessions.crowded_out(&[Index(0)]), None, "that one leaves anyway");
    }
}

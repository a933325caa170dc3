//! Which forwarded requests were begun here, so that a message that arrives twice is carried out once.
//!
//! A write that is repeated would be two writes, each a sibling of the other. So an owner remembers the
//! latest tokens of each member that forwards to it, and drops what it has seen or what is older than
//! all it remembers: the sliding window that IPsec keeps against replays (RFC 4303, section 3.4.3).
//! Tokens of a data folder only grow, also over restarts.
//!
//! Nothing of it is stored. A connection ends with the process, so a message that was sent to an earlier
//! life of this node does not arrive in a later one.

use crate::id::{Incarnation, NodeId};
use crate::message::Token;
use crate::ordered::{Map, Set};

/// How many tokens of one member are remembered. A message that was overtaken by more is dropped; its
/// client is told that the outcome is unknown.
const WINDOW: usize = 1_024;

/// The forwarded requests that were begun.
#[derive(Clone, Debug, Default)]
pub struct Begun(Map<NodeId, (Incarnation, Set<Token>)>);

impl Begun {
    /// Notes a request of a member with this data folder. Says whether it is new.
    #[must_use]
    pub fn note(&mut self, from: NodeId, folder: Incarnation, token: Token) -> bool {
        let (known, tokens) = self.0.entry(from).or_insert_with(|| (folder, Set::new()));
        if *known != folder {
            (*known, *tokens) = (folder, Set::new());
        }
        let is_full = tokens.len() >= WINDOW;
        if is_full && tokens.first().is_some_and(|oldest| token < *oldest) {
            return false;
        }
        let is_new = tokens.insert(token);
        if is_new && is_full {
            tokens.pop_first();
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: NodeId = NodeId(1);
    const FOLDER: Incarnation = Incarnation(7);

    #[test]
    fn each_request_is_begun_once_in_whatever_order_they_arrive() {
        let mut begun = Begun::default();
        for token in [5, 3, 9, 4] {
            assert!(begun.note(FROM, FOLDER, token));
            assert!(!begun.note(FROM, FOLDER, token));
        }
        assert!(begun.note(NodeId(2), FOLDER, 5), "another member counts for itself");
        assert!(begun.note(FROM, Incarnation(8), 5), "and so does another folder");
        assert!(!begun.note(FROM, Incarnation(8), 5));
    }

    #[test]
    fn what_is_older_than_all_that_is_remembered_is_not_begun() {
        let mut begun = Begun::default();
        for token in 0..WINDOW as u64 {
            assert!(begun.note(FROM, FOLDER, 10 + 2 * token));
        }
        assert!(!begun.note(FROM, FOLDER, 9));
        assert!(begun.note(FROM, FOLDER, 11));
        assert!(!begun.note(FROM, FOLDER, 10), "that one was forgotten for it");
        assert_eq!(begun.0[&FROM].1.len(), WINDOW);
    }
}

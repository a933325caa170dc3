//! What a person demands of a store, in few words: each demand is one judge or several.
//!
//! Whether a store has promised as much is another question; see [`Demand::is_promised`]. That it behaves
//! as if there were one copy of everything is demanded of the strong keyspace only: an eventual one shows
//! concurrent writes side by side.

use super::{Operation, Verdict, dots, linear, session};

/// Something to be demanded of the answers that clients get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// Whoever begins later knows all that was known earlier ([`dots::check_overlapping`]).
    Latest,
    /// No client sees less than it wrote or saw before ([`session::check`]).
    Sessions,
    /// Versions name one write each, and what failed leaves nothing ([`dots::check`]).
    Sound,
    /// One order of all operations on a key explains every answer ([`linear::check`]). It is about the
    /// strong keyspace, the others are about the eventual one.
    Linearizable,
}

impl Demand {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Latest, Self::Sessions, Self::Sound, Self::Linearizable];

    /// Its name on every surface.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Sessions => "sessions",
            Self::Sound => "sound",
            Self::Linearizable => "linearizable",
        }
    }

    /// The demand of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|demand| demand.name() == name)
    }

    /// Whether the store promises it, with quorums of which every read meets every write, or without.
    #[must_use]
    pub fn is_promised(self, quorums_overlap: bool) -> bool {
        match self {
            Self::Latest | Self::Sessions => quorums_overlap,
            Self::Sound | Self::Linearizable => true,
        }
    }

    /// Whether it can be judged of the latest operations alone. The others are about what may have
    /// happened long before.
    #[must_use]
    pub fn holds_of_a_part(self) -> bool {
        matches!(self, Self::Latest | Self::Sessions)
    }

    /// Whether it is about the strong keyspace, and not about the eventual one.
    #[must_use]
    pub fn is_of_strong(self) -> bool {
        self == Self::Linearizable
    }

    /// Judges whether a history is as demanded.
    #[must_use]
    pub fn judge(self, history: &[Operation]) -> Verdict {
        match self {
            Self::Latest => dots::check_overlapping(history),
            Self::Sessions => session::check(history),
            Self::Sound => dots::check(history),
            Self::Linearizable => linear::check(history, linear::Bounds::default()),
        }
    }
}

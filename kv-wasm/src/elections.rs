//! Who led the metadata group when, on every branch of a timeline.
//!
//! The trace keeps only the latest events, so elections are taken from it while a branch is played for
//! the first time, and stay known when one looks back. A branch begins with those of the one it left.
//! Only the latest of a branch are kept. Left out: leaders that step down; the next election tells.

use kv_core::event::EventKind;
use kv_core::event::raft::RaftEvent;
use kv_core::node::metadata::METADATA;
use kv_core::sim::timeline::Timeline;

/// How many elections of a branch are kept.
const KEPT: usize = 200;

/// The elections of all branches.
#[derive(Default)]
pub(crate) struct Elections {
    branches: Vec<Known>,
}

/// What is known of a branch.
#[derive(Default)]
struct Known {
    elections: Vec<Election>,
    /// The trace entry from which on there is news.
    next: u64,
}

#[derive(Clone, Copy)]
struct Election {
    /// Its number in the trace.
    entry: u64,
    /// When, in microseconds.
    at: u64,
    node: u16,
    term: u64,
}

impl Elections {
    /// Takes in what is new. To be called often enough that the world still has all events.
    pub(crate) fn follow(&mut self, timeline: &Timeline) {
        let world = timeline.world();
        for branch in timeline.branches().get(self.branches.len()..).unwrap_or_default() {
            let next = world.trace_len();
            let parent = branch.parent().and_then(|parent| self.branches.get(parent.branch));
            self.branches.push(parent.map_or_else(Known::default, |parent| parent.until(next)));
        }
        let Some(known) = self.branches.get_mut(timeline.branch()) else { return };
        for entry in world.trace_since(known.next) {
            let EventKind::Raft { group: METADATA, event: RaftEvent::Elected { term } } =
                entry.event.kind
            else {
                continue;
            };
            // Votes on slow links may elect somebody in a term that is over.
            if known.elections.last().is_none_or(|before| before.term < term.0) {
                let (entry, at, node) = (entry.index, entry.at.0, entry.node);
                known.elections.push(Election { entry, at, node, term: term.0 });
            }
        }
        known.next = known.next.max(world.trace_len());
        known.elections.drain(..known.elections.len().saturating_sub(KEPT));
    }

    /// Those of a branch, from the beginning of the run on: of each when it was in microseconds, the
    /// node, and its term.
    pub(crate) fn of(&self, branch: usize) -> Vec<f64> {
        let elections = self.branches.get(branch).map_or(&[][..], |known| &known.elections);
        let numbers = elections.iter().flat_map(|election| {
            [election.at as f64, f64::from(election.node), election.term as f64]
        });
        numbers.collect()
    }
}

impl Known {
    fn until(&self, next: u64) -> Self {
        let before = self.elections.iter().filter(|election| election.entry < next);
        Self { elections: before.copied().collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use kv_core::sim::{Action, SimConfig};
    use kv_core::time::Mono;

    use super::*;

    fn play(timeline: &mut Timeline, elections: &mut Elections, until_us: u64) {
        while !timeline.run_until(Mono(until_us), 256).unwrap() {
            elections.follow(timeline);
        }
        elections.follow(timeline);
    }

    #[test]
    fn a_branch_knows_the_leaders_of_the_one_it_left_and_its_own() {
        let mut timeline = Timeline::new(SimConfig::default()).unwrap();
        let mut elections = Elections::default();
        play(&mut timeline, &mut elections, 10_000_000);
        let first = elections.of(0);
        assert_eq!(first.len(), 3, "the founder leads from the beginning on: {first:?}");
        timeline.act(Action::Crash { node: first[1] as u16 }).unwrap();
        play(&mut timeline, &mut elections, 20_000_000);
        let both = elections.of(0);
        assert!(both.len() >= 6 && both[..3] == first && both[4] != first[1], "{both:?}");

        timeline.seek(0, Mono(9_000_000)).unwrap();
        while !timeline.go_on(256).unwrap() {}
        elections.follow(&timeline);
        assert_eq!(elections.of(0), both, "looking back forgets nothing");
        let other = (first[1] as u16 + 1) % 3;
        timeline.act(Action::Crash { node: other }).unwrap();
        elections.follow(&timeline);
        play(&mut timeline, &mut elections, 20_000_000);
        assert_eq!(elections.of(1), first, "there the leader lives on");
    }
}

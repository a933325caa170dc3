//! The judges beside a timeline: what they say of the branch one looks at, up to the moment one looks at.
//!
//! Each branch has a history of its own, taken while it was played for the first time; a moment before
//! its end is judged by the part that had happened by then. What is kept is bounded, and so is the work:
//! of a long run only the latest operations are judged, by those judges for whom that is enough; the
//! others then say that they are undecided. An objection stays one for all later moments of its branch.

use alloc::format;
use alloc::vec::Vec;

use super::history::{History, concerns};
use super::timeline::Timeline;
use super::world::World;
use crate::check::{Demand, Objection, Operation, Verdict};
use crate::time::Mono;

/// The histories of all branches of one timeline.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    branches: Vec<Known>,
}

/// What is known of a branch.
#[derive(Clone, Debug, Default)]
struct Known {
    history: History,
    /// How many events of it the history has followed.
    steps: u64,
    /// The earliest objection to each demand so far.
    objections: Vec<(Demand, Objection)>,
}

impl Verdicts {
    /// The most operations that are kept and judged of a branch.
    pub const OPERATIONS_MAX: usize = 3_000;

    /// Takes in what is new. To be called often enough that the world still has all operations.
    pub fn follow(&mut self, timeline: &Timeline) {
        let world = timeline.world();
        for branch in timeline.branches().get(self.branches.len()..).unwrap_or_default() {
            let known = branch.parent().map_or_else(Known::default, |parent| {
                let end = world.operations_since(0).last().map_or(0, |record| record.number + 1);
                self.branches
                    .get(parent.branch)
                    .map_or_else(Known::default, |known| known.until(parent.at, end))
            });
            self.branches.push(known);
        }
        let Some(known) = self.branches.get_mut(timeline.branch()) else { return };
        if known.steps <= world.steps() {
            known.steps = world.steps();
            known.history.follow(world);
            known.history.keep_latest(Self::OPERATIONS_MAX);
        }
    }

    /// What the judges of a demand say of the moment one looks at.
    pub fn judge(&mut self, timeline: &Timeline, demand: Demand) -> Verdict {
        let world = timeline.world();
        let Some(known) = self.branches.get_mut(timeline.branch()) else { return Verdict::Holds };
        let before = known.objections.iter().find(|(to, _)| *to == demand);
        if let Some((_, objection)) = before.filter(|(_, objection)| objection.at <= world.now()) {
            return Verdict::Wrong(objection.clone());
        }
        if !known.history.is_whole() && !demand.holds_of_a_part() {
            return Verdict::Undecided(format!(
                "only the latest {} operations are kept, and this is about all of them",
                Self::OPERATIONS_MAX
            ));
        }
        let verdict = demand.judge(&known.operations(world, demand));
        if let Verdict::Wrong(objection) = &verdict {
            // One that was found later in time does not replace it: it was looked for above.
            known.objections.retain(|(to, _)| *to != demand);
            known.objections.push((demand, objection.clone()));
        }
        verdict
    }

    /// How many operations the judges of a demand are given of the moment one looks at: those of the
    /// keyspace that it is about.
    #[must_use]
    pub fn judged(&self, timeline: &Timeline, demand: Demand) -> usize {
        let known = self.branches.get(timeline.branch());
        known.map_or(0, |known| known.judged(timeline.world(), demand))
    }

    /// The records of some operations of the branch one looks at, as they ended.
    pub fn records<'a>(
        &'a self,
        timeline: &Timeline,
        numbers: &'a [u64],
    ) -> impl Iterator<Item = &'a super::OperationRecord> {
        let known = self.branches.get(timeline.branch()).into_iter();
        known
            .flat_map(|known| known.history.records())
            .filter(|record| numbers.contains(&record.number))
    }
}

impl Known {
    fn until(&self, at: Mono, end: u64) -> Self {
        let objections = self.objections.iter().filter(|(_, objection)| objection.at <= at);
        Self {
            history: self.history.until(at, end),
            steps: 0,
            objections: objections.cloned().collect(),
        }
    }

    /// What judges are given of the world's moment.
    fn operations(&self, world: &World, demand: Demand) -> Vec<Operation> {
        if self.steps == world.steps() {
            return self.history.operations(demand);
        }
        let now = world.now();
        let begun = self.history.records().filter(|record| record.called <= now);
        begun
            .filter(|record| concerns(demand, record))
            .map(|record| {
                let mut operation = Operation::from(record);
                operation.end = operation.end.filter(|end| end.at <= now);
                operation
            })
            .collect()
    }

    /// How many operations there are of the world's moment that a demand is about.
    fn judged(&self, world: &World, demand: Demand) -> usize {
        let (all, now) = (self.steps == world.steps(), world.now());
        let begun = self.history.records().filter(|record| all || record.called <= now);
        begun.filter(|record| concerns(demand, record)).count()
    }
}

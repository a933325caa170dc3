//! Time travel: every moment of a run can be seen again, and each of its futures stays.
//!
//! A run follows from its configuration and its actions, so any moment is found by playing on from a
//! moment before it. A [`Timeline`] keeps [`World`]s on the way, evenly spaced; whenever there are too
//! many it lets go of every second one, so a moment is never far from one that is kept, however long
//! the run. Clones of a world share what did not change between them.
//!
//! Whoever acts in the past begins a new [`Branch`]; what had happened stays on the old one. A branch
//! has the past of the one it left, so a moment is named by a branch and a time.

use alloc::format;
use alloc::vec::Vec;

use super::action::{Action, TimedAction};
use super::config::{ActionRefused, Run, SimConfig, refuse};
use super::world::World;
use crate::ordered::Map;
use crate::time::Mono;

/// A simulated cluster with all that happened to it, at the moment one looks at.
#[derive(Clone, Debug)]
pub struct Timeline {
    branches: Vec<Branch>,
    /// The branch of `world`.
    branch: usize,
    /// The moment one looks at.
    world: World,
    /// A moment on the way to which `world` is.
    seeking: Option<Goal>,
}

/// One course of events from the beginning to as far as it was played.
#[derive(Clone, Debug)]
pub struct Branch {
    parent: Option<Parent>,
    actions: Vec<TimedAction>,
    end: Target,
    /// Moments that were passed, from the first of its own on.
    kept: Map<Place, World>,
    /// A moment is kept after so many events.
    spacing: u64,
}

/// Where a branch left another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Which, by its place in [`Timeline::branches`].
    pub branch: usize,
    /// When.
    pub at: Mono,
    place: Place,
}

/// The number of events and of actions until a moment.
type Place = (u64, usize);

/// A moment within a branch. The events count because a run can be stopped within a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    at: Mono,
    steps: u64,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Moment(Target),
    /// What was there before the event or action that led here.
    Before(Place),
}

/// The most moments that all branches together keep, and the fewest that they may unless they weigh most.
const KEPT: core::ops::RangeInclusive<usize> = 8..=64;

/// How much all of them may weigh ([`World::weight`]): a moment of a large cluster takes more memory, and
/// time to copy.
const KEPT_WEIGHT: usize = 640;

/// How much they may weigh even if few are left: 1 GB, about.
const KEPT_WEIGHT_MOST: usize = 10_000;

/// How many events lie between two moments at first, for each ten nodes.
const SPACING: u64 = 512;

/// The most branches of a timeline.
pub const BRANCHES_MAX: usize = 32;

impl Branch {
    /// Which branch it left, and when; none for the first.
    #[must_use]
    pub fn parent(&self) -> Option<Parent> {
        self.parent
    }

    /// Everything that was done, from the beginning of the run.
    #[must_use]
    pub fn actions(&self) -> &[TimedAction] {
        &self.actions
    }

    /// How many of them it has from the branch it left.
    #[must_use]
    pub fn inherited(&self) -> usize {
        self.parent.map_or(0, |parent| parent.place.1)
    }

    /// How far it was played.
    #[must_use]
    pub fn end(&self) -> Mono {
        self.end.at
    }

    fn of(world: &World, parent: Option<Parent>) -> Self {
        let mut kept = Map::new();
        kept.insert(place(world), world.clone());
        let (actions, end) = (world.actions().to_vec(), Target::of(world));
        let spacing = SPACING * u64::from(world.nodes().div_ceil(10));
        Self { parent, actions, end, kept, spacing }
    }

    /// After how many events in all the next moment is to be kept.
    fn due(&self, world: &World) -> u64 {
        let before = self.kept.range(..=place(world)).next_back();
        before.map_or(0, |((steps, _), _)| *steps) + self.spacing
    }

    /// Lets every second moment go, but never the first.
    fn thin(&mut self) {
        let mut place = 0;
        self.kept.retain(|_, _| {
            place += 1;
            place % 2 == 1
        });
        self.spacing *= 2;
    }
}

impl Target {
    fn of(world: &World) -> Self {
        Self { at: world.now(), steps: world.steps() }
    }
}

fn place(world: &World) -> Place {
    (world.steps(), world.actions().len())
}

impl Timeline {
    /// A run at its beginning.
    pub fn new(config: SimConfig) -> Result<Self, ActionRefused> {
        World::new(config).map(Self::of)
    }

    /// A run that has come to where this world is. Nothing before it can be seen.
    #[must_use]
    pub fn of(world: World) -> Self {
        Self { branches: alloc::vec![Branch::of(&world, None)], branch: 0, world, seeking: None }
    }

    /// A run that was played elsewhere, at its beginning and on the way to its end: call
    /// [`Self::go_on`] until it is there. A core built from other sources may well go another way.
    pub fn of_run(run: &Run) -> Result<Self, ActionRefused> {
        if !run.actions.is_sorted_by_key(|action| action.at)
            || run.actions.last().is_some_and(|action| action.at > run.until)
        {
            return refuse("the actions of the run are not in the order of their times");
        }
        let mut timeline = Self::new(run.config.clone())?;
        let end = Target { at: run.until, steps: run.steps };
        let branch = &mut timeline.branches[0];
        (branch.actions, branch.end) = (run.actions.clone(), end);
        timeline.seeking = Some(Goal::Moment(end));
        Ok(timeline)
    }

    /// The moment one looks at; while [`Self::is_seeking`], one on the way to it.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// All branches, in the order in which they began.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// The branch one looks at.
    #[must_use]
    pub fn branch(&self) -> usize {
        self.branch
    }

    /// Whether the moment that was asked for is not reached yet.
    #[must_use]
    pub fn is_seeking(&self) -> bool {
        self.seeking.is_some()
    }

    /// Whether nothing of this branch lies behind the moment one looks at.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        let end = self.branches[self.branch].end;
        self.seeking.is_none() && self.world.steps() >= end.steps && self.world.now() >= end.at
    }

    /// Looks at a moment of a branch, after everything that happened then and was done then; at most at
    /// its end. Where it was not passed closely before, [`Self::go_on`] has to be called until it is
    /// reached.
    pub fn seek(&mut self, branch: usize, at: Mono) -> Result<(), ActionRefused> {
        let Some(found) = self.branches.get(branch) else {
            return refuse(format!("there is no branch {branch}"));
        };
        let end = found.end;
        let target = if at < end.at { Target { at, steps: u64::MAX } } else { end };
        let before = |world: &World| {
            world.now() < target.at || (world.now() == target.at && world.steps() <= target.steps)
        };
        let Some(near) = self.kept_before(branch, before) else {
            return refuse("there is nothing so early in this run");
        };
        // Where one is may be nearer than what is kept.
        let here = self.branch == branch
            && self.seeking.is_none()
            && self.world.now() <= target.at
            && place(near) <= place(&self.world);
        if !here {
            self.world = near.clone();
        }
        self.branch = branch;
        self.seeking = Some(Goal::Moment(target));
        Ok(())
    }

    /// Looks at what was there before the latest event or action, as [`Self::seek`] does.
    pub fn step_back(&mut self) -> Result<(), ActionRefused> {
        self.go_on(u64::MAX)?;
        let here = place(&self.world);
        let Some(near) = self.kept_before(self.branch, |world| place(world) < here) else {
            return refuse("this is the beginning of the run");
        };
        self.world = near.clone();
        self.seeking = Some(Goal::Before(here));
        Ok(())
    }

    /// Plays on towards the moment that was asked for, for so many events at most. Returns whether it
    /// is reached. Fails if the run cannot be played, which happens to one from elsewhere only; then it
    /// stays where it is.
    pub fn go_on(&mut self, steps_max: u64) -> Result<bool, ActionRefused> {
        let Some(goal) = self.seeking else { return Ok(true) };
        let last = self.world.steps().saturating_add(steps_max);
        let played = match goal {
            Goal::Moment(target) => self.play_to(target, last),
            Goal::Before(place) => self.play_before(place, last),
        };
        if !matches!(played, Ok(false)) {
            self.seeking = None;
        }
        played
    }

    /// Runs the present on until a time, but for so many events at most. Where the branch already has a
    /// future it is that, and its end is not passed. Returns whether it got there.
    pub fn run_until(&mut self, until: Mono, steps_max: u64) -> Result<bool, ActionRefused> {
        if !self.go_on(steps_max)? {
            return Ok(false);
        }
        let last = self.world.steps().saturating_add(steps_max);
        let end = self.branches[self.branch].end;
        if !self.is_at_end() {
            let target = if until < end.at { Target { at: until, steps: u64::MAX } } else { end };
            if !self.play_to(target, last)? {
                return Ok(false);
            }
        }
        let reached = self.world.now() >= until || self.run_anew(until, last);
        self.note();
        Ok(reached)
    }

    /// Runs the next event only.
    pub fn step(&mut self) -> Result<(), ActionRefused> {
        self.go_on(u64::MAX)?;
        match self.next_action() {
            Some(next) => self.act_again(next),
            None => {
                self.world.step();
                self.note();
                Ok(())
            }
        }
    }

    /// Does something at the moment one looks at. If the branch has a future, that stays as it is and
    /// this is the beginning of another branch.
    pub fn act(&mut self, action: Action) -> Result<(), ActionRefused> {
        self.go_on(u64::MAX)?;
        let mut world = self.world.clone();
        world.act(action)?;
        if !self.is_at_end() {
            if self.branches.len() >= BRANCHES_MAX {
                return refuse(format!(
                    "a run has at most {BRANCHES_MAX} branches; go to the end of one and act there"
                ));
            }
            let (at, place) = (self.world.now(), place(&self.world));
            let parent = Parent { branch: self.branch, at, place };
            self.branches.push(Branch::of(&self.world, Some(parent)));
            self.branch = self.branches.len() - 1;
        }
        self.world = world;
        let branch = &mut self.branches[self.branch];
        branch.actions = self.world.actions().to_vec();
        branch.end = Target::of(&self.world);
        Ok(())
    }

    /// The action that the branch holds next, if it comes before the next event.
    fn next_action(&self) -> Option<TimedAction> {
        let next = self.branches[self.branch].actions.get(self.world.actions().len())?;
        self.world.next_due().is_none_or(|due| next.at < due).then(|| next.clone())
    }

    fn act_again(&mut self, action: TimedAction) -> Result<(), ActionRefused> {
        self.world.run_until(action.at, u64::MAX);
        self.world.act(action.action)
    }

    /// The last of the moments for which this holds, and then for all before them, that is kept by the
    /// branch or by those it comes from.
    fn kept_before(&self, mut branch: usize, before: impl Fn(&World) -> bool) -> Option<&World> {
        let mut last = (u64::MAX, usize::MAX);
        loop {
            let Branch { kept, parent, .. } = self.branches.get(branch)?;
            let near =
                kept.range(..=last).rev().map(|(_, world)| world).find(|world| before(world));
            if near.is_some() {
                return near;
            }
            let parent = (*parent)?;
            last = last.min(parent.place);
            branch = parent.branch;
        }
    }

    /// Keeps the moment one looks at, if the one before it is far away.
    fn keep(&mut self) {
        let branch = &mut self.branches[self.branch];
        if self.world.steps() < branch.due(&self.world) {
            return;
        }
        branch.kept.insert(place(&self.world), self.world.clone());
        let kept = || self.branches.iter().flat_map(|branch| branch.kept.values());
        let (count, weight) = (kept().count(), kept().map(World::weight).sum::<usize>());
        let most = if weight <= KEPT_WEIGHT {
            *KEPT.end()
        } else if weight <= KEPT_WEIGHT_MOST {
            *KEPT.start()
        } else {
            // The first of each branch stays in any case.
            self.branches.len() + 1
        };
        if count > most
            && let Some(most) = self.branches.iter_mut().max_by_key(|branch| branch.kept.len())
        {
            most.thin();
        }
    }

    /// Plays what the branch holds up to a target, but not beyond so many events in all.
    fn play_to(&mut self, target: Target, last: u64) -> Result<bool, ActionRefused> {
        loop {
            let next = self.branches[self.branch].actions.get(self.world.actions().len());
            let next = next.filter(|next| next.at <= target.at).cloned();
            let until = next.as_ref().map_or(target.at, |next| next.at);
            if !self.play_until(until, last.min(target.steps)) && self.world.steps() < target.steps
            {
                return Ok(false);
            }
            match next {
                Some(next) if self.world.now() == next.at => self.world.act(next.action)?,
                Some(_) => {
                    return refuse("the run has more events up to its actions than it says");
                }
                None => {
                    self.world.arrive_at(target.at);
                    return Ok(true);
                }
            }
        }
    }

    /// Plays what the branch holds up to the last event or action before a place, but not beyond so many
    /// events in all.
    fn play_before(&mut self, (steps, actions): Place, last: u64) -> Result<bool, ActionRefused> {
        loop {
            let here = place(&self.world);
            if here == (steps, actions.saturating_sub(1))
                || here == (steps.saturating_sub(1), actions)
            {
                return Ok(true);
            }
            if let Some(next) = self.next_action() {
                self.act_again(next)?;
                continue;
            }
            if here.0 >= last {
                return Ok(false);
            }
            self.world.step();
            self.keep();
        }
    }

    /// Runs into what has never been before.
    fn run_anew(&mut self, until: Mono, last: u64) -> bool {
        let reached = self.play_until(until, last);
        self.note();
        reached
    }

    /// Runs until a time, but not beyond so many events in all, and keeps moments on the way.
    fn play_until(&mut self, until: Mono, last: u64) -> bool {
        loop {
            let due = self.branches[self.branch].due(&self.world);
            let stop = due.max(self.world.steps() + 1).min(last);
            if self.world.run_until(until, stop.saturating_sub(self.world.steps())) {
                return true;
            }
            self.keep();
            if self.world.steps() >= last {
                return false;
            }
        }
    }

    /// The end of the branch may have moved.
    fn note(&mut self) {
        let here = Target::of(&self.world);
        let end = &mut self.branches[self.branch].end;
        if (here.at, here.steps) > (end.at, end.steps) {
            *end = here;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Node;
    use crate::rng::Ratio;
    use crate::sim::{NetworkConfig, Workload};
    use crate::time::Micros;

    #[test]
    fn the_larger_a_cluster_is_the_fewer_moments_are_kept() {
        let kept = |nodes, until| {
            let config = SimConfig { nodes, ..SimConfig::default() };
            let mut timeline = Timeline::new(config).unwrap();
            while !timeline.run_until(Mono(until), 1_000).unwrap() {}
            timeline.branches[0].kept.len()
        };
        assert!((33..=64).contains(&kept(9, 120_000_000)));
        assert!((5..=8).contains(&kept(100, 2_000_000)));
    }

    #[test]
    fn the_longer_logs_are_the_fewer_moments_are_kept() {
        let (strong, writes) = (Ratio::per_mille(1_000), Ratio::per_mille(1_000));
        let workload =
            Workload { clients: 100, per_second: 4_000, strong, writes, ..Workload::default() };
        let config = SimConfig { workload, ..SimConfig::default() };
        let mut timeline = Timeline::new(config).unwrap();
        while !timeline.run_until(Mono(20_000_000), 1_000).unwrap() {}
        let entries: u64 =
            (0..5).filter_map(|node| timeline.world.node(node)).map(Node::log_entries).sum();
        let kept = &timeline.branches[0].kept;
        assert!(entries > 50_000 && kept.len() < 33, "{entries} entries, {} moments", kept.len());
        let weight = kept.values().map(World::weight).sum::<usize>();
        assert!(weight <= KEPT_WEIGHT + timeline.world.weight(), "{weight}");
    }

    #[test]
    fn the_more_is_under_way_the_fewer_moments_are_kept() {
        let latency = Micros::from_millis(60_000);
        let network =
            NetworkConfig { latency_min: latency, latency_max: latency, ..Default::default() };
        let mut timeline = Timeline::new(SimConfig::default()).unwrap();
        while !timeline.run_until(Mono(200_000_000), 1_000).unwrap() {}
        let before = timeline.branches[0].kept.len();
        timeline.act(Action::Network(network)).unwrap();
        let workload = Workload { clients: 1_000, per_second: 10_000, ..Workload::default() };
        timeline.act(Action::Workload(workload)).unwrap();
        while !timeline.run_until(Mono(320_000_000), 1_000).unwrap() {}
        let kept = &timeline.branches[0].kept;
        let weight = kept.values().map(World::weight).sum::<usize>();
        assert!(before > 30 && kept.len() < 30, "{before} and {}", kept.len());
        assert!(weight <= KEPT_WEIGHT + timeline.world.weight(), "{weight}");
    }
}

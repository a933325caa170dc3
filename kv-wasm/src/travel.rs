//! Time travel for the page: the courses a run has taken, what was done on each, and the verdicts.

use kv_core::check::{Demand, Verdict};
use kv_core::settings::Setting;
use kv_core::sim::timeline::Timeline;
use kv_core::sim::{Action, Verdicts, World};
use serde::Serialize;
use tsify::Tsify;

use crate::words::{Names, OperationLine};

/// What kind of thing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Something was broken or mended.
    Fault,
    /// A client asked for something.
    Client,
    /// Settings or clients changed.
    Setting,
}

/// Something that was done, for its place on a track.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct Mark {
    /// When, in microseconds.
    pub at_us: u64,
    /// What kind of thing.
    pub deed: Deed,
    /// What.
    pub words: String,
}

/// Whether a demand is met up to the moment shown.
#[derive(Clone, Debug, Serialize, Tsify)]
pub struct VerdictObject {
    /// The name of the demand.
    pub demand: String,
    /// Whether the store promises as much with its present quorums.
    pub promised: bool,
    /// What the judges say.
    pub says: Says,
    /// The promise that is broken, if one is.
    pub promise: String,
    /// What is wrong, or why nothing is decided.
    pub words: String,
    /// How many operations were judged: those of the keyspace that it is about.
    pub judged: u64,
    /// When that was complete, in microseconds.
    pub at_us: u64,
    /// The operations that contradict each other.
    pub operations: Vec<OperationLine>,
    /// How many further operations belong to them.
    pub more: u64,
}

/// What the judges say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Tsify)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Nothing speaks against it.
    Holds,
    /// Operations contradict it.
    Wrong,
    /// It could not be judged.
    Undecided,
}

/// The branch shown; then of each branch the one it left or -1, when it begins and ends in microseconds,
/// and how many actions it holds.
pub(crate) fn tracks(timeline: &Timeline) -> Vec<f64> {
    let mut tracks = vec![timeline.branch() as f64];
    for branch in timeline.branches() {
        let (parent, from) =
            branch.parent().map_or((-1.0, 0), |parent| (parent.branch as f64, parent.at.0));
        let (end, actions) = (branch.end().0 as f64, branch.actions().len() as f64);
        tracks.extend([parent, from as f64, end, actions]);
    }
    tracks
}

/// What was done on a branch since it began.
pub(crate) fn marks(timeline: &Timeline, branch: usize) -> Vec<Mark> {
    let Some(branch) = timeline.branches().get(branch) else { return Vec::new() };
    let own = branch.actions().iter().skip(branch.inherited());
    own.map(|timed| Mark {
        at_us: timed.at.0,
        deed: match &timed.action {
            Action::Client { .. } => Deed::Client,
            Action::Set { .. } | Action::Workload(_) => Deed::Setting,
            _ => Deed::Fault,
        },
        words: timed.action.words(),
    })
    .collect()
}

/// What the judges say of the moment shown.
pub(crate) fn verdicts(
    verdicts: &mut Verdicts,
    timeline: &Timeline,
    names: &Names,
) -> Vec<VerdictObject> {
    let overlap = quorums_overlap(timeline.world());
    let mut objects = Vec::new();
    for demand in Demand::ALL {
        let verdict = verdicts.judge(timeline, demand);
        let mut object = VerdictObject {
            demand: demand.name().into(),
            promised: demand.is_promised(overlap),
            says: Says::Holds,
            promise: String::new(),
            words: String::new(),
            judged: verdicts.judged(timeline, demand) as u64,
            at_us: 0,
            operations: Vec::new(),
            more: 0,
        };
        match verdict {
            Verdict::Holds => {}
            Verdict::Undecided(words) => (object.says, object.words) = (Says::Undecided, words),
            Verdict::Wrong(objection) => {
                object.says = Says::Wrong;
                object.promise = objection.promise.to_string();
                object.words = names.say(&objection.words);
                object.at_us = objection.at.0;
                object.operations = verdicts
                    .records(timeline, &objection.operations)
                    .map(|record| OperationLine::of(record, names))
                    .collect();
                object.more = objection.more;
            }
        }
        objects.push(object);
    }
    objects
}

/// Whether every read meets every write, as the live node with the latest choice of settings has it.
fn quorums_overlap(world: &World) -> bool {
    let views = (0..world.nodes()).filter_map(|index| world.view(index));
    let Some(latest) = views.max_by_key(|view| view.choices.latest()) else { return true };
    let value = |setting| latest.settings.get(setting);
    let asked = u64::from(world.workload().quorum);
    let (read, write) = match asked {
        0 => (value(Setting::ReadQuorum), value(Setting::WriteQuorum)),
        asked => (asked, asked),
    };
    read + write > value(Setting::Replicas)
}

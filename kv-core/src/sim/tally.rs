//! How often each kind of fault was done in a run, as reports count them.
//!
//! Most are actions. What a crash does to writes that were not synced is counted by the disks
//! ([`Harm`]), and the faults of a network one by one, for one action sets all of them.

use super::action::{Action, TimedAction};
use super::config::{NetworkConfig, SimConfig};
use super::disk::Harm;
use crate::ordered::{Map, Set};

/// A kind of fault, in the order of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each has its name")]
pub enum Kind {
    Crash,
    TornWrite,
    LostWrite,
    Restart,
    Pause,
    Wipe,
    OneWayCut,
    TwoWayCut,
    Partition,
    Latency,
    Loss,
    Duplication,
    Reordering,
    SlowLink,
    LossyLink,
    LostMessage,
    HeldMessage,
    SlowDisk,
    FullDisk,
    FailedSync,
    FlippedBit,
    MisdirectedRead,
    ClockDrift,
    ClockJump,
    Settings,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 25] = [
        Self::Crash,
        Self::TornWrite,
        Self::LostWrite,
        Self::Restart,
        Self::Pause,
        Self::Wipe,
        Self::OneWayCut,
        Self::TwoWayCut,
        Self::Partition,
        Self::Latency,
        Self::Loss,
        Self::Duplication,
        Self::Reordering,
        Self::SlowLink,
        Self::LossyLink,
        Self::LostMessage,
        Self::HeldMessage,
        Self::SlowDisk,
        Self::FullDisk,
        Self::FailedSync,
        Self::FlippedBit,
        Self::MisdirectedRead,
        Self::ClockDrift,
        Self::ClockJump,
        Self::Settings,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::TornWrite => "torn write, by a crash",
            Self::LostWrite => "lost unsynced write, by a crash",
            Self::Restart => "restart",
            Self::Pause => "pause",
            Self::Wipe => "wipe",
            Self::OneWayCut => "cut, one way",
            Self::TwoWayCut => "cut, both ways",
            Self::Partition => "partition by groups",
            Self::Latency => "network: latency",
            Self::Loss => "network: loss",
            Self::Duplication => "network: duplication",
            Self::Reordering => "network: reordering",
            Self::SlowLink => "slow link",
            Self::LossyLink => "lossy link",
            Self::LostMessage => "message dropped",
            Self::HeldMessage => "message delayed",
            Self::SlowDisk => "slow disk",
            Self::FullDisk => "full disk",
            Self::FailedSync => "failed sync",
            Self::FlippedBit => "flipped bit",
            Self::MisdirectedRead => "misdirected read",
            Self::ClockDrift => "clock drift",
            Self::ClockJump => "clock jump",
            Self::Settings => "changed settings",
        }
    }
}

/// How often each kind was done in a run that began so, when disks had come to this harm; 0 for those that
/// were not.
pub(super) fn of(
    config: &SimConfig,
    actions: &[TimedAction],
    harms: impl Iterator<Item = Harm>,
) -> Map<Kind, u64> {
    let mut tally = Map::new();
    tally.extend(Kind::ALL.map(|kind| (kind, 0)));
    let mut count = |kind: Kind, times: u64| *tally.entry(kind).or_default() += times;
    network(&config.network, &mut count);
    let mut cuts = Set::new();
    for TimedAction { action, .. } in actions {
        match action {
            Action::Network(config) => network(config, &mut count),
            Action::Cut { from, to } => {
                let both = cuts.contains(&(*to, *from));
                count(if both { Kind::TwoWayCut } else { Kind::OneWayCut }, 1);
                cuts.insert((*from, *to));
            }
            Action::Mend { from, to } => drop(cuts.remove(&(*from, *to))),
            Action::Heal => cuts = Set::new(),
            Action::Link { own: Some(own), .. } => {
                let slow = own.latency_max > NetworkConfig::default().latency_max;
                count(Kind::SlowLink, slow.into());
                count(Kind::LossyLink, (own.loss.numerator > 0).into());
            }
            _ => count_one(action, &mut count),
        }
    }
    for harm in harms {
        count(Kind::TornWrite, harm.torn);
        count(Kind::LostWrite, harm.lost);
    }
    tally
}

fn network(network: &NetworkConfig, count: &mut impl FnMut(Kind, u64)) {
    let plain = NetworkConfig::default().link();
    let NetworkConfig { loss, stragglers, duplication, reordering, .. } = *network;
    let NetworkConfig { latency_min, latency_max, .. } = *network;
    let late = (latency_min, latency_max) != (plain.latency_min, plain.latency_max);
    count(Kind::Latency, (late || stragglers.numerator > 0).into());
    count(Kind::Loss, (loss.numerator > 0).into());
    count(Kind::Duplication, (duplication.numerator > 0).into());
    count(Kind::Reordering, (reordering.numerator > 0).into());
}

/// An action that is one fault, or none.
fn count_one(action: &Action, count: &mut impl FnMut(Kind, u64)) {
    let kind = match action {
        Action::Crash { .. } => Kind::Crash,
        Action::Restart { .. } => Kind::Restart,
        Action::Pause { .. } => Kind::Pause,
        Action::Wipe { .. } => Kind::Wipe,
        Action::Partition { .. } => Kind::Partition,
        Action::Lose { .. } => Kind::LostMessage,
        Action::Delay { .. } => Kind::HeldMessage,
        Action::Slow { .. } => Kind::SlowDisk,
        Action::Fill { .. } => Kind::FullDisk,
        Action::FailSync { .. } => Kind::FailedSync,
        Action::Flip { .. } => Kind::FlippedBit,
        Action::Misread { .. } => Kind::MisdirectedRead,
        Action::Drift { .. } => Kind::ClockDrift,
        Action::Jump { .. } => Kind::ClockJump,
        Action::Set { .. } => Kind::Settings,
        Action::Resume { .. }
        | Action::Cut { .. }
        | Action::Mend { .. }
        | Action::Heal
        | Action::Network(_)
        | Action::Link { .. }
        | Action::Free { .. }
        | Action::Workload(_)
        | Action::Client { .. } => return,
    };
    count(kind, 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Ratio;
    use crate::sim::LinkConfig;
    use crate::time::{Micros, Mono};
    use alloc::vec::Vec;

    #[test]
    fn each_fault_counts_as_what_it_does() {
        let lossy = NetworkConfig { loss: Ratio::per_mille(1), ..NetworkConfig::default() };
        let plain = NetworkConfig::default().link();
        let slow = LinkConfig { latency_max: Micros(90_000), ..plain };
        let actions = [
            Action::Cut { from: 0, to: 1 },
            Action::Cut { from: 1, to: 0 },
            Action::Mend { from: 1, to: 0 },
            Action::Heal,
            Action::Cut { from: 1, to: 0 },
            Action::Network(lossy),
            Action::Network(NetworkConfig::default()),
            Action::Link { from: 0, to: 1, own: Some(slow) },
            Action::Link { from: 0, to: 1, own: Some(plain) },
            Action::Link { from: 0, to: 1, own: None },
            Action::Restart { node: 0 },
        ];
        let timed = |action| TimedAction { at: Mono(0), action };
        let actions: Vec<_> = actions.into_iter().map(timed).collect();
        let harms = [Harm { torn: 1, lost: 2 }, Harm { torn: 3, lost: 4 }];
        let config = SimConfig { network: lossy, ..SimConfig::default() };
        let tally = of(&config, &actions, harms.into_iter());
        assert_eq!(tally.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), Kind::ALL);
        let some = tally.into_iter().filter(|(_, times)| *times > 0).collect::<Vec<_>>();
        let expected = [
            (Kind::TornWrite, 4),
            (Kind::LostWrite, 6),
            (Kind::Restart, 1),
            (Kind::OneWayCut, 2),
            (Kind::TwoWayCut, 1),
            (Kind::Loss, 2),
            (Kind::SlowLink, 1),
        ];
        assert_eq!(some, expected);
    }
}

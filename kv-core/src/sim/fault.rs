//! The kinds of faults by name, so that a search can be told which to use.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;

use super::action::Action;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nodes lose power and start again.
    Crash,
    /// Processes are stopped for a while.
    Pause,
    /// Nodes lose their disks.
    Wipe,
    /// Links are cut, networks fall apart.
    Cut,
    /// Messages are lost, late, held up, repeated or reordered, on all links or on some.
    Loss,
    /// Disks fill up, are slow, fail to sync, turn bits over and read at wrong places.
    Disk,
    /// Clocks run too fast or too slow, and jump.
    Drift,
    /// Somebody changes settings.
    Settings,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Crash,
        Self::Pause,
        Self::Wipe,
        Self::Cut,
        Self::Loss,
        Self::Disk,
        Self::Drift,
        Self::Settings,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Pause => "pause",
            Self::Wipe => "wipe",
            Self::Cut => "cut",
            Self::Loss => "loss",
            Self::Disk => "disk",
            Self::Drift => "drift",
            Self::Settings => "settings",
        }
    }

    /// The kind of an action; none for what mends or only asks.
    #[must_use]
    pub fn of(action: &Action) -> Option<Self> {
        match action {
            Action::Crash { .. } => Some(Self::Crash),
            Action::Pause { .. } => Some(Self::Pause),
            Action::Wipe { .. } => Some(Self::Wipe),
            Action::Cut { .. } | Action::Partition { .. } => Some(Self::Cut),
            Action::Network(_)
            | Action::Link { own: Some(_), .. }
            | Action::Lose { .. }
            | Action::Delay { .. } => Some(Self::Loss),
            Action::Fill { .. }
            | Action::Slow { .. }
            | Action::Flip { .. }
            | Action::FailSync { .. }
            | Action::Misread { .. } => Some(Self::Disk),
            Action::Drift { .. } | Action::Jump { .. } => Some(Self::Drift),
            Action::Set { .. } => Some(Self::Settings),
            Action::Restart { .. }
            | Action::Resume { .. }
            | Action::Mend { .. }
            | Action::Heal
            | Action::Link { own: None, .. }
            | Action::Free { .. }
            | Action::Workload(_)
            | Action::Client { .. } => None,
        }
    }
}

/// Some kinds of faults. As text their names, with commas between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults(u16);

impl Faults {
    /// Every kind.
    pub const ALL: Self = Self(u16::MAX);

    /// Whether this kind is among them.
    #[must_use]
    pub fn contains(self, fault: Fault) -> bool {
        self.0 >> (fault as u16) & 1 == 1
    }

    /// All of them but this kind.
    #[must_use]
    pub fn without(self, fault: Fault) -> Self {
        Self(self.0 & !(1 << (fault as u16)))
    }

    /// Whether an action may be done: a fault of one of these kinds, or none at all.
    #[must_use]
    pub fn allow(self, action: &Action) -> bool {
        Fault::of(action).is_none_or(|fault| self.contains(fault))
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<T: IntoIterator<Item = Fault>>(faults: T) -> Self {
        Self(faults.into_iter().fold(0, |all, fault| all | 1 << (fault as u16)))
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = |name: &str| {
            let found = Fault::ALL.into_iter().find(|fault| fault.name() == name);
            found.ok_or_else(|| {
                let known: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
                format!("{name:?} is no kind of fault; known are {}", known.join(", "))
            })
        };
        text.split(',').map(|name| kind(name.trim())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_and_others_refused_with_a_list() {
        let faults: Faults = "crash, wipe".parse().unwrap();
        let chosen = Fault::ALL.into_iter().filter(|fault| faults.contains(*fault));
        assert_eq!(chosen.collect::<Vec<_>>(), [Fault::Crash, Fault::Wipe]);
        assert!(Fault::ALL.into_iter().all(|fault| Faults::ALL.contains(fault)));
        for wrong in ["", "crash,", "flood", "20"] {
            let words = wrong.parse::<Faults>().unwrap_err();
            assert!(words.contains("known are crash, pause, wipe, cut, loss, disk"), "{words}");
        }
    }
}

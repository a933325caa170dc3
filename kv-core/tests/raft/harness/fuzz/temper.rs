//! What an attack likes to do.
//!
//! Chance alone seldom puts the three or four things in a row that a rare fault takes. So each seed draws a
//! temper, which does some things more often than others and leaves some to the others.

use kv_core::raft::Limits;
use kv_core::rng::Rng;
use kv_core::time::Micros;

use super::TIMEOUT;
use super::strikes::Strike;

/// A temper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    /// A little of everything.
    Even,
    /// Whoever leads is cut off or dies, and comes back when the next one is hit.
    Hunter,
    /// All members are replaced by others, and the leader fails half-way.
    Replacer,
    /// Logs are compacted at once, and what was sent of them is late.
    Compacter,
    /// What was said long ago is heard again, while replicas restart and leaders change.
    Echo,
}

impl Temper {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Even, Self::Hunter, Self::Replacer, Self::Compacter, Self::Echo];

    pub(super) fn of(rng: &mut Rng) -> Self {
        Self::ALL[rng.below(Self::ALL.len() as u64) as usize]
    }

    /// Under which name its attacks are counted.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Even => "attacks of an even temper",
            Self::Hunter => "attacks on leaders",
            Self::Replacer => "attacks on changes",
            Self::Compacter => "attacks on states",
            Self::Echo => "attacks with echoes",
        }
    }

    /// How many of a hundred deeds are writes, reads and strikes.
    pub(super) fn deeds(self) -> (u64, u64, u64) {
        match self {
            Self::Even => (45, 25, 12),
            Self::Hunter => (45, 40, 8),
            Self::Replacer => (35, 20, 18),
            Self::Compacter => (60, 10, 10),
            Self::Echo => (40, 40, 6),
        }
    }

    /// How many replicas found the groups, of so many.
    pub(super) fn founders(self, rng: &mut Rng, hosts: u64) -> u64 {
        let likely = match self {
            Self::Replacer => [1, 1, 2, 2, 3],
            Self::Even => [1, 3, 3, 3, 5],
            Self::Hunter => [3, 3, 3, 5, 5],
            // What a minority confirmed is to be replaced.
            Self::Echo => [3, 3, 5, 5, 5],
            Self::Compacter => [2, 3, 3, 3, 3],
        };
        hosts.min(likely[rng.below(5) as usize])
    }

    /// The most voters of a membership that it asks for.
    pub(super) fn voters_max(self) -> u64 {
        match self {
            Self::Replacer => 3,
            Self::Even | Self::Hunter | Self::Compacter | Self::Echo => 5,
        }
    }

    pub(super) fn limits(self, rng: &mut Rng) -> Limits {
        let limits = Limits {
            election_timeout: TIMEOUT,
            heartbeat: Micros::from_millis(rng.between(20, 50)),
            append_bytes_max: rng.between(30, 400),
            in_flight_max: rng.between(1, 8) as usize,
            in_flight_bytes_max: rng.between(200, 2_000),
            uncommitted_bytes_max: rng.between(200, 5_000),
            command_bytes_max: 500,
            chunks_in_flight: rng.between(1, 4) as u32,
            log_bytes_max: rng.between(200, 4_000),
            trailing_entries: rng.below(12),
        };
        match self {
            Self::Compacter => Limits {
                append_bytes_max: rng.between(30, 1_000),
                log_bytes_max: rng.between(30, 200),
                ..limits
            },
            Self::Even | Self::Hunter | Self::Replacer | Self::Echo => limits,
        }
    }

    /// How long messages take at most, and syncs of one machine.
    pub(super) fn delay_max(self, rng: &mut Rng) -> Micros {
        match self {
            Self::Replacer => Micros(rng.between(1_000, 30_000)),
            Self::Compacter => Micros(rng.between(5_000, 100_000)),
            Self::Even | Self::Hunter | Self::Echo => Micros(rng.between(1_000, 10_000)),
        }
    }

    pub(super) fn sync_max(self, rng: &mut Rng) -> Micros {
        match self {
            Self::Echo if rng.below(2) == 0 => Micros(rng.between(20_000, 200_000)),
            Self::Even | Self::Hunter | Self::Replacer | Self::Compacter | Self::Echo => {
                Micros(rng.between(500, 8_000))
            }
        }
    }

    /// How long a part of a state is.
    pub(super) fn chunk_bytes(self, rng: &mut Rng) -> usize {
        match self {
            // Few parts: the last one is on its way soon.
            Self::Compacter => 64 << rng.between(2, 6),
            Self::Even | Self::Hunter | Self::Replacer | Self::Echo => 64 << rng.below(3),
        }
    }

    /// How many bytes a command has.
    pub(super) fn bytes(self, rng: &mut Rng) -> u64 {
        match self {
            Self::Compacter => rng.below(20),
            _ if rng.below(10) == 0 => 400,
            _ => rng.below(60),
        }
    }

    /// The worst weather: how many messages in a thousand are lost or doubled, late, and heard again.
    pub(super) fn weather(self, rng: &mut Rng) -> (u64, u64, u64) {
        let worst = [0, 50, 300][rng.below(3) as usize];
        match self {
            Self::Even | Self::Replacer => (worst, worst, worst / 10),
            Self::Hunter => (worst / 10, worst, 300),
            Self::Compacter => (worst / 5, 400, 200),
            Self::Echo => (worst / 10, worst, 300),
        }
    }

    /// How often it does what, compared with the rest.
    pub(super) fn strikes(self) -> [(Strike, u64); Strike::COUNT] {
        let often = |strike| match (self, strike) {
            // Who hunts leaders leaves the others in peace, so that there is always one to hunt.
            (Self::Hunter, Strike::Hunt) => 8,
            (Self::Hunter, Strike::Start | Strike::Calm) => 4,
            (Self::Hunter, Strike::Crash | Strike::CrashLeader | Strike::FailChange) => 0,
            (Self::Hunter, Strike::Partition | Strike::OneWay | Strike::Pause) => 0,
            (Self::Hunter, _) => 1,
            (Self::Replacer, Strike::Change) => 6,
            (Self::Replacer, Strike::FailChange) => 10,
            (Self::Replacer, Strike::Restart) => 3,
            // A leader must stay for a while to outgrow a state that it sends.
            (Self::Compacter, Strike::Start | Strike::Calm | Strike::Weather) => 4,
            (Self::Compacter, Strike::Restart | Strike::HarmDisk) => 3,
            (Self::Compacter, Strike::OneWay | Strike::Pause | Strike::Heal) => 2,
            (Self::Compacter, Strike::CrashLeader | Strike::Hunt | Strike::FailChange) => 0,
            (Self::Compacter, Strike::Transfer) => 0,
            (Self::Compacter, _) => 1,
            (Self::Echo, Strike::Restart) => 9,
            (Self::Echo, Strike::Transfer) => 5,
            (Self::Echo, Strike::Hunt) => 4,
            (Self::Echo, Strike::CrashLeader | Strike::Change | Strike::Weather) => 2,
            (_, Strike::Hunt | Strike::FailChange) => 1,
            (_, Strike::CrashLeader | Strike::Pause) => 1,
            (_, Strike::Restart | Strike::Partition | Strike::OneWay | Strike::Weather) => 2,
            (_, Strike::Transfer | Strike::Wipe | Strike::Damage) => 2,
            (_, Strike::Crash | Strike::Calm) => 3,
            (_, Strike::Start | Strike::Heal) => 4,
            (_, Strike::Change | Strike::HarmDisk) => 5,
        };
        Strike::ALL.map(|strike| (strike, often(strike)))
    }
}

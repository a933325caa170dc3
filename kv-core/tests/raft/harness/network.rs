//! What lies between machines: messages under way, and all that can become of them.

use std::collections::{BTreeMap, BTreeSet};

use kv_core::id::Replica;
use kv_core::message::raft::RaftMessage;
use kv_core::rng::{Ratio, Rng};
use kv_core::time::Micros;

/// A message under way.
#[derive(Clone, Debug)]
pub(crate) struct Flying {
    pub(crate) from: Replica,
    pub(crate) to: Replica,
    pub(crate) message: RaftMessage,
}

/// When a message arrives, and a number that tells those of one moment apart.
pub(crate) type Arrival = (u64, u64);

/// How late an echo may be: later than elections take.
pub(crate) const ECHO_MAX: Micros = Micros::from_millis(3_000);

/// All links.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) flying: BTreeMap<Arrival, Flying>,
    /// How long a message takes, at least and at most. Those that take longer are overtaken.
    pub(crate) delay: (Micros, Micros),
    /// How many in a thousand are lost, arrive twice, and take ten times as long.
    pub(crate) lost: u32,
    pub(crate) doubled: u32,
    pub(crate) late: u32,
    /// How many in a thousand come back once more, up to [`ECHO_MAX`] later, whatever happened meanwhile.
    pub(crate) echoed: u32,
    /// From whom nothing reaches whom.
    cut: BTreeSet<(u64, u64)>,
    sent: u64,
    rng: Rng,
}

impl Network {
    /// Links that lose nothing and take no time.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            flying: BTreeMap::new(),
            delay: (Micros(0), Micros(0)),
            lost: 0,
            doubled: 0,
            late: 0,
            echoed: 0,
            cut: BTreeSet::new(),
            sent: 0,
            rng: Rng::stream(seed, 1 << 32),
        }
    }

    /// From here to there nothing is sent any more; what is under way arrives.
    pub(crate) fn cut_behind(&mut self, from: u64, to: u64) {
        self.cut.insert((from, to));
    }

    /// From here to there nothing arrives any more; what is under way may, or may not.
    pub(crate) fn cut(&mut self, from: u64, to: u64) {
        self.cut_behind(from, to);
        if self.rng.below(2) == 0 {
            self.flying.retain(|_, flying| (flying.from.node.0, flying.to.node.0) != (from, to));
        }
    }

    /// Ends all cuts.
    pub(crate) fn reconnect(&mut self) {
        self.cut.clear();
    }

    /// Ends all cuts, losses and delays, but not what is under way.
    pub(crate) fn heal(&mut self) {
        self.reconnect();
        (self.lost, self.doubled, self.late, self.echoed) = (0, 0, 0, 0);
    }

    /// Sends a message on its way, or into nothing.
    pub(crate) fn send(&mut self, now: u64, flying: Flying) {
        let open = !self.cut.contains(&(flying.from.node.0, flying.to.node.0));
        let copies = 1 + u64::from(self.rng.chance(Ratio::per_mille(self.doubled)));
        for _ in 0..copies {
            let (least, most) = self.delay;
            let mut delay = self.rng.between(least.0, most.0);
            if self.rng.chance(Ratio::per_mille(self.late)) {
                delay = delay * 10 + self.rng.below(600_000);
            }
            let lost = self.rng.chance(Ratio::per_mille(self.lost));
            if !lost && open {
                self.arrive_at(now + delay, flying.clone());
            }
        }
        if self.rng.chance(Ratio::per_mille(self.echoed)) && open {
            let delay = self.rng.below(ECHO_MAX.0);
            self.arrive_at(now + delay, flying);
        }
    }

    /// Takes such messages off their way.
    pub(crate) fn take(&mut self, which: impl Fn(&Flying) -> bool) -> Vec<Flying> {
        self.flying.extract_if(.., |_, flying| which(flying)).map(|(_, flying)| flying).collect()
    }

    /// Lets a message arrive at a moment.
    pub(crate) fn arrive_at(&mut self, at: u64, flying: Flying) {
        self.sent += 1;
        self.flying.insert((at, self.sent), flying);
    }
}

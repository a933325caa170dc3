//! One direction between two nodes: what becomes of each message that is sent there.
//!
//! For each message equally many numbers are drawn in the same order, whatever the settings are. So
//! changing one setting changes nothing of what the others do.

use super::Link;
use crate::message::Lane;
use crate::rng::Rng;
use crate::sim::config::{LinkConfig, NetworkConfig, SimConfig};
use crate::time::{Micros, Mono};

/// One direction between two nodes.
#[derive(Clone, Debug)]
pub(super) struct Line {
    rng: Rng,
    /// Its own settings, where they differ from those of all links.
    pub(super) own: Option<LinkConfig>,
    /// When the last message of each lane arrives.
    arrivals: [Mono; 2],
    /// The connection the receiver was last told of, perhaps by a notice under way.
    pub(super) told: Option<u64>,
    /// The receiver's end of the connection, as far as it knows.
    pub(super) known: Option<Link>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub(super) arrives: Mono,
    pub(super) lost: bool,
    /// When a copy of it arrives, if there is one.
    pub(super) again: Option<Mono>,
}

impl Line {
    pub(super) fn new(rng: Rng) -> Self {
        Self { rng, own: None, arrivals: [Mono::default(); 2], told: None, known: None }
    }

    /// What becomes of a message that is sent now. It arrives after those of its lane that were sent
    /// before, unless it goes its own way; a copy always does.
    pub(super) fn send(&mut self, now: Mono, config: &NetworkConfig, lane: Lane) -> Fate {
        let link = self.own.unwrap_or_else(|| config.link());
        let latency = latency(&mut self.rng, link, config);
        let lost = self.rng.chance(link.loss);
        let own_way = self.rng.chance(config.reordering);
        let copied = self.rng.chance(config.duplication);
        // What is drawn for the copy is seldom looked at.
        let mut drawn = self.rng.clone();
        self.rng.pass(LATENCY_DRAWS);
        let again = (copied && !lost).then(|| now + self::latency(&mut drawn, link, config));
        let arrives = if own_way { now + latency } else { self.queue(now + latency, &[lane]) };
        Fate { arrives, lost, again }
    }

    /// When news of the link itself arrive that are sent now: behind everything that was sent before,
    /// and before everything that is sent after.
    pub(super) fn notify(&mut self, now: Mono, config: &NetworkConfig) -> Mono {
        let link = self.own.unwrap_or_else(|| config.link());
        let latency = latency(&mut self.rng, link, config);
        self.queue(now + latency, &[Lane::Urgent, Lane::Bulk])
    }

    fn queue(&mut self, at: Mono, lanes: &[Lane]) -> Mono {
        let last = lanes.iter().map(|lane| self.arrivals[*lane as usize]).max();
        let at = at.max(last.unwrap_or_default());
        for lane in lanes {
            self.arrivals[*lane as usize] = at;
        }
        at
    }
}

/// How many numbers [`latency`] draws.
const LATENCY_DRAWS: u32 = 3;

fn latency(rng: &mut Rng, link: LinkConfig, config: &NetworkConfig) -> Micros {
    let usual = rng.between(link.latency_min.0, link.latency_max.0);
    let straggles = rng.chance(config.stragglers);
    let longer = rng.between(usual, usual.saturating_mul(u64::from(config.straggle)));
    let latency = if straggles { longer.min(SimConfig::DELAY_MAX.0) } else { usual };
    // Nothing takes no time at all, so that every moment comes to an end.
    Micros(latency.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_draws_as_many_numbers_as_are_left_out_for_it() {
        let network = NetworkConfig::default();
        let (mut drawn, mut passed) = (Rng::new(5), Rng::new(5));
        latency(&mut drawn, network.link(), &network);
        passed.pass(LATENCY_DRAWS);
        assert_eq!(drawn.any(), passed.any());
    }
}

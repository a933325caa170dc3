//! The simulated network: latency, loss, cuts and partitions, and who is linked to whom.
//!
//! Each direction between two nodes is a line of its own. A message takes a random time, but those of
//! one lane arrive in the order in which they were sent, as on a WebSocket. A cut is silence: what is
//! under way and what is sent is lost, and nobody is told. A crash is told: the others see the link go
//! down. A connection exists between two running nodes; what was sent over one that is gone never
//! arrives, so a restarted node hears nothing that was meant for its former life.
//!
//! Left out: bandwidth, duplication and reordering.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::config::{Chance, NetworkConfig};
use crate::message::{Envelope, Hello, Lane};
use crate::rng::Rng;
use crate::time::{Micros, Mono};

/// A message on its way.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// Its number in this run.
    pub number: u64,
    /// The node that sent it.
    pub from: u16,
    /// The node it is for.
    pub to: u16,
    /// What kind of message it is ([`crate::message::Message::name`]).
    pub kind: &'static str,
    /// The queue of the link.
    pub lane: Lane,
    /// When it was sent.
    pub sent: Mono,
    /// When it arrives.
    pub arrives: Mono,
    /// Whether it will not arrive after all. It stays listed until it would have arrived.
    pub lost: bool,
}

/// What `to` is told about its link to `from`.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) from: u16,
    pub(super) to: u16,
    /// The connection there is now, if there is one.
    pub(super) link: Option<Link>,
}

/// One side's end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    connection: u64,
    /// What the other side said first.
    pub(super) hello: Arc<Hello>,
}

#[derive(Clone, Debug)]
pub(super) struct Network {
    seed: u64,
    pub(super) config: NetworkConfig,
    lines: BTreeMap<(u16, u16), Line>,
    /// The connection of two running nodes, the lower index first.
    connections: BTreeMap<(u16, u16), u64>,
    cuts: BTreeSet<(u16, u16)>,
    /// The group of each node while the network is partitioned, else nothing.
    groups: Vec<u8>,
    flights: BTreeMap<u64, Flight>,
    numbers: u64,
}

/// One direction between two nodes.
#[derive(Clone, Debug)]
struct Line {
    rng: Rng,
    /// When the last message of each lane arrives.
    arrivals: [Mono; 2],
    /// The connection the receiver was last told of, perhaps by a notice under way.
    told: Option<u64>,
    /// The receiver's end of the connection, as far as it knows.
    known: Option<Link>,
}

#[derive(Clone, Debug)]
struct Flight {
    seen: InFlight,
    connection: Option<u64>,
    envelope: Envelope,
}

impl Network {
    pub(super) fn new(seed: u64, config: NetworkConfig) -> Self {
        Self {
            seed,
            config,
            lines: BTreeMap::new(),
            connections: BTreeMap::new(),
            cuts: BTreeSet::new(),
            groups: Vec::new(),
            flights: BTreeMap::new(),
            numbers: 0,
        }
    }

    /// Puts a message on its way; returns its number and when to call [`Self::arrive`].
    pub(super) fn send(
        &mut self,
        now: Mono,
        (from, to): (u16, u16),
        lane: Lane,
        envelope: Envelope,
    ) -> (u64, Mono) {
        let cut = self.is_cut(from, to);
        // The sender's end of the connection belongs to the line that leads to the sender.
        let connection = self.line(to, from).known.as_ref().map(|link| link.connection);
        let config = self.config;
        let line = self.line(from, to);
        let arrives = line.arrival(now, config, &[lane]);
        // Loss is drawn even where nothing can arrive, so that a cut disturbs no later message.
        let lost = line.rng.chance(config.loss) || cut || connection.is_none();
        self.numbers += 1;
        let number = self.numbers;
        let kind = envelope.message.name();
        let seen = InFlight { number, from, to, kind, lane, sent: now, arrives, lost };
        self.flights.insert(number, Flight { seen, connection, envelope });
        (number, arrives)
    }

    /// Takes the message off the network, and returns it with sender and receiver if it is received.
    pub(super) fn arrive(&mut self, number: u64) -> Option<(u16, Envelope)> {
        let Flight { seen, connection, envelope } = self.flights.remove(&number)?;
        let known = &self.line(seen.from, seen.to).known;
        let current = known.as_ref().map(|link| link.connection) == connection;
        (current && !seen.lost).then_some((seen.to, envelope))
    }

    /// All messages under way, in the order in which they were sent.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &InFlight> {
        self.flights.values().map(|flight| &flight.seen)
    }

    pub(super) fn is_cut(&self, from: u16, to: u16) -> bool {
        self.cuts.contains(&(from, to)) || self.is_parted(from, to)
    }

    /// Whether a partition stands between two nodes.
    pub(super) fn is_parted(&self, from: u16, to: u16) -> bool {
        let group = |node: u16| self.groups.get(usize::from(node));
        group(from) != group(to)
    }

    pub(super) fn cut(&mut self, from: u16, to: u16) {
        self.cuts.insert((from, to));
        self.lose_what_is_cut();
    }

    pub(super) fn mend(&mut self, from: u16, to: u16) {
        self.cuts.remove(&(from, to));
    }

    pub(super) fn partition(&mut self, groups: Vec<u8>) {
        self.groups = groups;
        self.lose_what_is_cut();
    }

    pub(super) fn heal(&mut self) {
        self.cuts.clear();
        self.groups.clear();
    }

    fn lose_what_is_cut(&mut self) {
        let mut flights = core::mem::take(&mut self.flights);
        for Flight { seen, .. } in flights.values_mut() {
            seen.lost |= self.is_cut(seen.from, seen.to);
        }
        self.flights = flights;
    }

    /// A node forgets its links, because it has crashed.
    pub(super) fn forget(&mut self, node: u16) {
        self.connections.retain(|(low, high), _| *low != node && *high != node);
        for ((_, to), line) in &mut self.lines {
            if *to == node {
                line.told = None;
                line.known = None;
            }
        }
    }

    /// Connects two nodes if they can be and are not, and has each side that can be reached told what
    /// it does not know yet. `hello` says what a running node says first, and nothing for others.
    /// Returns the notices and when to call [`Self::take_notice`] with each.
    pub(super) fn connect(
        &mut self,
        now: Mono,
        (a, b): (u16, u16),
        hello: impl Fn(u16) -> Option<Arc<Hello>>,
    ) -> Vec<(Mono, Notice)> {
        let pair = (a.min(b), a.max(b));
        let hellos = [hello(a), hello(b)];
        let both = hellos.iter().all(Option::is_some);
        let open = !self.is_cut(a, b) && !self.is_cut(b, a);
        if both && open && !self.connections.contains_key(&pair) {
            self.numbers += 1;
            self.connections.insert(pair, self.numbers);
        }
        let connection = self.connections.get(&pair).copied();
        let mut notices = Vec::new();
        let [of_a, of_b] = hellos;
        for (from, to, said, listens) in [(a, b, &of_a, &of_b), (b, a, &of_b, &of_a)] {
            let reached = listens.is_some() && !self.is_cut(from, to);
            let config = self.config;
            let line = self.line(from, to);
            if !reached || line.told == connection {
                continue;
            }
            line.told = connection;
            // Behind everything sent before, and before everything sent after.
            let at = line.arrival(now, config, &[Lane::Urgent, Lane::Bulk]);
            let link = connection.zip(said.clone());
            let link = link.map(|(connection, hello)| Link { connection, hello });
            notices.push((at, Notice { from, to, link }));
        }
        notices
    }

    /// The receiver learns what a notice says. Returns what it takes for gone and what for there now;
    /// nothing if later news is on its way already.
    pub(super) fn take_notice(&mut self, notice: &Notice) -> (Option<Link>, Option<Link>) {
        let line = self.line(notice.from, notice.to);
        let connection = notice.link.as_ref().map(|link| link.connection);
        if line.told != connection {
            return (None, None);
        }
        let before = core::mem::replace(&mut line.known, notice.link.clone());
        (before, notice.link.clone())
    }

    fn line(&mut self, from: u16, to: u16) -> &mut Line {
        let seed = self.seed;
        self.lines.entry((from, to)).or_insert_with(|| Line {
            rng: Chance::Link(from, to).generator(seed),
            arrivals: [Mono::default(); 2],
            told: None,
            known: None,
        })
    }
}

impl Line {
    /// When something sent now on these lanes arrives: after what was sent on them before.
    fn arrival(&mut self, now: Mono, config: NetworkConfig, lanes: &[Lane]) -> Mono {
        let latency = self.rng.between(config.latency_min.0, config.latency_max.0);
        // Nothing takes no time at all, so that every moment comes to an end.
        let mut at = now + Micros(latency.max(1));
        for lane in lanes {
            at = at.max(self.arrivals[*lane as usize]);
        }
        for lane in lanes {
            self.arrivals[*lane as usize] = at;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::id::{BootCount, Incarnation, MessageId, NodeId};
    use crate::message::Message;
    use crate::rng::Ratio;

    fn hello(node: u16) -> Arc<Hello> {
        Arc::new(Hello {
            node: NodeId(u64::from(node)),
            name: String::new(),
            address: String::new(),
            incarnation: Incarnation(1),
            boot: BootCount(1),
            cluster: None,
        })
    }

    fn envelope(id: u64) -> Envelope {
        Envelope {
            id: MessageId(id),
            cluster: None,
            from: NodeId(0),
            incarnation: Incarnation(1),
            to: NodeId(1),
            message: Message::JoinRefused { later: true, reason: String::new() },
        }
    }

    fn connected(loss: Ratio) -> Network {
        let mut network = Network::new(7, NetworkConfig { loss, ..NetworkConfig::default() });
        let notices = network.connect(Mono(0), (0, 1), |node| Some(hello(node)));
        assert_eq!(notices.len(), 2);
        for (_, notice) in notices {
            let (before, now) = network.take_notice(&notice);
            assert!(before.is_none() && now.is_some());
        }
        network
    }

    #[test]
    fn messages_of_a_lane_arrive_in_the_order_of_sending() {
        let mut network = connected(Ratio::ZERO);
        let mut last = Mono(0);
        for sent in 0..500 {
            let (number, at) = network.send(Mono(sent * 100), (0, 1), Lane::Bulk, envelope(sent));
            assert!(at >= last);
            last = at;
            if sent % 2 == 0 {
                assert_eq!(network.arrive(number).unwrap().1.id, MessageId(sent));
            }
        }
        assert_eq!(network.in_flight().count(), 250);
    }

    #[test]
    fn loss_changes_no_arrival() {
        let arrivals = |loss| {
            let mut network = connected(loss);
            (0..200)
                .map(|sent| network.send(Mono(sent), (0, 1), Lane::Urgent, envelope(sent)).1)
                .collect::<Vec<Mono>>()
        };
        assert_eq!(arrivals(Ratio::ZERO), arrivals(Ratio::per_mille(500)));
    }

    #[test]
    fn a_cut_loses_what_is_under_way_in_its_direction_only() {
        let mut network = connected(Ratio::ZERO);
        let (there, _) = network.send(Mono(0), (0, 1), Lane::Bulk, envelope(1));
        let (back, _) = network.send(Mono(0), (1, 0), Lane::Bulk, envelope(2));
        network.cut(0, 1);
        network.mend(0, 1);
        assert!(network.arrive(there).is_none());
        assert!(network.arrive(back).is_some());
        network.partition(alloc::vec![0, 1, 0]);
        assert!(network.is_cut(1, 2) && network.is_cut(0, 1) && !network.is_cut(0, 2));
    }

    #[test]
    fn a_restarted_node_hears_nothing_of_its_former_life() {
        let mut network = connected(Ratio::ZERO);
        let (to_dead, _) = network.send(Mono(0), (0, 1), Lane::Bulk, envelope(1));
        let (of_dead, _) = network.send(Mono(0), (1, 0), Lane::Bulk, envelope(2));
        network.forget(1);
        let only_0 = |node| (node == 0).then(|| hello(node));
        let down = network.connect(Mono(5), (1, 0), only_0);
        assert_eq!(down.len(), 1);
        let up = network.connect(Mono(6), (1, 0), |node| Some(hello(node)));
        assert_eq!(up.len(), 2);
        assert!(up.iter().all(|(at, _)| *at > Mono(6)));
        // What the dead one sent was on its way; what was meant for it is not for the new one.
        assert!(network.arrive(of_dead).is_some());
        // The news of the crash is overtaken by that of the new connection.
        assert!(matches!(network.take_notice(&down[0].1), (None, None)));
        for (_, notice) in &up {
            let (before, now) = network.take_notice(notice);
            assert_eq!(before.is_some(), notice.to == 0);
            assert!(now.is_some());
        }
        assert!(network.arrive(to_dead).is_none());
    }

    #[test]
    fn nobody_is_told_through_a_cut_until_it_is_mended() {
        let mut network = connected(Ratio::ZERO);
        network.cut(1, 0);
        network.forget(1);
        let only_0 = |node| (node == 0).then(|| hello(node));
        assert!(network.connect(Mono(5), (0, 1), only_0).is_empty());
        network.mend(1, 0);
        assert_eq!(network.connect(Mono(6), (0, 1), only_0).len(), 1);
        assert!(network.connect(Mono(7), (0, 1), only_0).is_empty());
    }
}

//! The simulated network: latency, loss, cuts and partitions, and who is linked to whom.
//!
//! Each direction between two nodes is a line of its own ([`mod@line`]). A message takes a random time,
//! but those of one lane arrive in the order in which they were sent, as on a WebSocket. A cut is
//! silence: what is under way and what is sent is lost, and nobody is told. A crash is told: the others
//! see the link go down. A connection exists between two running nodes; what was sent over one that is
//! gone never arrives, so a restarted node hears nothing that was meant for its former life.
//!
//! Real links are TCP and neither repeat nor overtake. That these can be made to, and that one message
//! can be picked out and lost or held up, is there to see what the protocol takes.
//!
//! Like any network it has room for so much only ([`Network::send`]); more is lost. It takes latencies of
//! minutes, or nodes that are paused for as long, to see that.
//!
//! Left out: bandwidth.

mod flights;
mod line;

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use flights::{Flight, Flights};
use line::Line;

use super::config::{ActionRefused, Chance, LinkConfig, NetworkConfig, refuse};
use crate::codec;
use crate::message::{Envelope, Hello, Lane};
use crate::ordered::{Map, Set};
use crate::time::{Micros, Mono};

/// The most messages that are under way at once, those among them that wait at nodes that are paused.
pub(super) const UNDER_WAY_MAX: usize = 100_000;

/// The most bytes that they have, besides those of the first few.
const BYTES_MAX: usize = 32 * 1_024 * 1_024;

/// So few messages are not worth weighing.
const FEW: usize = 1_000;

/// What a message of usual size takes in memory, in bytes.
const USUAL: usize = 500;

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
    /// By [`place_of`].
    lines: Vec<Option<Line>>,
    /// The connection of two running nodes, the lower index first.
    connections: Map<(u16, u16), u64>,
    cuts: Set<(u16, u16)>,
    /// The group of each node while the network is partitioned, else nothing.
    groups: Vec<u8>,
    flights: Flights,
    /// The latest number of a message or a connection.
    numbers: u64,
}

impl Network {
    pub(super) fn new(seed: u64, config: NetworkConfig) -> Self {
        Self {
            seed,
            config,
            lines: Vec::new(),
            connections: Map::new(),
            cuts: Set::new(),
            groups: Vec::new(),
            flights: Flights::default(),
            numbers: 0,
        }
    }

    /// Puts a message with its hash on its way, and perhaps a copy of it, as far as there is room
    /// ([`UNDER_WAY_MAX`], [`BYTES_MAX`]). Returns their numbers and when to call [`Self::arrive`].
    pub(super) fn send(
        &mut self,
        now: Mono,
        (from, to): (u16, u16),
        lane: Lane,
        envelope: Box<Envelope>,
        hash: u64,
    ) -> impl Iterator<Item = (u64, Mono)> + use<> {
        let cut = self.is_cut(from, to);
        // The sender's end of the connection belongs to the line that leads to the sender.
        let connection = self.line(to, from).known.as_ref().map(|link| link.connection);
        let config = self.config;
        // Drawn even where nothing can arrive, so that a cut disturbs no later message.
        let fate = self.line(from, to).send(now, &config, lane);
        let lost = fate.lost || cut || connection.is_none();
        let kind = envelope.message.name();
        let bytes = if self.flights.len() < FEW { 0 } else { codec::encode(&*envelope).len() };
        let room = match self.flights.bytes() + bytes {
            0..=BYTES_MAX => UNDER_WAY_MAX.saturating_sub(self.flights.len()),
            _ => 0,
        };
        let mut fly = |arrives: Mono, envelope: Box<Envelope>| {
            self.numbers += 1;
            let number = self.numbers;
            let seen = InFlight { number, from, to, kind, lane, sent: now, arrives, lost };
            self.flights.insert(Flight { seen, connection, envelope, bytes, hash });
            (number, arrives)
        };
        let copy = fate.again.filter(|_| room > 1).map(|at| (at, envelope.clone()));
        let first = (room > 0).then(|| fly(fate.arrives, envelope));
        let again = copy.map(|(at, envelope)| fly(at, envelope));
        first.into_iter().chain(again)
    }

    /// What all that is under way weighs: as much as so many messages of usual size.
    pub(super) fn weight(&self) -> usize {
        self.flights.len() + self.flights.bytes() / USUAL
    }

    /// Takes the message off the network, and returns it with its receiver and hash if it is received.
    pub(super) fn arrive(&mut self, number: u64) -> Option<(u16, Box<Envelope>, u64)> {
        let Flight { seen, connection, envelope, hash, .. } = self.flights.remove(number)?;
        let known = &self.line(seen.from, seen.to).known;
        let current = known.as_ref().map(|link| link.connection) == connection;
        (current && !seen.lost).then_some((seen.to, envelope, hash))
    }

    /// The message of this number, if it can still be picked out; else words that say why not.
    pub(super) fn find(&self, now: Mono, number: u64) -> Result<&InFlight, ActionRefused> {
        match self.flights.get(number).map(|flight| &flight.seen) {
            None => refuse(format!("no message of number {number} is under way")),
            Some(seen) if seen.lost => refuse(format!("message {number} is lost already")),
            Some(seen) if seen.arrives <= now => {
                refuse(format!("message {number} has arrived and waits for its node to go on"))
            }
            Some(seen) => Ok(seen),
        }
    }

    /// The message of this number will not arrive.
    pub(super) fn lose(&mut self, number: u64) {
        if let Some(flight) = self.flights.get_mut(number) {
            flight.seen.lost = true;
        }
    }

    /// The message of this number is held up; later ones overtake it. Returns when it arrives now.
    pub(super) fn delay(&mut self, number: u64, by: Micros) -> Option<Mono> {
        let flight = self.flights.get_mut(number)?;
        flight.seen.arrives = flight.seen.arrives + by;
        Some(flight.seen.arrives)
    }

    /// The settings that one direction of a link has for itself.
    pub(super) fn own(&self, from: u16, to: u16) -> Option<LinkConfig> {
        self.lines.get(place_of(from, to))?.as_ref()?.own
    }

    /// One direction of a link goes by settings of its own from now on, or by those of all links again.
    pub(super) fn set_own(&mut self, from: u16, to: u16, own: Option<LinkConfig>) {
        self.line(from, to).own = own;
    }

    /// All messages under way, in the order in which they were sent.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = &InFlight> {
        self.flights.iter().map(|flight| &flight.seen)
    }

    pub(super) fn is_cut(&self, from: u16, to: u16) -> bool {
        self.cuts.contains(&(from, to)) || self.is_parted(from, to)
    }

    /// Whether a partition stands between two nodes.
    pub(super) fn is_parted(&self, from: u16, to: u16) -> bool {
        let group = |node: u16| self.groups.get(usize::from(node));
        group(from) != group(to)
    }

    pub(super) fn cut(&mut self, now: Mono, from: u16, to: u16) {
        self.cuts.insert((from, to));
        self.lose_what_is_cut(now);
    }

    pub(super) fn mend(&mut self, from: u16, to: u16) {
        self.cuts.remove(&(from, to));
    }

    pub(super) fn partition(&mut self, now: Mono, groups: Vec<u8>) {
        self.groups = groups;
        self.lose_what_is_cut(now);
    }

    /// Returns whether anything was cut.
    pub(super) fn heal(&mut self) -> bool {
        let cut = !self.cuts.is_empty() || !self.groups.is_empty();
        self.cuts.clear();
        self.groups.clear();
        cut
    }

    fn lose_what_is_cut(&mut self, now: Mono) {
        let mut flights = core::mem::take(&mut self.flights);
        for Flight { seen, .. } in flights.iter_mut() {
            // What has arrived waits at a node that is paused.
            seen.lost |= seen.arrives > now && self.is_cut(seen.from, seen.to);
        }
        self.flights = flights;
    }

    /// A node forgets its links, because it has crashed.
    pub(super) fn forget(&mut self, node: u16) {
        self.connections.retain(|(low, high), _| *low != node && *high != node);
        for from in 0..=u16::MAX {
            // Places ascend with `from`.
            let Some(line) = self.lines.get_mut(place_of(from, node)) else { break };
            if let Some(line) = line {
                line.told = None;
                line.known = None;
            }
        }
    }

    /// Connects two nodes if they can be and are not, and has each side that can be reached told what
    /// it does not know yet. `runs` says whether each runs, `hello` what a running node says first, and
    /// `awake` whether both can say it now. Returns the notices and when to call [`Self::take_notice`] with
    /// each.
    pub(super) fn connect(
        &mut self,
        now: Mono,
        (a, b): (u16, u16),
        [a_runs, b_runs]: [bool; 2],
        hello: impl Fn(u16) -> Option<Arc<Hello>>,
        awake: bool,
    ) -> Vec<(Mono, Notice)> {
        let pair = (a.min(b), a.max(b));
        let both = a_runs && b_runs;
        let open = !self.is_cut(a, b) && !self.is_cut(b, a);
        if both && awake && open && !self.connections.contains_key(&pair) {
            self.numbers += 1;
            self.connections.insert(pair, self.numbers);
        }
        let connection = self.connections.get(&pair).copied();
        let mut notices = Vec::new();
        for (from, to, listens) in [(a, b, b_runs), (b, a, a_runs)] {
            let reached = listens && !self.is_cut(from, to);
            let config = self.config;
            let line = self.line(from, to);
            if !reached || line.told == connection {
                continue;
            }
            line.told = connection;
            let at = line.notify(now, &config);
            let link = connection.zip(hello(from));
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
        let place = place_of(from, to);
        if self.lines.len() <= place {
            self.lines.resize_with(place + 1, || None);
        }
        let seed = self.seed;
        let line = || Line::new(Chance::Link(from, to).generator(seed));
        self.lines[place].get_or_insert_with(line)
    }
}

/// Where the line between two nodes is kept: those among the first few nodes stand together at the
/// beginning, however many there are (Szudzik, "An Elegant Pairing Function", 2006).
fn place_of(from: u16, to: u16) -> usize {
    let (from, to) = (usize::from(from), usize::from(to));
    if from < to { to * to + from } else { from * from + from + to }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::line::Fate;
    use super::*;
    use crate::id::{BootCount, Incarnation, MessageId, NodeId};
    use crate::message::Message;
    use crate::rng::{Ratio, Rng};

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

    fn envelope(id: u64) -> Box<Envelope> {
        Box::new(Envelope {
            id: MessageId(id),
            cluster: None,
            from: NodeId(0),
            incarnation: Incarnation(1),
            to: NodeId(1),
            message: Message::JoinRefused { later: true, reason: String::new() },
        })
    }

    fn send(network: &mut Network, now: Mono, way: (u16, u16), id: u64) -> (u64, Mono) {
        network.send(now, way, Lane::Bulk, envelope(id), id).next().unwrap()
    }

    fn connected(loss: Ratio) -> Network {
        let mut network = Network::new(7, NetworkConfig { loss, ..NetworkConfig::default() });
        let notices = network.connect(Mono(0), (0, 1), [true; 2], |node| Some(hello(node)), true);
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
            let (number, at) = send(&mut network, Mono(sent * 100), (0, 1), sent);
            assert!(at >= last);
            last = at;
            if sent % 2 == 0 {
                assert_eq!(network.arrive(number).unwrap().1.id, MessageId(sent));
            }
        }
        assert_eq!(network.in_flight().count(), 250);
    }

    #[test]
    fn a_network_has_room_for_so_many_messages_and_so_many_bytes() {
        let mut network = connected(Ratio::ZERO);
        let twice = NetworkConfig { duplication: Ratio::per_mille(1_000), ..network.config };
        network.config = twice;
        for sent in 0..UNDER_WAY_MAX as u64 {
            drop(network.send(Mono(sent), (0, 1), Lane::Bulk, envelope(sent), sent));
        }
        assert_eq!(network.in_flight().count(), UNDER_WAY_MAX);
        let first = network.in_flight().next().unwrap().number;
        assert!(network.arrive(first).is_some());
        let number = send(&mut network, Mono(0), (0, 1), 7).0;
        assert_eq!(network.find(Mono(0), number).map(|seen| seen.number), Ok(number));
        assert_eq!(network.in_flight().count(), UNDER_WAY_MAX, "there is no room for a copy");

        let mut network = connected(Ratio::ZERO);
        let reason = "long".repeat(16 * 1_024);
        for sent in 0..2 * FEW as u64 {
            let mut envelope = envelope(sent);
            envelope.message = Message::JoinRefused { later: true, reason: reason.clone() };
            drop(network.send(Mono(sent), (0, 1), Lane::Bulk, envelope, sent));
        }
        let (under_way, room) = (network.in_flight().count(), BYTES_MAX / reason.len());
        assert!((FEW + room - 1..=FEW + room).contains(&under_way), "{under_way}");
        assert!(network.weight() >= BYTES_MAX / USUAL);
    }

    #[test]
    fn no_setting_changes_what_another_one_does() {
        let calm = NetworkConfig::default();
        let half = Ratio::per_mille(500);
        let loss = NetworkConfig { loss: half, ..calm };
        let duplication = NetworkConfig { duplication: half, ..calm };
        let reordering = NetworkConfig { reordering: half, ..calm };
        let stragglers = NetworkConfig { stragglers: half, ..calm };
        let fates = |config: NetworkConfig| {
            let mut line = Line::new(Rng::new(3));
            // So far apart that none waits for another.
            (0..300).map(|sent| line.send(Mono(sent * 1_000_000), &config, Lane::Bulk)).collect()
        };
        let calm: Vec<Fate> = fates(calm);
        assert!(calm.iter().all(|fate| !fate.lost && fate.again.is_none()));
        for (config, slows) in
            [(loss, false), (duplication, false), (reordering, false), (stragglers, true)]
        {
            let fates: Vec<Fate> = fates(config);
            let both = || fates.iter().zip(&calm);
            assert!(both().all(|(fate, calm)| fate.arrives >= calm.arrives));
            assert_eq!(both().any(|(fate, calm)| fate.arrives != calm.arrives), slows);
            let count = |holds: fn(&Fate) -> bool| fates.iter().filter(|fate| holds(fate)).count();
            assert_eq!(count(|fate| fate.lost) > 100, config == loss);
            assert_eq!(count(|fate| fate.again.is_some()) > 100, config == duplication);
        }
        let losses = |config| -> Vec<bool> {
            let fates: Vec<Fate> = fates(config);
            fates.iter().map(|fate| fate.lost).collect()
        };
        let all = NetworkConfig { loss: half, ..duplication };
        let all = NetworkConfig { reordering: half, stragglers: half, ..all };
        assert_eq!(losses(all), losses(loss));
    }

    #[test]
    fn stragglers_take_longer_but_not_longer_than_they_may() {
        let config = NetworkConfig {
            stragglers: Ratio::per_mille(100),
            straggle: 20,
            ..NetworkConfig::default()
        };
        let mut line = Line::new(Rng::new(4));
        let mut took = |sent: u64| line.send(Mono(sent), &config, Lane::Bulk).arrives.0 - sent;
        let took: Vec<u64> = (0..10_000).map(|number| took(number * 1_000_000)).collect();
        let late = took.iter().filter(|took| **took > config.latency_max.0).count();
        assert!((800..1_000).contains(&late), "{late}");
        assert!(took.iter().all(|took| *took <= 20 * config.latency_max.0));
        assert!(took.iter().any(|took| *took > 10 * config.latency_max.0));
    }

    #[test]
    fn messages_that_go_their_own_way_overtake_and_copies_arrive_twice() {
        let config = NetworkConfig {
            reordering: Ratio::per_mille(200),
            duplication: Ratio::per_mille(200),
            ..NetworkConfig::default()
        };
        let mut network = Network { config, ..connected(Ratio::ZERO) };
        let mut due = Vec::new();
        for id in 0..500 {
            let sent = network.send(Mono(id * 500), (0, 1), Lane::Bulk, envelope(id), id);
            due.extend(sent.map(|(number, at)| (at, number)));
        }
        due.sort_unstable();
        let mut heard: Vec<u64> = Vec::new();
        for (_, number) in due {
            heard.push(network.arrive(number).unwrap().1.id.0);
        }
        assert!((580..620).contains(&heard.len()), "{}", heard.len());
        let overtaken = heard.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(overtaken > 50, "{overtaken}");
        heard.sort_unstable();
        heard.dedup();
        assert_eq!(heard.len(), 500, "none is lost");
    }

    #[test]
    fn one_direction_of_a_link_has_settings_of_its_own() {
        let mut network = connected(Ratio::ZERO);
        let slow = LinkConfig {
            latency_min: Micros(300_000),
            latency_max: Micros(300_000),
            loss: Ratio::ZERO,
        };
        network.set_own(0, 1, Some(slow));
        assert_eq!(send(&mut network, Mono(0), (0, 1), 1).1, Mono(300_000));
        assert!(send(&mut network, Mono(0), (1, 0), 1).1 <= Mono(10_000));
        network.set_own(0, 1, None);
        assert!(send(&mut network, Mono(400_000), (0, 1), 1).1 <= Mono(410_000));
    }

    #[test]
    fn one_message_is_lost_or_held_up_alone() {
        let mut network = connected(Ratio::ZERO);
        let [(lost, _), (late, at), (whole, _)] =
            [1, 2, 3].map(|id| send(&mut network, Mono(0), (0, 1), id));
        network.lose(lost);
        assert_eq!(network.delay(late, Micros(50)), Some(at + Micros(50)));
        let words = |network: &Network, now, number| network.find(now, number).unwrap_err().0;
        assert!(words(&network, Mono(0), lost).contains("lost already"));
        assert!(words(&network, Mono(0), 99).contains("no message of number 99"));
        assert!(network.find(Mono(0), late).is_ok());
        assert!(words(&network, at + Micros(50), late).contains("waits for its node"));
        assert!(network.arrive(lost).is_none());
        assert!(network.arrive(whole).is_some());
        assert!(network.arrive(late).is_some());
    }

    #[test]
    fn a_cut_loses_what_is_under_way_in_its_direction_only() {
        let mut network = connected(Ratio::ZERO);
        let (there, _) = send(&mut network, Mono(0), (0, 1), 1);
        let (back, _) = send(&mut network, Mono(0), (1, 0), 2);
        network.cut(Mono(0), 0, 1);
        network.mend(0, 1);
        assert!(network.arrive(there).is_none());
        assert!(network.arrive(back).is_some());
        network.partition(Mono(0), alloc::vec![0, 1, 0]);
        assert!(network.is_cut(1, 2) && network.is_cut(0, 1) && !network.is_cut(0, 2));
    }

    #[test]
    fn a_restarted_node_hears_nothing_of_its_former_life() {
        let mut network = connected(Ratio::ZERO);
        let (to_dead, _) = send(&mut network, Mono(0), (0, 1), 1);
        let (of_dead, _) = send(&mut network, Mono(0), (1, 0), 2);
        network.forget(1);
        let only_0 = |node| (node == 0).then(|| hello(node));
        let down = network.connect(Mono(5), (1, 0), [false, true], only_0, true);
        assert_eq!(down.len(), 1);
        let up = network.connect(Mono(6), (1, 0), [true; 2], |node| Some(hello(node)), true);
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
        network.cut(Mono(0), 1, 0);
        network.forget(1);
        let only_0 = |node| (node == 0).then(|| hello(node));
        assert!(network.connect(Mono(5), (0, 1), [true, false], only_0, true).is_empty());
        network.mend(1, 0);
        assert_eq!(network.connect(Mono(6), (0, 1), [true, false], only_0, true).len(), 1);
        assert!(network.connect(Mono(7), (0, 1), [true, false], only_0, true).is_empty());
    }
}

//! The failure detector by itself: who is suspected when, and whom a stall or a live change spares.

use kv_core::cluster::change;
use kv_core::event::{Cause, EventKind};
use kv_core::gossip::Gossip;
use kv_core::id::{BootCount, ClusterId, Epoch, Incarnation, NodeId};
use kv_core::io::Output;
use kv_core::message::{ClusterCommand, Message};
use kv_core::outbox::Outbox;
use kv_core::ring::layout::{Layout, Member};
use kv_core::rng::Rng;
use kv_core::settings::{Setting, Settings, SettingsDocument};
use kv_core::time::{Micros, Mono, Now, Stamp};

/// One member and what it tells the others.
struct Machine {
    id: NodeId,
    gossip: Gossip,
    out: Outbox,
    settings: Settings,
}

fn at(millis: u64) -> Now {
    Now { mono: Mono(0) + Micros::from_millis(millis), ..Now::default() }
}

/// The layout of n1 (founder) and n2.
fn layout() -> Layout {
    let member = Member {
        name: "n1".into(),
        incarnation: Incarnation(1),
        address: String::new(),
        since: Epoch(1),
    };
    let alone = change::found(ClusterId(1), NodeId::of_name("n1"), member, 8, 3, 1);
    let command = ClusterCommand::AddMember {
        name: "n2".into(),
        incarnation: Incarnation(2),
        address: String::new(),
    };
    change::apply(&alone, &command).expect("there is room for two").expect("it is new")
}

fn machine(name: &str, incarnation: u64) -> Machine {
    let id = NodeId::of_name(name);
    let incarnation = Incarnation(incarnation);
    let rng = Rng::new(incarnation.0);
    let document = SettingsDocument::default();
    let mut gossip = Gossip::new(id, incarnation, BootCount(1), document, rng);
    let settings = Settings::default();
    gossip.adopt(at(0), &layout(), &settings);
    for other in ["n1", "n2"].map(NodeId::of_name).into_iter().filter(|other| *other != id) {
        gossip.link(other, true);
    }
    Machine { id, gossip, out: Outbox::new(id, incarnation, at(0)), settings }
}

impl Machine {
    /// Runs the timer if it is due; returns the messages and events that come of it.
    fn tick(&mut self, now: Now) -> (Vec<Message>, Vec<EventKind>) {
        self.out.begin(now, Cause::Timer);
        self.gossip.on_timer(now, Epoch(2), &self.settings, &mut self.out);
        self.drain()
    }

    fn hear(&mut self, now: Now, from: NodeId, message: &Message) -> Vec<EventKind> {
        let Message::Heartbeats { beats, interval, allowed, settings, .. } = message else {
            return Vec::new();
        };
        let digest =
            kv_core::gossip::Digest { interval: *interval, allowed: *allowed, settings: *settings };
        self.out.begin(now, Cause::Timer);
        self.gossip.on_heartbeats(now, from, beats, digest, &mut self.out);
        self.drain().1
    }

    fn drain(&mut self) -> (Vec<Message>, Vec<EventKind>) {
        let (mut messages, mut events) = (Vec::new(), Vec::new());
        while let Some(output) = self.out.poll() {
            match output {
                Output::Send { envelope, .. } => messages.push(envelope.message),
                Output::Event(event) => events.push(event.kind),
                other => panic!("gossip does not do this: {other:?}"),
            }
        }
        (messages, events)
    }

    fn trusts(&self, other: &Self) -> bool {
        self.gossip.reachable().contains(&other.id)
    }
}

/// Lets both run for a while, n1 hearing n2 or not. Returns the events of n1.
fn run(
    n1: &mut Machine,
    n2: &mut Machine,
    millis: core::ops::Range<u64>,
    heard: bool,
) -> Vec<EventKind> {
    let mut events = Vec::new();
    for now in millis.step_by(10).map(at) {
        let (messages, _) = n2.tick(now);
        for message in messages.iter().filter(|_| heard) {
            events.extend(n1.hear(now, n2.id, message));
        }
        events.extend(n1.tick(now).1);
    }
    events
}

#[test]
fn a_silent_member_is_suspected_after_the_allowed_time_and_trusted_when_it_speaks() {
    let (mut n1, mut n2) = (machine("n1", 1), machine("n2", 2));
    assert_eq!(run(&mut n1, &mut n2, 0..5_000, true), []);
    let events = run(&mut n1, &mut n2, 5_000..12_000, false);
    let [EventKind::Suspected { node, silent }] = events[..] else {
        panic!("one suspicion expected, got {events:?}");
    };
    assert_eq!(node, n2.id);
    assert!((2_500..=3_600).contains(&silent.as_millis()), "{silent:?}");
    assert!(!n1.trusts(&n2));
    assert_eq!(run(&mut n1, &mut n2, 12_000..13_000, true), [EventKind::Trusted(n2.id)]);
    assert!(n1.trusts(&n2));
}

#[test]
fn a_member_that_allows_itself_more_time_is_given_it() {
    let (mut n1, mut n2) = (machine("n1", 1), machine("n2", 2));
    let slow = [(Setting::GossipAllowedMs, 20_000), (Setting::GossipIntervalMs, 8_000)];
    n2.settings = n2.settings.with(&slow).expect("valid together");
    assert_eq!(run(&mut n1, &mut n2, 0..60_000, true), []);
}

#[test]
fn a_node_that_was_stalled_does_not_hold_it_against_the_others() {
    let (mut n1, mut n2) = (machine("n1", 1), machine("n2", 2));
    run(&mut n1, &mut n2, 0..3_000, true);
    // n1 does not run for a minute; the heartbeats wait in its queue and come right after.
    assert_eq!(n1.tick(at(63_000)).1, []);
    assert!(n1.trusts(&n2));
    assert_eq!(run(&mut n1, &mut n2, 63_010..66_000, true), []);
}

#[test]
fn a_node_that_cannot_be_reached_is_not_counted_on_though_it_is_alive() {
    let (mut n1, mut n2) = (machine("n1", 1), machine("n2", 2));
    run(&mut n1, &mut n2, 0..1_000, true);
    n1.gossip.link(n2.id, false);
    assert!(!n1.trusts(&n2));
    let (_, _, alive, _) = n1.gossip.peers(at(1_000).mono).next().expect("there is one peer");
    assert!(alive);
}

#[test]
fn a_heartbeat_that_shows_other_settings_is_answered_with_the_document() {
    let (mut n1, mut n2) = (machine("n1", 1), machine("n2", 2));
    let mut document = SettingsDocument::default();
    document.choose(&[(Setting::ReadQuorum, 1)], Stamp(9), n2.id);
    n2.gossip.replace_document(document.clone());
    let (messages, _) =
        (0..100).map(|step| n2.tick(at(step * 10))).find(|(m, _)| !m.is_empty()).expect("it beats");
    let Message::Heartbeats { beats, interval, allowed, settings, .. } = &messages[0] else {
        panic!("a heartbeat first");
    };
    let digest =
        kv_core::gossip::Digest { interval: *interval, allowed: *allowed, settings: *settings };
    n1.gossip.on_heartbeats(at(1_000), n2.id, beats, digest, &mut n1.out);
    let (answers, _) = n1.drain();
    assert!(matches!(answers[..], [Message::SettingsAre { answer: true, .. }]));
    assert!(n1.gossip.on_settings(n2.id, &document, false, &mut n1.out));
    assert_eq!(n1.gossip.document(), &document);
}

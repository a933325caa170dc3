//! Who is alive, and which settings hold: what members tell each other again and again.
//!
//! Each member counts its own heartbeat up once per interval and tells a few random others the latest
//! heartbeats it has heard of. A heartbeat that has not grown for the *non-renewal allowed time* makes
//! its node suspected; one that grows again clears it (van Renesse et al., "A Gossip-Style Failure
//! Detection Service", 1998). Liveness is an opinion: it steers requests and never changes ownership.
//!
//! Three corrections keep healthy nodes from being suspected: the sender's interval and allowed time
//! travel with its heartbeats and the larger allowance counts; a node that was itself stalled first
//! forgives the time it missed; and a fresh member starts as trusted.
//!
//! Settings travel as a whole document when a heartbeat shows that two nodes know different ones.
//! Left out: indirect probes and adaptive thresholds.

use alloc::vec::Vec;

use crate::event::EventKind;
use crate::id::{BootCount, Epoch, Incarnation, LogPosition, NodeId};
use crate::message::{Heartbeat, Message};
use crate::ordered::Set;
use crate::outbox::Outbox;
use crate::pairs::Pairs;
use crate::ring::layout::Layout;
use crate::rng::Rng;
use crate::settings::{Setting, Settings, SettingsDocument};
use crate::time::{Micros, Mono, Now};
use crate::timers::TimerTable;

/// To how many others a node gossips per interval.
const FAN_OUT: u64 = 3;

/// Where the heartbeat timer sits in the table.
const BEAT: usize = 0;

/// The gossip machine of one node.
#[derive(Clone, Debug)]
pub struct Gossip {
    me: Heartbeat,
    rng: Rng,
    timers: TimerTable<1>,
    last_beat: Mono,
    peers: Pairs<NodeId, Peer>,
    linked: Set<NodeId>,
    /// The members that are linked, ascending.
    others: Vec<NodeId>,
    reachable: Set<NodeId>,
    document: SettingsDocument,
    document_at: LogPosition,
}

/// Another member.
#[derive(Clone, Debug)]
struct Peer {
    latest: Heartbeat,
    /// When the heartbeat last grew, or when the member became known.
    renewed: Mono,
    /// What the peer itself allows, as far as it said so.
    allowed: Micros,
    alive: bool,
}

/// What a heartbeat message says besides the heartbeats.
#[derive(Clone, Copy, Debug)]
pub struct Digest {
    /// The sender's interval.
    pub interval: Micros,
    /// The sender's allowed time.
    pub allowed: Micros,
    /// The sender's settings.
    pub settings: u64,
}

impl Gossip {
    /// The machine of a node that has just been opened. It rests until [`Self::adopt`] names members.
    #[must_use]
    pub fn new(
        node: NodeId,
        incarnation: Incarnation,
        boot: BootCount,
        document: SettingsDocument,
        rng: Rng,
    ) -> Self {
        Self {
            me: Heartbeat { node, incarnation, boot, version: 0 },
            rng,
            timers: TimerTable::default(),
            last_beat: Mono(0),
            peers: Pairs::default(),
            linked: Set::new(),
            others: Vec::new(),
            reachable: Set::new(),
            document,
            document_at: LogPosition::START,
        }
    }

    /// Takes the members of a new layout over: new ones are trusted, gone ones forgotten.
    pub fn adopt(&mut self, now: Now, layout: &Layout, settings: &Settings) {
        let me = self.me.node;
        self.peers.retain(|node, peer| layout.is_member(node, peer.latest.incarnation));
        for (&node, member) in layout.members.iter().filter(|(node, _)| **node != me) {
            let (incarnation, boot) = (member.incarnation, BootCount(0));
            let latest = Heartbeat { node, incarnation, boot, version: 0 };
            let (renewed, allowed) = (now.mono, Micros(0));
            self.peers.get_or_insert(node, Peer { latest, renewed, allowed, alive: true });
        }
        if !self.timers.is_set(BEAT) {
            self.last_beat = now.mono;
            let phase = self.rng.below(settings.span(Setting::GossipIntervalMs).0);
            self.timers.set(BEAT, now.mono + Micros(phase));
        }
        self.refresh_reachable();
    }

    /// This node is no longer a member: it falls silent until [`Self::adopt`] names it again.
    pub fn rest(&mut self) {
        self.timers.stop(BEAT);
    }

    /// A link came up or went down.
    pub fn link(&mut self, node: NodeId, up: bool) {
        if up {
            self.linked.insert(node);
        } else {
            self.linked.remove(&node);
        }
        self.refresh_reachable();
    }

    /// The members that requests may count on: thought alive, and linked. This node is among them.
    #[must_use]
    pub fn reachable(&self) -> &Set<NodeId> {
        &self.reachable
    }

    /// Every other member with what is thought of it: linked, alive, silent for how long.
    pub fn peers(&self, now: Mono) -> impl Iterator<Item = (NodeId, bool, bool, Option<Micros>)> {
        self.peers.iter().map(move |(node, peer)| {
            let heard = peer.latest.version > 0;
            let silent = heard.then(|| now - peer.renewed);
            (node, self.linked.contains(&node), peer.alive, silent)
        })
    }

    /// When [`Self::on_timer`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Beats if it is time to, and looks for members that have been silent for too long.
    pub fn on_timer(&mut self, now: Now, epoch: Epoch, settings: &Settings, out: &mut Outbox) {
        if !self.timers.take_due(BEAT, now.mono) {
            return;
        }
        let interval = settings.span(Setting::GossipIntervalMs);
        self.forgive_own_stall(now.mono, interval);
        self.timers.set(BEAT, now.mono + interval);
        self.me.version += 1;
        self.suspect_the_silent(now.mono, settings, out);
        let message = self.heartbeats(epoch, settings);
        for node in self.rng.draw(&mut self.others.clone(), FAN_OUT) {
            out.send(node, None, self.document_at, message.clone());
        }
    }

    /// Tells one node the latest heartbeats now.
    pub fn tell(&self, node: NodeId, epoch: Epoch, settings: &Settings, out: &mut Outbox) {
        out.send(node, None, self.document_at, self.heartbeats(epoch, settings));
    }

    fn heartbeats(&self, epoch: Epoch, settings: &Settings) -> Message {
        let mut beats = Vec::with_capacity(1 + self.peers.len());
        beats.push(self.me);
        beats.extend(self.peers.values().map(|peer| peer.latest).filter(|beat| beat.version > 0));
        Message::Heartbeats {
            beats,
            epoch,
            interval: settings.span(Setting::GossipIntervalMs),
            allowed: settings.span(Setting::GossipAllowedMs),
            settings: self.document.digest(),
        }
    }

    /// Takes in what a member has heard of.
    pub fn on_heartbeats(
        &mut self,
        now: Now,
        from: NodeId,
        beats: &[Heartbeat],
        digest: Digest,
        out: &mut Outbox,
    ) {
        let (mut returned, mut hint) = (false, 0);
        for beat in beats {
            let Some(peer) = self.peers.get_next(beat.node, &mut hint) else { continue };
            let newer = (beat.boot, beat.version) > (peer.latest.boot, peer.latest.version);
            if beat.incarnation != peer.latest.incarnation || !newer {
                continue;
            }
            peer.latest = *beat;
            peer.renewed = now.mono;
            if !peer.alive {
                peer.alive = true;
                returned = true;
                out.event(EventKind::Trusted(beat.node));
            }
        }
        if let Some(peer) = self.peers.get_mut(from) {
            peer.allowed = digest.allowed.max(Micros(2 * digest.interval.0.min(u64::MAX / 2)));
        }
        if returned {
            self.refresh_reachable();
        }
        if digest.settings != self.document.digest() {
            self.tell_settings(from, true, out);
        }
    }

    /// Takes in the settings of another member. Returns whether the document changed; the caller then
    /// makes it durable and calls [`Self::document_written`].
    pub fn on_settings(
        &mut self,
        from: NodeId,
        theirs: &SettingsDocument,
        answer: bool,
        out: &mut Outbox,
    ) -> bool {
        let changed = self.document.merge(theirs);
        for &setting in &changed {
            if let Some(choice) = self.document.choice(setting) {
                let (value, author) = (choice.value, choice.author);
                out.event(EventKind::SettingChanged { setting, value, author });
            }
        }
        if answer && self.document != *theirs {
            self.tell_settings(from, false, out);
        }
        !changed.is_empty()
    }

    /// The choices of the cluster, as known here.
    #[must_use]
    pub fn document(&self) -> &SettingsDocument {
        &self.document
    }

    /// Replaces the document: by choices made here, or by that of a cluster just joined. The caller
    /// makes it durable and calls [`Self::document_written`].
    pub fn replace_document(&mut self, document: SettingsDocument) {
        self.document = document;
    }

    /// The document is in the log, up to this position; it is told to others once that is durable.
    pub fn document_written(&mut self, at: LogPosition) {
        self.document_at = at;
    }

    /// A shorter interval counts from now on, not from the next heartbeat on.
    pub fn settings_changed(&mut self, now: Now, settings: &Settings) {
        let soonest = now.mono + settings.span(Setting::GossipIntervalMs);
        if self.timers.next().is_some_and(|deadline| deadline > soonest) {
            self.timers.set(BEAT, soonest);
        }
    }

    /// Tells all linked members the settings now, because they were changed here.
    pub fn spread_settings(&self, out: &mut Outbox) {
        for &node in &self.others {
            self.tell_settings(node, false, out);
        }
    }

    /// Tells one node the settings, and asks for those that it knows if there is to be an answer.
    pub fn tell_settings(&self, node: NodeId, answer: bool, out: &mut Outbox) {
        let document = self.document.clone();
        out.send(node, None, self.document_at, Message::SettingsAre { document, answer });
    }

    /// A node that did not run for a while must not hold that time against the others.
    fn forgive_own_stall(&mut self, now: Mono, interval: Micros) {
        let late = (now - self.last_beat).0.saturating_sub(2 * interval.0);
        if late > 0 {
            for (_, peer) in self.peers.iter_mut() {
                peer.renewed = (peer.renewed + Micros(late)).min(now);
            }
        }
        self.last_beat = now;
    }

    fn suspect_the_silent(&mut self, now: Mono, settings: &Settings, out: &mut Outbox) {
        let allowed = settings.span(Setting::GossipAllowedMs);
        let mut lost = false;
        for (node, peer) in self.peers.iter_mut() {
            let silent = now - peer.renewed;
            if peer.alive && silent > allowed.max(peer.allowed) {
                peer.alive = false;
                lost = true;
                out.event(EventKind::Suspected { node, silent });
            }
        }
        if lost {
            self.refresh_reachable();
        }
    }

    fn refresh_reachable(&mut self) {
        self.others.clear();
        self.others.extend(self.peers.keys().filter(|node| self.linked.contains(node)));
        let alive = |node: &NodeId| self.peers.get(*node).is_some_and(|peer| peer.alive);
        self.reachable.clear();
        self.reachable.extend(self.others.iter().copied().filter(alive));
        self.reachable.insert(self.me.node);
    }
}

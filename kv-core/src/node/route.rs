//! Where messages go: which machine each is for, and which are not for this node at all.

use alloc::boxed::Box;

use super::Node;
use super::metadata::METADATA;
use crate::disk::Disk;
use crate::event::DropReason;
use crate::gossip::Digest;
use crate::id::{ClusterId, Epoch, Incarnation, LogPosition, NodeId, Replica};
use crate::message::{ClusterCommand, Envelope, Heartbeat, Hello, Message};
use crate::raft::Group;
use crate::ring::layout::Layout;
use crate::time::Now;

impl Node {
    pub(super) fn on_message(&mut self, now: Now, envelope: Envelope, disk: &mut impl Disk) {
        let Envelope { cluster, from, to, incarnation, message, .. } = envelope;
        let me = self.cluster.hello();
        if to != me.node || from == me.node {
            self.out.dropped(from, DropReason::Misdirected);
            return;
        }
        match message {
            Message::Join { who, size } => {
                if !self.is_honest(from, incarnation, &who) {
                    return;
                }
                let reachable = self.gossip.reachable().clone();
                self.cluster.on_join(&who, size, &reachable, &mut self.out);
                let layout = self.cluster.membership();
                if layout.is_some_and(|layout| layout.is_member(from, incarnation)) {
                    // Right behind the layout, lest it serves under settings of its own.
                    self.gossip.tell_settings(from, false, &mut self.out);
                }
            }
            Message::JoinRefused { later, reason } => {
                self.cluster.on_join_refused(from, cluster, later, reason, &mut self.out);
            }
            Message::Invite { size } => {
                self.note_keys(&*disk);
                self.cluster.on_invite(now, from, cluster, size, &mut self.out);
            }
            Message::Adopt(layout) => {
                self.note_keys(&*disk);
                if let Some(adoption) = self.cluster.consider(*layout) {
                    self.adopt(now, adoption, disk);
                }
            }
            Message::Raft(messages) => {
                if cluster.is_some() && cluster == self.cluster.hello().cluster {
                    self.on_raft(now, Replica { node: from, incarnation }, messages);
                } else {
                    self.drop_raft(Replica { node: from, incarnation });
                }
            }
            message => {
                if let Message::Heartbeats { epoch, .. } = message {
                    self.ask_for_layout(cluster, from, epoch);
                }
                if self.is_from_member(cluster, from, incarnation) {
                    self.on_member_message(now, from, message, disk);
                }
            }
        }
    }

    /// A member that was removed and taken in again may have missed the layout that says so: heartbeats
    /// then reach it all the same, and it answers that it lags.
    fn ask_for_layout(&mut self, cluster: Option<ClusterId>, from: NodeId, epoch: Epoch) {
        let removed = self.cluster.layout().filter(|_| self.cluster.membership().is_none());
        if removed.is_some_and(|layout| Some(layout.cluster) == cluster && layout.epoch < epoch) {
            self.gossip.tell(from, self.epoch(), &self.settings, &mut self.out);
        }
    }

    /// A message of a member of this node's own cluster.
    fn on_member_message(
        &mut self,
        now: Now,
        from: NodeId,
        message: Message,
        disk: &mut impl Disk,
    ) {
        match message {
            Message::Heartbeats { beats, epoch, interval, allowed, settings } => {
                let digest = Digest { interval, allowed, settings };
                self.on_heartbeats(now, from, &beats, epoch, digest);
            }
            Message::SettingsAre { document, answer } => {
                if self.gossip.on_settings(from, &document, answer, &mut self.out) {
                    self.write_settings(now, disk);
                }
            }
            Message::Propose { epoch, command } => {
                self.on_propose(from, epoch, command);
            }
            Message::Strong(messages) => {
                self.with_strong(now, disk, |strong, ground| {
                    strong.on_messages(ground, from, messages);
                });
            }
            message => {
                let rest = self.with_eventual(now, disk, |eventual, ground| {
                    eventual.on_message(ground, from, message)
                });
                debug_assert!(rest.flatten().is_none(), "every message has a machine");
            }
        }
    }

    fn on_heartbeats(
        &mut self,
        now: Now,
        from: NodeId,
        beats: &[Heartbeat],
        epoch: Epoch,
        digest: Digest,
    ) {
        self.gossip.on_heartbeats(now, from, beats, digest, &mut self.out);
        let mine = self.epoch();
        if epoch > mine {
            // The sender then sees that this node lags, and sends the layout.
            self.gossip.tell(from, mine, &self.settings, &mut self.out);
        } else if epoch < mine {
            self.tell_layout(from);
        }
    }

    fn on_propose(&mut self, from: NodeId, epoch: Epoch, command: ClusterCommand) {
        if self.groups.get(METADATA).is_some_and(Group::is_leader) {
            self.cluster.on_propose(epoch, command);
        } else {
            self.out.dropped(from, DropReason::Misdirected);
        }
    }

    fn is_honest(&mut self, from: NodeId, incarnation: Incarnation, who: &Hello) -> bool {
        let named = NodeId::of_name(&who.name) == from && who.node == from;
        let honest = named && who.incarnation == incarnation;
        if !honest {
            self.out.dropped(from, DropReason::Nonsense);
        }
        honest
    }

    fn is_from_member(
        &mut self,
        cluster: Option<ClusterId>,
        from: NodeId,
        incarnation: Incarnation,
    ) -> bool {
        let mine: Option<&Layout> = self.cluster.membership();
        if mine.map(|layout| layout.cluster) != cluster || mine.is_none() {
            let reason = match mine {
                Some(_) => DropReason::ForeignCluster,
                None => DropReason::NotAMember,
            };
            self.out.dropped(from, reason);
            return false;
        }
        let member = mine.is_some_and(|layout| layout.is_member(from, incarnation));
        if !member {
            self.out.dropped(from, DropReason::NotAMember);
            self.tell_layout(from);
        }
        member
    }

    pub(super) fn tell_layout(&mut self, to: NodeId) {
        if let Some(layout) = self.cluster.layout() {
            let message = Message::Adopt(Box::new(layout.clone()));
            self.out.send(to, None, LogPosition::START, message);
        }
    }
}

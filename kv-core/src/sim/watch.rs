//! Watches that no message says more than its sender's disk.
//!
//! A replica that confirms a write, shows a value, votes, or confirms entries promises that no loss of
//! power will make it forget that. When such a message leaves, the watch takes what no crash could take
//! from the sender's disk, opens a store on it and looks. It knows the promise of a message and nothing of
//! how a node keeps it.
//!
//! | message | on the sender's disk |
//! | --- | --- |
//! | a value is shown, handed off, or confirmed | every sibling of it, or what replaced it |
//! | a write is sent to be stored | those siblings that the sender itself has named |
//! | a write is reported as done, to a client too | the same |
//! | of Raft | what the table in [`crate::raft`] says |
//!
//! Left out: answers about the strong keyspace, which show what is committed, so what a quorum has
//! confirmed; that parts of a state are there, for states of simulated shards have one part, and who has that
//! confirms entries; damaged disks, on which not finding something would prove nothing; and what promises
//! nothing, such as heartbeats.

mod image;
mod raft;

use alloc::format;
use alloc::vec::Vec;

use bytes::Bytes;
use image::Image;
use raft::Sent;

use super::host::Host;
use crate::check::{Objection, Promise};
use crate::id::GroupId;
use crate::message::{Envelope, Message, Token};
use crate::ordered::Map;
use crate::raft::GroupView;
use crate::request::{Reply, Request};
use crate::time::Mono;
use crate::version::{Dot, Object};

/// The watch of one world.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    partitions: u16,
    /// What nodes were asked and have not answered: who, by whom, under which token.
    asked: Map<(u16, u16, Token), Asked>,
    sent: Sent,
    images: Map<u16, Image>,
    objection: Option<Objection>,
}

/// What an answer will be about.
#[derive(Clone, Debug)]
enum Asked {
    /// What is there under a key.
    Show(Bytes),
    /// To have this.
    Keep(Vec<(Bytes, Object)>),
    /// To write a key.
    Write(Bytes),
}

/// Questions that were lost are forgotten when there are so many.
const ASKED_MAX: usize = 4_096;

impl Watch {
    pub(super) fn new(partitions: u16) -> Self {
        Self {
            partitions,
            asked: Map::new(),
            sent: Sent::default(),
            images: Map::new(),
            objection: None,
        }
    }

    /// The first message that said too much.
    pub(super) fn objection(&self) -> Option<&Objection> {
        self.objection.as_ref()
    }

    /// A node begins anew on what its disk holds, which may be another disk.
    pub(super) fn started(&mut self, node: u16) {
        self.images.remove(&node);
    }

    /// A message leaves a node for another one.
    pub(super) fn sent(&mut self, to: u16, envelope: &Envelope, from: Sender<'_>) {
        let (asks, answers) = ((to, from.node), (from.node, to));
        match &envelope.message {
            Message::Fetch { token, key, .. } => {
                self.ask(asks, *token, || Asked::Show(key.clone()));
            }
            Message::Fetched { token, object: Ok(Some(object)) } => {
                if let Some(Asked::Show(key)) = self.answered(answers, *token) {
                    self.look(from, "shows", &key, dots(object));
                }
            }
            Message::Store { token, key, object, .. } => {
                self.ask(asks, *token, || Asked::Keep([(key.clone(), object.clone())].into()));
                let own = |dot: &Dot| dot.actor == envelope.incarnation;
                self.look(from, "sends", key, dots(object).filter(own));
            }
            Message::HandOff { token, objects, .. } => {
                self.ask(asks, *token, || Asked::Keep(objects.clone()));
                for (key, object) in objects {
                    self.look(from, "hands off", key, dots(object));
                }
            }
            Message::Stored { token, refused: None } | Message::HandedOff { token } => {
                if let Some(Asked::Keep(objects)) = self.answered(answers, *token) {
                    for (key, object) in &objects {
                        self.look(from, "confirms", key, dots(object));
                    }
                }
            }
            Message::Forward { token, request, .. } => {
                if let Request::Put { key, .. } | Request::Delete { key, .. } = &**request {
                    self.ask(asks, *token, || Asked::Write(key.clone()));
                }
            }
            Message::Forwarded { token, result: Ok(reply) } => {
                if let Some(Asked::Write(key)) = self.answered(answers, *token) {
                    self.replied(&key, reply, from);
                }
            }
            Message::Raft(messages) => {
                let image = image(&mut self.images, from);
                let does = self.sent.broken(envelope, messages, |id| from.group(id), image);
                if let Some(does) = does {
                    self.object(from, &does);
                }
            }
            _ => {}
        }
    }

    /// A node tells a client, or who asked for it, what came of an operation on this key.
    pub(super) fn replied(&mut self, key: &Bytes, reply: &Reply, from: Sender<'_>) {
        if let Reply::Written { dot, .. } = reply
            && from.named(*dot)
        {
            self.look(from, "reports as written", key, [*dot].into_iter());
        }
    }

    fn ask(&mut self, (who, by): (u16, u16), token: Token, what: impl FnOnce() -> Asked) {
        // Token 0 stands for any number of repairs that nobody waits for.
        if token == 0 {
            return;
        }
        if self.asked.len() >= ASKED_MAX {
            self.asked.clear();
        }
        self.asked.insert((who, by, token), what());
    }

    fn answered(&mut self, (who, by): (u16, u16), token: Token) -> Option<Asked> {
        self.asked.remove(&(who, by, token))
    }

    /// These writes of a key, or what replaced them, are on the sender's disk.
    fn look(
        &mut self,
        from: Sender<'_>,
        does: &str,
        key: &Bytes,
        mut dots: impl Iterator<Item = Dot>,
    ) {
        let Some(first) = dots.next() else { return };
        let held = image(&mut self.images, from).object(self.partitions, key);
        let covers = |dot: Dot| held.as_ref().is_some_and(|held| held.clock().covers(dot));
        if !covers(first) || !dots.all(covers) {
            self.object(from, &format!("{does} a version of {}", key.escape_ascii()));
        }
    }

    fn object(&mut self, from: Sender<'_>, does: &str) {
        // Not finding it on a damaged disk proves nothing: a node may still have it in memory.
        if self.objection.is_some() || from.host.disk.is_damaged() {
            return;
        }
        let node = u32::from(from.node) + 1;
        let words =
            format!("n{node} {does}, and a loss of power could still take that from its disk");
        self.objection =
            Some(Objection::new(Promise::DurableBeforeSaid, [].into(), from.now, words));
    }
}

/// Who says something, and when.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) now: Mono,
    pub(super) node: u16,
    pub(super) host: &'a Host,
}

impl Sender<'_> {
    /// Its replica of a group, if it has one.
    fn group(self, group: GroupId) -> Option<GroupView> {
        let view = self.host.node()?.view(self.host.clocks.at(self.now).mono);
        view.groups.into_iter().find(|held| held.group == group)
    }

    /// Whether a write has its name from the sender as it is now.
    fn named(self, dot: Dot) -> bool {
        self.host.node().is_some_and(|node| node.hello().incarnation == dot.actor)
    }
}

/// What is durable on a sender's disk.
fn image<'a>(images: &'a mut Map<u16, Image>, from: Sender<'_>) -> &'a Image {
    let disk = &from.host.disk;
    if images.get(&from.node).is_some_and(|image| !image.is_of(disk)) {
        images.remove(&from.node);
    }
    images.entry(from.node).or_insert_with(|| Image::of(disk))
}

fn dots(object: &Object) -> impl Iterator<Item = Dot> {
    object.siblings().map(|(dot, _)| dot)
}

//! Membership and ownership: the one machine that makes new layouts.
//!
//! Changes are commands ([`change`], pure functions). A replicated log puts them in order, that of the
//! *metadata group*: a member hands a command to the group's leader, the leader enters it into the log,
//! and whoever has the log applies it ([`Cluster::apply`]). The leader also sends each new layout to all
//! members, for some may not have the log yet. The layout says which entry it is the state of, so it is
//! the same thing whether it was applied or arrived.
//!
//! A node that is in no cluster yet founds one or asks around to be taken in ([`joining`]). Requests
//! that change the cluster wait as wishes until a layout fulfils them.
//!
//! Left out: a metadata group that has lost its majority for good. Its cluster keeps serving data, but its
//! membership is frozen.

pub mod change;
mod joining;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::error::RequestError;
use crate::id::{Epoch, Index, LogPosition, NodeId, Replica, RequestId, ShardId};
use crate::io::Founding;
use crate::message::raft::Membership;
use crate::message::{ClusterCommand, Hello, Message};
use crate::ordered::{self, Map, Set};
use crate::outbox::Outbox;
use crate::request::Reply;
use crate::ring::layout::{Layout, Stage};
use crate::time::{Micros, Mono, Now};
use crate::timers::TimerTable;

/// How often whatever has not come about yet is asked for again.
const RETRY: Micros = Micros::from_millis(300);

/// Where the retry timer sits in the table.
const RETRY_TIMER: usize = 0;

/// How long a change of the cluster may take before the client is told that it is unknown.
const PATIENCE: Micros = Micros::from_millis(10_000);

/// The cluster machine of one node.
#[derive(Clone, Debug)]
pub struct Cluster {
    me: Hello,
    /// Into how many partitions this node's data is cut, or would be if it founded a cluster.
    partitions: u16,
    /// Into how many shards the strong keyspace would be cut if this node founded a cluster.
    shards: u32,
    /// Whether this node holds keys that it would lose if it joined another cluster.
    keeps: bool,
    layout: Option<Layout>,
    /// Whether this node is a member by the layout: almost every input asks.
    member: bool,
    /// The layout is revealed only once the log is durable up to here.
    layout_at: LogPosition,
    joining: joining::Joining,
    linked: Map<NodeId, Hello>,
    wishes: Map<RequestId, (Wish, Mono)>,
    /// The stage of a move that this node has done its part of.
    done: Option<Epoch>,
    /// The shards that have arrived under this node's lead, with the epochs since which they are there.
    settled: Map<ShardId, Epoch>,
    /// Who leads the metadata group, as far as this node knows.
    leader: Option<NodeId>,
    /// Who votes in it, as far as that is committed.
    electorate: Arc<Membership>,
    /// Commands for the log, if it is this node.
    proposals: Vec<(Epoch, ClusterCommand)>,
    timers: TimerTable<1>,
}

/// The most members that vote in the metadata group.
const VOTERS_MAX: usize = 5;

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// This node and another are members of one cluster.
    Together(NodeId),
    /// A node is no member, and unless that was forced, nothing needs it any more.
    Without {
        /// Which.
        node: NodeId,
        /// Even while a shard is on its way from some members to others.
        force: bool,
    },
    /// N is so.
    Replicas(u64),
}

impl Wish {
    /// The command that fulfils it by itself, if one does.
    fn command(&self) -> Option<ClusterCommand> {
        match *self {
            Self::Together(_) => None,
            Self::Without { node, force } => Some(ClusterCommand::RemoveMember { node, force }),
            Self::Replicas(replicas) => Some(ClusterCommand::SetReplicas(replicas)),
        }
    }
}

/// A layout that the node shall now live by. The node makes it durable, then calls
/// [`Cluster::adopted`].
#[derive(Clone, Debug)]
pub struct Adoption {
    /// The layout.
    pub layout: Layout,
    /// Whether it is that of another cluster, or the first of all.
    pub switched: bool,
}

impl Cluster {
    /// The machine of a node that has just been opened, with the layout found in its folder.
    #[must_use]
    pub fn new(
        now: Now,
        me: Hello,
        (partitions, shards): (u16, u32),
        founding: Founding,
        layout: Option<Layout>,
    ) -> Self {
        let partitions = layout.as_ref().map_or(partitions, |layout| layout.ring.partitions());
        let member =
            layout.as_ref().is_some_and(|layout| layout.is_member(me.node, me.incarnation));
        let mut timers = TimerTable::default();
        timers.set(RETRY_TIMER, now.mono + RETRY);
        Self {
            me,
            partitions,
            shards,
            keeps: false,
            layout,
            member,
            layout_at: LogPosition::START,
            joining: joining::Joining::new(now.mono, founding),
            linked: Map::new(),
            wishes: Map::new(),
            done: None,
            settled: Map::new(),
            leader: None,
            electorate: Arc::default(),
            proposals: Vec::new(),
            timers,
        }
    }

    /// The layout, if this node is a member of it.
    #[must_use]
    pub fn membership(&self) -> Option<&Layout> {
        self.layout.as_ref().filter(|_| self.member)
    }

    /// The layout this node knows, even if it is no longer a member.
    #[must_use]
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// The layout that was found in the folder is durable from this log position on.
    pub fn layout_read(&mut self, at: LogPosition) {
        self.layout_at = at;
    }

    /// The peers a link is up to.
    #[must_use]
    pub fn linked(&self) -> &Map<NodeId, Hello> {
        &self.linked
    }

    /// A link came up or went down.
    pub fn link(&mut self, peer: Hello, up: bool) {
        if up {
            self.linked.insert(peer.node, peer);
        } else {
            self.linked.remove(&peer.node);
        }
    }

    /// When [`Self::on_timer`] wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Asks again for what has not come about, and gives up on wishes that took too long.
    pub fn on_timer(
        &mut self,
        now: Now,
        entropy: u64,
        replicas: u64,
        out: &mut Outbox,
    ) -> Option<Adoption> {
        if !self.timers.take_due(RETRY_TIMER, now.mono) {
            return None;
        }
        for (id, (wish, _)) in self.wishes.extract(|_, (_, deadline)| *deadline <= now.mono) {
            if self.layout.as_ref().is_some_and(|layout| self.fulfils(layout, &wish)) {
                out.reply(id, self.layout_at, Ok(Reply::Done));
                continue;
            }
            let words = String::from("the cluster did not confirm the change in time");
            out.reply(id, LogPosition::START, Err(RequestError::Unknown(words)));
        }
        let adoption = match self.membership() {
            None => self.seek_membership(now, entropy, replicas, out),
            Some(_) => {
                self.repeat_proposals(now, out);
                None
            }
        };
        self.arm(now.mono);
        adoption
    }

    /// Proposes a change: the leader enters it into the log, everybody else hands it to the leader.
    /// Fails, and changes nothing, if the layout known here already speaks against it.
    pub fn propose(
        &mut self,
        command: ClusterCommand,
        out: &mut Outbox,
    ) -> Result<(), RequestError> {
        let (leader, epoch) = self.check(&command)?;
        if leader == self.me.node {
            self.proposals.push((epoch, command));
        } else {
            out.send(leader, None, self.layout_at, Message::Propose { epoch, command });
        }
        Ok(())
    }

    /// Whether a change can be proposed now: to whom, and under which epoch.
    pub fn check(&self, command: &ClusterCommand) -> Result<(NodeId, Epoch), RequestError> {
        let Some(layout) = &self.layout else {
            return Err(not_a_member());
        };
        change::changes(layout, command)?;
        let leader = self
            .leader
            .filter(|leader| *leader == self.me.node || self.linked.contains_key(leader));
        let Some(leader) = leader else {
            return Err(RequestError::Unavailable(String::from(
                "no leader of the metadata group can be reached, and only it changes the cluster; nothing was changed, try again shortly, and start its voters if most of them are down",
            )));
        };
        Ok((leader, layout.epoch))
    }

    /// A member hands this node, which it thinks leads, a command.
    pub fn on_propose(&mut self, epoch: Epoch, command: ClusterCommand) {
        if self.layout.as_ref().is_some_and(|layout| Self::allows(layout, epoch, &command)) {
            self.proposals.push((epoch, command));
        }
    }

    /// Who votes in the metadata group, as far as that is committed.
    pub fn voted_by(&mut self, electorate: &Arc<Membership>, out: &mut Outbox) {
        if !Arc::ptr_eq(&self.electorate, electorate) {
            self.electorate = Arc::clone(electorate);
            self.grant_wishes(out);
        }
    }

    /// Whether there are commands that shall enter the log.
    #[must_use]
    pub fn proposes(&self) -> bool {
        !self.proposals.is_empty()
    }

    /// The commands that shall enter the log, with the epochs under which they were proposed.
    pub fn take_proposals(&mut self) -> Vec<(Epoch, ClusterCommand)> {
        core::mem::take(&mut self.proposals)
    }

    /// Whether this node holds keys that it would lose if it joined another cluster.
    pub fn keeps(&mut self, keeps: bool) {
        self.keeps = keeps;
    }

    /// Who leads the metadata group, as far as this node knows.
    pub fn led_by(&mut self, leader: Option<NodeId>) {
        self.leader = leader;
    }

    /// A command is committed, at this entry of the log. Returns what comes of the layout before, if
    /// something does: what is refused, or was applied before, changes nothing.
    #[must_use]
    pub fn apply(
        before: &Layout,
        at: Index,
        epoch: Epoch,
        command: &ClusterCommand,
    ) -> Option<Layout> {
        // Newcomers may come in at the same time; anything else was meant for the layout it knew.
        let newcomer = matches!(command, ClusterCommand::AddMember { .. });
        if at <= before.at || !(newcomer || Self::allows(before, epoch, command)) {
            return None;
        }
        let next = change::apply(before, command).ok()??;
        Some(Layout { at, ..next })
    }

    /// Whether a command proposed under an epoch still means what was meant. A report names the
    /// epoch that it is about, and speaks of no other.
    fn allows(layout: &Layout, epoch: Epoch, command: &ClusterCommand) -> bool {
        let report = matches!(
            command,
            ClusterCommand::MoveDone { .. } | ClusterCommand::ShardSettled { .. }
        );
        layout.epoch <= epoch || report
    }

    /// Who shall vote in the metadata group, given who does now and whom this node can reach: an odd
    /// number of members, those who vote already before others, and those who can be reached before
    /// those who cannot.
    #[must_use]
    pub fn voters(
        &self,
        now: &Set<Replica>,
        reachable: &Set<NodeId>,
    ) -> (Set<Replica>, Set<Replica>) {
        let Some(layout) = &self.layout else { return Default::default() };
        let mut members: Vec<Replica> = layout
            .members
            .iter()
            .map(|(node, member)| Replica { node: *node, incarnation: member.incarnation })
            .collect();
        let count = members.len().min(VOTERS_MAX).saturating_sub(1) / 2 * 2 + 1;
        ordered::sort_by_key(&mut members, |member| {
            let away = !reachable.contains(&member.node);
            (away, !now.contains(member), member.node != self.me.node, *member)
        });
        let learners = members.split_off(count.min(members.len()));
        (members.into_iter().collect(), learners.into_iter().collect())
    }

    /// Proposes a change for a client, who is answered once a layout fulfils the wish.
    pub fn wish(&mut self, now: Now, id: RequestId, wish: Wish, out: &mut Outbox) {
        if let Wish::Together(peer) = wish {
            return self.wish_together(now, id, peer, out);
        }
        match wish.command().map_or(Ok(()), |command| self.propose(command, out)) {
            Ok(()) => {
                self.wishes.insert(id, (wish, now.mono + PATIENCE));
                self.grant_wishes(out);
                self.arm(now.mono);
            }
            Err(error) => out.reply(id, LogPosition::START, Err(error)),
        }
    }

    /// A client no longer waits for its wish; the change may still happen.
    pub fn forget_wish(&mut self, id: RequestId) {
        self.wishes.remove(&id);
    }

    /// A layout arrived. Says whether it is to be adopted.
    #[must_use]
    pub fn consider(&self, layout: Layout) -> Option<Adoption> {
        if !layout.is_sound() {
            return None;
        }
        let mine = self.layout.as_ref();
        if mine.is_some_and(|mine| mine.ring.partitions() != layout.ring.partitions()) {
            return None; // What is stored here would no longer be found.
        }
        if mine.is_some_and(|mine| mine.cluster == layout.cluster) {
            let newer = mine.is_some_and(|mine| layout.epoch > mine.epoch);
            return newer.then_some(Adoption { layout, switched: false });
        }
        // Whoever has taken this node in was asked to, maybe before a restart that made it forget.
        let free = self.membership().is_none_or(|mine| mine.members.len() == 1);
        let loses = self.keeps && self.membership().is_some();
        let wanted = free && !loses && layout.is_member(self.me.node, self.me.incarnation);
        wanted.then_some(Adoption { layout, switched: true })
    }

    /// A report was noted: the layout is in the log, up to this position.
    pub fn noted(&mut self, layout: Layout, at: LogPosition, out: &mut Outbox) {
        self.know(layout);
        self.layout_at = at;
        self.grant_wishes(out);
    }

    /// The layout is in the log, up to this position. The leader sends it to all members, and clients
    /// whose wish it fulfils are answered.
    pub fn adopted(&mut self, now: Now, adoption: Adoption, at: LogPosition, out: &mut Outbox) {
        let Adoption { layout, switched } = adoption;
        self.me.cluster = Some(layout.cluster);
        self.partitions = layout.ring.partitions();
        self.layout_at = at;
        if switched {
            self.joining.reached();
            self.done = None; // Epochs of another cluster.
            self.settled.clear();
            self.proposals.clear();
        }
        if self.leader == Some(self.me.node) {
            for (&node, member) in layout.members.iter().filter(|(node, _)| **node != self.me.node)
            {
                let linked = self.linked.get(&node);
                if linked.is_some_and(|hello| hello.incarnation == member.incarnation) {
                    out.send(node, None, at, Message::Adopt(Box::new(layout.clone())));
                }
            }
        }
        self.know(layout);
        self.grant_wishes(out);
        self.arm(now.mono);
    }

    fn know(&mut self, layout: Layout) {
        self.member = layout.is_member(self.me.node, self.me.incarnation);
        self.layout = Some(layout);
    }

    /// This node has done its part of the stage of a move that began in this epoch.
    pub fn done_with_stage(&mut self, now: Now, since: Epoch, out: &mut Outbox) {
        if self.done != Some(since) {
            self.done = Some(since);
            self.arm(now.mono);
            self.report_done(out);
        } // Else it was reported already; the retry timer repeats it.
    }

    /// A shard that this node leads has arrived where it is to be since this epoch.
    pub fn shard_settled(&mut self, now: Now, shard: ShardId, since: Epoch, out: &mut Outbox) {
        if self.settled.insert(shard, since) != Some(since) {
            self.arm(now.mono);
            self.report_settled(out);
        } // Else it was reported already; the retry timer repeats it.
    }

    /// What the first words of this node on a link are.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.me
    }

    fn grant_wishes(&mut self, out: &mut Outbox) {
        let Some(layout) = &self.layout else { return };
        // Two are together when reads find what either has stored.
        let copying = layout.moving.as_ref().is_some_and(|moving| moving.stage == Stage::Copy);
        let waits = |wish: &Wish| match *wish {
            Wish::Together(_) => copying,
            // One that was let go itself does not hear how the logs fare that it voted on.
            Wish::Without { node, force } => {
                let Membership { voters, outgoing, .. } = &*self.electorate;
                let votes = || voters.iter().chain(outgoing).any(|voter| voter.node == node);
                !force && node != self.me.node && (layout.unsettled().is_some() || votes())
            }
            Wish::Replicas(_) => false,
        };
        let granted: Vec<RequestId> = self
            .wishes
            .iter()
            .filter(|(_, (wish, _))| self.fulfils(layout, wish) && !waits(wish))
            .map(|(&id, _)| id)
            .collect();
        for id in granted {
            self.wishes.remove(&id);
            out.reply(id, self.layout_at, Ok(Reply::Done));
        }
    }

    fn fulfils(&self, layout: &Layout, wish: &Wish) -> bool {
        match wish {
            Wish::Together(peer) => {
                layout.members.contains_key(peer) && layout.members.contains_key(&self.me.node)
            }
            Wish::Without { node, .. } => !layout.members.contains_key(node),
            Wish::Replicas(replicas) => layout.replicas == *replicas,
        }
    }

    fn repeat_proposals(&mut self, now: Now, out: &mut Outbox) {
        self.repeat_merge(now, out);
        self.report_address(out);
        let commands = self.wishes.values().filter_map(|(wish, _)| wish.command());
        for command in commands.collect::<Vec<_>>() {
            // A refusal now means that the layout on the way will answer the wish, or that the leader
            // is away: both will pass.
            let _ = self.propose(command, out);
        }
        self.report_done(out);
        self.report_settled(out);
    }

    /// Says which shards have arrived, if nobody has noted it yet.
    fn report_settled(&mut self, out: &mut Outbox) {
        let Some(layout) = &self.layout else { return };
        let noted = |shard: &ShardId, since: &mut Epoch| {
            let known = layout.shards.get(shard.0 as usize);
            known.is_none_or(|known| known.settled || *since < known.since)
        };
        self.settled.extract(noted);
        for (shard, since) in self.settled.clone() {
            // The leader may be away; this is repeated until it is noted.
            let _ = self.propose(ClusterCommand::ShardSettled { shard, since }, out);
        }
    }

    /// Says that this node has done its part of a stage, if nobody has noted it yet.
    fn report_done(&mut self, out: &mut Outbox) {
        let moving = self.layout.as_ref().and_then(|layout| layout.moving.as_ref());
        let since = moving.filter(|moving| !moving.done.contains(&self.me.node)).map(|m| m.since);
        if let Some(since) = self.done.filter(|done| Some(*done) == since) {
            let command = ClusterCommand::MoveDone { node: self.me.node, since };
            // The leader may be away; this is repeated until the stage is over.
            let _ = self.propose(command, out);
        }
    }

    /// A member that is reached elsewhere since its restart says so, until a layout shows it.
    fn report_address(&mut self, out: &mut Outbox) {
        let known = self.membership().and_then(|layout| layout.members.get(&self.me.node));
        if known.is_some_and(|member| member.address != self.me.address) {
            let (node, address) = (self.me.node, self.me.address.clone());
            let _ = self.propose(ClusterCommand::SetAddress { node, address }, out);
        }
    }

    /// Keeps the retry timer running as long as there is something to repeat.
    fn arm(&mut self, now: Mono) {
        let restless = match self.membership() {
            None => true,
            Some(layout) => {
                layout.moving.is_some()
                    || self.joining.is_merging()
                    || !self.wishes.is_empty()
                    || !self.settled.is_empty()
                    || layout
                        .members
                        .get(&self.me.node)
                        .is_some_and(|member| member.address != self.me.address)
            }
        };
        if !restless {
            self.timers.stop(RETRY_TIMER);
        } else if !self.timers.is_set(RETRY_TIMER) {
            self.timers.set(RETRY_TIMER, now + RETRY);
        }
    }
}

fn not_a_member() -> RequestError {
    RequestError::Unavailable(String::from(
        "this node is not a member of a cluster yet; nothing was changed, try again shortly",
    ))
}

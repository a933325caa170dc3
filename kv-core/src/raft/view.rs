//! What a replica looks like from outside: for people, for checkers, and for nothing that decides.

use alloc::vec::Vec;

use super::progress::Flow;
use super::{Group, Role};
use crate::id::{GroupId, Index, Replica, Term};
use crate::message::raft::{EntryId, Membership};
use crate::ordered::Set;
use crate::time::Mono;

/// One group on one replica, at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// The group.
    pub group: GroupId,
    /// The replica.
    pub me: Replica,
    /// What it is.
    pub role: RoleView,
    /// Its term.
    pub term: Term,
    /// For whom it voted in it.
    pub vote: Option<Replica>,
    /// Who leads, as far as it knows.
    pub leader: Option<Replica>,
    /// The last entry that was compacted.
    pub base: EntryId,
    /// The last entry.
    pub last: EntryId,
    /// Up to where its disk has the log.
    pub durable: Index,
    /// Up to where entries are known to be committed.
    pub commit: Index,
    /// Up to where entries were given to the state machine.
    pub applied: Index,
    /// The entry that holds the membership in force.
    pub membership_at: Index,
    /// The membership in force.
    pub membership: Membership,
    /// Who votes for it, while it asks or stands.
    pub votes: Set<Replica>,
    /// Whether it leads a change of the membership that is not done.
    pub changing: bool,
    /// What the leader knows of the others; nothing on the others.
    pub peers: Vec<PeerView>,
    /// When it stands for election unless it hears from a leader.
    pub deadline: Option<Mono>,
}

/// What a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleView {
    /// It follows, or waits.
    Follower,
    /// It gets everything and has no vote.
    Learner,
    /// It asks whether it would be elected.
    PreCandidate,
    /// It stands for election.
    Candidate,
    /// It leads.
    Leader,
}

/// What a leader knows of another replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Which.
    pub replica: Replica,
    /// Up to where it has the log.
    pub matched: Index,
    /// The next entry it is sent.
    pub next: Index,
    /// How it is sent entries: `probe`, `replicate` or `snapshot`.
    pub flow: &'static str,
}

impl RoleView {
    /// The word of the field for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::Learner => "learner",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

impl Group {
    /// This replica as it is now.
    #[must_use]
    pub fn view(&self) -> GroupView {
        let core = &self.core;
        let (membership_at, membership) = core.log.membership();
        GroupView {
            group: core.group,
            me: core.me,
            role: self.role_view(),
            term: core.term,
            vote: core.vote,
            leader: core.leader,
            base: core.log.base(),
            last: core.log.last(),
            durable: core.log.durable(),
            commit: core.commit,
            applied: core.applied,
            membership_at,
            membership: (**membership).clone(),
            votes: self.votes(),
            changing: matches!(&self.role, Role::Leader(leader) if leader.is_changing()),
            peers: self.peer_views(),
            deadline: (!self.is_leader() && self.may_campaign()).then_some(core.deadline),
        }
    }

    fn role_view(&self) -> RoleView {
        match &self.role {
            Role::Leader(_) => RoleView::Leader,
            Role::Candidate(candidate) => match candidate.stage {
                super::Stage::Asking => RoleView::PreCandidate,
                super::Stage::Standing => RoleView::Candidate,
            },
            Role::Follower(_) if self.core.membership().learners.contains(&self.core.me) => {
                RoleView::Learner
            }
            Role::Follower(_) => RoleView::Follower,
        }
    }

    fn votes(&self) -> Set<Replica> {
        match &self.role {
            Role::Candidate(candidate) => candidate.supporters(),
            Role::Follower(_) | Role::Leader(_) => Set::new(),
        }
    }

    fn peer_views(&self) -> Vec<PeerView> {
        let Role::Leader(leader) = &self.role else { return Vec::new() };
        let peer = |(replica, progress): (&Replica, &super::progress::Progress)| PeerView {
            replica: *replica,
            matched: progress.matched,
            next: progress.next,
            flow: match progress.flow {
                Flow::Probe { .. } => "probe",
                Flow::Replicate(_) => "replicate",
                Flow::Snapshot(_) => "snapshot",
            },
        };
        leader.peers.iter().map(peer).collect()
    }
}

//! Requests that change the cluster or its settings.

use alloc::format;
use alloc::string::String;

use super::Node;
use crate::cluster::Wish;
use crate::codec;
use crate::disk::Disk;
use crate::error::RequestError;
use crate::event::{EventKind, Operation};
use crate::id::{LogPosition, NodeId, RequestId};
use crate::message::ClusterCommand;
use crate::request::strong::StrongRequest;
use crate::request::{Reply, Request};
use crate::settings::{Setting, SettingsDocument};
use crate::storage::{Batch, StoreError};
use crate::time::Now;

impl Node {
    /// Changes settings, all or none. N changes by a command of the cluster.
    pub(super) fn set(
        &mut self,
        now: Now,
        id: RequestId,
        changes: &[(Setting, u64)],
        disk: &mut impl Disk,
    ) {
        if let Err(words) = self.settings.with(changes) {
            self.out.reply(id, LogPosition::START, Err(RequestError::Invalid(words)));
            return;
        }
        let now_replicas = self.settings.get(Setting::Replicas);
        let replicas = changes.iter().rev().find(|(setting, _)| *setting == Setting::Replicas);
        let wish = replicas.filter(|(_, value)| *value != now_replicas);
        if let Some(&(_, replicas)) = wish
            && let Err(error) = self.cluster.check(&ClusterCommand::SetReplicas(replicas))
        {
            self.out.reply(id, LogPosition::START, Err(error));
            return;
        }
        let at = match self.choose(now, changes, disk) {
            Ok(at) => at,
            Err(error) => {
                self.out.reply(id, LogPosition::START, Err(error));
                return;
            }
        };
        match wish {
            Some(&(_, replicas)) => self.wish(now, id, Wish::Replicas(replicas)),
            None => self.out.reply(id, at, Ok(Reply::Done)),
        }
    }

    /// Lets a member go, unless a replicated log would be left without a majority that can be reached.
    pub(super) fn remove_member(&mut self, now: Now, id: RequestId, node: NodeId, force: bool) {
        match self.loses_majority(node).filter(|_| !force) {
            None => self.wish(now, id, Wish::Without { node, force }),
            Some(what) => {
                let words = format!(
                    "without it {what} would have no majority of replicas that can be reached; nothing was changed, bring others back first, or force it"
                );
                self.out.reply(id, LogPosition::START, Err(RequestError::Conflict(words)));
            }
        }
    }

    /// Asks the cluster machine to bring a change about.
    pub(super) fn wish(&mut self, now: Now, id: RequestId, wish: Wish) {
        self.cluster.wish(now, id, wish, &mut self.out);
    }

    /// Makes the settings document durable after it has changed.
    pub(super) fn write_settings(&mut self, now: Now, disk: &mut impl Disk) {
        // Without room the change lives in memory; it will be in the next document that fits.
        let document = self.gossip.document().clone();
        if let Ok(at) = self.log_settings(&document, disk) {
            self.gossip.document_written(at);
        }
        self.refresh_settings(now);
    }

    fn choose(
        &mut self,
        now: Now,
        changes: &[(Setting, u64)],
        disk: &mut impl Disk,
    ) -> Result<LogPosition, RequestError> {
        let me = self.cluster.hello().node;
        let mut document = self.gossip.document().clone();
        // Even if the clock was set back, a new choice is later than those it replaces.
        let stamp = self.clock.tick(now.wall).max(document.latest().next());
        document.choose(changes, stamp, me);
        if document == *self.gossip.document() {
            return Ok(LogPosition::START);
        }
        let at = self.log_settings(&document, disk)?;
        self.gossip.replace_document(document);
        self.gossip.document_written(at);
        self.refresh_settings(now);
        for &(setting, value) in changes.iter().filter(|(setting, _)| *setting != Setting::Replicas)
        {
            self.out.event(EventKind::SettingChanged { setting, value, author: me });
        }
        self.gossip.spread_settings(&mut self.out);
        Ok(at)
    }

    fn log_settings(
        &mut self,
        document: &SettingsDocument,
        disk: &mut impl Disk,
    ) -> Result<LogPosition, RequestError> {
        let mut batch = Batch::default();
        batch.put(super::opening::SETTINGS, codec::encode(document));
        self.store.apply(&batch, disk).map_err(|error| match error {
            StoreError::Busy => RequestError::Busy,
            // After a failed write the node halts, so this answer never leaves.
            StoreError::Full | StoreError::Failed(_) => RequestError::Full,
        })
    }

    /// Why no request is served before this node is a member, or after it was removed.
    pub(super) fn not_serving(&self) -> RequestError {
        RequestError::Unavailable(String::from(match self.cluster.layout() {
            None => {
                "this node is not a member of a cluster yet; nothing was changed, try again shortly"
            }
            Some(_) => {
                "this node was removed from its cluster; nothing was changed, ask a member, or start it with an empty data folder to join again"
            }
        }))
    }
}

/// The request in one word.
pub(super) fn operation_of(request: &Request) -> Operation {
    match request {
        Request::Get { .. } => Operation::Get,
        Request::Put { .. } => Operation::Put,
        Request::Delete { .. } => Operation::Delete,
        Request::ListLocal { .. } => Operation::List,
        Request::Set { .. } => Operation::Set,
        Request::AddPeer { .. } => Operation::AddPeer,
        Request::RemoveMember { .. } => Operation::RemoveMember,
        Request::Strong { request, .. } => match request {
            StrongRequest::Get { .. } => Operation::Get,
            StrongRequest::Write { .. } => Operation::Write,
            StrongRequest::Scan { .. } => Operation::Scan,
            StrongRequest::Watch { .. } => Operation::Watch,
            StrongRequest::OpenSession { .. } => Operation::OpenSession,
            StrongRequest::Leader { .. } => Operation::Leader,
        },
    }
}

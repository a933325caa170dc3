//! The task that owns the node.
//!
//! Tasks of the transport and the surfaces put what happens into four queues; this task takes what is
//! there, urgent things first and no queue for so long that another starves, hands each to the node
//! with the time, and delivers what comes out. Then it waits for more, or for the node's deadline.
//!
//! It shares the threads of the sockets: nothing has to wake another thread to come in or go out. Whenever
//! it is woken it first lets all others run that are ready, so that one turn takes what all of them have.
//!
//! | queue | carries | bounded by |
//! | --- | --- | --- |
//! | control | syncs, jobs, withdrawals, lost links, views | what is open |
//! | urgent | new links and small messages | count: the peer waits |
//! | bulk | messages with values | count and bytes: the peer waits |
//! | clients | requests | count: the client gets Busy |
//!
//! Left out: any decision about keys, members or messages.

mod handle;
mod links;
mod queues;

pub(crate) use handle::{Facts, Handle, Pending};
pub(crate) use links::{Connection, ConnectionId, Verdict};
pub(crate) use queues::{Arrival, Control};

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kv_core::error::RequestError;
use kv_core::event::EventKind;
use kv_core::id::{NodeId, RequestId};
use kv_core::io::{Input, Output};
use kv_core::message::Hello;
use kv_core::node::Node;
use kv_core::request::Reply;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::warn;

use crate::clock::Clock;
use crate::disk::FileDisk;
use crate::log;
use crate::workers::Workers;
use links::Links;
use queues::{Answers, ClientRequest, Queues};

/// How many things of one queue are taken before the others get their turn.
const TURN: usize = 256;
/// How long a node that is told to stop waits for requests and syncs that are open.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// Why the node has ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It was told to, and everything acknowledged is on disk.
    Stopped,
    /// The node has halted for good.
    Halted(String),
}

/// The node with everything around it.
pub(crate) struct Driver {
    own: NodeId,
    node: Node,
    disk: FileDisk,
    clock: Clock,
    queues: Queues,
    links: Links,
    /// Links that were taken down while outputs were delivered; the node hears of them next.
    lost: VecDeque<Input>,
    clients: BTreeMap<RequestId, Answers>,
    workers: Workers,
    syncing: bool,
    facts: watch::Sender<Arc<Facts>>,
    facts_stale: bool,
    stop_at: Option<Instant>,
    /// The log says that all of it is durable, as far as it was to for a stop.
    noted: bool,
}

/// Starts the task of an opened node on the runtime of the caller. The receiver tells how it ended; it
/// closes without a word only if the task panicked.
pub(crate) fn start(
    node: Node,
    disk: FileDisk,
    clock: Clock,
) -> io::Result<(Handle, oneshot::Receiver<Ending>)> {
    let (facts, facts_seen) =
        watch::channel(Arc::new(Facts::of(&node, &Links::default(), clock.now().mono)));
    let (handle, queues) = Handle::new(facts_seen);
    let workers = Workers::start(&disk, handle.reporter())?;
    let mut driver = Driver {
        links: Links::default(),
        own: node.hello().node,
        node,
        disk,
        clock,
        queues,
        lost: VecDeque::new(),
        clients: BTreeMap::new(),
        workers,
        syncing: false,
        facts,
        facts_stale: false,
        stop_at: None,
        noted: false,
    };
    let (tell, ended) = oneshot::channel();
    tokio::spawn(async move {
        let ending = driver.run().await;
        let _ = tell.send(ending);
    });
    Ok((handle, ended))
}

impl Driver {
    async fn run(&mut self) -> Ending {
        self.deliver();
        loop {
            self.publish();
            if let Some(ending) = self.ending() {
                return ending;
            }
            self.wait().await;
            tokio::task::yield_now().await;
            self.take_turns();
            if self.node.next_deadline().is_some_and(|deadline| deadline <= self.clock.now().mono) {
                self.handle(Input::Timer);
            }
        }
    }

    /// Waits for the next thing or the deadline, and takes that one thing.
    async fn wait(&mut self) {
        let deadline =
            self.node.next_deadline().map(|deadline| self.clock.instant(deadline).into());
        let until = [deadline, self.stop_at].into_iter().flatten().min();
        let timer = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        // The senders live as long as the process, so a closed queue needs no branch.
        tokio::select! {
            biased;
            Some(control) = self.queues.control.recv() => self.control(control),
            Some(arrival) = self.queues.urgent.recv() => self.arrival(arrival),
            Some(arrival) = self.queues.bulk.recv() => self.arrival(arrival),
            Some(client) = self.queues.clients.recv() => self.client(client),
            () = timer => {}
        }
    }

    /// Takes what else has arrived meanwhile: one turn of each queue.
    fn take_turns(&mut self) {
        for _ in 0..TURN {
            let Ok(control) = self.queues.control.try_recv() else { break };
            self.control(control);
        }
        for _ in 0..TURN {
            let Ok(arrival) = self.queues.urgent.try_recv() else { break };
            self.arrival(arrival);
        }
        for _ in 0..TURN {
            let Ok(arrival) = self.queues.bulk.try_recv() else { break };
            self.arrival(arrival);
        }
        for _ in 0..TURN {
            let Ok(client) = self.queues.clients.try_recv() else { break };
            self.client(client);
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Input(input) => {
                if matches!(input, Input::Synced { .. }) {
                    self.syncing = false;
                }
                self.handle(input);
            }
            Control::Disconnected(connection) => {
                if let Some(down) = self.links.remove(connection) {
                    self.handle(down);
                    self.facts_stale = true;
                }
            }
            Control::Unlink(peer) => {
                if let Some(down) = self.links.take_down(peer) {
                    self.handle(down);
                    self.facts_stale = true;
                }
            }
            Control::View(to) => {
                let _ = to.send(self.node.view(self.clock.now().mono));
            }
            Control::Stop => self.stop_at = Some(Instant::now() + STOP_WAIT),
        }
    }

    fn arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Connected { connection, verdict } => {
                self.tell_of_strangers(&connection.peer);
                let (said, inputs) = self.links.admit(connection, self.own);
                // Published at once: log lines name the peer, and whoever dialled sees the link.
                self.facts_stale = true;
                self.publish();
                inputs.into_iter().for_each(|input| self.handle(input));
                let _ = verdict.send(said);
            }
            Arrival::Message { connection, envelope, room } => {
                if self.links.is_current(connection) {
                    self.handle(Input::Message(envelope));
                }
                drop(room);
            }
        }
    }

    /// Says that a node is of another cluster, which nobody wants who started either with a folder of before.
    fn tell_of_strangers(&self, peer: &Hello) {
        if let (Some(own), Some(theirs)) = (self.node.hello().cluster, peer.cluster)
            && own != theirs
        {
            warn!(
                peer = peer.name,
                "the node at {} is of another cluster, {theirs}, and this one is of {own}: they share no keys. `kv members add` makes one of two clusters; else start the node that is to come over with an empty data folder",
                peer.address
            );
        }
    }

    fn client(&mut self, client: ClientRequest) {
        if client.answers.is_closed() {
            return;
        }
        if self.stop_at.is_some() {
            let words = "this node is stopping; nothing was changed, ask another one";
            client.answers.last(Err(RequestError::Unavailable(words.into())));
            return;
        }
        self.clients.insert(client.id, client.answers);
        self.handle(Input::Request { id: client.id, request: Box::new(client.request) });
    }

    /// Hands one input to the node and delivers what comes out; also what follows from links that the
    /// delivery took down.
    fn handle(&mut self, input: Input) {
        if let Input::Cancel { id } = &input {
            self.clients.remove(id);
        }
        let mut next = Some(input);
        while let Some(input) = next {
            self.node.handle(self.clock.now(), input, &mut self.disk);
            self.deliver();
            next = self.lost.pop_front();
        }
    }

    fn deliver(&mut self) {
        let mut replies = Vec::new();
        while let Some(output) = self.node.poll() {
            match output {
                Output::Send { lane, envelope } => {
                    if let Some(down) = self.links.send(lane, &envelope) {
                        self.lost.push_back(down);
                        self.facts_stale = true;
                    }
                }
                Output::Reply { id, result, more } => replies.push((id, result, more)),
                Output::Sync { upto } => {
                    self.syncing = true;
                    self.workers.sync(upto);
                }
                Output::Job { id, job } => self.workers.job(id, *job),
                Output::Event(event) => {
                    self.facts_stale |= changes_facts(&event.kind);
                    log::event(&event, &self.facts.borrow());
                }
            }
        }
        if !replies.is_empty() {
            // Whoever has changed something sees the change.
            self.publish();
        }
        for (id, result, more) in replies {
            self.reply(id, result, more);
        }
    }

    fn reply(&mut self, id: RequestId, result: Result<Reply, RequestError>, more: bool) {
        if more {
            if let Some(client) = self.clients.get(&id) {
                client.part(result);
            }
        } else if let Some(client) = self.clients.remove(&id) {
            client.last(result);
        }
    }

    /// Shows the others what has changed of what they go by.
    fn publish(&mut self) {
        if std::mem::take(&mut self.facts_stale) {
            let now = self.clock.now().mono;
            self.facts.send_replace(Arc::new(Facts::of(&self.node, &self.links, now)));
        }
    }

    /// Whether and how it ends. A clean stop first answers what is open, then notes in the log
    /// that all of it is durable.
    fn ending(&mut self) -> Option<Ending> {
        if let Some(reason) = self.node.halted() {
            return Some(Ending::Halted(reason.to_owned()));
        }
        let stop_at = self.stop_at?;
        if self.clients.is_empty() && !self.syncing {
            if !std::mem::replace(&mut self.noted, true) {
                self.node.prepare_stop(&mut self.disk);
                self.deliver();
            }
            if !self.syncing {
                return Some(Ending::Stopped);
            }
        }
        (stop_at <= Instant::now()).then_some(Ending::Stopped)
    }
}

/// Whether [`Facts`] may have changed with an event.
fn changes_facts(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Founded(_)
            | EventKind::Joined(_)
            | EventKind::LayoutChanged { .. }
            | EventKind::SettingChanged { .. }
    )
}

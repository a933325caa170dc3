//! How the clients of a world ask its nodes, wait, give up and go on.

use alloc::boxed::Box;
use alloc::format;

use super::action::ClientOperation;
use super::client::{self, Open, Outcome, Purpose};
use super::config::Workload;
use super::due::Due;
use super::host::Host;
use super::world::World;
use crate::error::RequestError;
use crate::id::RequestId;
use crate::io::Input;
use crate::request::Request;
use crate::request::strong::{SessionSeq, StrongRequest};
use crate::settings::Setting;
use crate::time::{Micros, Mono};

impl World {
    /// A client asks a node for something: a generated one, which then waits for its answer, or one that
    /// an action stands for.
    pub(super) fn operate(
        &mut self,
        client: Option<u16>,
        waits: bool,
        node: u16,
        operation: ClientOperation,
    ) {
        let quorum = Some(self.workload().quorum).filter(|nodes| *nodes > 0);
        let name = client
            .filter(|_| operation.is_strong())
            .and_then(|client| self.name_write(node, client));
        let request = client::request(&operation, quorum, name);
        let number = self.clients.call(self.now(), client, node, operation);
        let purpose = Purpose::Operation { number, client: client.filter(|_| waits) };
        if self.is_up(node) {
            self.ask(node, purpose, request);
        } else {
            let name = self.hosts.get(usize::from(node)).map_or("the node", Host::name);
            let words = format!("{name} is down; nothing was changed, ask another node");
            self.ended(purpose, Err(RequestError::Unavailable(words)));
        }
    }

    /// Makes a request of a node that is up.
    pub(super) fn ask(&mut self, node: u16, purpose: Purpose, request: Request) {
        let id = self.clients.next_id();
        let gives_up = match purpose {
            Purpose::Operation { .. } => {
                Some(self.queue.enter(self.patience(node), Due::GiveUp { request: id }))
            }
            Purpose::Session { .. } | Purpose::Settings | Purpose::FirstSettings => None,
        };
        self.clients.open(id, Open { node, purpose, gives_up });
        self.tell(node, Input::Request { id, request: Box::new(request) });
    }

    /// The name of the next write of a client, if it gives its writes names. It opens its sessions first,
    /// and until they are open its writes have none.
    fn name_write(&mut self, node: u16, client: u16) -> Option<SessionSeq> {
        let shards = self.config().shards;
        let name = self.sessions.name(client, shards);
        if let Some(shard) = self.sessions.next_to_open(client, shards).filter(|_| self.is_up(node))
        {
            let request = StrongRequest::OpenSession { shard };
            let request = Request::Strong { request, timeout: None };
            self.ask(node, Purpose::Session { client, shard }, request);
        }
        name
    }

    /// A node has answered a request.
    pub(super) fn answered(&mut self, id: RequestId, outcome: Outcome) {
        let Some(open) = self.clients.close(id) else { return };
        if let Some(ticket) = open.gives_up {
            self.queue.withdraw(ticket);
        }
        self.ended(open.purpose, outcome);
    }

    /// A client has waited for too long. What it asked for may still be done.
    pub(super) fn give_up(&mut self, id: RequestId) {
        let Some(open) = self.clients.close(id) else { return };
        self.ended(open.purpose, client::in_doubt(GAVE_UP));
        self.tell(open.node, Input::Cancel { id });
    }

    /// What a client says reaches its node at once; only one that is paused makes it wait.
    fn tell(&mut self, node: u16, input: Input) {
        if self.is_paused(node) {
            self.carry_on(Due::Client { node, input: Box::new(input) });
        } else {
            self.deliver(node, input);
        }
    }

    /// A node has crashed or halted, and nobody knows what became of what was asked of it.
    pub(super) fn lose_requests(&mut self, node: u16, words: &str) {
        for open in self.clients.lose_node(node) {
            if let Some(ticket) = open.gives_up {
                self.queue.withdraw(ticket);
            }
            self.ended(open.purpose, client::in_doubt(words));
        }
    }

    /// A generated client begins its next operation.
    pub(super) fn begin(&mut self, client: u16) {
        let nodes = self.nodes();
        let Some((meant, operation)) = self.generators.begin(self.now(), client, nodes) else {
            return;
        };
        // A client that finds its node down goes on to the next one.
        let node = (meant..nodes).chain(0..meant).find(|node| self.is_up(*node));
        self.operate(Some(client), true, node.unwrap_or(meant), operation);
    }

    /// The generated clients do so from now on.
    pub(super) fn generate(&mut self, workload: Workload) {
        self.queue.withdraw_all(|due| matches!(due, Due::Begin { .. }));
        for (client, at) in self.generators.change(self.now(), workload) {
            self.queue.enter(at, Due::Begin { client });
        }
    }

    fn ended(&mut self, purpose: Purpose, outcome: Outcome) {
        match purpose {
            Purpose::Operation { number, client } => {
                if let Some(client) = client {
                    self.sessions.answered(client, &outcome);
                }
                self.clients.end(self.now(), number, outcome);
                let now = self.now();
                let next =
                    client.and_then(|client| Some((client, self.generators.ended(now, client)?)));
                if let Some((client, at)) = next {
                    self.queue.enter(at, Due::Begin { client });
                }
            }
            Purpose::FirstSettings => self.first_settings_ended(outcome.is_ok()),
            Purpose::Session { client, shard } => self.sessions.opened(client, shard, &outcome),
            Purpose::Settings => {}
        }
    }

    /// Until when a client waits for this node: twice as long as the node itself means to take.
    fn patience(&self, node: u16) -> Mono {
        let timeout = self
            .node(node)
            .map_or(Micros(0), |node| node.settings().span(Setting::RequestTimeoutMs));
        self.now() + timeout + timeout
    }
}

/// What a client says that gave up.
const GAVE_UP: &str = "the node did not answer for twice as long as a request may take";

//! How the rest of the program reaches the node: requests, views and published facts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kv_core::error::RequestError;
use kv_core::id::{NodeId, RequestId};
use kv_core::io::Input;
use kv_core::message::Hello;
use kv_core::node::{Node, NodeView};
use kv_core::request::{Reply, Request};
use kv_core::ring::layout::Layout;
use kv_core::settings::Settings;
use kv_core::time::Mono;
use tokio::sync::mpsc::{self, Sender, UnboundedReceiver, UnboundedSender};
use tokio::sync::{oneshot, watch};

use super::links::Links;
use super::queues::{Answer, Answers, Arrival, ClientRequest, Control, Queues};

/// How many things wait in a bounded queue before the sender must wait or hears Busy.
const QUEUE: usize = 1024;

/// The sending ends of the node's queues. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    control: UnboundedSender<Control>,
    urgent: Sender<Arrival>,
    bulk: Sender<Arrival>,
    clients: Sender<ClientRequest>,
    next_request: Arc<AtomicU64>,
    facts: watch::Receiver<Arc<Facts>>,
}

/// What others go by without asking the node each time. As of the last change.
#[derive(Debug)]
pub(crate) struct Facts {
    /// What to say first on a link.
    pub(crate) hello: Hello,
    /// The values of all settings in force.
    pub(crate) settings: Settings,
    /// The layout; none until the node is a member of a cluster.
    pub(crate) layout: Option<Layout>,
    /// The other members, whom to hold links to.
    pub(crate) addresses: Vec<(NodeId, String)>,
    /// Who is linked.
    pub(crate) linked: BTreeMap<NodeId, Hello>,
}

impl Facts {
    pub(super) fn of(node: &Node, links: &Links, now: Mono) -> Self {
        let view = node.view(now);
        Self {
            hello: node.hello(),
            settings: view.settings,
            layout: view.layout,
            addresses: node.addresses(),
            linked: links.hellos(),
        }
    }

    /// The name of a node, as far as it is known; else its id.
    pub(crate) fn name_of(&self, node: NodeId) -> String {
        if node == self.hello.node {
            return self.hello.name.clone();
        }
        match (self.linked.get(&node), &self.layout) {
            (Some(hello), _) => hello.name.clone(),
            (None, Some(layout)) => layout.name_of(node),
            (None, None) => node.to_string(),
        }
    }
}

impl Handle {
    pub(super) fn new(facts: watch::Receiver<Arc<Facts>>) -> (Self, Queues) {
        let (control, control_out) = mpsc::unbounded_channel();
        let (urgent, urgent_out) = mpsc::channel(QUEUE);
        let (bulk, bulk_out) = mpsc::channel(QUEUE);
        let (clients, clients_out) = mpsc::channel(QUEUE);
        let next_request = Arc::new(AtomicU64::new(1));
        let handle = Self { control, urgent, bulk, clients, next_request, facts };
        let queues = Queues {
            control: control_out,
            urgent: urgent_out,
            bulk: bulk_out,
            clients: clients_out,
        };
        (handle, queues)
    }

    /// What the worker threads report with.
    pub(super) fn reporter(&self) -> impl Fn(Input) -> bool + Clone + Send + 'static {
        let control = self.control.clone();
        move |input| control.send(Control::Input(input)).is_ok()
    }

    /// Asks for something that is answered once. Dropping the future withdraws it.
    pub(crate) async fn request(&self, request: Request) -> Result<Reply, RequestError> {
        let (whole, answer) = oneshot::channel();
        let id = self.ask(request, Answers::Whole(whole))?;
        let mut waiting = Waiting { handle: self, id, answer, done: false };
        let answer = (&mut waiting.answer).await;
        waiting.done = true;
        answer.unwrap_or_else(|_| Err(gone()))
    }

    /// Asks for something that is answered in parts.
    pub(crate) fn begin(&self, request: Request) -> Result<Pending, RequestError> {
        let (answers, parts) = mpsc::unbounded_channel();
        let id = self.ask(request, Answers::Parts(answers))?;
        Ok(Pending { id, parts, done: false, control: self.control.clone() })
    }

    fn ask(&self, request: Request, answers: Answers) -> Result<RequestId, RequestError> {
        let id = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
        match self.clients.try_send(ClientRequest { id, request, answers }) {
            Ok(()) => Ok(id),
            Err(mpsc::error::TrySendError::Full(_)) => Err(RequestError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(gone()),
        }
    }

    /// The node as it is right now; none while it stops.
    pub(crate) async fn view(&self) -> Option<NodeView> {
        let (to, view) = oneshot::channel();
        self.control.send(Control::View(to)).ok()?;
        view.await.ok()
    }

    /// What is published of the node.
    pub(crate) fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.facts.borrow())
    }

    /// Told whenever [`Self::facts`] change.
    pub(crate) fn facts_watch(&self) -> watch::Receiver<Arc<Facts>> {
        self.facts.clone()
    }

    /// Queues what came over a link; waits while the queue is full.
    pub(crate) async fn arrived(&self, urgent: bool, arrival: Arrival) {
        let queue = if urgent { &self.urgent } else { &self.bulk };
        // A closed queue means that the process ends.
        let _ = queue.send(arrival).await;
    }

    /// Does what does not wait in line.
    pub(crate) fn control(&self, control: Control) {
        let _ = self.control.send(control);
    }
}

fn gone() -> RequestError {
    RequestError::Unknown("this node has stopped before it could answer".into())
}

/// A request that is answered once, under way.
struct Waiting<'a> {
    handle: &'a Handle,
    id: RequestId,
    answer: oneshot::Receiver<Result<Reply, RequestError>>,
    done: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.done {
            // Closed first: if the request is still in the queue, the driver sees that and skips it.
            self.answer.close();
            self.handle.control(Control::Input(Input::Cancel { id: self.id }));
        }
    }
}

/// A request in parts, under way. Dropping it before its last part withdraws it.
pub(crate) struct Pending {
    id: RequestId,
    parts: UnboundedReceiver<Answer>,
    done: bool,
    control: UnboundedSender<Control>,
}

impl Pending {
    /// The next part and whether more follow; none after the last, or when the node has stopped.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        if self.done {
            return None;
        }
        let part = self.parts.recv().await;
        self.done = part.as_ref().is_none_or(|(_, more)| !more);
        part
    }

    /// Has room for so many more items.
    pub(crate) fn credit(&self, items: u32) {
        let _ = self.control.send(Control::Input(Input::Credit { id: self.id, items }));
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            // Closed first: if the request is still in the queue, the driver sees that and skips it.
            self.parts.close();
            let _ = self.control.send(Control::Input(Input::Cancel { id: self.id }));
        }
    }
}

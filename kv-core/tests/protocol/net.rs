//! A few nodes, their disks and the network between them, played by hand in virtual time.
//!
//! Messages arrive at once and in order unless [`Net::hold`] names them; syncs and jobs end at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use kv_core::error::RequestError;
use kv_core::id::{Index, NodeId, RequestId, ShardId};
use kv_core::io::{Boot, Founding, Input, Output};
use kv_core::message::{Envelope, Hello, Message};
use kv_core::node::Node;
use kv_core::request::{Basis, QuorumOptions, Reply, Request};
use kv_core::ring::layout::Layout;
use kv_core::rng::Rng;
use kv_core::sim::disk::SimDisk;
use kv_core::storage::StoreOptions;
use kv_core::time::{Micros, Mono, Now, Wall};
use kv_core::version::Object;

pub(crate) type Answer = Result<Reply, RequestError>;

/// More timers than this at one moment mean that a node idles in circles.
const TIMERS_MAX: u64 = 10_000;

/// One node and its shell.
struct Host {
    boot: Boot,
    node: Option<Node>,
    disk: SimDisk,
    answers: BTreeMap<RequestId, Answer>,
}

/// Nodes numbered from 0, named n1, n2 and so on.
pub(crate) struct Net {
    hosts: Vec<Host>,
    links: BTreeSet<(usize, usize)>,
    now: Now,
    queue: VecDeque<Envelope>,
    /// Which messages do not arrive.
    pub(crate) hold: Box<dyn Fn(&Envelope) -> bool>,
    pub(crate) held: Vec<Envelope>,
    /// Whether syncs are left outstanding.
    pub(crate) stuck_disks: bool,
    requests: u64,
    timers: u64,
}

pub(crate) fn id(index: usize) -> NodeId {
    NodeId::of_name(&format!("n{}", index + 1))
}

impl Net {
    pub(crate) fn new() -> Self {
        Self {
            hosts: Vec::new(),
            links: BTreeSet::new(),
            now: Now { mono: Mono(1_000_000), wall: Wall(1_700_000_000_000_000) },
            queue: VecDeque::new(),
            hold: Box::new(|_| false),
            held: Vec::new(),
            stuck_disks: false,
            requests: 0,
            timers: 0,
        }
    }

    /// So many members of one cluster, linked, with no move under way.
    pub(crate) fn cluster(nodes: usize) -> Self {
        let mut net = Self::new();
        for index in 0..nodes {
            net.add(if index == 0 { Founding::Alone } else { Founding::Join });
        }
        net.link_all();
        net.run(5_000);
        for index in 0..nodes {
            let layout = net.layout(index).expect("it is a member");
            assert_eq!(layout.members.len(), nodes);
            assert!(layout.moving.is_none());
        }
        net
    }

    /// Starts one more node, without links.
    pub(crate) fn add(&mut self, founding: Founding) -> usize {
        self.add_with(founding, 0)
    }

    /// Starts one more node whose randomness begins elsewhere.
    pub(crate) fn add_with(&mut self, founding: Founding, entropy: u64) -> usize {
        let index = self.hosts.len();
        let boot = Boot {
            name: format!("n{}", index + 1),
            address: format!("host:{index}"),
            entropy: entropy * 1_000 + index as u64,
            partitions: 8,
            shards: 1,
            founding,
            storage: StoreOptions::SIMULATED,
        };
        let disk = SimDisk::default();
        self.hosts.push(Host { boot, node: None, disk, answers: BTreeMap::new() });
        self.start(index);
        index
    }

    /// Opens a node that does not run, with other entropy than before.
    pub(crate) fn start(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        host.boot.entropy += 100;
        let node = Node::open(host.boot.clone(), self.now, &mut host.disk);
        host.node = Some(node.expect("the disk is sound"));
        self.drain(index);
        self.deliver();
    }

    /// Whether a node could be opened on this disk.
    pub(crate) fn opens(&self, index: usize, disk: &SimDisk) -> bool {
        Node::open(self.hosts[index].boot.clone(), self.now, &mut disk.clone()).is_ok()
    }

    /// A node loses power, and its links.
    pub(crate) fn crash(&mut self, index: usize) {
        for other in 0..self.hosts.len() {
            self.unlink(index, other);
        }
        let host = &mut self.hosts[index];
        host.node = None;
        host.disk.crash(&mut Rng::new(host.boot.entropy));
    }

    /// A node that does not run loses its disk.
    pub(crate) fn wipe(&mut self, index: usize) {
        self.hosts[index].disk = SimDisk::default();
        self.hosts[index].boot.founding = Founding::Join;
    }

    /// A node that does not run will find its cluster so, if its disk is empty.
    pub(crate) fn found_by(&mut self, index: usize, founding: Founding) {
        self.hosts[index].boot.founding = founding;
    }

    /// A node that does not run will be reached elsewhere.
    pub(crate) fn move_to(&mut self, index: usize, address: &str) {
        self.hosts[index].boot.address = address.into();
    }

    pub(crate) fn link(&mut self, a: usize, b: usize) {
        let [left, right] = [a, b].map(|index| self.node(index).hello());
        if self.links.insert((a.min(b), a.max(b))) {
            self.handle(a, Input::Link { peer: right, up: true });
            self.handle(b, Input::Link { peer: left, up: true });
        }
    }

    pub(crate) fn link_all(&mut self) {
        let up: Vec<usize> =
            (0..self.hosts.len()).filter(|index| self.hosts[*index].node.is_some()).collect();
        for (place, &a) in up.iter().enumerate() {
            for &b in &up[place + 1..] {
                self.link(a, b);
            }
        }
    }

    pub(crate) fn unlink(&mut self, a: usize, b: usize) {
        if !self.links.remove(&(a.min(b), a.max(b))) {
            return;
        }
        let pair = BTreeSet::from([id(a), id(b)]);
        self.queue.retain(|envelope| BTreeSet::from([envelope.from, envelope.to]) != pair);
        let [left, right] = [a, b].map(|index| self.node(index).hello());
        self.handle(a, Input::Link { peer: right, up: false });
        self.handle(b, Input::Link { peer: left, up: false });
    }

    pub(crate) fn node(&self, index: usize) -> &Node {
        self.hosts[index].node.as_ref().expect("it runs")
    }

    /// How many nodes there are, running or not.
    pub(crate) fn len(&self) -> usize {
        self.hosts.len()
    }

    pub(crate) fn is_up(&self, index: usize) -> bool {
        self.hosts[index].node.is_some()
    }

    pub(crate) fn view(&self, index: usize) -> kv_core::node::NodeView {
        self.node(index).view(self.now.mono)
    }

    /// What a node holds under a key.
    pub(crate) fn object(&self, index: usize, key: &[u8]) -> Option<Object> {
        self.node(index).object(key, &self.hosts[index].disk)
    }

    /// Whether a node does not know what it holds under a key.
    pub(crate) fn is_lost(&self, index: usize, key: &str) -> bool {
        self.node(index).is_lost(key.as_bytes(), &self.hosts[index].disk)
    }

    /// The shards that a node holds and can read all of: how far each is applied, and a digest.
    pub(crate) fn shards(&self, index: usize) -> Vec<(ShardId, Index, u64)> {
        self.node(index).shards(&self.hosts[index].disk)
    }

    pub(crate) fn disk(&mut self, index: usize) -> &mut SimDisk {
        &mut self.hosts[index].disk
    }

    pub(crate) fn hello(&self, index: usize) -> Hello {
        self.node(index).hello()
    }

    pub(crate) fn layout(&self, index: usize) -> Option<Layout> {
        self.node(index).view(self.now.mono).layout
    }

    pub(crate) fn request(&mut self, index: usize, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.handle(index, Input::Request { id, request: Box::new(request) });
        self.deliver();
        id
    }

    /// The answer to a request, if there is one by now.
    pub(crate) fn answer(&self, index: usize, id: RequestId) -> Option<&Answer> {
        self.hosts[index].answers.get(&id)
    }

    /// Asks, lets time pass until there is an answer, and returns it.
    pub(crate) fn ask(&mut self, index: usize, request: Request) -> Answer {
        let id = self.request(index, request);
        self.run_until_answered(index, id);
        self.answer(index, id).expect("a request is answered in time").clone()
    }

    /// Lets at most 20 seconds pass.
    pub(crate) fn run_until_answered(&mut self, index: usize, id: RequestId) {
        for _ in 0..2_000 {
            if self.answer(index, id).is_some() {
                break;
            }
            self.run(10);
        }
    }

    /// Brings a message to a node, whoever wrote it.
    pub(crate) fn inject(&mut self, from: usize, to: usize, message: Message) {
        let Hello { node, incarnation, cluster, .. } = self.hello(from);
        let (from, to_node) = (node, id(to));
        let id = kv_core::id::MessageId(0);
        let envelope = Envelope { id, cluster, from, incarnation, to: to_node, message };
        self.handle(to, Input::Message(Box::new(envelope)));
        self.deliver();
    }

    /// Lets what was held arrive, and no longer holds anything.
    pub(crate) fn release(&mut self) {
        self.hold = Box::new(|_| false);
        self.queue.extend(self.held.drain(..));
        self.deliver();
    }

    /// What was held never arrives.
    pub(crate) fn drop_held(&mut self) {
        self.held.clear();
    }

    /// Lets time pass, with all timers on the way.
    pub(crate) fn run(&mut self, millis: u64) {
        let until = self.now.mono + Micros::from_millis(millis);
        loop {
            self.deliver();
            let next = (0..self.hosts.len())
                .filter_map(|index| {
                    Some((self.hosts[index].node.as_ref()?.next_deadline()?, index))
                })
                .min();
            let Some((due, index)) = next.filter(|(due, _)| *due <= until) else { break };
            if due > self.now.mono {
                self.pass(due);
                self.timers = 0;
            }
            self.timers += 1;
            assert!(self.timers < TIMERS_MAX, "n{} idles in circles", index + 1);
            self.handle(index, Input::Timer);
        }
        self.pass(until);
    }

    fn pass(&mut self, until: Mono) {
        self.now.wall.0 += (until - self.now.mono).0;
        self.now.mono = until;
    }

    fn handle(&mut self, index: usize, input: Input) {
        let host = &mut self.hosts[index];
        if let Some(node) = &mut host.node {
            node.handle(self.now, input, &mut host.disk);
            self.drain(index);
        }
    }

    fn drain(&mut self, index: usize) {
        let mut synced = Vec::new();
        let mut done = Vec::new();
        let host = &mut self.hosts[index];
        let Some(node) = &mut host.node else { return };
        while let Some(output) = node.poll() {
            match output {
                Output::Send { envelope, .. } => self.queue.push_back(*envelope),
                Output::Reply { id, result, more } => {
                    let before = host.answers.insert(id, result);
                    assert!(more || before.is_none(), "a request is answered once");
                }
                Output::Sync { upto } => synced.push(upto),
                Output::Job { id, job } => done.push((id, job)),
                Output::Event(_) => {}
            }
        }
        for (id, job) in done {
            let result = job.run(&mut self.hosts[index].disk);
            self.handle(index, Input::JobDone { id, result });
        }
        if self.stuck_disks {
            return;
        }
        for upto in synced {
            let result = self.hosts[index].disk.sync_log(upto);
            self.handle(index, Input::Synced { upto, result });
        }
    }

    fn deliver(&mut self) {
        while let Some(envelope) = self.queue.pop_front() {
            if (self.hold)(&envelope) {
                self.held.push(envelope);
                continue;
            }
            let index = |node| (0..self.hosts.len()).find(|index| id(*index) == node);
            let (Some(from), Some(to)) = (index(envelope.from), index(envelope.to)) else {
                continue;
            };
            if self.links.contains(&(from.min(to), from.max(to))) {
                self.handle(to, Input::Message(Box::new(envelope)));
            }
        }
    }
}

pub(crate) fn put(key: &str, value: &str) -> Request {
    put_with(key, value.as_bytes().to_vec(), Basis::ReadFirst)
}

pub(crate) fn put_with(key: &str, value: Vec<u8>, basis: Basis) -> Request {
    let key = Bytes::copy_from_slice(key.as_bytes());
    Request::Put { key, value: value.into(), basis, options: QuorumOptions::default() }
}

pub(crate) fn get(key: &str) -> Request {
    let key = Bytes::copy_from_slice(key.as_bytes());
    Request::Get { key, options: QuorumOptions::default() }
}

/// The values of a read, newest first.
pub(crate) fn values(answer: &Answer) -> Vec<String> {
    match answer {
        Ok(Reply::Read { values, .. }) => {
            values.iter().map(|value| String::from_utf8_lossy(&value.value).into_owned()).collect()
        }
        other => panic!("expected a read, got {other:?}"),
    }
}

pub(crate) fn is_written(answer: Option<&Answer>) -> bool {
    matches!(answer, Some(Ok(Reply::Written { .. })))
}

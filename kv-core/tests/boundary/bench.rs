//! One node on a test bench: a shell that does everything by hand.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv_core::disk::DiskError;
use kv_core::error::RequestError;
use kv_core::event::EventKind;
use kv_core::id::{LogPosition, RequestId};
use kv_core::io::{Boot, Founding, Input, Output};
use kv_core::node::Node;
use kv_core::request::{Basis, QuorumOptions, Reply, Request};
use kv_core::rng::Rng;
use kv_core::sim::disk::SimDisk;
use kv_core::storage::StoreOptions;
use kv_core::time::{Micros, Mono, Now, Wall};
use kv_core::version::Dot;

type Answer = Result<Reply, RequestError>;

/// A node, its disk, and everything that came out of it.
pub(crate) struct Bench {
    pub(crate) node: Node,
    pub(crate) disk: SimDisk,
    pub(crate) now: Now,
    pub(crate) syncing: Option<LogPosition>,
    pub(crate) events: Vec<EventKind>,
    /// All but replies and events.
    pub(crate) outputs: Vec<Output>,
    answers: BTreeMap<RequestId, (Vec<Answer>, bool)>,
    requests: u64,
    boots: u64,
}

impl Bench {
    /// A node that is a cluster of its own, with everything on disk.
    pub(crate) fn alone() -> Self {
        let mut disk = SimDisk::default();
        let now = Now { mono: Mono(0), wall: Wall(1_700_000_000_000_000) };
        let node = open(0, now, &mut disk);
        let mut bench = Self {
            node,
            disk,
            now,
            syncing: None,
            events: Vec::new(),
            outputs: Vec::new(),
            answers: BTreeMap::new(),
            requests: 0,
            boots: 0,
        };
        bench.drain();
        bench.settle();
        bench.outputs.clear();
        bench
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.node.handle(self.now, input, &mut self.disk);
        self.drain();
    }

    pub(crate) fn request(&mut self, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.handle(Input::Request { id, request: Box::new(request) });
        id
    }

    /// Ends the outstanding sync.
    pub(crate) fn sync(&mut self, result: Result<(), DiskError>) {
        let upto = self.syncing.take().expect("a sync is outstanding");
        if result.is_ok() {
            self.disk.sync_log(upto).expect("this disk syncs");
        }
        self.handle(Input::Synced { upto, result });
    }

    /// Ends syncs until none is outstanding.
    pub(crate) fn settle(&mut self) {
        while self.syncing.is_some() {
            self.sync(Ok(()));
        }
    }

    /// Lets time pass, with all timers on the way, and syncs end at once.
    pub(crate) fn advance(&mut self, millis: u64) {
        let until = self.now.mono + Micros::from_millis(millis);
        while let Some(due) = self.node.next_deadline().filter(|due| *due <= until) {
            self.now.mono = due.max(self.now.mono);
            self.handle(Input::Timer);
            self.settle();
        }
        self.now.mono = until;
    }

    /// Loses power, with any part of what was not synced surviving, and starts again.
    pub(crate) fn crash(&mut self, seed: u64) {
        self.disk.crash(&mut Rng::new(seed));
        self.boots += 1;
        self.syncing = None;
        self.node = open(self.boots, self.now, &mut self.disk);
        self.drain();
        self.settle();
    }

    /// What a request was answered so far.
    pub(crate) fn replies(&self, id: RequestId) -> Vec<Answer> {
        self.answers.get(&id).map(|(answers, _)| answers.clone()).unwrap_or_default()
    }

    pub(crate) fn is_finished(&self, id: RequestId) -> bool {
        self.answers.get(&id).is_some_and(|(_, finished)| *finished)
    }

    fn drain(&mut self) {
        while let Some(output) = self.node.poll() {
            match output {
                Output::Reply { id, result, more } => {
                    let (answers, finished) = self.answers.entry(id).or_default();
                    assert!(!*finished, "a request is answered once");
                    answers.push(result);
                    *finished = !more;
                }
                Output::Event(event) => self.events.push(event.kind),
                Output::Sync { upto } => {
                    assert!(self.syncing.replace(upto).is_none(), "one sync at a time");
                }
                other => self.outputs.push(other),
            }
        }
    }
}

fn open(entropy: u64, now: Now, disk: &mut SimDisk) -> Node {
    let boot = Boot {
        name: "n1".into(),
        address: "127.0.0.1:1".into(),
        entropy,
        partitions: 8,
        shards: 1,
        founding: Founding::Alone,
        // Each batch makes a segment, so that a full disk is noticed with the next.
        storage: StoreOptions { segment_bytes: 1, ..StoreOptions::SIMULATED },
    };
    Node::open(boot, now, disk).expect("the disk is sound")
}

pub(crate) fn put(key: &str, value: &str) -> Request {
    Request::Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        basis: Basis::ReadFirst,
        options: QuorumOptions::default(),
    }
}

pub(crate) fn get(key: &str) -> Request {
    let key = Bytes::copy_from_slice(key.as_bytes());
    Request::Get { key, options: QuorumOptions::default() }
}

pub(crate) fn delete(key: &str) -> Request {
    let key = Bytes::copy_from_slice(key.as_bytes());
    Request::Delete { key, basis: Basis::ReadFirst, options: QuorumOptions::default() }
}

pub(crate) fn with_write_quorum(mut request: Request, nodes: u32) -> Request {
    if let Request::Put { options, .. } = &mut request {
        options.write_quorum = Some(nodes);
    }
    request
}

/// The value of a read of a key with one value.
pub(crate) fn value_of(answers: &[Answer]) -> String {
    match answers {
        [Ok(Reply::Read { values, .. })] if values.len() == 1 => {
            String::from_utf8(values[0].value.to_vec()).expect("the tests write text")
        }
        other => panic!("expected one value, got {other:?}"),
    }
}

pub(crate) fn dot_of(answers: &[Answer]) -> Option<Dot> {
    answers.iter().find_map(|answer| match answer {
        Ok(Reply::Written { dot, .. }) => Some(*dot),
        _ => None,
    })
}

pub(crate) fn keys_of(answers: &[Answer]) -> Vec<String> {
    let parts = answers.iter().filter_map(|answer| match answer {
        Ok(Reply::Keys(keys)) => Some(keys),
        _ => None,
    });
    parts.flatten().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
}

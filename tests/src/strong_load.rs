//! Clients that use the strong keyspace until they are told to end, whatever happens to its nodes, and
//! write down what they saw.
//!
//! Some fight over a few keys: they read, write, compare and set, and delete; half of them do so in
//! sessions, and then send a write again until it is answered. Others write keys of their own, each once:
//! at the end every one that was acknowledged must be there.
//!
//! Writes whose outcome is unknown stay possible for ever and make a key hard to judge, so the keys
//! that are fought over are exchanged from time to time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kv_core::rng::Rng;
use serde_json::{Value, json};

use crate::connection::{Connection, Response, Sent};
use crate::history::{History, Outcome};
use crate::process::eventually;

/// How many clients there are: as many of each kind.
const CLIENTS: usize = 6;
/// How many keys are fought over at a time.
const KEYS: u64 = 6;
/// How long a client holds its breath when a node is not there or refuses.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a write in a session is sent again.
const PERSISTENCE: Duration = Duration::from_secs(20);

/// Clients at work. Dropping it ends them.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the clients share.
#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// The generation of the keys that are fought over.
    keys: AtomicU64,
    addresses: RwLock<Vec<String>>,
    history: History,
    /// Acknowledged writes.
    acknowledged: AtomicU64,
    /// Keys that were written once, with their values, and acknowledged.
    owned: Mutex<BTreeMap<String, String>>,
    /// Answers that no client should ever get.
    surprises: Mutex<Vec<String>>,
}

impl Load {
    /// Sets clients to work on the nodes at these addresses.
    pub fn start(addresses: Vec<String>, seed: u64) -> Self {
        let shared = Arc::new(Shared { addresses: RwLock::new(addresses), ..Shared::default() });
        let client = |number| {
            let mut client = Client {
                number,
                shared: Arc::clone(&shared),
                rng: Rng::new(seed * 1_000 + number as u64),
                connections: BTreeMap::new(),
                session: None,
                writes: 0,
            };
            thread::spawn(move || client.run())
        };
        let threads = (0..CLIENTS).map(client).collect();
        Self { shared, threads }
    }

    /// From now on these are the nodes.
    pub fn use_addresses(&self, addresses: Vec<String>) {
        *self.shared.addresses.write().expect("no client has panicked") = addresses;
    }

    /// Exchanges the keys that are fought over.
    pub fn exchange_keys(&self) {
        self.shared.keys.fetch_add(1, Ordering::Relaxed);
    }

    /// How many writes were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more writes were acknowledged.
    pub fn gets_on(&self, what: &str, more: u64) {
        let goal = self.acknowledged() + more;
        eventually(&format!("{more} writes are acknowledged {what}"), || {
            match self.acknowledged() {
                count if count >= goal => Ok(()),
                count => Err(format!("{} are missing", goal - count)),
            }
        });
    }

    /// Ends the clients and reads all keys that were written once. Returns what was seen.
    ///
    /// # Panics
    ///
    /// If a write is lost that was acknowledged, or an answer makes no sense.
    pub fn finish(mut self) -> Seen {
        self.end().expect("no client has panicked");
        let surprises = self.shared.surprises.lock().expect("no client has panicked").join("\n");
        assert!(surprises.is_empty(), "{surprises}");
        let mut reader = Client {
            number: CLIENTS,
            shared: Arc::clone(&self.shared),
            rng: Rng::new(0),
            connections: BTreeMap::new(),
            session: None,
            writes: 0,
        };
        let owned = std::mem::take(&mut *self.shared.owned.lock().expect("no client has panicked"));
        for (key, value) in &owned {
            let found = eventually(&format!("{key} is read"), || {
                reader.read(key).ok_or_else(|| "no node answers".to_owned())
            });
            assert_eq!(found.value.as_ref(), Some(value), "{key}: an acknowledged write is lost");
        }
        Seen { shared: Arc::clone(&self.shared), owned: owned.len() }
    }

    fn end(&mut self) -> thread::Result<()> {
        self.shared.over.store(true, Ordering::Relaxed);
        self.threads.drain(..).try_for_each(JoinHandle::join)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Whoever drops it early has failed already.
        let _ = self.end();
    }
}

/// What the clients of a load saw.
pub struct Seen {
    shared: Arc<Shared>,
    /// How many keys were written once, acknowledged, and found at the end.
    pub owned: usize,
}

impl Seen {
    /// The history.
    pub fn history(&self) -> &History {
        &self.shared.history
    }
}

struct Client {
    number: usize,
    shared: Arc<Shared>,
    rng: Rng,
    connections: BTreeMap<String, Connection>,
    session: Option<Session>,
    writes: u64,
}

/// A session and the number of the last write in it.
struct Session {
    token: String,
    seq: u64,
}

/// What a read found.
struct Found {
    value: Option<String>,
    tag: String,
}

/// A change of a key: how it is sent, and how the history has it.
struct Change {
    method: &'static str,
    /// The header that names what must be there, if anything must.
    condition: Option<(&'static str, String)>,
    body: String,
    kind: &'static str,
    value: Value,
}

impl Client {
    fn run(&mut self) {
        let (has_session, has_own_keys) = (self.number % 2 == 1, self.number % 3 == 2);
        while !self.shared.over.load(Ordering::Relaxed) {
            if has_session && self.session.is_none() {
                self.open_session();
            } else if has_own_keys {
                self.own_key();
            } else {
                self.contended_key();
            }
        }
    }

    fn open_session(&mut self) {
        match self.send("POST", "/v1/strong/sessions", &[], "") {
            Sent::Answered(Response { status: 200, body, .. }) => {
                let body: Value = serde_json::from_str(&body).unwrap_or_default();
                let token = body["session"].as_str().unwrap_or_default().to_owned();
                self.session = Some(Session { token, seq: 0 });
            }
            other => drop(self.refused("a session", other)),
        }
    }

    /// Writes a key that nobody else writes.
    fn own_key(&mut self) {
        let (key, value) = (format!("own-{}-{}", self.number, self.writes), self.new_value());
        if self.change(&key, put(&value, None)) == Outcome::Ok {
            self.shared.owned.lock().expect("no client has panicked").insert(key, value);
        }
    }

    fn contended_key(&mut self) {
        let generation = self.shared.keys.load(Ordering::Relaxed);
        let key = format!("k{generation}-{}", self.rng.below(KEYS));
        match self.rng.below(20) {
            0..8 => drop(self.read(&key)),
            8..13 => {
                let value = self.new_value();
                self.change(&key, put(&value, None));
            }
            13..18 => {
                if let Some(found) = self.read(&key) {
                    let value = self.new_value();
                    self.change(&key, put(&value, Some(&found)));
                }
            }
            _ => {
                let body = String::new();
                let (kind, value) = ("delete", Value::Null);
                let change = Change { method: "DELETE", condition: None, body, kind, value };
                self.change(&key, change);
            }
        }
    }

    /// A value that is written once in a history.
    fn new_value(&mut self) -> String {
        self.writes += 1;
        format!("{}.{}", self.number, self.writes)
    }

    /// What is under a key; none if that was not to be learned.
    fn read(&mut self, key: &str) -> Option<Found> {
        let call = self.shared.history.now();
        let found = match self.send("GET", &path(key), &[], "") {
            Sent::Answered(Response { status: 200, body, tag }) => Found { value: Some(body), tag },
            Sent::Answered(Response { status: 404, .. }) => {
                Found { value: None, tag: String::new() }
            }
            other => {
                self.refused(key, other);
                return None;
            }
        };
        let operation = ("read", key, json!(found.value));
        self.shared.history.add(self.number, operation, call, Outcome::Ok);
        Some(found)
    }

    /// Changes a key; in a session until that is answered, else once.
    fn change(&mut self, key: &str, change: Change) -> Outcome {
        let mut headers: Vec<(&str, String)> = change.condition.into_iter().collect();
        if let Some(session) = &mut self.session {
            session.seq += 1;
            headers.push(("kv-session", session.token.clone()));
            headers.push(("kv-seq", session.seq.to_string()));
            headers.push(("kv-ack", (session.seq - 1).to_string()));
        }
        let call = self.shared.history.now();
        let deadline = Instant::now() + PERSISTENCE;
        let mut may_have_happened = false;
        let outcome = loop {
            let outcome = match self.send(change.method, &path(key), &headers, &change.body) {
                Sent::Answered(Response { status: 200, .. }) => break Outcome::Ok,
                Sent::Answered(Response { status: 412, .. }) => break Outcome::Failed,
                other => self.refused(key, other),
            };
            may_have_happened |= outcome == Outcome::Unknown;
            if self.session.is_none() || deadline < Instant::now() {
                break if may_have_happened { Outcome::Unknown } else { Outcome::Failed };
            }
        };
        if outcome == Outcome::Ok {
            self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        let operation = (change.kind, key, change.value);
        self.shared.history.add(self.number, operation, call, outcome);
        outcome
    }

    /// Sends to a node at random.
    fn send(&mut self, method: &str, path: &str, headers: &[(&str, String)], body: &str) -> Sent {
        let address = {
            let all = self.shared.addresses.read().expect("no client has panicked");
            all[self.rng.below(all.len() as u64) as usize].clone()
        };
        let connection = self.connections.entry(address);
        let connection = connection.or_insert_with_key(|address| Connection::new(address));
        connection.send(method, path, headers, body)
    }

    /// What it means that a request was not carried out.
    fn refused(&self, what: &str, sent: Sent) -> Outcome {
        let outcome = match sent {
            Sent::Never | Sent::Answered(Response { status: 503, .. }) => Outcome::Failed,
            Sent::Lost | Sent::Answered(Response { status: 504, .. }) => Outcome::Unknown,
            Sent::Answered(Response { status, body, .. }) => {
                let words = format!("client {}, {what}: status {status}: {body}", self.number);
                self.shared.surprises.lock().expect("no client has panicked").push(words);
                Outcome::Unknown
            }
        };
        // Not in place of a condition: a client that asks without pause takes the processor from nodes.
        thread::sleep(PAUSE);
        outcome
    }
}

/// Stores a value; given what was found, only if that is still there.
fn put(value: &str, found: Option<&Found>) -> Change {
    let condition = found.map(|found| match &found.value {
        Some(_) => ("if-match", found.tag.clone()),
        None => ("if-none-match", "*".to_owned()),
    });
    let (kind, in_history) = match found {
        Some(found) => ("cas", json!([found.value, value])),
        None => ("write", json!(value)),
    };
    Change { method: "PUT", condition, body: value.to_owned(), kind, value: in_history }
}

fn path(key: &str) -> String {
    format!("/v1/strong/keys/{key}")
}

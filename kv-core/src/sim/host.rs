//! One simulated machine: a disk that outlives crashes, and the node that runs on it or does not.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::clock::Clocks;
use super::config::{Chance, SimConfig};
use super::disk::SimDisk;
use super::due::Due;
use super::queue::Ticket;
use crate::id::NodeId;
use crate::io::{Boot, Founding, Input, Output};
use crate::journal::{BYTES_MAX, Heard, Recorder};
use crate::node::Node;
use crate::rng::Rng;
use crate::storage::{Job, StoreOptions};
use crate::time::{Micros, Now};

/// Whether anything can be recorded. A constant, so that no code for it stays where nothing can.
const RECORDS: bool = cfg!(feature = "journals");

#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) id: NodeId,
    name: String,
    pub(super) state: State,
    pub(super) disk: SimDisk,
    /// How long its syncs and jobs take.
    pub(super) wait: Micros,
    pub(super) clocks: Clocks,
    /// Its process is stopped.
    pub(super) paused: bool,
    /// What has reached it meanwhile.
    pub(super) waiting: Vec<Due>,
    /// The node's deadline, if it has one.
    pub(super) timer: Option<Ticket>,
    /// The journals of its openings, if it is recorded.
    journals: Option<Vec<Recorder>>,
    entropy: Rng,
    crashes: Rng,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Running(Box<Node>),
    Down,
    /// It could not be opened, for this reason.
    Failed(String),
}

impl Host {
    /// The machine of this index, switched off.
    pub(super) fn new(index: u16, config: &SimConfig, recorded: bool) -> Self {
        let seed = config.seed;
        let name = format!("n{}", u32::from(index) + 1);
        Self {
            id: NodeId::of_name(&name),
            name,
            state: State::Down,
            disk: SimDisk::default(),
            wait: config.sync,
            clocks: Clocks::default(),
            paused: false,
            waiting: Vec::new(),
            timer: None,
            journals: recorded.then(Vec::new),
            entropy: Chance::Entropy(index).generator(seed),
            crashes: Chance::Crash(index).generator(seed),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn node(&self) -> Option<&Node> {
        match &self.state {
            State::Running(node) => Some(node),
            State::Down | State::Failed(_) => None,
        }
    }

    /// Opens the node on what its disk holds. `nodes` lists the cluster, its founder first.
    pub(super) fn start(&mut self, config: &SimConfig, nodes: Vec<NodeId>, now: Now) {
        let boot = Boot {
            name: self.name.clone(),
            address: format!("{}:7000", self.name),
            entropy: self.entropy.any(),
            partitions: config.partitions,
            shards: config.shards,
            founding: Founding::Listed { nodes },
            storage: StoreOptions::SIMULATED,
        };
        if let Some(journals) = self.journals.as_mut().filter(|_| RECORDS) {
            journals.push(Recorder::new(boot.clone(), now, BYTES_MAX));
        }
        let recorder = latest(&mut self.journals).map(|recorder| &*recorder);
        let opened = match RECORDS {
            true => Node::open(boot, now, &mut Heard::new(&mut self.disk, recorder)),
            false => Node::open(boot, now, &mut self.disk),
        };
        self.state = match opened {
            Ok(node) => State::Running(Box::new(node)),
            Err(error) => {
                let words = error.to_string();
                if let Some(recorder) = latest(&mut self.journals) {
                    recorder.refused(&words);
                    recorder.done();
                }
                State::Failed(words)
            }
        };
    }

    /// Gives the node an input, if it runs.
    pub(super) fn handle(&mut self, now: Now, input: Input) {
        let State::Running(node) = &mut self.state else { return };
        let mut recorder = latest(&mut self.journals);
        if let Some(recorder) = &mut recorder {
            recorder.input(now, &input);
        }
        match RECORDS {
            true => node.handle(now, input, &mut Heard::new(&mut self.disk, recorder.as_deref())),
            false => node.handle(now, input, &mut self.disk),
        }
    }

    /// What the node wants done next, if it runs.
    pub(super) fn poll(&mut self) -> Option<Output> {
        let State::Running(node) = &mut self.state else { return None };
        let output = node.poll();
        if let Some(recorder) = latest(&mut self.journals) {
            match &output {
                Some(output) => recorder.output(output),
                None => recorder.done(),
            }
        }
        output
    }

    /// The journals of its openings, if it is recorded.
    pub(super) fn journals(&self) -> &[Recorder] {
        self.journals.as_deref().unwrap_or_default()
    }

    /// Loses its disk and gets a new one. It is down.
    pub(super) fn wipe(&mut self) {
        self.state = State::Down;
        self.disk.wipe();
    }

    /// Loses power, when of each of these jobs any part has been done.
    pub(super) fn crash<'a>(&mut self, jobs: impl Iterator<Item = &'a Job>) {
        self.state = State::Down;
        self.timer = None;
        self.paused = false;
        for job in jobs {
            let mut whole = self.disk.clone();
            drop(job.run(&mut whole));
            let operations = whole.operations() - self.disk.operations();
            self.disk.fail_power_after(self.crashes.below(operations + 1));
            drop(job.run(&mut self.disk));
        }
        self.disk.crash(&mut self.crashes);
    }
}

/// The journal being written, if the machine is recorded.
fn latest(journals: &mut Option<Vec<Recorder>>) -> Option<&mut Recorder> {
    journals.as_mut().filter(|_| RECORDS)?.last_mut()
}

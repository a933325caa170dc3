//! A whole cluster in one value: virtual time, a simulated network, simulated disks, clients.
//!
//! A [`World`] is its configuration and the actions done to it; everything else follows, on every
//! platform, and a rolling hash over all inputs and outputs of all nodes proves it. `Clone` is rewind.
//! The simulator uses only what a shell may use of a node.

pub mod action;
pub mod clock;
pub mod config;
pub mod disk;
pub mod fault;
pub mod link;
pub mod nemesis;
pub mod script;
pub mod shrink;
pub mod tally;
pub mod timeline;
pub mod told;
pub mod trial;

mod act;
mod asking;
mod client;
mod due;
mod history;
mod host;
mod naming;
mod network;
mod power;
mod queue;
mod recent;
mod verdicts;
mod watch;
mod workload;
mod world;

pub use act::ACTIONS_MAX;
pub use action::{Action, ClientOperation, StrongOperation, TimedAction};
pub use client::{OperationRecord, Outcome};
pub use config::{ActionRefused, LinkConfig, NetworkConfig, Run, SimConfig, Workload};
pub use history::History;
pub use network::InFlight;
pub use verdicts::Verdicts;
pub use world::{TraceEntry, World};

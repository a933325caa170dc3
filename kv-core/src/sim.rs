//! A whole cluster in one value: virtual time, a simulated network, simulated disks, clients.
//!
//! A [`World`] is its configuration and the actions done to it; everything else follows, on every
//! platform, and a rolling hash over all inputs and outputs of all nodes proves it. `Clone` is rewind.
//! The simulator uses only what a shell may use of a node.

pub mod config;
pub mod disk;
pub mod link;
pub mod nemesis;

mod act;
mod client;
mod history;
mod host;
mod network;
mod queue;
mod recent;
mod world;

pub use act::ACTIONS_MAX;
pub use client::{OperationRecord, Outcome};
pub use config::{
    Action, ActionRefused, ClientOperation, NetworkConfig, Run, SimConfig, TimedAction, Workload,
};
pub use history::History;
pub use network::InFlight;
pub use world::{TraceEntry, World};

//! A whole cluster in one value: virtual time, a simulated network, simulated disks, clients.
//!
//! A [`World`] is its configuration and the actions done to it; everything else follows, on every
//! platform, and a rolling hash over all inputs and outputs of all nodes proves it. `Clone` is rewind.
//! The simulator uses only what a shell may use of a node.

pub mod config;

pub use config::{Action, ActionRefused, ClientOperation, NetworkConfig, SimConfig, TimedAction, Workload};

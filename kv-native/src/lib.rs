//! Sockets, files, HTTP and a command line around kv-core.
//!
//! Everything a node decides, it decides in [`kv_core::node::Node`]; this crate carries its inputs and
//! outputs:
//!
//! ```text
//! main → cli → config → serve → driver (one thread owns the node)
//!                                ↑            ↑          ↕
//!                            transport      api/*     disk, workers
//!                        (links to nodes) (surfaces) (files, syncs, jobs)
//! ```
//!
//! Left out: any rule of a protocol, and any state that must outlive the process but the data folder.

#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod disk;
pub mod workers;

mod api;
mod check;
mod client;
mod clock;
mod driver;
mod log;
mod mgmt;
mod play;
mod replay;
mod serve;
mod simulate;
mod storage;
mod table;
mod transport;

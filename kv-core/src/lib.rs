//! The core of kv: every protocol, the storage and the simulator, as values without I/O.
//!
//! A [`node::Node`] is a state machine: inputs and the time go in, outputs come out ([`io`]). It reads no
//! clock, opens no socket, starts no thread and asks for no entropy; a [`disk::Disk`] is lent to it for
//! the length of a call. So the same inputs give the same outputs and the same bytes on disk, on a
//! server and in a browser tab, and a whole cluster fits into one value ([`sim`]).
//!
//! Modules stand in levels; each uses only levels below its own, and machines never use each other:
//!
//! | level | modules |
//! | --- | --- |
//! | 0 | [`bugs`] [`time`] [`id`] [`rng`] [`error`] [`codec`] [`pairs`] [`timers`] [`hash`] [`text`] |
//! | 1 | [`settings`] [`version`] [`ring`] [`event`] [`request`] |
//! | 2 | [`message`] [`disk`] [`io`] |
//! | 3 | [`storage`] [`outbox`] [`begun`] |
//! | 4, the machines | [`gossip`] [`raft`] [`cluster`] [`eventual`] [`strong`] |
//! | 5 | [`node`] |
//! | 6 | [`journal`] |
//! | 7 | [`check`] [`sim`] |

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bugs;
pub mod codec;
pub mod error;
pub mod hash;
pub mod id;
pub mod ordered;
pub mod pairs;
pub mod rng;
pub mod text;
pub mod time;
pub mod timers;

pub mod event;
pub mod request;
pub mod ring;
pub mod settings;
pub mod version;

pub mod disk;
pub mod io;
pub mod message;

pub mod begun;
pub mod outbox;
pub mod storage;

pub mod cluster;
pub mod eventual;
pub mod gossip;
pub mod raft;
pub mod strong;

pub mod node;

pub mod journal;

pub mod check;
pub mod sim;

/// A stamp of the sources this core was built from. Recordings and share links carry it.
pub const BUILD: &str = env!("KV_CORE_BUILD");

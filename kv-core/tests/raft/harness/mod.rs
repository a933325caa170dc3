//! Replicas of Raft groups in one value: simulated disks, clocks and network, all from one seed.
//!
//! The same cluster runs by itself ([`Cluster::run_for`]), as in the fuzz, or step by step, as in
//! scripts: messages under way can be looked at, delivered and dropped one by one, syncs ended, clocks
//! moved. After each step everything that must always hold is checked ([`watch::Watch`]); the first thing
//! that does not is [`Cluster::objection`].

pub(crate) mod clients;
pub(crate) mod cluster;
pub(crate) mod damage;
pub(crate) mod fuzz;
pub(crate) mod host;
pub(crate) mod machine;
pub(crate) mod network;
pub(crate) mod process;
pub(crate) mod watch;

pub(crate) use cluster::{Cluster, Config};

//! What the tests of several crates share: the built program, nodes as processes, HTTP, streams of events,
//! and batches for stores.

pub mod batches;
pub mod cluster;
pub mod events;
pub mod http;
pub mod mgmt;
pub mod process;

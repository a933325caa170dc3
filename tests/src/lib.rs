//! What the tests of several crates share: the built program, nodes as processes, HTTP, streams of events,
//! clients of the strong keyspace with their history, and batches for stores.

pub mod batches;
pub mod cluster;
pub mod connection;
pub mod events;
pub mod history;
pub mod http;
pub mod mgmt;
pub mod process;
pub mod strong_load;

//! What the tests of several crates share: the built program, nodes as processes, HTTP, and batches for
//! stores.

pub mod batches;
pub mod cluster;
pub mod http;
pub mod mgmt;
pub mod process;

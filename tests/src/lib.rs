//! What the tests of several crates share: the built program, nodes as processes, and HTTP.

pub mod cluster;
pub mod http;
pub mod process;

//! The store against crashes, damage, full disks and a model, through its public face only.
//!
//! [`history`] plays a store step by step on the disk of the simulator; the tests say which steps, and
//! when power fails, bytes turn over or room ends.

mod crash;
mod crowded;
mod damage;
mod format;
mod full;
mod history;
mod image;
mod log_damage;
mod model;
mod roots;

//! The consensus machine on simulated disks, clocks and networks.
//!
//! | file | what |
//! | --- | --- |
//! | `harness` | a cluster in one value, and what must hold at every step |
//! | `basics` | what one reads first: an election, a write, a read, a crash |
//! | `attacks` | many seeds of faults |
//! | `changes` | changes of the membership |
//! | `elections` | how soon somebody leads again |
//! | `reads` | reads when messages are late or lost |
//! | `scenarios`, `scripts` | scenarios step by step, as transcripts |

mod attacks;
mod basics;
mod changes;
mod elections;
mod harness;
mod reads;
mod scenarios;
mod scripts;

//! What the protocol promises where joins, moves, restarts and foreign input cross its way.
//!
//! Each test plays the network by hand ([`net`]): it decides which messages are held back and when a
//! node loses power or its disk.

mod chaos;
mod damage;
mod foreign;
mod membership;
mod mending;
mod net;
mod quorum;
mod requests;
mod strong;

//! What holds of every disk, real or simulated: the same scripts, the same long random histories,
//! with and without a store on it.
//!
//! Left out: what a crash may do to unsynced writes. Only the simulated disk can be asked for it, and
//! there it is a matter of chance; here everything is synced before the power is lost.

mod history;
mod machine;
mod play;
mod script;
mod store;

//! The store against crashes, damage, full disks and a model, through its public face only.

mod crash;
mod damage;
mod disk;
mod format;
mod full;
mod history;
mod model;

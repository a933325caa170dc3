//! All scenario scripts play as they are written.

use std::env;

use crate::scripts;

#[test]
fn scenarios_play_as_they_are_written() {
    let faults = scripts::play_all(env::var_os("UPDATE").is_some());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

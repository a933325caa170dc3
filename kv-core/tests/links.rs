//! Runs that failed once, in the code as it was then or with a planted bug in it: none may fail again.
//!
//! A file in `links/` is made by `kv sim --save`, most with `--shrink`: what was wrong and what is done, as
//! comments, then the link. A change of the format of links makes them anew with
//! `KV_LINKS=tests/links cargo test --features bugs --test bugs`.

use std::fs;
use std::path::Path;

use kv_core::sim::link;
use kv_core::sim::trial::{self, Schedule, Terms};

#[test]
fn what_failed_once_does_not_fail_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/links");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let line = text.lines().find(|line| !line.starts_with("# ")).unwrap();
        let run = link::decode(line).unwrap_or_else(|error| panic!("{name}: {error}")).run;
        let report = trial::of_schedule(&Schedule::of(&run), &Terms::default()).unwrap();
        assert_eq!(report.objection, None, "{name}");
        assert!(report.operations > 0 && !report.schedule.actions.is_empty(), "{name}");
        count += 1;
    }
    assert!(count >= 14, "{count} runs are kept");
}

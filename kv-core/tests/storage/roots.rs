//! The two slots of the root, when power fails between them and again while they are mended.

use kv_core::disk::{Disk, DiskError};
use kv_core::id::{FileId, FileKind};
use kv_core::rng::Rng;
use kv_core::sim::disk::SimDisk;
use kv_core::storage::{Batch, Job, JobResult, Store};

use crate::history::{SMALL, STREAM, contents_of};

/// Does all jobs, up to one that fails; tells whether there was one, and whether it installs a root.
fn work(store: &mut Store, disk: &mut SimDisk, mut before: impl FnMut(&Job, &mut SimDisk)) -> bool {
    while let Some((id, job)) = store.next_job() {
        before(&job, disk);
        let result: Result<JobResult, DiskError> = job.run(disk);
        if result.is_err() {
            return matches!(job, Job::Install { .. });
        }
        store.job_done(id, result, disk);
    }
    false
}

fn put(store: &mut Store, disk: &mut SimDisk, number: u8) {
    let mut batch = Batch::default();
    // Long keys make the root longer than a sector, so it can be torn.
    batch.put([number; 400], [number; 600]);
    let at = store.apply(&batch, disk).unwrap();
    disk.sync_log(at).unwrap();
    store.synced(at);
}

#[test]
fn a_root_that_only_one_slot_holds_is_not_what_is_replaced_first() {
    for seed in 0..30 {
        let rng = &mut Rng::new(seed);
        let mut disk = SimDisk::default();
        let (mut store, _) = Store::open(SMALL, &mut disk).unwrap();
        for number in 0..9 {
            put(&mut store, &mut disk, number);
            work(&mut store, &mut disk, |_, _| ());
        }
        let mut batch = Batch::default();
        batch.put("unlogged", "1");
        store.apply_unlogged(&batch, STREAM, 1, &mut disk).unwrap();
        put(&mut store, &mut disk, 9);
        store.flush();
        // The first slot is written and synced, then power fails.
        let install = |operations| {
            move |job: &Job, disk: &mut SimDisk| {
                if matches!(job, Job::Install { .. }) {
                    disk.fail_power_after(operations);
                }
            }
        };
        assert!(work(&mut store, &mut disk, install(2)));
        disk.crash(rng);
        // A job was at work, too; so the next root differs from the last in more than its first sector.
        disk.create(FileId::table(99), 0).unwrap();
        let (mut store, _) = Store::open(SMALL, &mut disk).unwrap();
        // Whoever is told this may cut the other log.
        assert_eq!(store.mark(STREAM), Some(1));
        // The slots are mended, and power fails when the first of them is written but not synced.
        assert!(work(&mut store, &mut disk, install(1)), "the slots differ");
        disk.crash(rng);
        let (mut store, _) =
            Store::open(SMALL, &mut disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        for number in 0..10 {
            let found = store.get(&[number; 400], &disk);
            let value = found.map(|found| found.map(|(value, _)| value.to_vec()));
            assert_eq!(value, Ok(Some(vec![number; 600])), "seed {seed}, key {number}");
        }
        assert_eq!(store.mark(STREAM), Some(1), "seed {seed}");
        assert!(store.peek(b"unlogged", &disk).unwrap().is_some(), "seed {seed}");
    }
}

/// Until both slots say the same, the older one may be all that is left.
#[test]
fn what_only_the_older_slot_names_stays_until_the_slots_agree() {
    let mut disk = SimDisk::default();
    let (mut store, _) = Store::open(SMALL, &mut disk).unwrap();
    for number in 0..9 {
        put(&mut store, &mut disk, number);
        work(&mut store, &mut disk, |_, _| ());
    }
    store.compact_everything();
    let mut merged = false;
    let cut_short = work(&mut store, &mut disk, |job, disk| {
        merged |= matches!(job, Job::Compact(_));
        if merged && matches!(job, Job::Install { .. }) {
            // The first slot is written and synced, then power fails.
            disk.fail_power_after(2);
        }
    });
    assert!(cut_short && merged);
    disk.crash(&mut Rng::new(1));
    let (store, _) = Store::open(SMALL, &mut disk).unwrap();
    let contents = contents_of(&store, &disk).unwrap();
    disk.flip(FileId::ROOTS[0], 40, 0).unwrap();
    let (mut store, _) = Store::open(SMALL, &mut disk).unwrap();
    assert_eq!(contents_of(&store, &disk), Ok(contents));
    work(&mut store, &mut disk, |_, _| ());
    let view = store.view();
    let named: Vec<_> =
        view.levels.iter().flat_map(|level| &level.tables).map(|table| table.file).collect();
    let mut files = disk.list().unwrap();
    files.retain(|file| file.kind() == Some(FileKind::Table));
    assert_eq!(files.len(), named.len(), "then everything else goes: {files:?}, {named:?}");
}

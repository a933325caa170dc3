//! A store whose level 0 is so full that writes are put off.

use kv_core::sim::disk::SimDisk;
use kv_core::storage::{Batch, Job, Store, StoreError};

use crate::history::SMALL;

#[test]
fn a_crowded_store_that_is_opened_again_takes_what_it_must_and_gets_rid_of_the_crowd() {
    let mut disk = SimDisk::default();
    let (mut store, _) = Store::open(SMALL, &mut disk).unwrap();
    let mut compactions = Vec::new();
    let full = (0..10_000_u64).find_map(|number| {
        let mut batch = Batch::default();
        batch.put(number.to_be_bytes(), [7; 500]);
        let refused = store.apply(&batch, &mut disk).err();
        disk.sync_log(store.end()).unwrap();
        store.synced(store.end());
        while let Some((id, job)) = store.next_job() {
            match job {
                // It lasts too long.
                Job::Compact(_) => compactions.push(id),
                _ => drop(store.job_done(id, job.run(&mut disk), &mut disk)),
            }
        }
        refused
    });
    assert_eq!(full, Some(StoreError::Busy));
    assert_eq!(compactions.len(), 1);
    drop(store);

    let (mut store, _) = Store::open(SMALL, &mut disk).unwrap();
    let mut batch = Batch::default();
    batch.put("boot", "1");
    assert_eq!(store.apply(&batch, &mut disk), Err(StoreError::Busy));
    store.apply_always(&batch, &mut disk).unwrap();
    disk.sync_log(store.end()).unwrap();
    store.synced(store.end());
    while let Some((id, job)) = store.next_job() {
        store.job_done(id, job.run(&mut disk), &mut disk);
    }
    store.apply(&batch, &mut disk).unwrap();
    assert!(store.view().levels[0].tables.len() < 4);
}

/// Who gets entries of others writes them even if there is much to do, but not for ever.
#[test]
fn what_must_be_written_is_refused_when_jobs_stand_still_and_memory_would_run_out() {
    let mut disk = SimDisk::default();
    let (mut store, _) = Store::open(SMALL, &mut disk).unwrap();
    let write = |store: &mut Store, disk: &mut SimDisk, number: u64| {
        let mut batch = Batch::default();
        batch.put(number.to_be_bytes(), [7; 500]);
        let refused = store.apply_always(&batch, disk).err();
        disk.sync_log(store.end()).unwrap();
        store.synced(store.end());
        refused
    };
    let full = (0..10_000).find_map(|number| Some((number, write(&mut store, &mut disk, number)?)));
    let (first, refused) = full.expect("memory runs out");
    assert_eq!(refused, StoreError::Busy);
    store.flush();
    assert!(write(&mut store, &mut disk, first).is_some(), "nothing becomes free by itself");
    while let Some((id, job)) = store.next_job() {
        store.job_done(id, job.run(&mut disk), &mut disk);
    }
    assert_eq!(write(&mut store, &mut disk, first), None);
}

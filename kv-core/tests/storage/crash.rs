//! Power fails at every operation of the disk, the store's own and those of jobs. What is left is a
//! prefix of the batches with everything that was acknowledged.

use kv_core::disk::Disk;
use kv_core::id::{FileId, FileKind};
use kv_core::rng::Rng;
use kv_core::sim::disk::SimDisk;
use kv_core::storage::{Recovery, Store, StoreOptions};

use crate::history::{
    Change, Contents, History, SMALL, STREAM, Step, after, any_changes, any_step, contents_of,
};
use crate::image::{image_of, of_kind};

/// How often each kind of thing was seen, so that a sweep that tests nothing is noticed.
#[derive(Debug, Default)]
struct Seen {
    crashes: u64,
    in_jobs: u64,
    cuts: u64,
    lost_batches: u64,
    lost_unlogged: u64,
    tables: u64,
    recoveries_interrupted: u64,
}

/// What may be there after a crash: everything from the last acknowledged batch to the one that was
/// being appended.
struct Allowed<'a> {
    history: &'a History,
    /// The changes that were being made when power failed.
    logged: Option<Contents>,
    unlogged: Option<Contents>,
}

impl<'a> Allowed<'a> {
    fn during(history: &'a History, step: &Step) -> Self {
        let logged = match step {
            Step::Batch(changes) => Some(after(&history.contents[history.batches()], changes)),
            _ => None,
        };
        let unlogged = match step {
            Step::Unlogged(changes) => {
                Some(after(&history.unlogged[history.unlogged.len() - 1], changes))
            }
            _ => None,
        };
        Self { history, logged, unlogged }
    }

    /// Checks what a store holds; returns how many logged and unlogged batches were lost.
    fn check(&self, store: &Store, disk: &SimDisk, context: &str) -> (usize, usize) {
        let history = self.history;
        let found = contents_of(store, disk).unwrap_or_else(|error| panic!("{context}: {error}"));
        let (unlogged, logged): (Contents, Contents) =
            found.into_iter().partition(|(key, _)| key.starts_with(b"u"));
        let mut prefixes = history.contents[history.synced..].iter().chain(&self.logged).rev();
        let lost = prefixes.position(|contents| *contents == logged);
        let lost = lost.unwrap_or_else(|| panic!("{context}: no prefix with everything synced"));
        let mark = store.mark(STREAM).unwrap_or(0);
        assert!(history.marked <= mark, "{context}: the mark goes back");
        let batches = history.unlogged.iter().chain(&self.unlogged);
        let expected = batches.clone().nth(mark as usize);
        assert_eq!(Some(&unlogged), expected, "{context}: unlogged batches up to {mark}");
        (lost, batches.count() - 1 - mark as usize)
    }
}

/// Every cut is reported with its place, and nothing else goes.
fn check_cut(
    crashed: &SimDisk,
    recovered: &SimDisk,
    store: &Store,
    recovery: &Recovery,
    context: &str,
) {
    let end = store.end();
    let view = store.view();
    let first = view.segments.first().map_or(FileId::log(0), |(file, _)| *file);
    let before = image_of(crashed);
    let behind = |(file, bytes): (FileId, &Vec<u8>)| -> Vec<u8> {
        match file.cmp(&end.segment) {
            std::cmp::Ordering::Less => Vec::new(),
            std::cmp::Ordering::Equal => bytes[end.offset as usize..].to_vec(),
            std::cmp::Ordering::Greater => bytes.clone(),
        }
    };
    // Room that was never written to does not count.
    let written = |file| behind(file).iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let log = |image| -> u64 {
        of_kind(image, FileKind::Log)
            .filter(|(file, _)| first <= *file)
            .map(|(file, bytes)| written((file, bytes)) as u64)
            .sum()
    };
    let torn = of_kind(&before, FileKind::Log)
        .filter(|(file, _)| first <= *file)
        .any(|file| behind(file).iter().any(|byte| *byte != 0));
    assert_eq!(recovery.cut.is_some(), torn, "{context}: {recovery:?}, the log ends at {end:?}");
    let gone = log(&before) - log(&image_of(recovered));
    if let Some(cut) = recovery.cut {
        assert_eq!((cut.at, cut.bytes), (end, gone), "{context}: the cut is all that went");
    }
}

/// Nothing stays on the disk that does not belong to the store. Where the slots of the root differ, it
/// goes when both say the same.
fn check_no_strangers(store: &Store, disk: &SimDisk, context: &str) {
    let (mut store, mut disk) = (store.clone(), disk.clone());
    store.synced(store.end());
    while let Some((id, job)) = store.next_job() {
        let result = job.run(&mut disk);
        store.job_done(id, result, &mut disk);
    }
    let view = store.view();
    for file in disk.list().unwrap() {
        let belongs = match file.kind() {
            Some(FileKind::Log) => view.segments.iter().any(|(segment, _)| *segment == file),
            Some(FileKind::Table) => {
                view.levels.iter().flat_map(|level| &level.tables).any(|table| table.file == file)
            }
            Some(FileKind::Root | FileKind::Reserve) => true,
            None => false,
        };
        assert!(belongs, "{context}: {file} is left over");
    }
}

/// Power fails at each change that a recovery makes, and it is tried again.
fn check_interrupted(
    crashed: &SimDisk,
    options: StoreOptions,
    expected: &Contents,
    rng: &mut Rng,
    context: &str,
) -> u64 {
    for operations in 0.. {
        let mut disk = crashed.clone();
        disk.fail_power_after(operations);
        let interrupted = Store::open(options, &mut disk).is_err();
        disk.crash(rng);
        let context = format!("{context}, then after {operations} operations of the recovery");
        let (again, _) =
            Store::open(options, &mut disk).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(contents_of(&again, &disk).as_ref(), Ok(expected), "{context}");
        if !interrupted {
            return operations;
        }
    }
    unreachable!("a recovery ends")
}

/// The store goes on, and another crash takes nothing of what was acknowledged since.
fn check_goes_on(disk: SimDisk, options: StoreOptions, rng: &mut Rng, context: &str) {
    let mut history = History::on(disk, options);
    for _ in 0..4 {
        let _ = history.step(&Step::Batch(any_changes(rng, 'k')));
        let _ = history.step(&Step::Unlogged(any_changes(rng, 'u')));
    }
    history.step(&Step::Flush).unwrap();
    history.settle();
    let _ = history.step(&Step::Batch(any_changes(rng, 'k')));
    let mut disk = history.disk.clone();
    disk.crash(rng);
    let (store, _) =
        Store::open(options, &mut disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    Allowed { history: &history, logged: None, unlogged: None }.check(&store, &disk, context);
}

/// Loses power within a step, and checks what is there afterwards.
fn crash_within(
    history: &History,
    step: &Step,
    operations: u64,
    rng: &mut Rng,
    context: &str,
    seen: &mut Seen,
) {
    let mut during = history.clone();
    during.disk.fail_power_after(operations);
    let _ = during.step(step);
    // A step that was done counts as done only if that was told before power failed.
    let allowed = Allowed::during(history, step);
    let mut crashed = during.disk;
    crashed.crash(rng);
    let mut disk = crashed.clone();
    let (store, recovery) = Store::open(history.options, &mut disk)
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    let (lost, lost_unlogged) = allowed.check(&store, &disk, context);
    check_cut(&crashed, &disk, &store, &recovery, context);
    check_no_strangers(&store, &disk, context);
    let found = contents_of(&store, &disk).unwrap();
    let recovered = image_of(&disk);
    let mut again = disk.clone();
    let (reopened, recovery_again) = Store::open(history.options, &mut again).unwrap();
    assert_eq!(recovery_again.cut, None, "{context}: a second recovery cuts nothing");
    assert_eq!(
        contents_of(&reopened, &again).as_ref(),
        Ok(&found),
        "{context}: and finds the same"
    );
    assert_eq!(image_of(&again), recovered, "{context}: and changes nothing");
    if rng.below(4) == 0 {
        seen.recoveries_interrupted +=
            check_interrupted(&crashed, history.options, &found, rng, context);
        check_goes_on(disk, history.options, rng, context);
    }
    seen.crashes += 1;
    seen.in_jobs += u64::from(matches!(step, Step::Run(_)));
    seen.cuts += u64::from(recovery.cut.is_some());
    seen.lost_batches += lost as u64;
    seen.lost_unlogged += lost_unlogged as u64;
    seen.tables += store.view().levels.iter().map(|level| level.tables.len() as u64).sum::<u64>();
}

#[test]
fn a_crash_at_every_operation_leaves_a_prefix_with_everything_acknowledged() {
    let mut seen = Seen::default();
    for seed in 0..SEEDS {
        let mut rng = Rng::new(seed);
        // Segments of one batch, of a few, and of several blocks of the log.
        let segment_bytes = [1_000, 1, 40_000][seed as usize % 3];
        let mut history = History::new(StoreOptions { segment_bytes, ..SMALL });
        for number in 0..STEPS {
            let step = any_step(&mut rng);
            let mut done = history.clone();
            let _ = done.step(&step);
            let operations = done.disk.operations() - history.disk.operations();
            for operation in 0..operations {
                for subset in 0..SUBSETS {
                    let context = format!(
                        "seed {seed}, step {number}, operation {operation}, subset {subset}"
                    );
                    crash_within(&history, &step, operation, &mut rng, &context, &mut seen);
                }
            }
            history = done;
        }
        assert_eq!(history.read().as_ref(), Ok(&history.expected()), "seed {seed}");
        if seed % 3 == 0 {
            assert!(history.store.view().levels.len() > 1, "seed {seed}");
        }
    }
    println!("{seen:?}");
    assert!(seen.crashes > 5_000 && seen.in_jobs > 1_000 && seen.cuts > 500, "{seen:?}");
    assert!(seen.lost_batches > 500 && seen.lost_unlogged > 500 && seen.tables > 5_000, "{seen:?}");
}

const SEEDS: u64 = 6;
const STEPS: u64 = 350;
const SUBSETS: u64 = 3;

/// Crashes one after the other, each in what the one before has left.
#[test]
fn a_life_of_crashes_loses_nothing_that_was_acknowledged() {
    for seed in 0..40 {
        let mut rng = Rng::new(1_000 + seed);
        let mut history = History::new(SMALL);
        for life in 0..25 {
            for _ in 0..rng.between(5, 60) {
                let _ = history.step(&any_step(&mut rng));
            }
            let mut disk = history.disk.clone();
            disk.crash(&mut rng);
            let context = format!("seed {seed}, life {life}");
            let (store, _) =
                Store::open(SMALL, &mut disk).unwrap_or_else(|error| panic!("{context}: {error}"));
            Allowed { history: &history, logged: None, unlogged: None }
                .check(&store, &disk, &context);
            history = History::on(disk, SMALL);
        }
    }
}

/// A batch of several blocks of the log is there whole or not at all.
#[test]
fn a_crash_within_a_batch_of_several_blocks_leaves_nothing_of_it() {
    let mut history = History::new(StoreOptions::SIMULATED);
    history.put("before", "1");
    history.sync();
    let changes =
        vec![Change::Put(b"big".to_vec(), vec![7; 100_000]), Change::Remove(b"before".to_vec())];
    history.step(&Step::Batch(changes)).unwrap();
    let (mut whole, mut nothing) = (0, 0);
    for seed in 0..200 {
        let mut disk = history.disk.clone();
        disk.crash(&mut Rng::new(seed));
        let (store, _) = Store::open(history.options, &mut disk).unwrap();
        match contents_of(&store, &disk).unwrap() {
            found if found == history.contents[1] => nothing += 1,
            found if found == history.contents[2] => whole += 1,
            found => panic!("{:?}", found.keys()),
        }
    }
    assert!(nothing > 0, "{whole} whole, {nothing} nothing");
}

/// The process dies without the machine: what it wrote is there, but may never have been synced.
#[test]
fn nothing_counts_as_durable_right_after_opening() {
    use kv_core::id::LogPosition;
    let mut history = History::new(StoreOptions::SIMULATED);
    let required =
        |history: &mut History| history.store.get(b"a", &history.disk).unwrap().unwrap().1;
    history.put("a", "1");
    history.sync();
    assert_eq!(required(&mut history), LogPosition::START);
    history.reopen();
    assert_eq!(required(&mut history), history.store.end());
    assert_eq!(history.store.mark_durable(&mut history.disk), Ok(None), "nothing to say yet");
    history.sync();
    assert_eq!(required(&mut history), LogPosition::START);
    assert!(history.store.mark_durable(&mut history.disk).unwrap().is_some());
    history.sync();
    assert_eq!(history.store.mark_durable(&mut history.disk), Ok(None), "once is enough");
}

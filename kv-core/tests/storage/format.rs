//! The bytes of a log, one by one: what is written today must be read for ever.

use kv_core::id::FileId;
use kv_core::storage::{Batch, Store};

use crate::disk::TestDisk;
use crate::history::contents_of;

#[test]
fn the_bytes_of_a_small_log_never_change() {
    let mut disk = TestDisk::default();
    let (mut store, _) = Store::open(120, &mut disk).unwrap();
    let mut batch = Batch::default();
    batch.put("key", "value");
    batch.remove("old");
    store.apply(&batch, &mut disk).unwrap();
    store.synced(store.end());
    store.mark_durable(&mut disk).unwrap();
    let mut batch = Batch::default();
    batch.put("", "");
    store.apply(&batch, &mut disk).unwrap();

    let lines = [
        // The start of segment 1: magic, format 1, nothing before it.
        "96d2877e1c000000 0100000000000000 0500000000000000 000000006b76206c",
        // Behind 24 bytes of it, batch 1 with two changes.
        "6f670d0a01000000 0000000000000000 0000000000000000 320e505110000000",
        "0100000000000000 0100020000000000 0000000001036b65 790576616c756502",
        // Behind 8 bytes of it, batch 2 without changes: batch 1 is durable.
        "036f6c6400000000 aab94e1f00000000 0200000000000000 0100000001000000",
        "0000000000000000",
    ];
    assert_eq!(words(&disk, 1), lines);
    let lines = [
        // The start of segment 2: the one before it is segment 1 and ends at 0x88.
        "237864111c000000 0300000000000000 0500000001000000 000000006b76206c",
        "6f670d0a01000000 0100000000000000 8800000000000000 b1f2d81503000000",
        "0300000000000000 0100010001000000 0000000001000000",
    ];
    assert_eq!(words(&disk, 2), lines);
    let (reopened, recovery) = Store::open(120, &mut disk).unwrap();
    assert_eq!((recovery.records, recovery.cut), (3, None));
    assert_eq!(contents_of(&reopened), contents_of(&store));
}

#[test]
fn a_batch_is_split_where_its_block_ends() {
    let mut disk = TestDisk::default();
    let (mut store, _) = Store::open(1 << 20, &mut disk).unwrap();
    let mut batch = Batch::default();
    batch.put("k", vec![0xaa; 70_000]);
    store.apply(&batch, &mut disk).unwrap();
    let bytes = &disk.files[&FileId(1)];
    let header = |at: usize| (bytes[at + 4..at + 8].to_vec(), bytes[at + 16], bytes[at + 18]);
    let length = |payload: usize| (payload as u32).to_le_bytes().to_vec();
    // Behind the 56 bytes that begin the segment: kinds first, middle, last; one change begins in all.
    assert_eq!(header(56), (length(32_768 - 56 - 28), 2, 1));
    assert_eq!(header(32_768), (length(32_768 - 28), 3, 0));
    let rest = 6 + 70_000 - (32_768 - 56 - 28) - (32_768 - 28);
    assert_eq!(header(65_536), (length(rest), 4, 0));
    assert_eq!(bytes.len(), (65_536 + 28 + rest).next_multiple_of(8));
}

/// A file in hexadecimal, eight bytes a word, four words a line.
fn words(disk: &TestDisk, file: u64) -> Vec<String> {
    let words: Vec<String> = disk.files[&FileId(file)]
        .chunks(8)
        .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    words.chunks(4).map(|line| line.join(" ")).collect()
}

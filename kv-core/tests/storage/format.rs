//! The bytes of files, one by one: what is written today must be read for ever.

use kv_core::id::FileId;
use kv_core::storage::{Batch, Store, StoreOptions};

use crate::history::{Change, History, SMALL, Step, contents_of};
use crate::image::{Image, image_of};

#[test]
fn the_bytes_of_a_small_log_never_change() {
    let options = StoreOptions { segment_bytes: 136, ..SMALL };
    let mut history = History::new(options);
    let first = vec![Change::Put(b"key".into(), b"value".into()), Change::Remove(b"old".into())];
    history.step(&Step::Batch(first)).unwrap();
    history.sync();
    history.step(&Step::Marker).unwrap();
    history.put("", "");
    let image = image_of(&history.disk);

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
    assert_eq!(words(&image, FileId::log(1)), lines);
    let lines = [
        // The start of segment 2: the one before it is segment 1 and ends at 0x88.
        "237864111c000000 0300000000000000 0500000001000000 000000006b76206c",
        "6f670d0a01000000 0100000000000000 8800000000000000 b1f2d81503000000",
        "0300000000000000 0100010001000000 0000000001000000 0000000000000000",
        // And room.
        "0000000000000000 0000000000000000 0000000000000000 0000000000000000",
        "0000000000000000",
    ];
    assert_eq!(words(&image, FileId::log(2)), lines);
    let mut disk = history.disk.clone();
    let (reopened, recovery) = Store::open(options, &mut disk).unwrap();
    assert_eq!((recovery.records, recovery.cut), (3, None));
    assert_eq!(contents_of(&reopened, &disk).as_ref(), Ok(&history.expected()));
}

#[test]
fn a_batch_is_split_where_its_block_ends() {
    let mut history = History::new(StoreOptions::SERVER);
    history.put("k", vec![0xaa; 70_000]);
    let end = history.store.end().offset;
    let bytes = &image_of(&history.disk)[&FileId::log(1)][..end as usize];
    let header = |at: usize| (bytes[at + 4..at + 8].to_vec(), bytes[at + 16], bytes[at + 18]);
    let length = |payload: usize| (payload as u32).to_le_bytes().to_vec();
    // Behind the 56 bytes that begin the segment: kinds first, middle, last; one change begins in all.
    assert_eq!(header(56), (length(32_768 - 56 - 28), 2, 1));
    assert_eq!(header(32_768), (length(32_768 - 28), 3, 0));
    let rest = 6 + 70_000 - (32_768 - 56 - 28) - (32_768 - 28);
    assert_eq!(header(65_536), (length(rest), 4, 0));
    assert_eq!(bytes.len(), (65_536 + 28 + rest).next_multiple_of(8));
}

#[test]
fn the_bytes_of_a_small_table_and_its_root_never_change() {
    let mut history = History::new(SMALL);
    let mut batch = Batch::default();
    batch.put("apple", "1");
    batch.put("apply", "2");
    batch.remove("banana");
    batch.remove_range("c", "d");
    history.store.apply(&batch, &mut history.disk).unwrap();
    history.step(&Step::Flush).unwrap();
    history.settle();
    let image = image_of(&history.disk);
    let lines = [
        // The one block: a key shares so many bytes with the one before, has so many of its own and a
        // value of so many and one, or none; its revision; key and value. Then where keys are whole.
        "000503016170706c 6531040103027932 0006000362616e61 6e61000000000100",
        // Behind 2 bytes of that: plain, a checksum; the filter of 8 bytes, how many probes, plain, a
        // checksum; the index: keys up to `banana` are in a block of 43 bytes.
        "000000113b74d1a4 34ccd35229900aa8 802808070061a520 45f987b6ab066261",
        // The index ends and the properties begin.
        "6e616e612b0070de 09c79d5522590301 0112056170706c65 0164040101630164",
        // The removed range from `c` to `d`; the footer.
        "01040003f2be992a 43183d2b00000000 0000003d00000000 0000004e00000000",
        "000000010000006b 76207461626c65fa 29c48fc3908c2b",
    ];
    assert_eq!(words(&image, FileId::table(1)), lines);
    let lines = [
        // Magic, format 1, 48 bytes, a checksum; generation 1, seven levels, one table in the first.
        "6b7620726f6f740a 0100000030000000 00000000e625955c df15aea701070181",
        "8080808080409701 fad390feb898a4c6 2b03010112056170 706c650164040000",
        "0000000002010101 04000000",
    ];
    assert_eq!(words(&image, FileId::ROOTS[0]), lines);
}

/// A file in hexadecimal, eight bytes a word, four words a line.
fn words(image: &Image, file: FileId) -> Vec<String> {
    let words: Vec<String> = image[&file]
        .chunks(8)
        .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    words.chunks(4).map(|line| line.join(" ")).collect()
}

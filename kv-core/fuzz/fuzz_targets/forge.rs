//! Files with any content under checksums that hold: what the targets of tables and roots share.

#[path = "../../tests/storage/image.rs"]
#[expect(dead_code, reason = "which files are of a kind is of no interest here")]
mod image;

use std::collections::BTreeMap;

pub(crate) use image::{Image, disk_of, image_of};
use kv_core::codec;
use kv_core::id::FileId;
use kv_core::sim::disk::SimDisk;
use kv_core::storage::{Batch, Direction, Store, StoreOptions, Suspect, TableMeta};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(crate) const OPTIONS: StoreOptions = StoreOptions {
    segment_bytes: 2_000,
    block_bytes: 100,
    compressed_from: 0,
    reserve_bytes: 0,
    ..StoreOptions::SIMULATED
};

/// Where it is changed, and what stands there then.
pub(crate) type Edit = (u8, u16, Vec<u8>);

const ROOT_HEADER: usize = 28;
const FOOTER: usize = 44;

/// The payload of a root, field by field.
#[derive(Serialize, Deserialize)]
pub(crate) struct Root {
    generation: u64,
    pub(crate) levels: Vec<Vec<TableMeta>>,
    next_table: u64,
    log_start: (FileId, u64),
    flushed_seq: u64,
    revision: u64,
    marks: BTreeMap<u64, u64>,
    suspects: Vec<Suspect>,
    damaged: Vec<FileId>,
}

/// A store with two tables, one over the other, removed ranges in both, and a batch in the log alone.
pub(crate) fn genuine() -> Image {
    let mut disk = SimDisk::default();
    let (mut store, _) = Store::open(OPTIONS, &mut disk).expect("an empty disk opens");
    for round in 0..2_u8 {
        for number in 0..16_u8 {
            let mut batch = Batch::default();
            batch.put([b'k', number / 3 * (round + 1), number], [round; 30]);
            batch.remove([b'k', number]);
            batch.remove_range([b'm', number], [b'n', number]);
            store.apply(&batch, &mut disk).expect("there is room");
        }
        store.flush();
        work(&mut store, &mut disk);
    }
    let mut batch = Batch::default();
    batch.put("last", "in the log");
    store.apply(&batch, &mut disk).expect("there is room");
    image_of(&disk)
}

/// Syncs, and runs jobs until none is due or the store gives up.
pub(crate) fn work(store: &mut Store, disk: &mut SimDisk) {
    let end = store.end();
    disk.sync_log(end).expect("the disk works");
    store.synced(end);
    for _ in 0..100 {
        let Some((id, job)) = store.next_job() else { return };
        let result = job.run(disk);
        store.job_done(id, result, disk);
    }
    panic!("the jobs do not end");
}

/// Reads in every way, merges everything, and opens again. Nothing of it may panic or go on for ever.
pub(crate) fn use_store(mut disk: SimDisk) {
    let Ok((mut store, _)) = Store::open(OPTIONS, &mut disk) else { return };
    for _ in 0..2 {
        for key in [&b""[..], b"k\0\x01", b"k\x03\x09", b"m\x05", b"last", b"\xff\xff"] {
            let _ = store.get(key, &disk);
        }
        for direction in [Direction::Forward, Direction::Backward] {
            for (start, end) in [(&b""[..], None), (b"k\x02", Some(&b"m\x03"[..]))] {
                let mut scan = store.scan(start, end, direction);
                while let Ok(Some(_)) = scan.next(&disk) {}
            }
        }
        let _ = store.view();
        let mut batch = Batch::default();
        batch.put("more", "of it");
        if store.apply(&batch, &mut disk).is_err() {
            return;
        }
        store.compact_everything();
        work(&mut store, &mut disk);
    }
    if store.failure().is_none() {
        Store::open(OPTIONS, &mut disk).expect("what it has written itself can be opened");
    }
}

/// The root that an image names.
pub(crate) fn root_of(image: &Image) -> Root {
    let slot = &image[&FileId::ROOTS[0]];
    codec::decode(&slot[ROOT_HEADER..]).expect("it was written by a store")
}

/// Puts a payload into both slots.
pub(crate) fn set_root(image: &mut Image, payload: &[u8]) {
    for slot in FileId::ROOTS {
        let bytes = image.get_mut(&slot).expect("it was installed");
        bytes.truncate(12);
        bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&checksum(slot, 1, payload).to_le_bytes());
        bytes.extend_from_slice(payload);
    }
}

/// Changes sections of a table and seals them again; returns the checksum of the footer.
pub(crate) fn forge_table(file: FileId, bytes: &mut [u8], edits: &[Edit]) -> u64 {
    let spans = sections(bytes);
    for (section, at, replacement) in edits {
        let (start, end) = spans[usize::from(*section) % spans.len()];
        // All but the checksum.
        let inside = &mut bytes[start..end - 8];
        let at = usize::from(*at) % inside.len();
        let length = replacement.len().min(inside.len() - at);
        inside[at..at + length].copy_from_slice(&replacement[..length]);
    }
    for (start, end) in spans {
        let sum = checksum(file, start as u64, &bytes[start..end - 8]);
        bytes[end - 8..end].copy_from_slice(&sum.to_le_bytes());
    }
    let footer = bytes.len() - 8;
    u64::from_le_bytes(bytes[footer..].try_into().expect("eight bytes"))
}

/// Where the sections of a genuine table are, and its footer.
fn sections(bytes: &[u8]) -> Vec<(usize, usize)> {
    let footer = bytes.len() - FOOTER;
    let number =
        |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize;
    let [filter, index, properties] = [0, 8, 16].map(|at| number(footer + at));
    let mut spans = Vec::new();
    let mut at = 0;
    // Keys and blocks are short here, so their lengths take a byte or two.
    let mut rest = &bytes[index..properties - 9];
    while let Some((&key, behind)) = rest.split_first() {
        rest = &behind[usize::from(key)..];
        let mut length = usize::from(rest[0] & 0x7f);
        if rest[0] & 0x80 != 0 {
            length |= usize::from(rest[1]) << 7;
            rest = &rest[1..];
        }
        rest = &rest[1..];
        spans.push((at, at + length));
        at += length;
    }
    assert_eq!(at, filter, "the blocks fill the file up to the filter");
    spans.extend([
        (filter, index),
        (index, properties),
        (properties, footer),
        (footer, bytes.len()),
    ]);
    spans
}

fn checksum(file: FileId, seed: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, file.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed)
}

//! The bytes of all files of a disk, to be looked at and changed from outside.

use std::collections::BTreeMap;

use kv_core::disk::Disk;
use kv_core::id::{FileId, FileKind};
use kv_core::sim::disk::SimDisk;

/// Every file with its bytes.
pub(crate) type Image = BTreeMap<FileId, Vec<u8>>;

/// What a disk holds.
pub(crate) fn image_of(disk: &SimDisk) -> Image {
    let files = disk.list().unwrap();
    files
        .into_iter()
        .map(|file| (file, disk.read_at(file, 0, disk.len(file).unwrap()).unwrap()))
        .collect()
}

/// A disk that holds this, durably.
pub(crate) fn disk_of(image: &Image) -> SimDisk {
    use kv_core::disk::JobDisk;
    let mut disk = SimDisk::default();
    for (&file, bytes) in image {
        disk.create(file, 0).unwrap();
        disk.append(file, bytes).unwrap();
        disk.sync(file).unwrap();
    }
    disk
}

/// The files of a kind.
pub(crate) fn of_kind(image: &Image, kind: FileKind) -> impl Iterator<Item = (FileId, &Vec<u8>)> {
    image
        .iter()
        .filter(move |(file, _)| file.kind() == Some(kind))
        .map(|(file, bytes)| (*file, bytes))
}

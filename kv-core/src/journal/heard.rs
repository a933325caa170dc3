//! A disk whose answers are heard.

use alloc::vec::Vec;
use core::cell::RefCell;

use super::{Answer, Notes, Recorder};
use crate::codec;
use crate::disk::{Disk, DiskError};
use crate::hash;
use crate::id::FileId;

/// A disk lent to a node for one step, of which a recorder, if there is one, hears every answer.
#[derive(Debug)]
pub struct Heard<'a, D> {
    disk: &'a mut D,
    notes: Option<&'a RefCell<Notes>>,
}

impl<'a, D: Disk> Heard<'a, D> {
    /// This disk, heard by this recorder.
    pub fn new(disk: &'a mut D, recorder: Option<&'a Recorder>) -> Self {
        let recorder = recorder.filter(|recorder| !recorder.full);
        Self { disk, notes: recorder.map(|recorder| &recorder.notes) }
    }

    fn hear<T>(
        &self,
        call: Call<'_>,
        answer: Result<T, DiskError>,
        note: impl FnOnce(&T) -> Answer,
    ) -> Result<T, DiskError> {
        if let Some(notes) = self.notes {
            let noted = answer.as_ref().map_or_else(|error| Answer::Failed(error.clone()), note);
            let mut notes = notes.borrow_mut();
            notes.answers.push(noted);
            call.note(&mut notes.deeds);
        }
        answer
    }
}

/// A call of a disk: which one, of what file, where, how much, and what was to be written.
pub(super) struct Call<'a> {
    pub(super) what: u8,
    pub(super) file: FileId,
    pub(super) place: u64,
    pub(super) length: u64,
    pub(super) bytes: &'a [u8],
}

impl Call<'_> {
    pub(super) fn of(what: u8, file: FileId, place: u64, length: u64) -> Self {
        Self { what, file, place, length, bytes: &[] }
    }

    pub(super) fn note(&self, deeds: &mut Vec<u8>) {
        let written = hash::of(self.bytes);
        codec::encode_onto(&(self.what, self.file, self.place, self.length, written), deeds);
    }
}

pub(super) const CREATE: u8 = 1;
pub(super) const APPEND: u8 = 2;
pub(super) const WRITE: u8 = 3;
pub(super) const READ: u8 = 4;
pub(super) const LEN: u8 = 5;
pub(super) const TRUNCATE: u8 = 6;
pub(super) const REMOVE: u8 = 7;
pub(super) const LIST: u8 = 8;

impl<D: Disk> Disk for Heard<'_, D> {
    fn create(&mut self, file: FileId, room: u64) -> Result<(), DiskError> {
        let answer = self.disk.create(file, room);
        self.hear(Call::of(CREATE, file, 0, room), answer, |()| Answer::Done)
    }

    fn append(&mut self, file: FileId, bytes: &[u8]) -> Result<(), DiskError> {
        let answer = self.disk.append(file, bytes);
        let call = Call { bytes, ..Call::of(APPEND, file, 0, bytes.len() as u64) };
        self.hear(call, answer, |()| Answer::Done)
    }

    fn write_at(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let answer = self.disk.write_at(file, offset, bytes);
        let call = Call { bytes, ..Call::of(WRITE, file, offset, bytes.len() as u64) };
        self.hear(call, answer, |()| Answer::Done)
    }

    fn read_at(&self, file: FileId, offset: u64, length: u64) -> Result<Vec<u8>, DiskError> {
        let answer = self.disk.read_at(file, offset, length);
        self.hear(Call::of(READ, file, offset, length), answer, |bytes: &Vec<u8>| {
            Answer::Bytes(bytes.clone())
        })
    }

    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        let answer = self.disk.len(file);
        self.hear(Call::of(LEN, file, 0, 0), answer, |length| Answer::Length(*length))
    }

    fn truncate(&mut self, file: FileId, length: u64) -> Result<(), DiskError> {
        let answer = self.disk.truncate(file, length);
        self.hear(Call::of(TRUNCATE, file, 0, length), answer, |()| Answer::Done)
    }

    fn remove(&mut self, file: FileId) -> Result<(), DiskError> {
        let answer = self.disk.remove(file);
        self.hear(Call::of(REMOVE, file, 0, 0), answer, |()| Answer::Done)
    }

    fn list(&self) -> Result<Vec<FileId>, DiskError> {
        let answer = self.disk.list();
        self.hear(Call::of(LIST, FileId(0), 0, 0), answer, |files: &Vec<FileId>| {
            Answer::Files(files.clone())
        })
    }
}

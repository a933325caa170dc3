//! Disks that lose what they held: bits turn over, sectors cannot be read, reads go astray.
//!
//! Damage must be noticed, so the disk is asked before and after it whether its groups are still there: it
//! is refused, or it is whole. Left out is what no log can notice: a last record that nothing behind it
//! proves to have been durable looks like one that was torn.

use kv_core::disk::Disk as _;
use kv_core::id::{FileId, FileKind, LogPosition};
use kv_core::raft::Opened;
use kv_core::sim::disk::SimDisk;
use kv_core::storage::Store;

use super::host::Host;
use super::machine::Machine;
use super::process::{STORE, Stopped};

/// What can happen to a disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    /// A bit of the log turns over.
    LogBit,
    /// A bit of a table turns over.
    TableBit,
    /// A sector of any of them cannot be read any more.
    Sector,
    /// The next read of a table gives the bytes of another place.
    Misread,
}

impl Damage {
    /// Under which name it is counted.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LogBit => "flipped bit in a log",
            Self::TableBit => "flipped bit in a table",
            Self::Sector => "unreadable sector",
            Self::Misread => "misdirected read",
        }
    }
}

/// How many places are tried until one is found where a bit matters.
const PLACES: u32 = 8;

impl Host {
    /// Damages what is durable. Returns whether there was anything to damage.
    pub(crate) fn damage(&mut self, damage: Damage) -> bool {
        let done = match damage {
            Damage::LogBit => self.flip(FileKind::Log),
            Damage::TableBit => self.flip(FileKind::Table),
            Damage::Sector => match self.any_place(|_| true) {
                Some((file, offset)) => {
                    self.disk.fail_reads(file, offset);
                    true
                }
                None => false,
            },
            Damage::Misread if self.disk.has_tables() => {
                self.disk.misread_next_table();
                true
            }
            Damage::Misread => false,
        };
        self.rotten |= done;
        self.changed();
        done
    }

    /// Turns a bit over in the middle of what is proven to be durable. There must be so much.
    pub(crate) fn turn_a_bit_over(&mut self) {
        let LogPosition { segment, offset } = self.proven;
        self.disk.flip(segment, offset / 2, 0).expect("something is durable");
        self.rotten = true;
        self.changed();
    }

    /// Turns a bit over, rather one that matters.
    fn flip(&mut self, kind: FileKind) -> bool {
        let before = self.contents(self.disk.durable()).ok();
        let mut harmless = None;
        for _ in 0..PLACES {
            let Some((file, offset)) = self.any_place(|of| of == kind) else { return false };
            let bit = self.rng.below(8) as u8;
            let mut damaged = self.disk.durable();
            damaged.flip(file, offset, bit).expect("it reaches there");
            match self.contents(damaged) {
                Err(_) => {
                    return self.disk.flip(file, offset, bit).is_ok();
                }
                Ok(after) if Some(&after) == before.as_ref() => {
                    harmless = Some((file, offset, bit));
                }
                Ok(_) => {
                    let at = LogPosition { segment: file, offset };
                    let noticed = kind != FileKind::Log || self.proven <= at;
                    assert!(noticed, "damage to what was durable passes for a torn end, at {at:?}");
                }
            }
        }
        harmless.is_some_and(|(file, offset, bit)| self.disk.flip(file, offset, bit).is_ok())
    }

    /// Somewhere in the durable bytes of a log or a table.
    fn any_place(&mut self, kind: impl Fn(FileKind) -> bool) -> Option<(FileId, u64)> {
        let disk = self.disk.durable();
        let mut files = disk.list().expect("it has power");
        files.retain(|file| {
            let of = file.kind().filter(|of| matches!(of, FileKind::Log | FileKind::Table));
            of.is_some_and(&kind) && self.disk.len(*file).is_ok()
        });
        let which = self.rng.any().checked_rem(files.len() as u64)?;
        let file = files[which as usize];
        let bytes = disk.len(file).ok()?.min(self.disk.len(file).ok()?);
        Some((file, self.rng.any().checked_rem(bytes)?))
    }

    /// All that a process would find on a disk, or why it would find nothing.
    fn contents(&self, mut disk: SimDisk) -> Result<String, Stopped> {
        let (mut store, _) = Store::open(STORE, &mut disk).map_err(Stopped::because)?;
        let mut contents = String::new();
        for id in Opened::list(&store, &disk).map_err(Stopped::because)? {
            let opened = Opened::read(id, self.replica(), &store, &disk);
            let machine = store.get(&Machine::key(id), &disk).map_err(Stopped::because)?;
            let opened = opened.map_err(Stopped::because)?;
            contents += &format!("{opened:?} {:?}\n", machine.map(|(bytes, _)| bytes));
        }
        Ok(contents)
    }
}

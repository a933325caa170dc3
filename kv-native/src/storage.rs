//! `kv storage`: looks into a data folder that no node has open, and changes nothing in it.

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;

use kv_core::disk::Disk;
use kv_core::id::{FileId, FileKind};
use kv_core::node::entry::{key_words, last_words, value_words};
use kv_core::storage::inspect::{self, Checked, Entry, FileReport, Inspection, LogView, SlotView};
use kv_core::storage::{Change, TableView, Unreadable};

use crate::cli::{End, output};
use crate::disk::{FileDisk, file_name};
use crate::table::{Table, bytes_words};

/// `kv storage inspect`.
pub(crate) fn inspect(folder: &Path) -> Result<(), End> {
    let found = inspection(&open(folder)?)?;
    let mut words = summary(&found);
    if let Ok(log) = &found.log {
        words.push_str(&segments(log));
    }
    words.push_str(&tables(&found));
    output(words.as_bytes())
}

/// `kv storage inspect --dump`.
pub(crate) fn dump(folder: &Path, table: Option<u64>) -> Result<(), End> {
    let disk = open(folder)?;
    let tables = match table {
        Some(number) if disk.len(FileId::table(number % FileId::NUMBERS)).is_err() => {
            return Err(End::misuse(format!("there is no table {number} in {}", folder.display())));
        }
        Some(number) => vec![FileId::table(number)],
        None => inspection(&disk)?.levels.iter().flatten().map(|table| table.file).collect(),
    };
    let mut dump = Dump { out: BufWriter::new(io::stdout().lock()), broken: Ok(()) };
    if table.is_none() {
        dump.heading("log, what is in no table");
        let told = inspect::dump_log(&disk, &mut |entry| dump.entry("batch", entry));
        told.map(drop).map_err(|error| End::failed(error.to_string()))?;
    }
    for file in tables {
        dump.heading(&file_name(file));
        if inspect::dump_table(file, &disk, &mut |entry| dump.entry("revision", entry)).is_break() {
            break;
        }
    }
    dump.end()
}

/// `kv storage verify`.
pub(crate) fn verify(folder: &Path) -> Result<(), End> {
    let disk = open(folder)?;
    let mut reports = Vec::new();
    let first = inspect::verify(&disk, &mut |report| reports.push(report.clone()));
    let first = first.map_err(|error| End::failed(error.to_string()))?;
    let mut table = Table::new(&["FILE", "SIZE", "FOUND"]);
    for report in &reports {
        let name = file_name(report.file);
        table.row([name, bytes_words(report.bytes), found_words(report)]);
    }
    output(table.to_string().as_bytes())?;
    match first {
        None => Ok(()),
        Some(flaw) => {
            let (file, offset) = flaw.place();
            let file = file_name(file);
            Err(End::failed(format!("the first fault is in {file} at offset {offset}: {flaw}")))
        }
    }
}

fn open(folder: &Path) -> Result<impl Disk + use<>, End> {
    FileDisk::open_to_read(folder).map_err(|error| End::misuse(error.to_string()))
}

fn inspection(disk: &impl Disk) -> Result<Inspection, End> {
    inspect::inspect(disk).map_err(|error| End::failed(error.to_string()))
}

fn summary(found: &Inspection) -> String {
    let slot = |slot| match slot {
        SlotView::Missing => "not written yet".into(),
        SlotView::Broken => "damaged or half-written".into(),
        SlotView::Whole(generation) => format!("generation {generation}"),
    };
    let [first, second] = found.slots.map(slot);
    let mut words = format!("roots     0: {first}, 1: {second}\n");
    match &found.log {
        Ok(log) => {
            let end = log.end.offset;
            words.push_str(&format!(
                "log       up to batch {}, in tables up to {}; ends in {} at {end}\n",
                log.last_seq,
                found.flushed_seq,
                file_name(log.end.segment),
            ));
            if let Some(cut) = log.cut {
                let bytes = bytes_words(cut.bytes);
                words.push_str(&format!("          torn there; the next start cuts off {bytes}\n"));
            }
            let (versions, bytes) = log.memtable;
            let bytes = bytes_words(bytes);
            words.push_str(&format!("memtable  {versions} versions, {bytes} after opening\n"));
        }
        Err(error) => words.push_str(&format!("log       {error}\n")),
    }
    for (stream, position) in &found.marks {
        words.push_str(&format!("stream    {stream} in tables up to {position}\n"));
    }
    if found.reserve > 0 {
        words.push_str(&format!("reserve   {} kept free\n", bytes_words(found.reserve)));
    }
    for suspect in &found.suspects {
        words.push_str(&format!(
            "suspect   {} to {}: {} was damaged at {}\n",
            key_words(&suspect.start),
            last_words(&suspect.end),
            file_name(suspect.file),
            suspect.offset
        ));
    }
    for (file, bytes) in &found.strangers {
        let bytes = bytes_words(*bytes);
        let file = file_name(*file);
        words.push_str(&format!(
            "stranger  {file}, {bytes}: belongs to nothing, the next start removes it\n"
        ));
    }
    words
}

fn segments(log: &LogView) -> String {
    let mut table = Table::new(&["SEGMENT", "USED", "OF", "BATCHES"]);
    for segment in &log.segments {
        let last = segment.first_seq + segment.batches.saturating_sub(1);
        table.row([
            file_name(segment.file),
            bytes_words(segment.bytes),
            bytes_words(segment.room),
            match segment.batches {
                0 => "none".into(),
                _ => format!("{} to {last}", segment.first_seq),
            },
        ]);
    }
    format!("\n{table}")
}

fn tables(found: &Inspection) -> String {
    if found.levels.iter().all(Vec::is_empty) {
        return "\nno tables\n".into();
    }
    let mut table = Table::new(&[
        "LEVEL",
        "TABLE",
        "SIZE",
        "RAW",
        "VERSIONS",
        "REMOVED",
        "RANGES",
        "FILTER",
        "FIRST KEY",
        "LAST KEY",
    ]);
    for (level, one) in found
        .levels
        .iter()
        .enumerate()
        .flat_map(|(level, tables)| tables.iter().map(move |table| (level, table)))
    {
        table.row(row(level, one));
    }
    format!("\n{table}")
}

fn row(level: usize, table: &TableView) -> [String; 10] {
    let bits = (table.filter_bytes * 8).checked_div(table.versions).unwrap_or(0);
    let filter = match &table.fault {
        None => format!("{bits} bits/key"),
        Some(fault) => format!("DAMAGED at {}", fault.offset),
    };
    [
        level.to_string(),
        file_name(table.file),
        bytes_words(table.bytes),
        bytes_words(table.raw_bytes),
        table.versions.to_string(),
        table.removals.to_string(),
        table.ranges.to_string(),
        filter,
        key_words(&table.first),
        last_words(&table.end),
    ]
}

fn found_words(report: &FileReport) -> String {
    match &report.found {
        Checked::Whole(_) if report.file.kind() == Some(FileKind::Root) => "whole".into(),
        Checked::Whole(parts) if report.file.kind() == Some(FileKind::Log) => {
            format!("whole, {parts} batches")
        }
        Checked::Whole(parts) => format!("whole, {parts} sections"),
        Checked::Torn(cut) => format!(
            "torn in {} at {}; nothing behind it was acknowledged, the next start cuts it off",
            file_name(cut.at.segment),
            cut.at.offset
        ),
        Checked::Unwritten => "not written yet".into(),
        Checked::Stranger => "not checked: belongs to nothing, the next start removes it".into(),
        Checked::Room => "not checked: only room kept free".into(),
        Checked::Flawed(flaw) => format!("DAMAGED at offset {}: {flaw}", flaw.place().1),
    }
}

/// A dump on its way to the standard output.
struct Dump<W> {
    out: W,
    broken: io::Result<()>,
}

impl<W: Write> Dump<W> {
    fn heading(&mut self, words: &str) {
        // Should it not get there, the next entry does not either.
        let _ = self.line(&format!("# {words}"));
    }

    fn entry(&mut self, number: &str, entry: Result<Entry<'_>, Unreadable>) -> ControlFlow<()> {
        let line = match entry {
            Err(fault) => format!("# DAMAGED: {fault}; what was there is missing"),
            Ok(Entry { number: value, change }) => {
                let change = match change {
                    Change::Put { key, value } => {
                        format!("put {} = {}", key_words(key), value_words(key, value))
                    }
                    Change::Remove { key } => format!("remove {}", key_words(key)),
                    Change::RemoveRange { start, end } => {
                        format!("remove {} to {}", key_words(start), last_words(end))
                    }
                };
                format!("{number} {value}  {change}")
            }
        };
        self.line(&line)
    }

    fn line(&mut self, line: &str) -> ControlFlow<()> {
        if self.broken.is_ok() {
            self.broken = writeln!(self.out, "{line}");
        }
        if self.broken.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn end(mut self) -> Result<(), End> {
        let ended = self.broken.and_then(|()| self.out.flush());
        ended.map_err(|error| End::unwritten(&error))
    }
}

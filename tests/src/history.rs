//! What clients of the strong keyspace did and were answered, in the format of `kv check`
//! (docs/testing.md).

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::process::command;

/// A history that many clients write.
#[derive(Debug)]
pub struct History {
    begin: Instant,
    lines: Mutex<Vec<String>>,
    outcomes: [AtomicU64; 3],
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Ok,
    /// It has surely changed nothing.
    Failed,
    /// Nobody knows, and it may still happen.
    Unknown,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self { begin: Instant::now(), lines: Mutex::default(), outcomes: Default::default() }
    }
}

impl History {
    /// Microseconds since the history began.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Adds an operation that was called at `call` and ends now. What is unknown has no end. `value` is as
    /// the kind wants it, and null for a delete.
    pub fn add(
        &self,
        client: usize,
        (kind, key, value): (&str, &str, Value),
        call: u64,
        outcome: Outcome,
    ) {
        let mut line = json!({
            "client": client, "kind": kind, "key": key, "call": call, "outcome": outcome.name(),
        });
        if kind != "delete" {
            line["value"] = value;
        }
        if outcome != Outcome::Unknown {
            line["return"] = self.now().into();
        }
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
        self.lines.lock().expect("no client has panicked").push(line.to_string());
    }

    /// How many operations ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].load(Ordering::Relaxed)
    }

    /// Has `kv check` judge it, and returns its words. The history stays in the file.
    ///
    /// # Panics
    ///
    /// If it is not linearizable, or cannot be judged.
    pub fn judge(&self, file: &Path) -> String {
        let lines = self.lines.lock().expect("no client has panicked").join("\n");
        fs::write(file, lines).expect("the history can be written");
        let path = file.display().to_string();
        let output = command(&["check", &path]).output().expect("kv starts");
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kv check {path}\n{words}{errors}");
        words
    }
}

//! `cargo xtask tidy`: the rules of the code base that no compiler knows.
//!
//! | rule | file |
//! | --- | --- |
//! | crates depend in one direction | `tidy/crates.rs` |
//! | kv-core's modules use only levels below their own | `tidy/levels.rs` |
//! | small rooms: files, functions | `tidy/sizes.rs` |
//! | every file says what it is | `tidy/openings.rs` |
//! | words that do not belong: unfinished work, clocks in the core, paths of a machine | `tidy/words.rs` |
//!
//! Every finding names the place, the rule and what to do. An exception is an entry with a reason in
//! the rule's own table.

mod crates;
mod levels;
mod openings;
mod rust;
mod sizes;
mod words;

use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{shell, workspace};

/// A breach of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Path from the workspace's root.
    file: String,
    /// Counted from one.
    line: usize,
    /// Which rule, in a word or two.
    rule: &'static str,
    /// What is wrong, and what to do.
    text: String,
}

/// A text file that is, or is about to be, part of the project.
struct Source {
    /// Path from the workspace's root, with `/`.
    path: String,
    text: String,
}

/// Checks every rule and prints every finding.
pub(crate) fn run() -> Result<()> {
    let sources = sources()?;
    let mut findings = crates::check(&workspace::metadata()?)?;
    findings.extend(words::check(&sources, &words::machine_paths(workspace::root())));
    for source in &sources {
        findings.extend(openings::check(source));
        findings.extend(levels::check(source)?);
        findings.extend(sizes::check(source)?);
    }
    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy found {} places to mend", findings.len());
    }
    println!("tidy: {} files, nothing to mend", sources.len());
    Ok(())
}

/// What git tracks, and what it would track: a breach shall show before it is committed.
fn sources() -> Result<Vec<Source>> {
    let mut git = Command::new("git");
    git.current_dir(workspace::root());
    let list = shell::output(git.args(["ls-files", "--cached", "--others", "--exclude-standard"]))
        .context("tidy reads the list of files from git")?;
    let mut sources = Vec::new();
    for path in list.lines() {
        // Deleted files are still listed; pictures and the like are not text.
        if let Ok(text) = fs::read_to_string(workspace::root().join(path)) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}

impl Source {
    fn finding(&self, line: usize, rule: &'static str, text: impl Into<String>) -> Finding {
        Finding { file: self.path.clone(), line, rule, text: text.into() }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Of the page and of the browser tests.
    fn is_script(&self) -> bool {
        [".ts", ".svelte", ".js", ".mjs"].iter().any(|end| self.path.ends_with(end))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.rule, self.text)
    }
}

#[cfg(test)]
fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

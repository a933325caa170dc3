//! Words that do not belong: marks of unfinished work anywhere, what the core must not know, and paths
//! of the machine somebody worked on.

use std::env;
use std::path::Path;

use super::rust::production_lines;
use super::{Finding, Source};

/// Marks of unfinished or silenced work, in any file.
const UNFINISHED: [&str; 6] = ["todo!", "unimplemented!", "dbg!", "FIXME", "XXX", "#[ignore"];

/// What would make a run of kv-core depend on more than its inputs; in its code, not in its comments.
const NOT_IN_CORE: [(&str, &str); 7] = [
    ("std::", "use `core::` or `alloc::`"),
    ("HashMap", "its order differs between runs; use BTreeMap"),
    ("HashSet", "its order differs between runs; use BTreeSet"),
    ("Instant", "time arrives as `Now`"),
    ("SystemTime", "time arrives as `Now`"),
    ("f32", "use integers or integer ratios"),
    ("f64", "use integers or integer ratios"),
];

/// A word that a file may have all the same: file, word, why.
const EXEMPT: [(&str, &str, &str); 2] = [
    ("kv-core/src/hash/fields.rs", "f32", "serde's trait names it; it is refused"),
    ("kv-core/src/hash/fields.rs", "f64", "serde's trait names it; it is refused"),
];

/// This file names what it looks for; lock files hold digests, in which any letters may stand.
const NOT_READ: [&str; 3] = ["words.rs", "Cargo.lock", "package-lock.json"];

/// Checks all files; `machine` are the paths that must not be named.
pub(super) fn check(sources: &[Source], machine: &[String]) -> Vec<Finding> {
    let read = |source: &&Source| {
        !NOT_READ.contains(&source.path.rsplit('/').next().unwrap_or(&source.path))
    };
    sources.iter().filter(read).flat_map(|source| check_one(source, machine)).collect()
}

/// Folders of this machine, and those in which people's files usually are.
pub(super) fn machine_paths(root: &Path) -> Vec<String> {
    let mut paths = vec!["/home/".to_owned(), "/root/".to_owned(), "/Users/".to_owned()];
    paths.push(root.display().to_string());
    paths.extend(env::home_dir().map(|home| format!("{}/", home.display())));
    // A home or a checkout right at the root would match every path.
    paths.retain(|path| path.trim_end_matches('/').len() > 1);
    paths
}

fn check_one(source: &Source, machine: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let core = source.path.starts_with("kv-core/src/") && source.is_rust();
    let production = production_lines(&source.text);
    for (at, line) in source.text.lines().enumerate() {
        let mut find = |rule, word: &str, text: String| {
            let exempt =
                EXEMPT.iter().any(|(file, what, _)| (*file, *what) == (&source.path, word));
            if !exempt && has_word(line, word) {
                findings.push(source.finding(at + 1, rule, text));
            }
        };
        for word in UNFINISHED {
            find(
                "unfinished",
                word,
                format!("`{word}`: finish it, or open an issue and remove the mark"),
            );
        }
        for path in machine {
            find(
                "machine path",
                path,
                "a path of one machine; name it from the workspace's root".into(),
            );
        }
        if core && at < production && !line.trim_start().starts_with("//") {
            for (word, instead) in NOT_IN_CORE {
                find("determinism", word, format!("`{word}` in kv-core: {instead}"));
            }
        }
    }
    findings
}

/// Whether the line has the word with no letter or digit joined to either of its ends that are one.
fn has_word(line: &str, word: &str) -> bool {
    let joins =
        |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let begins = joins(word.chars().next()) && joins(before);
        let ends = joins(word.chars().next_back()) && joins(after);
        // A path goes on before its first slash: `src/home/` is not `/home/`.
        let inside =
            word.starts_with('/') && before.is_some_and(|c| joins(Some(c)) || ".-~".contains(c));
        !begins && !ends && !inside
    })
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        let machine = ["/home/".to_owned(), "/srv/kv".to_owned()];
        let findings = check(&[source(path, text)], &machine);
        findings.iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn marks_of_unfinished_work_are_found_anywhere() {
        assert_eq!(rules("README.md", "\nFIXME later\n"), [(2, "unfinished")]);
        assert_eq!(rules("a.rs", "todo!()"), [(1, "unfinished")]);
        assert_eq!(rules("a.rs", "// mastodont todo! XXXL"), [(1, "unfinished")]);
        assert!(rules("package-lock.json", "sha512-+XXX/").is_empty());
    }

    #[test]
    fn the_core_knows_no_clock_and_no_hash_map() {
        let found = rules("kv-core/src/a.rs", "use std::time::Instant;\n// HashMap\nlet x: f64;");
        assert_eq!(found, [(1, "determinism"), (1, "determinism"), (3, "determinism")]);
        assert!(rules("kv-core/src/a.rs", "Instants; f641").is_empty());
        assert!(rules("kv-core/src/a.rs", "#[cfg(test)]\nmod tests { use std::fs; }").is_empty());
        assert!(rules("kv-native/src/a.rs", "use std::fs;").is_empty());
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        assert_eq!(rules("a.md", "see /home/ann/kv"), [(1, "machine path")]);
        assert_eq!(rules("a.md", "`/srv/kv/x`"), [(1, "machine path")]);
        assert!(rules("a.md", "src/home/page.ts and /srv/kvx").is_empty());
    }
}

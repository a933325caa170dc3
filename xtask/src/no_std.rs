//! kv-core needs `core` and `alloc` and nothing else, shown in two ways: it is built for a target that
//! has no standard library, and its dependencies are exactly those listed here.
//!
//! The build alone would not do: a crate may compile there and still reach for a clock or a generator
//! where there is one.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::setup::Wasm;
use crate::{shell, workspace};

/// Every crate that may be part of kv-core, each `no_std` and free of clocks, threads and entropy.
/// Derive macros run in the compiler and do not count.
const ALLOWED: [&str; 15] = [
    "base64",
    "bytes",
    "cfg-if",
    "cobs",
    "crc32fast",
    "hashbrown",
    "lz4_flex",
    "postcard",
    "rand_core",
    "rand_pcg",
    "seahash",
    "serde",
    "serde_core",
    "thiserror",
    "xxhash-rust",
];

/// Builds kv-core without a standard library, and compares its dependencies with the list.
pub(crate) fn check(wasm: &Wasm) -> Result<()> {
    shell::step("no_std", "kv-core needs only core and alloc", || {
        let mut tree = workspace::cargo();
        tree.args(["tree", "--package", "kv-core", "--edges", "normal,no-proc-macro"]);
        compare(&shell::output(tree.args(["--prefix", "none", "--format", "{p}"]))?)?;
        let mut cargo = wasm.command("cargo")?;
        shell::run(cargo.args(["build", "--package", "kv-core", "--target", "wasm32v1-none"]))
    })
}

fn compare(tree: &str) -> Result<()> {
    let found: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "kv-core")
        .collect();
    let allowed = BTreeSet::from(ALLOWED);
    let new: Vec<_> = found.difference(&allowed).copied().collect();
    if !new.is_empty() {
        bail!(
            "kv-core depends on {}, not on the list in xtask/src/no_std.rs; see that the crate is no_std \
             with these features and uses no clock, thread or entropy, then add it",
            new.join(", ")
        );
    }
    let gone: Vec<_> = allowed.difference(&found).copied().collect();
    if !gone.is_empty() {
        bail!(
            "kv-core no longer depends on {}; remove it from xtask/src/no_std.rs",
            gone.join(", ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: &[&str]) -> String {
        let line = |name: &&str| format!("{name} v1.0.0 (*)\n");
        format!("kv-core v0.1.0 (here)\n{}", names.iter().map(line).collect::<String>())
    }

    #[test]
    fn exactly_the_listed_crates_pass() {
        compare(&tree(&ALLOWED)).unwrap();
    }

    #[test]
    fn a_new_crate_and_a_gone_one_are_named() {
        let more: Vec<_> = ALLOWED.iter().copied().chain(["tokio"]).collect();
        assert!(compare(&tree(&more)).unwrap_err().to_string().contains("tokio"));
        let gone = compare(&tree(&ALLOWED[1..])).unwrap_err().to_string();
        assert!(gone.contains(ALLOWED[0]), "{gone}");
    }
}

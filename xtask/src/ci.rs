//! `cargo xtask ci`: the cheap checks first, then exactly `cargo xtask test`.

use anyhow::Result;

use crate::{shell, test, tidy, workspace};

/// The first failure ends it.
pub(crate) fn run() -> Result<()> {
    shell::step("format", "one layout; `cargo fmt` mends it", || {
        shell::run(workspace::cargo().args(["fmt", "--all", "--check"]))
    })?;
    shell::step("tidy", "the rules no compiler knows", tidy::run)?;
    shell::step("lint", "clippy, with every warning denied", || {
        let arguments = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
        shell::run(workspace::cargo().args(arguments))
    })?;
    shell::step("docs", "every link in a comment leads somewhere", || {
        let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items"];
        // The reader has the sources, so a public item may lead to a private one.
        let flags = "--deny warnings --allow rustdoc::private-intra-doc-links";
        shell::run(workspace::cargo().args(arguments).env("RUSTDOCFLAGS", flags))
    })?;
    test::run()
}

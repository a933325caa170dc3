//! Node and npm are expected; npm packages are installed as their lock file says.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{shell, workspace};

/// The oldest major version of Node that the page's tools run on.
const OLDEST: u32 = 20;

/// Says so if Node or npm is missing or too old.
pub(crate) fn check() -> Result<()> {
    let hint = "install Node.js 20 or newer with npm (on Debian: `apt-get install nodejs npm`)";
    let version = shell::output(Command::new("node").arg("--version")).context(hint)?;
    shell::output(Command::new("npm").arg("--version")).context(hint)?;
    if major(&version).is_none_or(|major| major < OLDEST) {
        bail!("Node is {version}; {hint}");
    }
    Ok(())
}

/// Installs the packages of a folder, unless that was done since its lock file changed.
pub(crate) fn install(folder: &str) -> Result<()> {
    let lock = workspace::root().join(folder).join("package-lock.json");
    // npm writes this file last.
    let done = workspace::root().join(folder).join("node_modules/.package-lock.json");
    let changed = |path| fs::metadata(path).and_then(|file| file.modified());
    if let (Ok(locked), Ok(installed)) = (changed(&lock), changed(&done))
        && locked <= installed
    {
        return Ok(());
    }
    shell::step(&format!("npm ci in {folder}"), "the packages it is built and tested with", || {
        shell::run(workspace::npm(folder).args(["ci", "--no-audit", "--no-fund"]))
    })
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("nonsense"), None);
    }
}

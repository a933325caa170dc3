//! Debian's packages, installed when we may, asked for when we may not.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::shell;

/// A mirror that does not answer must not hold the set-up for ever.
const LIMIT: Duration = Duration::from_secs(900);

/// Installs the packages, as root or through sudo.
///
/// # Errors
///
/// Says what to install by hand where there is no apt-get, or no right to use it.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let wanted = packages.join(" ");
    if shell::find(&["apt-get"]).is_none() {
        bail!(
            "this system has no apt-get; install what Debian calls `{wanted}` with its own package \
             manager, put the programs on the PATH, and start again"
        );
    }
    let by_hand =
        || format!("run `apt-get update && apt-get install {wanted}` as root, then start again");
    let root = shell::output(Command::new("id").arg("-u"))? == "0";
    if !root && shell::find(&["sudo"]).is_none() {
        bail!("Debian packages are missing and neither root nor sudo is at hand; {}", by_hand());
    }
    // Lists may be older than the mirror, and name versions it no longer has.
    for arguments in [vec!["update", "-qq"], install_arguments(packages)] {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if !root {
            command.arg("apt-get");
        }
        // What goes wrong is on standard error; the rest is a line for every package.
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        if let Err(error) = shell::run_within(LIMIT, &mut command) {
            bail!("{error}; to do it yourself, {}", by_hand());
        }
    }
    Ok(())
}

/// The installed version of a package.
pub(crate) fn version(package: &str) -> Option<String> {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status} ${Version}", package]);
    let answer = shell::output(&mut query).ok()?;
    Some(answer.strip_prefix("installed ")?.to_owned())
}

fn install_arguments<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["install", "-qq", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    arguments
}

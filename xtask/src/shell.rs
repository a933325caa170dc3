//! Running other programs: what is run is printed, a failure names the command, and a step tells
//! its reason before it starts and its duration when it ends.
//!
//! Children get no standard input, so that nothing can wait for an answer nobody gives.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use wait_timeout::ChildExt;

/// Announces a step with its reason, does it, and prints how long it took.
pub(crate) fn step<T>(what: &str, why: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {what}: {why}");
    let start = Instant::now();
    let done = work().with_context(|| format!("{what} failed"))?;
    println!("    {what}: done in {:.1} s", start.elapsed().as_secs_f64());
    Ok(done)
}

/// Runs a command to its end; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("    $ {}", text(command));
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{}` cannot be started", text(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", text(command));
    }
    Ok(())
}

/// Like [`run`], but the command is ended when the limit has passed.
pub(crate) fn run_within(limit: Duration, command: &mut Command) -> Result<()> {
    println!("    $ {}", text(command));
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("`{}` cannot be started", text(command)))?;
    let Some(status) = child.wait_timeout(limit)? else {
        child.kill()?;
        child.wait()?;
        bail!("`{}` did not end within {} s", text(command), limit.as_secs());
    };
    if !status.success() {
        bail!("`{}` ended with {status}", text(command));
    }
    Ok(())
}

/// Runs a command silently and returns what it wrote to standard output, trimmed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("`{}` cannot be started", text(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}: {}", text(command), output.status, said.trim());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The first of the named programs that is on the PATH.
pub(crate) fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    names.iter().find_map(|name| {
        env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|candidate| candidate.is_file())
    })
}

/// The PATH with some folders put before it.
pub(crate) fn path_with(folders: &[PathBuf]) -> Result<std::ffi::OsString> {
    let old = env::var_os("PATH").unwrap_or_default();
    let all = folders.iter().cloned().chain(env::split_paths(&old));
    env::join_paths(all).context("a folder's name cannot be part of PATH")
}

/// A command in a folder.
pub(crate) fn command(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    command
}

fn text(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("exit 3") && error.contains("no such thing"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let limit = Duration::from_millis(50);
        let error = run_within(limit, Command::new("sh").args(["-c", "exec tail -f /dev/null"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("did not end within"), "{error}");
    }

    #[test]
    fn only_what_exists_is_found() {
        assert!(find(&["no-such-program-here", "sh"]).is_some_and(|path| path.ends_with("sh")));
        assert!(find(&["no-such-program-here"]).is_none());
    }
}

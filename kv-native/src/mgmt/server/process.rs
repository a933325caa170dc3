//! Nodes as processes of this machine: started, found again, signalled.
//!
//! No process id is kept, for the system gives an id to another process when its own has ended. A node is
//! found by its whole command line, in which its name and data folder stand, and then held by a
//! descriptor that means this one process whatever becomes of its id. So no signal reaches another.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::home::Home;
use super::registry::Entry;
use crate::cli::End;

/// The variables of this shell that a node gets; it is told all else in its command line.
const VARIABLES: [&str; 3] = ["KV_LOG", "PATH", "RUST_BACKTRACE"];

/// A process that was there a moment ago.
#[derive(Debug)]
pub(super) struct Process {
    fd: OwnedFd,
}

/// The arguments a node is started with.
fn arguments(home: &Home, entry: &Entry) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["node".into(), "--name".into(), entry.name.clone().into()];
    words.extend(["--listen".into(), entry.address.to_string().into(), "--data".into()]);
    words.push(home.data(&entry.name).into());
    if !entry.join.is_empty() {
        words.extend(["--join".into(), entry.join.join(",").into()]);
    }
    words
}

/// Starts a node in the background: in a process group of its own, so that Ctrl-C and the end of a shell
/// do not reach it, and with its log in a file.
pub(super) fn start(home: &Home, entry: &Entry) -> Result<Child, End> {
    let failed = |error: io::Error| {
        End::failed(format!("{} cannot be started: {error}; nothing was changed", entry.name))
    };
    let log = home.log(&entry.name);
    let log = File::options().create(true).append(true).open(log).map_err(failed)?;
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.arg0("kv").args(arguments(home, entry)).current_dir(home.path()).env_clear();
    command.envs(VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.process_group(0).stdin(Stdio::null());
    command.stdout(log.try_clone().map_err(failed)?).stderr(log).spawn().map_err(failed)
}

/// The process of a node, if it runs.
pub(super) fn find(home: &Home, entry: &Entry) -> Result<Option<Process>, End> {
    let failed = |what: &str, error: io::Error| End::failed(format!("{what}: {error}"));
    let wanted = line_of(home, entry);
    let all = fs::read_dir("/proc");
    for process in all.map_err(|error| failed("the processes in /proc cannot be listed", error))? {
        // Those that end meanwhile are not the one.
        let Some(pid) = process.ok().and_then(|it| it.file_name().to_str()?.parse().ok()) else {
            continue;
        };
        let Some(id) = Pid::from_raw(pid).filter(|_| command_line(pid) == wanted) else { continue };
        let fd = match pidfd_open(id, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(Errno::SRCH) => continue,
            Err(error) => {
                let what = format!("process {pid}, which is {}, cannot be held", entry.name);
                return Err(failed(&what, error.into()));
            }
        };
        // The id may have gone to another process before it was held, but not since.
        if command_line(pid) == wanted {
            return Ok(Some(Process { fd }));
        }
    }
    Ok(None)
}

/// The arguments of a node, as the system shows those of a process.
fn line_of(home: &Home, entry: &Entry) -> Vec<u8> {
    let words = arguments(home, entry);
    words.iter().flat_map(|word| word.as_bytes().iter().copied().chain([0])).collect()
}

/// What a process was started with, but for the name it was called by; nothing once it has ended.
fn command_line(pid: i32) -> Vec<u8> {
    let mut line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let program = line.iter().position(|byte| *byte == 0).map_or(line.len(), |end| end + 1);
    line.drain(..program);
    line
}

impl Process {
    /// Sends a signal. A process that has ended meanwhile needs none.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), End> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(End::failed(format!("the signal cannot be sent: {error}"))),
        }
    }

    /// Waits until it has ended and let go of its port and files; false if it has not in time.
    pub(super) fn ended(&self, wait: Duration) -> Result<bool, End> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).ok();
            let mut ended = [PollFd::new(&self.fd, PollFlags::IN)];
            match poll(&mut ended, left.as_ref()) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(End::failed(format!("it cannot be waited for: {error}"))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use super::*;
    use crate::config::Address;

    /// A process that runs and waits. It has said so itself: one that was only just spawned may have no
    /// command line yet, for the system lays that out after it has told the parent of the start.
    fn sleeper(words: &[OsString]) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", "echo; read line", "kv"]).args(words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        child
    }

    #[test]
    fn a_process_that_only_has_the_words_of_a_node_among_its_own_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(Some(folder.path())).unwrap();
        let address = Address::parse("127.0.0.1:1").unwrap();
        let entry = Entry { name: "n".into(), address, join: Vec::new() };
        let mut child = sleeper(&arguments(&home, &entry));
        assert!(find(&home, &entry).unwrap().is_none());
        let line = command_line(child.id().try_into().unwrap());
        assert!(line.ends_with(&line_of(&home, &entry)), "{}", line.escape_ascii());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_is_held_until_it_has_ended() {
        let mut child = sleeper(&[]);
        let pid: i32 = child.id().try_into().unwrap();
        let fd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        let process = Process { fd };
        assert!(!process.ended(Duration::ZERO).unwrap());
        process.signal(Signal::KILL).unwrap();
        assert!(process.ended(Duration::from_secs(60)).unwrap());
        assert!(command_line(pid).is_empty(), "it has ended, and its parent does not know yet");
        child.wait().unwrap();
        process.signal(Signal::KILL).unwrap();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}

//! The command line: what can be said, and who does it.
//!
//! Exit codes: 0 done; 1 failed; 2 bad usage, or the result cannot be written; 3 undecided. Of what judges
//! (`kv sim`, `kv replay`, `kv check`) 1 says that what was judged is wrong, and nothing else;
//! all other failures are 2. Who is ended from outside ends as shells say it, with 128 and the signal: 130
//! for Ctrl-C, and 141 when nobody reads the result any more.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{LISTEN, NodeArgs};
use crate::mgmt::MgmtArgs;
use crate::simulate::SimArgs;
use crate::{check, client, mgmt, play, replay, serve, simulate, storage};

/// A distributed key-value store: `kv play` shows it, `kv node` runs it.
#[derive(Parser, Debug)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start three nodes on this machine and serve the playground page
    Play(PlayArgs),
    /// Start a node
    Node(NodeArgs),
    /// Print the value of a key
    Get {
        #[command(flatten)]
        key: KeyArgs,
        /// Take what some replica has applied, which may be old (keyspace strong)
        #[arg(long)]
        stale: bool,
    },
    /// Store a value under a key
    Put {
        #[command(flatten)]
        key: KeyArgs,
        /// The value; read from the standard input if it is absent or `-`
        value: Option<String>,
        #[command(flatten)]
        options: PutArgs,
    },
    /// Delete a key
    Delete {
        #[command(flatten)]
        key: KeyArgs,
        /// Only if the value has this revision (keyspace strong)
        #[arg(long, value_name = "REVISION")]
        if_match: Option<u64>,
    },
    /// Print keys with their values, tab between (eventual: only the keys that the node itself holds)
    Scan(ScanArgs),
    /// Print changes of the keyspace strong as they happen, one in JSON to a line
    Watch(WatchArgs),
    /// List the live settings, show one, or change one
    Settings {
        #[command(flatten)]
        at: AtArgs,
        /// Which setting
        name: Option<String>,
        /// Its new value, for the whole cluster
        value: Option<String>,
    },
    /// Show who is in the cluster and how the node is
    Status(AtArgs),
    /// Run nodes in the background of this machine, and read and write strongly consistent keys
    // Here -h is the host.
    #[command(disable_help_flag = true)]
    Mgmt(MgmtArgs),
    /// List the members of the cluster, take one in, or let one go
    Members {
        #[command(flatten)]
        at: AtArgs,
        #[command(subcommand)]
        command: Option<MembersCommand>,
    },
    /// Attack simulated clusters, seed after seed, and judge what becomes of them; exit with 1 if a judge
    /// objects, 2 if they cannot be tried, 3 if something could not be judged, 130 if interrupted
    Sim(SimArgs),
    /// Play the run of a share link, or the journal of a node, again and print the hash it reaches; exit
    /// with 1 if it is another one, 2 if there is nothing to play
    Replay {
        /// The link, its text alone, a file with either, or the file of a journal
        link: String,
        /// Print every event of a link's run, one line each
        #[arg(long)]
        trace: bool,
        /// Write the journal of each opening of each node of a link's run to this folder
        #[arg(long, value_name = "DIR", conflicts_with = "trace")]
        journals: Option<PathBuf>,
    },
    /// Look into the data folder of a node that is not running; nothing in it is changed
    #[command(subcommand)]
    Storage(StorageCommand),
    /// Judge a recorded history; exit with 1 if it is wrong, 2 if it cannot be read, 3 if undecided
    Check {
        /// What the store has promised
        #[arg(long, value_enum, default_value = "linearizable")]
        model: CheckModel,
        /// The history, an operation in JSON to a line; `-` for the standard input
        file: PathBuf,
    },
}

/// What `kv check` judges by.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub(crate) enum CheckModel {
    /// One order of all operations explains every answer
    Linearizable,
    /// No client sees less than it wrote or saw before
    Session,
    /// Both
    All,
}

/// What `kv members` can do beside listing.
#[derive(Subcommand, Debug)]
pub(crate) enum MembersCommand {
    /// Make one cluster of the node's and that of the node at an address
    Add {
        /// Where the other node is reached
        #[arg(value_name = "HOST:PORT")]
        address: String,
    },
    /// Let a member go, for good
    Remove {
        /// Its name
        name: String,
        /// Even if a replicated log loses its majority by it
        #[arg(long)]
        force: bool,
    },
}

/// What `kv storage` can do.
#[derive(Subcommand, Debug)]
pub(crate) enum StorageCommand {
    /// Show the roots, the log, and the levels with their tables
    Inspect {
        /// The data folder
        dir: PathBuf,
        /// Print every entry: of the table with this number, else of the log and of all tables
        #[arg(long, value_name = "TABLE", num_args = 0..=1)]
        dump: Option<Option<u64>>,
    },
    /// Check every checksum of every file; exit with 1 at the first fault, 2 if the folder is in use
    Verify {
        /// The data folder
        dir: PathBuf,
    },
}

/// Options of `kv play`.
#[derive(Args, Clone, Debug)]
pub(crate) struct PlayArgs {
    /// Folder of the built page [default: web/dist, if it is there]
    #[arg(long, env = "KV_PAGE", value_name = "DIR")]
    pub(crate) page: Option<PathBuf>,
    /// Port of the page
    #[arg(long, env = "KV_PLAY_PORT", value_name = "PORT", default_value_t = 7700)]
    pub(crate) port: u16,
    /// First of the three ports of the nodes
    #[arg(long, env = "KV_PLAY_NODES", value_name = "PORT", default_value_t = 7101)]
    pub(crate) nodes: u16,
    /// Folder for the data and logs of the three nodes; it stays when they stop
    #[arg(long, env = "KV_PLAY_DATA", value_name = "DIR", default_value = "kv-data/play")]
    pub(crate) data: PathBuf,
}

/// Which node a client command asks.
#[derive(Args, Clone, Debug)]
pub(crate) struct AtArgs {
    /// The node to ask
    #[arg(long, env = "KV_ADDR", value_name = "HOST:PORT", default_value = LISTEN)]
    pub(crate) addr: String,
}

/// Which key a client command is about, and how it is read or written.
#[derive(Args, Clone, Debug)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    pub(crate) at: AtArgs,
    /// The keyspace
    #[arg(long, env = "KV_KEYSPACE", default_value = "eventual")]
    pub(crate) keyspace: String,
    /// How many replicas must answer (get), or on how many disks it must be (put, delete)
    #[arg(long, value_name = "NODES")]
    pub(crate) quorum: Option<u32>,
    /// How long to wait
    #[arg(long, value_name = "MILLISECONDS")]
    pub(crate) timeout_ms: Option<u64>,
    /// Tell on the standard error how the answer came about
    #[arg(long)]
    pub(crate) receipt: bool,
    /// The key
    pub(crate) key: String,
}

/// Options of `kv put` beside the key.
#[derive(Args, Clone, Debug)]
pub(crate) struct PutArgs {
    /// Only if the value has this revision (keyspace strong)
    #[arg(long, value_name = "REVISION", conflicts_with = "if_absent")]
    pub(crate) if_match: Option<u64>,
    /// Only if there is no value (keyspace strong)
    #[arg(long)]
    pub(crate) if_absent: bool,
    /// For how long the value is to live; for good if absent (keyspace strong)
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ttl: Option<u64>,
}

/// What `kv scan` prints.
#[derive(Args, Clone, Debug)]
pub(crate) struct ScanArgs {
    #[command(flatten)]
    pub(crate) at: AtArgs,
    /// The keyspace
    #[arg(long, env = "KV_KEYSPACE", default_value = "eventual")]
    pub(crate) keyspace: String,
    /// Take what some replica has applied, which may be old (keyspace strong)
    #[arg(long)]
    pub(crate) stale: bool,
    /// What keys begin with; all keys if absent
    #[arg(default_value = "")]
    pub(crate) prefix: String,
}

/// What `kv watch` prints.
#[derive(Args, Clone, Debug)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) at: AtArgs,
    /// Go on behind the event with this id; from now on if absent
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
    /// What keys begin with; all keys if absent
    #[arg(default_value = "")]
    pub(crate) prefix: String,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse_from(words(std::env::args_os())).command {
        Command::Play(args) => play::run(&args),
        Command::Node(args) => serve::run(&args),
        Command::Get { key, stale } => client::get(&key, stale),
        Command::Put { key, value, options } => client::put(&key, value.as_deref(), &options),
        Command::Delete { key, if_match } => client::delete(&key, if_match),
        Command::Scan(args) => client::scan(&args),
        Command::Watch(args) => client::watch(&args),
        Command::Settings { at, name, value } => {
            client::settings(&at, name.as_deref(), value.as_deref())
        }
        Command::Status(at) => client::status(&at),
        Command::Mgmt(args) => mgmt::run(&args),
        Command::Members { at, command } => client::members(&at, command.as_ref()),
        Command::Sim(args) => simulate::run(&args),
        Command::Replay { link, trace, journals } => replay::run(&link, trace, journals.as_deref()),
        Command::Storage(StorageCommand::Inspect { dir, dump: None }) => storage::inspect(&dir),
        Command::Storage(StorageCommand::Inspect { dir, dump: Some(table) }) => {
            storage::dump(&dir, table)
        }
        Command::Storage(StorageCommand::Verify { dir }) => storage::verify(&dir),
        Command::Check { model, file } => check::run(&file, model),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(end) => {
            if !end.words.is_empty() {
                say(&format!("kv: {}", end.words));
            }
            ExitCode::from(end.code)
        }
    }
}

/// What was typed. Called by the name `dkv`, say through a link, the program is `kv node`.
fn words(typed: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = typed.into_iter().collect();
    if words.first().is_some_and(|program| Path::new(program).file_stem() == Some("dkv".as_ref())) {
        words.insert(1, "node".into());
    }
    words
}

/// Why a command did not do what it was to do.
#[derive(Debug)]
pub(crate) struct End {
    words: String,
    code: u8,
}

impl End {
    /// It failed.
    pub(crate) fn failed(words: impl Into<String>) -> Self {
        Self { words: words.into(), code: 1 }
    }

    /// It cannot be done as it was asked for: that makes no sense, or something cannot be read or written.
    pub(crate) fn misuse(words: impl Into<String>) -> Self {
        Self { words: words.into(), code: 2 }
    }

    /// A signal ended it.
    pub(crate) fn interrupted(signal: i32, words: String) -> Self {
        Self {
            words,
            code: u8::try_from(signal).map_or(u8::MAX, |signal| signal.saturating_add(128)),
        }
    }

    /// The result cannot be written. Nothing is said to somebody who has read enough and gone.
    pub(crate) fn unwritten(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { words: String::new(), code: 141 },
            _ => Self::misuse(format!("the result cannot be written: {error}")),
        }
    }

    /// The same, and something else went wrong too.
    pub(crate) fn beside(self, other: Option<&Self>) -> Self {
        match other {
            Some(other) => self.also(&format!("and {}", other.words)),
            None => self,
        }
    }

    /// The same, with more to say.
    pub(crate) fn also(self, words: &str) -> Self {
        match self.words.is_empty() {
            true => self,
            false => Self { words: format!("{}; {words}", self.words), ..self },
        }
    }

    /// It could not be found out.
    pub(crate) fn undecided(words: impl Into<String>) -> Self {
        Self { words: words.into(), code: 3 }
    }
}

/// Gives the user the result.
pub(crate) fn output(bytes: &[u8]) -> Result<(), End> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| End::unwritten(&error))
}

/// Tells the user something that is not the result.
#[expect(
    clippy::print_stderr,
    reason = "this is the one place that speaks to the user beside the result"
)]
pub(crate) fn say(words: &str) {
    eprintln!("{words}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn called_dkv_the_program_is_a_node() {
        let words = |typed: &[&str]| words(typed.iter().map(OsString::from));
        assert_eq!(words(&["bin/dkv", "--name", "a"]), ["bin/dkv", "node", "--name", "a"]);
        assert_eq!(words(&["bin/kv", "status"]), ["bin/kv", "status"]);
        assert!(words(&[]).is_empty());
    }
}

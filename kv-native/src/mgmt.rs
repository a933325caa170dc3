//! `kv mgmt`: nodes in the background of this machine, and the keys of their `strong` keyspace.
//!
//! Two roles: `server` starts, stops and lists nodes ([`server`]), `client` reads and writes through any
//! of them ([`keys`]). What is missing or unknown is a failure with the way out in its words, exit code
//! 1; only what the command line cannot parse at all is bad usage, exit code 2.

mod keys;
#[cfg(target_os = "linux")]
mod server;

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::cli::{End, output};
use crate::config::Address;
use crate::table::Table;

/// Options of `kv mgmt`.
#[derive(Args, Clone, Debug)]
pub(crate) struct MgmtArgs {
    /// Who acts: server or client
    #[arg(short = 'r', long, value_name = "ROLE")]
    role: Option<String>,
    /// What to do; without anything the commands are listed
    #[arg(short = 'c', long, value_name = "COMMAND")]
    command: Option<String>,
    /// The node it is about
    #[arg(short = 'h', long, value_name = "HOST:PORT")]
    host: Option<String>,
    /// The key
    #[arg(short = 'k', long, value_name = "KEY", allow_hyphen_values = true)]
    key: Option<String>,
    /// The value
    #[arg(short = 'v', long, value_name = "VALUE", allow_hyphen_values = true)]
    value: Option<String>,
    /// Folder of the registry, and of the data and logs of its nodes [default: ~/.local/state/kv]
    #[arg(long, env = "KV_HOME", value_name = "DIR")]
    home: Option<PathBuf>,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Every command: its role, its name, its options, and what it does.
const COMMANDS: [[&str; 4]; 10] = [
    ["server", "start", "-h HOST", "start a node that is a cluster of its own"],
    [
        "server",
        "join",
        "-h HOST",
        "add a node to the cluster: through the node at HOST, or else at HOST",
    ],
    ["server", "stop", "-h HOST", "stop the node; it stays a member"],
    ["server", "kill", "-h HOST", "kill the node at once; it stays a member"],
    [
        "server",
        "restart",
        "-h HOST",
        "start the node again, with its data; stop it first if it runs",
    ],
    ["server", "list", "", "show all nodes: name, address, health and role"],
    [
        "client",
        "read",
        "-h HOST [-k KEY]",
        "print the value of the key, or every key with its value",
    ],
    ["client", "write", "-h HOST -k KEY -v VALUE", "store the value, whatever is there"],
    ["client", "update", "-h HOST -k KEY -v VALUE", "store the value in place of another"],
    ["client", "delete", "-h HOST -k KEY", "delete the key, which must be there"],
];

/// `kv mgmt`.
pub(crate) fn run(args: &MgmtArgs) -> Result<(), End> {
    let Some((role, command)) = words(args)? else { return output(usage().as_bytes()) };
    match role {
        "client" => keys::run(command, args),
        _ => on_server(command, args),
    }
}

#[cfg(target_os = "linux")]
fn on_server(command: &str, args: &MgmtArgs) -> Result<(), End> {
    server::run(command, args)
}

#[cfg(not(target_os = "linux"))]
fn on_server(_: &str, _: &MgmtArgs) -> Result<(), End> {
    Err(End::failed(
        "kv mgmt finds its nodes again by what Linux tells of processes; on this system start them with kv node",
    ))
}

/// The role and the command, both known; nothing if neither was given.
fn words(args: &MgmtArgs) -> Result<Option<(&str, &str)>, End> {
    let (role, command) = (args.role.as_deref(), args.command.as_deref());
    let given = [&args.host, &args.key, &args.value].iter().any(|option| option.is_some());
    if role.is_none() && command.is_none() && !given {
        return Ok(None);
    }
    let role = role.ok_or_else(|| missing("-r", "who acts: server or client"))?;
    let known: Vec<&str> = COMMANDS.iter().filter(|row| row[0] == role).map(|row| row[1]).collect();
    if known.is_empty() {
        return Err(End::failed(format!(
            "there is no role {role:?}; it is server or client (kv mgmt alone lists all commands)"
        )));
    }
    let list = known.join(", ");
    let command = command.ok_or_else(|| missing("-c", &format!("what to do: {list}")))?;
    if !known.contains(&command) {
        return Err(End::failed(format!(
            "the role {role} has no command {command:?}; it has {list} (kv mgmt alone lists all commands)"
        )));
    }
    Ok(Some((role, command)))
}

impl MgmtArgs {
    /// The host, which the command needs.
    fn host(&self) -> Result<Address, End> {
        let text = self.host.as_ref().ok_or_else(|| missing("-h", "HOST:PORT of the node"))?;
        let address = Address::parse(text).map_err(End::failed)?;
        if address.port == 0 {
            return Err(End::failed(
                "a node at port 0 could not be found again; name another port",
            ));
        }
        Ok(address)
    }
}

fn missing(option: &str, what: &str) -> End {
    End::failed(format!("{option} is missing; it says {what} (kv mgmt alone lists all commands)"))
}

fn usage() -> String {
    let mut table = Table::new(&["ROLE", "COMMAND", "OPTIONS", "WHAT IT DOES"]);
    for row in COMMANDS {
        table.row(row.map(str::to_owned));
    }
    format!(
        "kv mgmt -r ROLE -c COMMAND [-h HOST:PORT] [-k KEY] [-v VALUE]\n\n{table}\nAny node takes the commands of a client. kv mgmt --help tells more.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(role: &str, command: &str) -> MgmtArgs {
        let given = |word: &str| (!word.is_empty()).then(|| word.to_owned());
        MgmtArgs {
            role: given(role),
            command: given(command),
            host: None,
            key: None,
            value: None,
            home: None,
            help: None,
        }
    }

    #[test]
    fn each_command_belongs_to_its_role() {
        assert_eq!(words(&args("", "")).unwrap(), None);
        for [role, command, ..] in COMMANDS {
            assert_eq!(words(&args(role, command)).unwrap(), Some((role, command)));
            let other = if role == "server" { "client" } else { "server" };
            words(&args(other, command)).unwrap_err();
        }
        for (role, command) in [("server", ""), ("", "list"), ("root", "list"), ("client", "Read")]
        {
            words(&args(role, command)).unwrap_err();
        }
    }

    #[test]
    fn the_usage_has_a_line_for_each_command() {
        let usage = usage();
        for [role, command, ..] in COMMANDS {
            let mut lines = usage.lines().map(|line| line.split_whitespace().take(2));
            assert!(lines.any(|words| words.eq([role, command])), "{usage}");
        }
    }
}

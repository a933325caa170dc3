//! What `kv node` is told, and what follows from it.
//!
//! Every option is a flag and an environment variable. The variables of other programs that `kv` can
//! stand in for are understood too, in one table ([`ALIASES`]); a flag or variable of `kv` itself wins.
//!
//! The node's id follows from its name and is kept in its data folder, so both must stay the same from
//! start to start. By default the name is that of the machine and the port, and the folder
//! `kv-data/NAME` below the present one: nodes on different ports never clash.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use kv_core::id::NodeId;
use kv_core::io::Founding;

/// Where a node listens if nothing else is said.
pub const LISTEN: &str = "127.0.0.1:7101";

/// A variable of another program, and which option it stands for with which value.
struct Alias {
    variable: &'static str,
    option: &'static str,
    /// The option's value, or what the variable takes.
    value: fn(&str) -> Result<String, &'static str>,
}

/// All of them.
const ALIASES: [Alias; 7] = [
    Alias { variable: "PORT", option: "listen", value: any_address },
    Alias { variable: "DKV_NODE_ID", option: "name", value: the_same },
    Alias { variable: "DKV_RPC_PORT", option: "listen", value: any_address },
    // Everything is served on both.
    Alias { variable: "DKV_REST_PORT", option: "listen too", value: any_address },
    Alias { variable: "DKV_DB_PATH", option: "data", value: the_same },
    Alias { variable: "DKV_CLUSTER", option: "cluster", value: the_same },
    Alias { variable: "DKV_LOG_LEVEL", option: "log", value: log_level },
];

fn the_same(value: &str) -> Result<String, &'static str> {
    Ok(value.to_owned())
}

fn any_address(port: &str) -> Result<String, &'static str> {
    let port: Result<u16, _> = port.parse();
    port.map(|port| format!("0.0.0.0:{port}")).map_err(|_| "a port number, as 7101")
}

fn log_level(level: &str) -> Result<String, &'static str> {
    let level = level.to_ascii_lowercase();
    match level.as_str() {
        "error" | "warn" | "info" | "debug" | "trace" | "off" => Ok(level),
        "warning" => Ok("warn".into()),
        "fatal" | "panic" | "dpanic" => Ok("error".into()),
        _ => Err("error, warn, info, debug or trace"),
    }
}

/// The options of `kv node`.
#[derive(Args, Clone, Debug, Default)]
pub struct NodeArgs {
    /// Name of the node, unique in its cluster and the same at every start [default: HOSTNAME-PORT]
    #[arg(long, env = "KV_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Address to listen on, for clients and nodes alike; may be given several times [default: 127.0.0.1:7101]
    #[arg(long, env = "KV_LISTEN", value_name = "HOST:PORT", value_delimiter = ',')]
    pub listen: Vec<String>,
    /// Address at which other nodes reach this one [default: the first listen address]
    #[arg(long, env = "KV_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Data folder [default: kv-data/NAME]
    #[arg(long, env = "KV_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Join the running cluster that one of these nodes belongs to
    #[arg(long, env = "KV_JOIN", value_name = "HOST:PORT,…", value_delimiter = ',')]
    pub join: Vec<String>,
    /// First members of a new cluster, this node among them; all may start at once, in any order
    #[arg(
        long,
        env = "KV_CLUSTER",
        value_name = "NAME@HOST:PORT,…",
        value_delimiter = ',',
        conflicts_with = "join"
    )]
    pub cluster: Vec<String>,
    /// How many shards the strong keyspace has if this node founds a cluster; fixed from then on
    #[arg(long, env = "KV_SHARDS", value_name = "N", default_value_t = 1)]
    pub shards: u32,
    /// What to log: error, warn, info, debug or trace [default: info]
    #[arg(long, env = "KV_LOG", value_name = "LEVEL")]
    pub log: Option<String>,
    /// Stop when the standard input closes: for a program that starts nodes and may be killed
    #[arg(long, hide = true)]
    pub with_parent: bool,
}

/// What a node is started with, except what only listening tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Chosen by the user; else made of the machine's name and the port.
    pub name: Option<String>,
    /// Where to listen.
    pub listen: Vec<Address>,
    /// Where others reach it; else the first address it listens on.
    pub advertise: Option<Address>,
    /// Chosen by the user; else made of the name.
    pub data: Option<PathBuf>,
    /// How it finds its cluster when its data folder is new.
    pub founding: Founding,
    /// How many shards the strong keyspace of a cluster that it founds has.
    pub shards: u32,
    /// Whom to dial until it is a member.
    pub seeds: Vec<String>,
    /// What to log.
    pub log: String,
}

/// A `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or number; IPv6 in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A configuration that makes no sense; the words say what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misuse(pub String);

impl NodeConfig {
    /// Makes sense of the options; `variable` reads the environment for [`ALIASES`].
    pub fn of(args: &NodeArgs, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Misuse> {
        let args = &with_aliases(args, &variable)?;
        let listed = listed(&args.cluster)?;
        let own_entry = own_entry(args, &listed)?;
        let mut listen = args.listen.clone();
        if listen.is_empty() {
            let entry = || own_entry.as_ref().map(|(_, address)| address.to_string());
            let first = alias("listen", &variable)?.or_else(entry);
            listen.push(first.unwrap_or_else(|| LISTEN.to_owned()));
            listen.extend(alias("listen too", &variable)?.filter(|too| *too != listen[0]));
        }
        let parse = |text: &String| Address::parse(text).map_err(Misuse);
        let listen = listen.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let name = args.name.clone().or_else(|| own_entry.as_ref().map(|(name, _)| name.clone()));
        if let Some(name) = &name {
            check_name(name)?;
        }
        let joins = args.join.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let others = listed.iter().filter(|(other, _)| Some(other) != name.as_ref());
        let seeds = others.map(|(_, address)| address).chain(&joins).map(Address::to_string);
        let seeds = seeds.collect();
        let founding = if !listed.is_empty() {
            Founding::Listed {
                nodes: listed.iter().map(|(name, _)| NodeId::of_name(name)).collect(),
            }
        } else if joins.is_empty() {
            Founding::Alone
        } else {
            Founding::Join
        };
        let advertise = match (&args.advertise, own_entry) {
            (Some(address), _) => Some(Address::parse(address).map_err(Misuse)?),
            // What the list says of this node is what the others dial.
            (None, Some((_, address))) => Some(address),
            (None, None) => None,
        };
        let (data, shards) = (args.data.clone(), args.shards);
        let log = args.log.clone().unwrap_or_else(|| "info".into());
        Ok(Self { name, listen, advertise, data, founding, shards, seeds, log })
    }
}

/// The options, where one is absent with the value that a foreign variable gives it.
fn with_aliases(
    args: &NodeArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<NodeArgs, Misuse> {
    let mut args = args.clone();
    if args.name.is_none() {
        args.name = alias("name", &variable)?;
    }
    if args.data.is_none() {
        args.data = alias("data", &variable)?.map(PathBuf::from);
    }
    if args.log.is_none() {
        args.log = alias("log", &variable)?;
    }
    if args.cluster.is_empty() && args.join.is_empty() {
        let cluster = alias("cluster", &variable)?;
        args.cluster.extend(cluster.iter().flat_map(|list| list.split(',')).map(String::from));
    }
    Ok(args)
}

/// The value that a foreign variable gives an option; one that is empty gives none.
fn alias(
    option: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, Misuse> {
    for alias in ALIASES.iter().filter(|alias| alias.option == option) {
        let Some(given) = variable(alias.variable).filter(|given| !given.is_empty()) else {
            continue;
        };
        let value = (alias.value)(given.trim());
        return value
            .map(Some)
            .map_err(|takes| Misuse(format!("{} takes {takes}, not {given:?}", alias.variable)));
    }
    Ok(None)
}

/// The entries of `--cluster`, or of a variable that stands for it.
fn listed(entries: &[String]) -> Result<Vec<(String, Address)>, Misuse> {
    let mut listed: Vec<(String, Address)> = Vec::new();
    for entry in entries {
        let Some((name, address)) = entry.split_once('@') else {
            let words = format!("the cluster is listed as NAME@HOST:PORT,…; {entry:?} has no @");
            return Err(Misuse(words));
        };
        check_name(name)?;
        let address = Address::parse(address).map_err(Misuse)?;
        if listed.iter().any(|(other, at)| other == name || *at == address) {
            return Err(Misuse(format!(
                "the cluster list names {name}@{address} or a part of it twice"
            )));
        }
        listed.push((name.to_owned(), address));
    }
    Ok(listed)
}

/// The entry of this node in the list: the one of its name, or else of its address.
fn own_entry(
    args: &NodeArgs,
    listed: &[(String, Address)],
) -> Result<Option<(String, Address)>, Misuse> {
    if listed.is_empty() {
        return Ok(None);
    }
    let at = |address: &Address| {
        let given = args.advertise.iter().chain(&args.listen);
        given.filter_map(|text| Address::parse(text).ok()).any(|own| own == *address)
    };
    let found = match &args.name {
        Some(name) => listed.iter().find(|(other, _)| other == name),
        None => listed.iter().find(|(_, address)| at(address)),
    };
    let words = || match &args.name {
        Some(name) => {
            format!("the cluster list does not name this node, {name}; add {name}@HOST:PORT")
        }
        None => "say with --name which entry of the cluster list this node is".into(),
    };
    found.cloned().map(Some).ok_or_else(|| Misuse(words()))
}

/// Names stand in addresses, file names and header lines.
pub(crate) fn check_name(name: &str) -> Result<(), Misuse> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts_well && name.len() <= 64 && name.bytes().all(plain) {
        return Ok(());
    }
    Err(Misuse(format!(
        "{name:?} is no name for a node; use 1 to 64 letters, digits, '-', '_' and '.', the first a letter or digit"
    )))
}

/// The name of a node to which none was given.
#[must_use]
pub fn default_name(port: u16) -> String {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let mut name: String =
        host.chars().filter(|char| char.is_ascii_alphanumeric() || "-.".contains(*char)).collect();
    name.truncate(50);
    let name = name.trim_start_matches(['-', '.']);
    format!("{}-{port}", if name.is_empty() { "kv" } else { name })
}

impl Address {
    /// Reads a `HOST:PORT`; else words that say how to write one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address; write HOST:PORT, as in {LISTEN}");
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let sane = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.is_empty() || !(bracketed || host.bytes().all(sane)) {
            return Err(wrong());
        }
        let port = port.parse().map_err(|_| wrong())?;
        Ok(Self { host: host.to_owned(), port })
    }

    /// The address at which others on this machine reach a node that listens here.
    #[must_use]
    pub fn reachable(&self) -> Self {
        let host = match self.host.as_str() {
            "0.0.0.0" | "[::]" => "127.0.0.1".to_owned(),
            host => host.to_owned(),
        };
        Self { host, port: self.port }
    }

    /// Whether it stands for all addresses of the machine.
    #[must_use]
    pub fn is_any(&self) -> bool {
        matches!(self.host.as_str(), "0.0.0.0" | "[::]")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: [&str; 2] = ["a@127.0.0.1:7101", "b@127.0.0.1:7102"];

    fn config(args: &NodeArgs) -> Result<NodeConfig, Misuse> {
        NodeConfig::of(args, |_| None)
    }

    fn in_cluster(name: &str) -> NodeArgs {
        let cluster = CLUSTER.map(String::from).to_vec();
        NodeArgs { name: Some(name.into()), cluster, ..NodeArgs::default() }
    }

    #[test]
    fn a_node_without_options_is_a_cluster_of_one() {
        let config = config(&NodeArgs::default()).unwrap();
        assert_eq!(config.founding, Founding::Alone);
        assert_eq!(config.listen[0].to_string(), LISTEN);
        assert!(check_name(&default_name(7101)).is_ok());
    }

    #[test]
    fn a_listed_node_needs_only_its_name() {
        let config = config(&in_cluster("b")).unwrap();
        assert_eq!(config.listen[0].to_string(), "127.0.0.1:7102");
        assert_eq!(config.seeds, ["127.0.0.1:7101"]);
        let nodes = ["a", "b"].map(NodeId::of_name).to_vec();
        assert_eq!(config.founding, Founding::Listed { nodes });
    }

    #[test]
    fn a_listed_node_may_be_known_by_its_address() {
        let listen = vec!["127.0.0.1:7102".into()];
        let args = NodeArgs { name: None, listen, ..in_cluster("b") };
        assert_eq!(config(&args).unwrap().name.as_deref(), Some("b"));
    }

    #[test]
    fn misuse_is_told_in_words() {
        let words = |args: &NodeArgs| config(args).unwrap_err().0;
        assert!(words(&in_cluster("c")).contains("add c@HOST:PORT"));
        assert!(words(&NodeArgs { name: None, ..in_cluster("") }).contains("--name"));
        for cluster in [vec!["a"], vec!["a@b"], vec!["a@b:1", "a@b:2"], vec!["a/b@c:1"]] {
            let cluster = cluster.into_iter().map(String::from).collect();
            words(&NodeArgs { name: Some("a".into()), cluster, ..NodeArgs::default() });
        }
        for address in ["7101", "host:", ":7101", "host:70000", "http://host:1"] {
            let listen = vec![address.to_owned()];
            assert!(words(&NodeArgs { listen, ..NodeArgs::default() }).contains("HOST:PORT"));
        }
        for name in ["", "../x", "-a", "a b", "ä"] {
            let name = Some(name.to_owned());
            assert!(words(&NodeArgs { name, ..NodeArgs::default() }).contains("name"));
        }
    }

    #[test]
    fn port_stands_for_all_addresses_unless_listen_is_given() {
        let port = |name: &str| (name == "PORT").then(|| "8080".to_owned());
        let config = NodeConfig::of(&NodeArgs::default(), port).unwrap();
        assert_eq!(config.listen[0].to_string(), "0.0.0.0:8080");
        assert_eq!(config.listen[0].reachable().to_string(), "127.0.0.1:8080");
        let listen = vec!["127.0.0.1:1".to_owned()];
        let config = NodeConfig::of(&NodeArgs { listen, ..NodeArgs::default() }, port).unwrap();
        assert_eq!(config.listen[0].port, 1);
    }

    /// Variables as the environment would hold them.
    fn variables(set: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let set: Vec<(String, String)> =
            set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        move |name| set.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone())
    }

    const DKV: [(&str, &str); 6] = [
        ("DKV_NODE_ID", "b"),
        ("DKV_RPC_PORT", "7071"),
        ("DKV_REST_PORT", "8081"),
        ("DKV_DB_PATH", "db/b"),
        ("DKV_CLUSTER", "a@127.0.0.1:7070,b@127.0.0.1:7071"),
        ("DKV_LOG_LEVEL", "WARNING"),
    ];

    #[test]
    fn the_variables_of_dkv_say_all_that_a_node_must_know() {
        let config = NodeConfig::of(&NodeArgs::default(), variables(&DKV)).unwrap();
        assert_eq!(config.name.as_deref(), Some("b"));
        let listen: Vec<String> = config.listen.iter().map(Address::to_string).collect();
        assert_eq!(listen, ["0.0.0.0:7071", "0.0.0.0:8081"]);
        assert_eq!(config.advertise.unwrap().to_string(), "127.0.0.1:7071");
        assert_eq!(config.seeds, ["127.0.0.1:7070"]);
        assert_eq!(config.data, Some("db/b".into()));
        assert_eq!(config.log, "warn");
        let nodes = ["a", "b"].map(NodeId::of_name).to_vec();
        assert_eq!(config.founding, Founding::Listed { nodes });
    }

    #[test]
    fn an_option_of_kv_wins_over_a_variable_of_dkv() {
        let args = NodeArgs {
            name: Some("c".into()),
            listen: vec!["127.0.0.1:1".into()],
            data: Some("here".into()),
            join: vec!["127.0.0.1:2".into()],
            log: Some("error".into()),
            ..NodeArgs::default()
        };
        let config = NodeConfig::of(&args, variables(&DKV)).unwrap();
        assert_eq!((config.name.as_deref(), config.log.as_str()), (Some("c"), "error"));
        assert_eq!((config.listen.len(), config.listen[0].port), (1, 1));
        assert_eq!((config.data, config.founding), (Some("here".into()), Founding::Join));
    }

    #[test]
    fn a_node_listens_on_the_port_it_is_listed_with_beside_that_for_rest() {
        let without = |left_out: &str| {
            let rest: Vec<_> = DKV.into_iter().filter(|(name, _)| *name != left_out).collect();
            NodeConfig::of(&NodeArgs::default(), variables(&rest)).unwrap().listen
        };
        let ports = |listen: Vec<Address>| -> Vec<u16> {
            listen.iter().map(|address| address.port).collect()
        };
        assert_eq!(ports(without("DKV_RPC_PORT")), [7071, 8081]);
        assert_eq!(ports(without("DKV_REST_PORT")), [7071]);
        let same = variables(&[("DKV_RPC_PORT", "1"), ("DKV_REST_PORT", "1")]);
        let config = NodeConfig::of(&NodeArgs::default(), same).unwrap();
        assert_eq!(ports(config.listen), [1]);
    }

    #[test]
    fn a_wrong_variable_of_dkv_is_told_in_words() {
        let wrong = [
            ("DKV_NODE_ID", "c", "add c@HOST:PORT"),
            ("DKV_RPC_PORT", "http", "DKV_RPC_PORT takes a port"),
            ("DKV_REST_PORT", "70000", "DKV_REST_PORT takes a port"),
            ("DKV_LOG_LEVEL", "loud", "DKV_LOG_LEVEL takes"),
            ("DKV_CLUSTER", "a,b", "has no @"),
            ("DKV_CLUSTER", "a@127.0.0.1:7070,", "has no @"),
            ("DKV_CLUSTER", "a@127.0.0.1,b@127.0.0.1:7071", "HOST:PORT"),
            ("DKV_CLUSTER", "b@127.0.0.1:7071,b@127.0.0.1:7072", "twice"),
            ("DKV_CLUSTER", "a@127.0.0.1:7071,b@127.0.0.1:7071", "twice"),
            ("DKV_CLUSTER", "@127.0.0.1:7070,b@127.0.0.1:7071", "no name"),
        ];
        for (name, value, words) in wrong {
            let mut set = DKV.to_vec();
            set.retain(|(other, _)| *other != name);
            set.push((name, value));
            let misuse = NodeConfig::of(&NodeArgs::default(), variables(&set)).unwrap_err();
            assert!(misuse.0.contains(words), "{name}={value}: {misuse}");
        }
    }
}

//! `Dockerfile` and `compose.yaml`, as far as can be told without a container engine: they name what is
//! there, they fit each other, and the commands they give make one cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kv_tests::process::{NodeProcess, command, eventually, free_port};
use saphyr::{LoadableYamlNode, Yaml};

/// What an engine understands.
const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// A stage of the Dockerfile: its instructions with their arguments, `FROM` first.
type Stage = Vec<(String, String)>;

fn stages() -> Vec<Stage> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut stages: Vec<Stage> = Vec::new();
    for line in lines {
        let (instruction, arguments) = line.split_once(' ').expect("an instruction has arguments");
        assert!(INSTRUCTIONS.contains(&instruction), "{instruction} is no instruction");
        if instruction == "FROM" {
            stages.push(Stage::new());
        }
        let stage = stages.last_mut().expect("FROM comes first");
        stage.push((instruction.to_owned(), arguments.trim().to_owned()));
    }
    stages
}

fn all<'a>(stage: &'a Stage, instruction: &str) -> Vec<&'a str> {
    let found = stage.iter().filter(|(name, _)| name == instruction);
    found.map(|(_, arguments)| arguments.as_str()).collect()
}

/// The words of an instruction in the exec form.
fn words(arguments: &str) -> Vec<String> {
    let list = &arguments[arguments.find('[').expect("the exec form")..];
    serde_json::from_str(list).expect("the exec form is JSON")
}

/// The variables that the image sets for a node.
fn variables(stage: &Stage) -> BTreeMap<&str, &str> {
    all(stage, "ENV").into_iter().map(|pair| pair.split_once('=').expect("NAME=VALUE")).collect()
}

/// Sources that a stage copies from the repository.
fn copied(stage: &Stage) -> Vec<&str> {
    let own = all(stage, "COPY").into_iter().filter(|it| !it.starts_with("--from="));
    own.flat_map(|it| it.rsplit_once(' ').expect("a target").0.split_whitespace()).collect()
}

fn node_help() -> String {
    let output = command(&["node", "--help"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A service of compose.yaml.
struct Service {
    name: String,
    flags: BTreeMap<String, String>,
    /// Outside and inside.
    ports: Vec<(String, String)>,
    /// Volume and folder.
    volumes: Vec<(String, String)>,
}

fn strings(node: &Yaml<'_>, field: &str) -> Vec<String> {
    let list = node.as_mapping_get(field).unwrap_or_else(|| panic!("{field} is missing"));
    let list = list.as_sequence().unwrap_or_else(|| panic!("{field} is no list"));
    list.iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}

fn keys(node: &Yaml<'_>, field: &str) -> Vec<String> {
    let map = node.as_mapping_get(field).and_then(|map| map.as_mapping());
    let map = map.unwrap_or_else(|| panic!("{field} is missing or no map"));
    map.keys().map(|key| key.as_str().expect("text").to_owned()).collect()
}

fn split(pair: &str) -> (String, String) {
    let (left, right) = pair.rsplit_once(':').expect("LEFT:RIGHT");
    (left.to_owned(), right.to_owned())
}

fn compose() -> (Vec<Service>, Vec<String>) {
    let text = read("compose.yaml");
    let documents = Yaml::load_from_str(&text).expect("it is YAML");
    let [document] = documents.as_slice() else { panic!("it is one document") };
    let services = document.as_mapping_get("services").expect("services");
    let service = |name: String| {
        let node = services.as_mapping_get(&name).expect("a service");
        let shared = node.as_mapping_get("<<").expect("what all have in common");
        assert_eq!(shared.as_mapping_get("build").and_then(|it| it.as_str()), Some("."));
        let command = strings(node, "command");
        let (pairs, rest) = command.as_chunks::<2>();
        assert!(rest.is_empty(), "each flag has a value: {command:?}");
        Service {
            flags: pairs.iter().map(|[flag, value]| (flag.clone(), value.clone())).collect(),
            ports: strings(node, "ports").iter().map(|it| split(it)).collect(),
            volumes: strings(node, "volumes").iter().map(|it| split(it)).collect(),
            name,
        }
    };
    let services = keys(document, "services").into_iter().map(service).collect();
    (services, keys(document, "volumes"))
}

#[test]
fn the_image_is_built_from_what_is_there() {
    let stages = stages();
    let [build, run] = stages.as_slice() else { panic!("two stages") };
    let ignored = read(".dockerignore");
    let copied = copied(build);
    let workspace = read("Cargo.toml");
    for source in &copied {
        assert!(root().join(source).exists(), "{source} is not there");
        assert!(ignored.lines().all(|line| line != *source), "{source} is ignored");
    }
    let members = workspace.lines().find(|line| line.starts_with("members")).unwrap();
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    assert!(!members.is_empty());
    for member in members {
        assert!(copied.contains(&member), "the workspace needs {member}");
    }

    // Cargo reads the workspace as the image has it.
    let folder = tempfile::tempdir().unwrap();
    for source in &copied {
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(root().join(source)).arg(folder.path().join(source));
        assert!(copy.status().unwrap().success(), "{source}");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata.current_dir(folder.path());
    metadata.args(["metadata", "--no-deps", "--locked", "--offline", "--format-version", "1"]);
    let output = metadata.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let version = workspace.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    let image = format!("rust:{}-", version.trim_matches('"'));
    assert!(all(build, "FROM")[0].starts_with(&image), "it builds with Rust {version}");

    let from = all(build, "FROM")[0].rsplit_once(" AS ").unwrap().1;
    let taken = all(run, "COPY");
    let target = all(build, "WORKDIR")[0];
    let binary = format!("--from={from} {target}/target/release/kv /usr/local/bin/kv");
    assert_eq!(taken, [binary], "nothing but the program comes along");
}

#[test]
fn the_image_runs_a_node_that_is_not_root() {
    let stages = stages();
    let run = stages.last().unwrap();
    let (last, help) = (all(run, "ENTRYPOINT"), node_help());
    assert_eq!(words(last[0]), ["kv", "node"]);
    let user = all(run, "USER")[0];
    assert!(!["root", "0"].contains(&user));
    let place = |instruction: &str| run.iter().position(|(name, _)| name == instruction);
    assert!(place("RUN") < place("USER") && place("USER") < place("ENTRYPOINT"));

    let variables = variables(run);
    for name in variables.keys() {
        assert!(help.contains(&format!("[env: {name}=")), "kv node knows no {name}");
    }
    let data = variables["KV_DATA"];
    assert_eq!(words(all(run, "VOLUME")[0]), [data]);
    assert!(
        all(run, "RUN")
            .iter()
            .any(|it| it.contains(&format!("--owner={user}")) && it.ends_with(data))
    );
    let port = variables["KV_LISTEN"].strip_prefix("0.0.0.0:").expect("on all addresses");
    assert_eq!(all(run, "EXPOSE"), [port]);

    // A client asks port 7101 of this machine if it is told nothing else.
    let check = words(all(run, "HEALTHCHECK")[0]);
    assert_eq!((check[0].as_str(), port), ("kv", "7101"));
    let asked = command(&[&check[1..], &["--help".to_owned()]].concat()).output().unwrap();
    assert!(asked.status.success() && String::from_utf8_lossy(&asked.stdout).contains(port));
}

#[test]
fn each_node_lists_all_where_they_listen() {
    let (services, volumes) = compose();
    let (stages, help) = (stages(), node_help());
    let image = variables(stages.last().unwrap());
    assert_eq!(services.len(), 3);
    for service in &services {
        for flag in service.flags.keys() {
            assert!(help.contains(&format!("{flag} ")), "kv node knows no {flag}");
        }
        assert_eq!(service.flags["--name"], service.name);
        let listed: Vec<&str> = service.flags["--cluster"].split(',').collect();
        let expected = services.iter().map(|other| {
            // By its name a service is reached by the others.
            let (any, port) = split(&other.flags["--listen"]);
            assert_eq!(any, "0.0.0.0");
            format!("{0}@{0}:{port}", other.name)
        });
        assert_eq!(listed, expected.collect::<Vec<_>>());
        let own = format!("{}@{}", service.name, service.flags["--advertise"]);
        assert!(listed.contains(&own.as_str()), "{own}");

        let [(_, inside)] = service.ports.as_slice() else { panic!("one port") };
        assert_eq!(split(&service.flags["--listen"]).1, *inside);
        let [(volume, folder)] = service.volumes.as_slice() else { panic!("one volume") };
        assert!(volumes.contains(volume), "{volume}");
        assert_eq!(folder, image["KV_DATA"]);
    }
    let outside: BTreeSet<_> = services.iter().map(|service| &service.ports[0].0).collect();
    let kept: BTreeSet<_> = services.iter().map(|service| &service.volumes[0].0).collect();
    assert_eq!((outside.len(), kept.len()), (3, 3), "each has its own");
}

#[test]
fn the_commands_make_one_cluster() {
    let (services, _) = compose();
    let stages = stages();
    let folder = tempfile::tempdir().unwrap();
    // Addresses of containers become such of this machine.
    let ports: Vec<u16> = services.iter().map(|_| free_port()).collect();
    let here = |text: &str| {
        services.iter().zip(&ports).fold(text.to_owned(), |text, (service, port)| {
            text.replace(&service.flags["--advertise"], &format!("127.0.0.1:{port}"))
        })
    };
    let mut nodes = Vec::new();
    for (service, port) in services.iter().zip(&ports) {
        let address = format!("127.0.0.1:{port}");
        let mut flags = service.flags.clone();
        flags.remove("--name");
        flags.insert("--listen".into(), address.clone());
        let arguments: Vec<String> =
            flags.iter().flat_map(|(flag, value)| [flag.clone(), here(value)]).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut node = NodeProcess::at(folder.path(), &service.name, &address, &arguments);
        for (variable, value) in variables(stages.last().unwrap()) {
            node.set(variable, value);
        }
        node.start();
        nodes.push(node);
    }
    for node in &nodes {
        eventually(&format!("{} knows all", node.name), || {
            let members = node.get("/v1/members").is(200)?.json();
            let names = members["members"].as_array().into_iter().flatten();
            let names: BTreeSet<_> = names.filter_map(|it| it["name"].as_str()).collect();
            let all = services.iter().all(|service| names.contains(service.name.as_str()));
            if all && names.len() == 3 { Ok(()) } else { Err(members.to_string()) }
        });
    }
}

//! `kv mgmt` on real processes: nodes in the background, and what clients do through them.

#![cfg(target_os = "linux")]

use std::fs;
use std::net::TcpListener;
use std::thread;

use kv_tests::http::call;
use kv_tests::mgmt::{Mgmt, done};
use kv_tests::process::{NodeProcess, eventually, free_port, free_ports, send_signal};

/// Stores something that does not need a majority.
fn put_item(address: &str, value: &str) {
    let body = format!("{{\"value\":\"{value}\"}}");
    let url = format!("http://{address}/items/foo");
    call("PUT", &url, &[], Some(body.as_bytes())).is(200).unwrap();
}

fn serves_item(address: &str, value: &str) {
    eventually(&format!("{address} serves it"), || {
        let read = call("GET", &format!("http://{address}/items/foo"), &[], None).is(200)?.json();
        if read["value"] == value { Ok(()) } else { Err(read.to_string()) }
    });
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A node that leads itself, and two that have joined it: the one through it, the other by the registry.
fn three(mgmt: &Mgmt) -> [String; 3] {
    let port = free_ports(3);
    let nodes = [local(port), local(port + 1), local(port + 2)];
    assert!(mgmt.server(&format!("start -h {}", nodes[0])).contains("a cluster of one node"));
    assert_eq!(mgmt.leader(1), nodes[0], "a node alone leads itself");
    let words = mgmt.server(&format!("join -h {}", nodes[0]));
    assert!(words.contains(&nodes[1]) && words.contains("2 nodes"), "{words}");
    let words = mgmt.server(&format!("join -h {}", nodes[2]));
    assert!(words.contains(&nodes[2]) && words.contains("3 nodes"), "{words}");
    mgmt.leader(3);
    nodes
}

#[test]
fn nodes_start_join_die_and_come_back() {
    let mgmt = Mgmt::default();
    let nodes = three(&mgmt);
    put_item(&nodes[0], "kept");

    mgmt.server(&format!("kill -h {}", nodes[1]));
    mgmt.server(&format!("stop -h localhost:{}", nodes[2].rsplit_once(':').unwrap().1));
    assert_eq!(mgmt.processes().len(), 1);
    let list = mgmt.list();
    for (node, health) in nodes.iter().zip(["healthy", "down", "down"]) {
        assert_eq!(list[node].health, health, "{list:?}");
    }
    assert_eq!(list[&nodes[1]].role, "-");

    for node in &nodes {
        let words = mgmt.server(&format!("restart -h {node}"));
        assert!(words.contains("in a cluster of 3 nodes"), "{words}");
    }
    assert_eq!(mgmt.processes().len(), 3);
    mgmt.leader(3);
    for node in &nodes {
        serves_item(node, "kept");
    }
    let names = mgmt.list();
    let members = call("GET", &format!("http://{}/v1/members", nodes[1]), &[], None).text();
    assert!(names.values().all(|node| members.contains(&node.name)), "{members}");
}

#[test]
fn keys_are_served_through_any_node_as_long_as_a_majority_runs() {
    let mgmt = Mgmt::default();
    let port = free_ports(3);
    let first = local(port);
    let client =
        |arguments: &str, node: &str| mgmt.ok(&format!("-r client -c {arguments} -h {node}"));
    let refused =
        |arguments: &str, node: &str| mgmt.fails(&format!("-r client -c {arguments} -h {node}"));
    mgmt.server(&format!("start -h {first}"));
    assert_eq!(client("read", &first), "");
    assert_eq!(client("write -k alone -v -1", &first), "written\n");
    assert_eq!(client("read -k alone", &first), "-1\n");
    mgmt.server(&format!("join -h {first}"));
    mgmt.server(&format!("join -h {}", local(port + 2)));
    let first_leader = mgmt.leader(3);
    let nodes: Vec<String> = mgmt.list().into_keys().collect();

    for (number, node) in nodes.iter().enumerate() {
        client(&format!("write -k k/{number} -v old"), node);
        assert_eq!(client(&format!("update -k k/{number} -v v{number}"), node), "updated\n");
        for other in &nodes {
            assert_eq!(client(&format!("read -k k/{number}"), other), format!("v{number}\n"));
        }
    }
    client("write -k gone -v x", &nodes[0]);
    assert_eq!(client("delete -k gone", &nodes[1]), "deleted\n");
    for command in ["read -k gone", "delete -k gone", "update -k gone -v y"] {
        let said = refused(command, &nodes[2]);
        assert!(said.contains("there is no key \"gone\"; nothing was changed"), "{said}");
    }
    let all = "alone\t-1\nk/0\tv0\nk/1\tv1\nk/2\tv2\n";
    for node in &nodes {
        assert_eq!(client("read", node), all);
    }

    mgmt.server(&format!("kill -h {first_leader}"));
    let alive: Vec<&String> = nodes.iter().filter(|node| **node != first_leader).collect();
    let second_leader = mgmt.leader(2);
    assert!(alive.contains(&&second_leader));
    for node in &alive {
        eventually(&format!("{node} takes writes again"), || {
            let output = mgmt.run(&format!("-r client -c write -k alone -v 2 -h {node}"));
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() { Ok(()) } else { Err(words) }
        });
    }
    assert_eq!(client("read -k alone", alive[0]), "2\n");

    mgmt.server(&format!("stop -h {}", alive[0]));
    for command in ["write -k alone -v 3", "delete -k alone", "read -k alone", "read"] {
        let said = refused(command, alive[1]);
        assert!(said.contains("a majority of the nodes must run"), "{command}: {said}");
    }
    let said = refused("read -k alone", alive[0]);
    assert!(said.contains("does not answer"), "{said}");

    mgmt.server(&format!("restart -h {}", alive[0]));
    mgmt.server(&format!("restart -h {first_leader}"));
    mgmt.leader(3);
    for node in &nodes {
        for number in 0..3 {
            assert_eq!(client(&format!("read -k k/{number}"), node), format!("v{number}\n"));
        }
    }
}

#[test]
fn without_arguments_it_shows_what_can_be_said() {
    let mgmt = Mgmt::default();
    let usage = mgmt.ok("");
    for word in
        ["server", "client", "start", "join", "restart", "update", "-h HOST -k KEY -v VALUE"]
    {
        assert!(usage.contains(word), "{usage}");
    }
    assert!(mgmt.ok("--help").contains("-h, --host <HOST:PORT>"));
    assert!(mgmt.list().is_empty());
    assert_eq!(mgmt.run("--nonsense").status.code(), Some(2));
    assert_eq!(mgmt.run("-r server -c stop -h").status.code(), Some(2));
}

#[test]
fn what_cannot_be_done_is_told_with_the_way_out() {
    let mgmt = Mgmt::default();
    let nowhere = local(free_port());
    let long = "k".repeat(1_025);
    for (arguments, words) in [
        ("-r server".to_owned(), "-c is missing"),
        ("-c list".into(), "-r is missing"),
        ("-h 127.0.0.1:1".into(), "-r is missing"),
        ("-r root -c list".into(), "server or client"),
        ("-r server -c read".into(), "start, join, stop"),
        ("-r client -c list".into(), "read, write, update, delete"),
        ("-r server -c start".into(), "-h is missing"),
        ("-r client -c read -k a".into(), "-h is missing"),
        ("-r server -c start -h nowhere".into(), "HOST:PORT"),
        ("-r server -c start -h 127.0.0.1:0".into(), "another port"),
        (format!("-r server -c join -h {nowhere}"), "-c start starts the first"),
        (format!("-r server -c stop -h {nowhere}"), "it has none at all"),
        (format!("-r server -c kill -h {nowhere}"), "the registry has no node"),
        (format!("-r server -c restart -h {nowhere}"), "the registry has no node"),
        (format!("-r client -c write -h {nowhere} -k a"), "-v is missing"),
        (format!("-r client -c update -h {nowhere} -v a"), "-k is missing"),
        (format!("-r client -c delete -h {nowhere}"), "-k is missing"),
        (format!("-r client -c read -h {nowhere} -k {long}"), "1 to 1024 bytes"),
        (format!("-r client -c read -h {nowhere} -k="), "1 to 1024 bytes"),
        (format!("-r client -c read -h {nowhere}"), "-c list shows which nodes run"),
        (format!("-r client -c write -h {nowhere} -k a -v b"), "does not answer"),
    ] {
        let said = mgmt.fails(&arguments);
        assert!(said.contains(words), "{arguments}: {said}");
        assert!(!said.contains("unknown whether"), "nothing was sent: {said}");
    }
    assert!(mgmt.list().is_empty());

    let node = local(free_port());
    mgmt.server(&format!("start -h {node}"));
    for command in ["start", "stop", "restart"] {
        let other = mgmt.fails(&format!("-r server -c {command} -h {nowhere}x"));
        assert!(other.contains("HOST:PORT"), "{other}");
    }
    let said = mgmt.fails(&format!("-r server -c start -h {node}"));
    assert!(said.contains("and runs"), "{said}");
    let said = mgmt.fails(&format!("-r server -c stop -h {nowhere}"));
    assert!(said.contains(&format!("it has {node}")), "{said}");
    mgmt.server(&format!("stop -h {node}"));
    for command in ["stop", "kill"] {
        let said = mgmt.fails(&format!("-r server -c {command} -h {node}"));
        assert!(said.contains("-c restart"), "{said}");
    }
    for command in ["start", "join"] {
        let said = mgmt.fails(&format!("-r server -c {command} -h {node}"));
        assert!(said.contains("-c restart brings"), "{said}");
    }
}

#[test]
fn a_port_that_is_taken_leaves_nothing_behind() {
    let mgmt = Mgmt::default();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let said = mgmt.fails(&format!("-r server -c start -h {address}"));
    assert!(said.contains("another program uses it"), "{said}");
    assert!(mgmt.list().is_empty());
    assert!(mgmt.processes().is_empty());
}

#[test]
fn a_join_is_never_guessed_between_clusters() {
    let mgmt = Mgmt::default();
    let port = free_ports(3);
    let [first, second, third] = [port, port + 1, port + 2].map(local);
    mgmt.server(&format!("start -h {first}"));
    mgmt.server(&format!("start -h {second}"));
    let said = mgmt.fails(&format!("-r server -c join -h {third}"));
    assert!(said.contains("2 clusters"), "{said}");
    assert_eq!(mgmt.list().len(), 2);
    assert!(mgmt.server(&format!("join -h {second}")).contains("2 nodes"));
    assert_eq!(mgmt.list().len(), 3);
}

#[test]
fn a_node_of_somebody_else_may_be_joined_and_is_never_signalled() {
    let mgmt = Mgmt::default();
    let folder = tempfile::tempdir().unwrap();
    // The node that joins takes the port behind.
    let at = local(free_ports(2));
    let mut foreign = NodeProcess::at(folder.path(), "foreign", &at, &["--listen", &at]);
    foreign.start().healthy();
    assert!(mgmt.server(&format!("join -h {}", foreign.address)).contains("2 nodes"));
    let own: Vec<String> = mgmt.list().into_keys().collect();
    let [own] = own.as_slice() else { panic!("{own:?}") };

    for command in ["stop", "kill", "restart"] {
        let said = mgmt.fails(&format!("-r server -c {command} -h {}", foreign.address));
        assert!(said.contains("has no node"), "{said}");
    }
    // Now another listens where the node did.
    let [process] = mgmt.processes()[..] else { panic!("one process") };
    send_signal(process, "KILL");
    eventually("it is gone", || match mgmt.processes()[..] {
        [] => Ok(()),
        ref other => Err(format!("{other:?}")),
    });
    let mut usurper = NodeProcess::at(folder.path(), "usurper", own, &["--listen", own]);
    usurper.start().healthy();
    assert_eq!(mgmt.list()[own].health, "down");
    for command in ["stop", "kill"] {
        let said = mgmt.fails(&format!("-r server -c {command} -h {own}"));
        assert!(said.contains("does not run"), "{said}");
    }
    let said = mgmt.fails(&format!("-r server -c restart -h {own}"));
    assert!(said.contains("another program uses it"), "{said}");
    assert!(usurper.runs() && foreign.runs());
    usurper.kill();
    assert!(mgmt.server(&format!("restart -h {own}")).contains("2 nodes"));
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    let mgmt = Mgmt::default();
    let port = free_ports(4);
    let (apart, same) = ([0, 1, 2].map(|add| local(port + add)), local(port + 3));
    let at_once = |arguments: Vec<String>| -> Vec<bool> {
        thread::scope(|scope| {
            let runs: Vec<_> =
                arguments.iter().map(|it| scope.spawn(|| mgmt.run(it).status.success())).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        })
    };
    let starts = apart.iter().chain([&same; 3]).map(|at| format!("-r server -c start -h {at}"));
    let done = at_once(starts.collect());
    assert_eq!(done[..3], [true; 3]);
    assert_eq!(done[3..].iter().filter(|done| **done).count(), 1, "one node at one address");
    let list = mgmt.list();
    assert_eq!(list.len(), 4, "{list:?}");
    assert!(list.values().all(|node| node.health == "healthy"), "{list:?}");
    assert_eq!(mgmt.processes().len(), 4);

    mgmt.server(&format!("kill -h {same}"));
    at_once([&same; 3].map(|at| format!("-r server -c restart -h {at}")).to_vec());
    eventually("it runs once", || match mgmt.processes().len() {
        4 => Ok(()),
        count => Err(format!("{count} processes")),
    });
    eventually("it is healthy", || match mgmt.list()[&same].health.as_str() {
        "healthy" => Ok(()),
        other => Err(other.into()),
    });
}

#[test]
fn a_damaged_registry_is_reported_and_its_nodes_come_in_again() {
    let mgmt = Mgmt::default();
    let node = local(free_port());
    mgmt.server(&format!("start -h {node}"));
    put_item(&node, "kept");
    let whole = fs::read(mgmt.registry()).unwrap();
    let damaged = &whole[..whole.len() / 2];
    fs::write(mgmt.registry(), damaged).unwrap();
    for command in ["list".into(), format!("stop -h {node}"), format!("start -h {node}")] {
        let said = mgmt.fails(&format!("-r server -c {command}"));
        let path = fs::canonicalize(mgmt.registry()).unwrap();
        assert!(said.contains(path.to_str().unwrap()) && said.contains("move it away"), "{said}");
    }
    assert_eq!(fs::read(mgmt.registry()).unwrap(), damaged);

    fs::remove_file(mgmt.registry()).unwrap();
    mgmt.kill_all();
    let other = local(free_port());
    mgmt.server(&format!("start -h {other}"));
    let said = mgmt.fails(&format!("-r server -c join -h {node}"));
    assert!(said.contains("holds the data of an earlier node"), "{said}");
    let said = mgmt.server(&format!("start -h {node}"));
    assert!(said.contains("with the data that was there"), "{said}");
    serves_item(&node, "kept");
}

#[test]
fn scripts_start_and_stop_as_many_as_asked() {
    let mgmt = Mgmt::default();
    let first = free_ports(3);
    for arguments in ["", "0", "101", "x", "3 x", "3 65534"] {
        let output = mgmt.script("scripts/cluster-start.sh", arguments);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {words}");
        assert!(words.starts_with("cluster-start: "), "{words}");
    }
    let healthy = |count: usize| {
        let list = mgmt.list();
        assert_eq!(list.values().filter(|it| it.health == "healthy").count(), count, "{list:?}");
    };
    let start = |count: usize| {
        let output = mgmt.script("scripts/cluster-start.sh", &format!("{count} {first}"));
        done("cluster-start.sh", &output)
    };
    start(1);
    healthy(1);
    put_item(&local(first), "kept");
    assert!(start(3).contains("runs already"));
    healthy(3);
    done("cluster-stop.sh", &mgmt.script("scripts/cluster-stop.sh", ""));
    healthy(0);
    assert!(mgmt.processes().is_empty());
    start(3);
    mgmt.leader(3);
    serves_item(&local(first + 2), "kept");
}

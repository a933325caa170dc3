//! Clusters of native nodes: how they begin, grow and live through the death of a node.

use kv_tests::cluster::Cluster;
use kv_tests::process::{NodeProcess, eventually};
use serde_json::json;

fn put(node: &NodeProcess, key: &str, value: &str) -> Result<(), String> {
    let body = json!({ "value": value }).to_string();
    node.put(&format!("/items/{key}"), body.as_bytes()).is(200).map(drop)
}

fn get(node: &NodeProcess, key: &str) -> Result<String, String> {
    let answer = node.get(&format!("/items/{key}")).is(200)?;
    Ok(answer.json()["value"].as_str().unwrap_or_default().to_owned())
}

/// Waits until a node serves the value.
fn serves(node: &NodeProcess, key: &str, value: &str) {
    eventually(&format!("{} serves {key}={value}", node.name), || match get(node, key)? {
        found if found == value => Ok(()),
        other => Err(format!("it serves {other:?}")),
    });
}

fn three_nodes_live_through_the_death_of_each(order: [usize; 3]) {
    let mut cluster = Cluster::listed(&order);
    put(&cluster.nodes[order[0]], "foo", "bar").unwrap();
    for node in &cluster.nodes {
        assert_eq!(get(node, "foo").as_deref(), Ok("bar"), "{}", node.name);
    }
    for dead in 0..3 {
        cluster.nodes[dead].kill();
        let value = format!("without n{}", dead + 1);
        let alive: Vec<usize> = (0..3).filter(|&index| index != dead).collect();
        for &index in &alive {
            let node = &cluster.nodes[index];
            serves(node, "foo", "bar");
            eventually(&format!("{} takes writes", node.name), || put(node, "now", &value));
        }
        for &index in &alive {
            serves(&cluster.nodes[index], "now", &value);
        }
        cluster.nodes[dead].start().healthy();
        serves(&cluster.nodes[dead], "foo", "bar");
        serves(&cluster.nodes[dead], "now", &value);
        cluster.linked(dead, &alive);
        for &index in &alive {
            cluster.linked(index, &[dead]);
        }
    }
}

#[test]
fn three_listed_nodes_started_in_order() {
    three_nodes_live_through_the_death_of_each([0, 1, 2]);
}

#[test]
fn three_listed_nodes_started_backwards() {
    three_nodes_live_through_the_death_of_each([2, 1, 0]);
}

#[test]
fn a_cluster_grows_under_its_data() {
    let mut cluster = Cluster::apart(1);
    for number in 0..50 {
        put(&cluster.nodes[0], &format!("k{number}"), "before").unwrap();
    }
    for members in 2..=3 {
        cluster.join();
        cluster.settled(members);
        put(&cluster.nodes[members - 1], "last", &members.to_string()).unwrap();
    }
    for node in &cluster.nodes {
        for number in 0..50 {
            assert_eq!(get(node, &format!("k{number}")).as_deref(), Ok("before"));
        }
        assert_eq!(get(node, "last").as_deref(), Ok("3"));
    }
    // With three copies of each key, any one node may die.
    cluster.nodes[0].kill();
    serves(&cluster.nodes[1], "k7", "before");
    serves(&cluster.nodes[2], "k49", "before");
}

#[test]
fn two_clusters_of_one_keep_the_data_of_both() {
    let mut cluster = Cluster::apart(2);
    put(&cluster.nodes[0], "left", "from n1").unwrap();
    put(&cluster.nodes[1], "right", "from n2").unwrap();
    let body = json!({ "peer_url": cluster.nodes[1].url("") }).to_string();
    cluster.nodes[0].post("/peers", body.as_bytes()).is(200).unwrap();
    cluster.settled(2);
    for node in &cluster.nodes {
        serves(node, "left", "from n1");
        serves(node, "right", "from n2");
    }
}

#[test]
fn a_node_of_another_cluster_is_told_of() {
    let mut cluster = Cluster::apart(2);
    let listed: Vec<String> =
        cluster.nodes.iter().map(|node| format!("{}@{}", node.name, node.address)).collect();
    for node in &mut cluster.nodes {
        put(node, &node.name, "its own").unwrap();
        node.stop("TERM");
    }
    let (folder, listed) = (cluster.folder.path(), listed.join(","));
    let again = |node: &NodeProcess| {
        NodeProcess::at(folder, &node.name, &node.address, &["--cluster", &listed])
    };
    let mut nodes: Vec<NodeProcess> = cluster.nodes.iter().map(again).collect();
    for node in &mut nodes {
        node.start();
    }
    for (node, other) in [(0, 1), (1, 0)] {
        let (node, other) = (&nodes[node], &nodes[other]);
        let words = format!("the node at {} is of another cluster", other.address);
        eventually(&format!("{} tells of {}", node.name, other.name), || {
            let log = node.log();
            let told = log.contains(&words) && log.contains("with an empty data folder");
            if told { Ok(()) } else { Err(node.log_end()) }
        });
        serves(node, &node.name, "its own");
        assert_eq!(node.get("/v1/status").is(200).unwrap().json()["cluster"]["members"], 1);
    }
}

#[test]
fn a_member_that_is_let_go_is_no_owner_any_more() {
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    put(&cluster.nodes[0], "foo", "bar").unwrap();
    cluster.nodes[2].kill();
    cluster.nodes[0].delete("/v1/members/n3").is(200).unwrap();
    cluster.settled(2);
    serves(&cluster.nodes[1], "foo", "bar");
    let ring = cluster.nodes[1].get("/v1/ring").json().to_string();
    assert!(ring.contains("n1") && !ring.contains("n3"), "{ring}");
    let words = cluster.nodes[0].delete("/v1/members/n3").is(404).unwrap().text();
    assert!(words.contains("no member"), "{words}");
}

#[test]
fn the_node_that_founded_the_cluster_dies_and_another_takes_its_place() {
    let mut cluster = Cluster::listed(&[0, 1, 2]);
    put(&cluster.nodes[0], "foo", "bar").unwrap();
    cluster.nodes[0].kill();
    let survivor = &cluster.nodes[1];
    eventually("the others elect a leader and let the dead node go", || {
        survivor.delete("/v1/members/n1").is(200)
    });
    cluster.settled(2);
    let through = cluster.nodes[1].address.clone();
    let mut fourth = NodeProcess::new(cluster.folder.path(), "n4", &["--join", &through]);
    fourth.start().healthy();
    cluster.nodes.push(fourth);
    cluster.settled(3);
    serves(&cluster.nodes[3], "foo", "bar");
    let status = cluster.nodes[3].get("/v1/status").is(200).unwrap().json();
    let group = &status["groups"][0];
    assert!(["n2", "n3", "n4"].iter().any(|name| group["leader"] == *name), "{group}");
}

//! Several nodes on this machine, in a folder that goes with them.

use tempfile::TempDir;

use crate::process::{NodeProcess, eventually, free_port};

/// Nodes and their folder.
pub struct Cluster {
    /// The nodes, in the order of their names.
    pub nodes: Vec<NodeProcess>,
    /// Where their data and logs are.
    pub folder: TempDir,
}

impl Cluster {
    /// Nodes n1, n2, … that list each other, started in this order of their indices and healthy.
    pub fn listed(order: &[usize]) -> Self {
        Self::listed_with(order, &[])
    }

    /// The same with more arguments.
    pub fn listed_with(order: &[usize], arguments: &[&str]) -> Self {
        let folder = folder();
        let names: Vec<(String, String)> = (1..=order.len())
            .map(|number| (format!("n{number}"), format!("127.0.0.1:{}", free_port())))
            .collect();
        let list: Vec<String> =
            names.iter().map(|(name, address)| format!("{name}@{address}")).collect();
        let list = list.join(",");
        let arguments = [&["--cluster", &list], arguments].concat();
        let nodes = names
            .iter()
            .map(|(name, at)| NodeProcess::at(folder.path(), name, at, &arguments))
            .collect();
        let mut cluster = Self { nodes, folder };
        for &index in order {
            cluster.nodes[index].start();
        }
        cluster.settled(order.len());
        cluster
    }

    /// Nodes that each are a cluster of one.
    pub fn apart(count: usize) -> Self {
        let folder = folder();
        let mut nodes: Vec<NodeProcess> = (1..=count)
            .map(|number| NodeProcess::new(folder.path(), &format!("n{number}"), &[]))
            .collect();
        for node in &mut nodes {
            node.start();
        }
        for node in &nodes {
            node.healthy();
        }
        Self { nodes, folder }
    }

    /// Adds a node that joins through the first one; it is started and healthy.
    pub fn join(&mut self) {
        let name = format!("n{}", self.nodes.len() + 1);
        let through = self.nodes[0].address.clone();
        let mut node = NodeProcess::new(self.folder.path(), &name, &["--join", &through]);
        node.start().healthy();
        self.nodes.push(node);
    }

    /// Waits until all nodes that run know the same members, so many, and nothing moves.
    pub fn settled(&mut self, members: usize) {
        for node in &mut self.nodes {
            if !node.runs() {
                continue;
            }
            eventually(&format!("{} knows {members} members", node.name), || {
                let cluster = node.get("/v1/status").is(200)?.json()["cluster"].clone();
                let settled = cluster["members"] == members && cluster["moving"].is_null();
                if settled { Ok(()) } else { Err(cluster.to_string()) }
            });
        }
    }

    /// Waits until a node reports links to all others of these.
    pub fn linked(&self, index: usize, others: &[usize]) {
        let node = &self.nodes[index];
        eventually(&format!("{} has its links", node.name), || {
            let health = node.get("/peers/healthcheck").is(200)?.json();
            let up = |other: &usize| health[self.nodes[*other].url("")] == "success";
            if others.iter().all(up) { Ok(()) } else { Err(health.to_string()) }
        });
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("kv-test-").tempdir().expect("a temporary folder")
}

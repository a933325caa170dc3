//! `kv play`: three nodes and the page in one command, and nothing left behind.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use kv_tests::http::{Answer, call};
use kv_tests::process::{command, eventually, free_ports, send_signal};
use serde_json::json;

struct Play {
    child: Child,
    page: u16,
    nodes: u16,
}

impl Play {
    /// Starts it and waits until all is up.
    fn start(folder: &Path) -> Self {
        let play = Self::spawn(folder);
        eventually("it welcomes its user", || {
            let words = fs::read_to_string(folder.join("words")).unwrap();
            if words.contains("Ctrl-C stops everything") { Ok(()) } else { Err(words) }
        });
        play
    }

    fn spawn(folder: &Path) -> Self {
        let page_folder = folder.join("page");
        fs::create_dir_all(page_folder.join("assets")).unwrap();
        fs::write(page_folder.join("index.html"), "<!doctype html><title>page</title>").unwrap();
        fs::write(page_folder.join("assets/kv-1a2b.wasm"), b"\0asm").unwrap();
        let page = free_ports(4);
        let nodes = page + 1;
        let arguments = [
            "play",
            "--page",
            &page_folder.display().to_string(),
            "--data",
            &folder.join("data").display().to_string(),
            "--port",
            &page.to_string(),
            "--nodes",
            &nodes.to_string(),
        ]
        .map(str::to_owned);
        let words = fs::File::create(folder.join("words")).unwrap();
        let child = command(&arguments).stdin(Stdio::null()).stderr(words).spawn().unwrap();
        Self { child, page, nodes }
    }

    fn node(&self, index: u16, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.nodes + index)
    }

    fn page(&self, path: &str) -> Answer {
        call("GET", &format!("http://127.0.0.1:{}{path}", self.page), &[], None)
    }

    /// Waits until no node answers any more.
    fn all_gone(&self) {
        eventually("the nodes are gone", || {
            let answers =
                (0..3).map(|index| call("GET", &self.node(index, "/healthcheck"), &[], None));
            match answers.map(|answer| answer.status).collect::<Vec<_>>()[..] {
                [0, 0, 0] => Ok(()),
                ref other => Err(format!("{other:?}")),
            }
        });
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_serves_the_page_and_a_cluster_and_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut play = Play::start(folder.path());
    let put = json!({ "value": "bar" }).to_string();
    call("PUT", &play.node(0, "/items/foo"), &[], Some(put.as_bytes())).is(200).unwrap();
    for index in 1..3 {
        let read = call("GET", &play.node(index, "/items/foo"), &[], None);
        assert_eq!(read.json(), json!({ "value": "bar" }));
    }
    let page = play.page("/").is(200).unwrap();
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(page.header("cache-control"), "no-cache");
    let wasm = play.page("/assets/kv-1a2b.wasm").is(200).unwrap();
    assert_eq!(wasm.header("content-type"), "application/wasm");
    assert!(wasm.header("cache-control").contains("immutable"));
    assert_eq!(play.page("/nothing").status, 404);

    // A second one does not disturb the first.
    let ports = ["--port", &play.page.to_string(), "--nodes", &play.nodes.to_string()];
    let page_folder = folder.path().join("page").display().to_string();
    let again = [&["play", "--page", &page_folder], &ports[..]].concat();
    let output = command(&again).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("is kv play running already?"), "{words}");

    send_signal(play.child.id(), "TERM");
    eventually("it ends", || match play.child.try_wait() {
        Ok(Some(status)) if status.success() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    play.all_gone();
}

#[test]
fn the_nodes_end_with_it_however_it_ends_and_keep_their_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut play = Play::start(folder.path());
    let put = json!({ "value": "kept" }).to_string();
    call("PUT", &play.node(1, "/items/foo"), &[], Some(put.as_bytes())).is(200).unwrap();
    play.child.kill().unwrap();
    play.child.wait().unwrap();
    play.all_gone();
}

#[test]
fn one_signal_is_enough_while_the_nodes_still_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut play = Play::spawn(folder.path());
    // The page is there before the nodes are one cluster.
    eventually("the page is served", || play.page("/").is(200).map(|_| ()));
    send_signal(play.child.id(), "INT");
    eventually("it ends", || match play.child.try_wait() {
        Ok(Some(status)) if status.success() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    play.all_gone();
}

//! `kv storage` on the folder of a real node: it shows what is there, finds every flipped byte in its
//! place, and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kv_tests::cluster::Cluster;
use kv_tests::process::{NodeProcess, command};

/// Runs `kv storage`; its exit code, output and words.
fn storage(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let mut all = vec!["storage", arguments[0], folder.to_str().unwrap()];
    all.extend(&arguments[1..]);
    let output = command(&all).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// All files of a folder with what they hold.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Flips one bit of a file, verifies, and flips it back. What `kv storage verify` says.
fn flipped(folder: &Path, name: &str, offset: usize) -> (Option<i32>, String, String) {
    let path = folder.join(name);
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[offset] ^= 16;
    fs::write(&path, bytes).unwrap();
    let said = storage(&["verify"], folder);
    fs::write(&path, whole).unwrap();
    said
}

fn filled(node: &NodeProcess, bytes: usize) {
    let value = "x".repeat(200_000);
    for number in 0..bytes / value.len() {
        let answer = node.put(&format!("/v1/eventual/keys/large{number}"), value.as_bytes());
        answer.is(200).unwrap();
    }
    node.put("/v1/eventual/keys/greeting", b"hello").is(200).unwrap();
}

#[test]
fn a_folder_is_shown_and_checked_and_stays_as_it_is() {
    let mut cluster = Cluster::apart(1);
    let folder = cluster.nodes[0].data.clone();
    filled(&cluster.nodes[0], 0);
    for arguments in [&["verify"][..], &["inspect"], &["inspect", "--dump"]] {
        let (code, output, words) = storage(arguments, &folder);
        assert_eq!((code, output.as_str()), (Some(2), ""), "{words}");
        assert!(words.contains("in use by another kv process"), "{words}");
    }
    assert!(cluster.nodes[0].stop("TERM").success());
    let before = contents(&folder);

    let (code, output, words) = storage(&["inspect"], &folder);
    assert_eq!(code, Some(0), "{words}");
    assert!(output.contains("0000000000000001.log"), "{output}");
    let (code, output, words) = storage(&["inspect", "--dump"], &folder);
    assert_eq!(code, Some(0), "{words}");
    let line = output.lines().find(|line| line.contains("put greeting (partition ")).unwrap();
    assert!(line.contains(" = hello ["), "{line}");
    let (code, output, words) = storage(&["verify"], &folder);
    assert_eq!((code, words.as_str()), (Some(0), ""));
    let line = output.lines().find(|line| line.starts_with("0000000000000001.log")).unwrap();
    assert!(line.contains("whole") && line.contains("batches"), "{line}");

    let (code, output, words) = flipped(&folder, "0000000000000001.log", 100);
    assert_eq!(code, Some(1), "{output}{words}");
    assert!(words.contains("first fault is in 0000000000000001.log at offset "), "{words}");
    assert!(words.contains("durable batches are lost"), "{words}");
    assert!(contents(&folder) == before, "nothing was changed");

    let nowhere = folder.join("nowhere");
    for none in [folder.parent().unwrap(), &nowhere] {
        let (code, _, words) = storage(&["verify"], none);
        assert_eq!(code, Some(2));
        assert!(words.contains("is no data folder"), "{words}");
    }
    assert!(!nowhere.exists());
    cluster.nodes[0].start().healthy();
    assert_eq!(cluster.nodes[0].get("/v1/eventual/keys/greeting").text(), "hello");
}

#[test]
fn a_flipped_byte_of_a_table_or_a_root_is_named() {
    let mut cluster = Cluster::apart(1);
    let folder = cluster.nodes[0].data.clone();
    // More than a memtable, so that there is a table.
    filled(&cluster.nodes[0], 70 << 20);
    let table = kv_tests::process::eventually("a table is written", || {
        let status = cluster.nodes[0].get("/v1/status").is(200)?.json();
        let table = &status["storage"]["levels"][0]["tables"][0];
        table["file"].as_str().map(str::to_owned).ok_or_else(|| status["storage"].to_string())
    });
    let metrics = cluster.nodes[0].get("/metrics").text();
    assert!(metrics.contains("kv_storage_tables{level=\"0\"} 1\n"), "{metrics}");
    assert!(cluster.nodes[0].stop("TERM").success());

    let (code, output, words) = storage(&["verify"], &folder);
    assert_eq!((code, words.as_str()), (Some(0), ""), "{output}");
    let (code, output, _) = storage(&["inspect"], &folder);
    assert_eq!(code, Some(0));
    let row = output.lines().find(|line| line.contains(&table)).unwrap();
    assert!(row.contains("bits/key") && row.contains("counters (partition 0)"), "{row}");
    let number = table.trim_end_matches(".sst").trim_start_matches('0');
    let (code, output, words) = storage(&["inspect", "--dump", number], &folder);
    assert_eq!(code, Some(0), "{words}");
    assert!(output.contains("put large0 (partition "), "{}", &output[..output.len().min(500)]);
    assert_eq!(storage(&["inspect", "--dump", "999"], &folder).0, Some(2));

    let length = fs::metadata(folder.join(&table)).unwrap().len();
    let offset = usize::try_from(length / 2).unwrap();
    for (file, offset, place) in
        [(table.as_str(), offset, None), ("0.root", 30, Some(0)), ("1.root", 30, Some(0))]
    {
        let (code, output, words) = flipped(&folder, file, offset);
        assert_eq!(code, Some(1), "{output}");
        let start = format!("kv: the first fault is in {file} at offset ");
        let rest = words.strip_prefix(&start).unwrap_or_else(|| panic!("{words}"));
        let named: usize = rest.split(':').next().unwrap().parse().unwrap();
        assert!(place.map_or(named <= offset && offset < named + 300_000, |place| named == place));
        let line = output.lines().find(|line| line.starts_with(file)).unwrap();
        assert!(line.contains("DAMAGED"), "{line}");
    }
}

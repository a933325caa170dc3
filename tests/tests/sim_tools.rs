//! `kv sim` and `kv replay`, as a person uses them.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use kv_core::sim::{Action, ClientOperation, Run, SimConfig, World, link, nemesis};
use kv_core::time::Mono;
use kv_tests::process::{command, eventually};
use rustix::process::{Pid, Signal, kill_process};

/// Exit code, standard output, standard error.
fn said(arguments: &[&str]) -> (i32, String, String) {
    let output = command(arguments).output().expect("kv can be started");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("kv speaks UTF-8");
    (output.status.code().expect("it ended by itself"), text(&output.stdout), text(&output.stderr))
}

fn a_run() -> Run {
    nemesis::run(1, 8).expect("the nemesis makes sound clusters").run()
}

#[test]
fn seeds_are_tried_on_all_cores_and_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.md");
    let report = file.to_str().unwrap();
    let (code, out, err) = said(&["sim", "--seeds", "1..6", "--strikes", "20", "--report", report]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("6 seeds with ") && out.ends_with(": no objection\n"), "{out}");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("| crash |") && text.contains("no judge objects"), "{text}");
}

#[test]
fn only_the_faults_that_were_asked_for_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.md");
    let report = file.to_str().unwrap();
    let faults = ["--faults", "crash,disk", "--report", report];
    let (code, _, err) = said(&[&["sim", "--seeds", "1..6"][..], &faults].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    let text = fs::read_to_string(&file).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    let done = rows.iter().filter(|row| !row.ends_with("| 0 | 0 |"));
    let done: Vec<&str> = done.filter_map(|row| row.split(" | ").next()).collect();
    for kind in ["| crash", "| lost unsynced write, by a crash", "| restart", "| slow disk"] {
        assert!(done.contains(&kind), "{text}");
    }
    for other in ["pause", "wipe", "cut", "partition", "network", "clock", "message", "link"] {
        assert!(!done.iter().any(|kind| kind.contains(other)), "{text}");
        assert!(rows.iter().any(|row| row.contains(other)), "what never came is said: {text}");
    }
}

#[test]
fn a_trace_has_a_line_for_every_event_and_action_and_is_the_same_every_time() {
    let trace = || said(&["sim", "--seeds", "3", "--strikes", "5", "--nodes", "3", "--trace"]);
    let (code, out, _) = trace();
    assert_eq!(code, 0);
    assert!(out.lines().next().unwrap().starts_with("   0.000000 s  n1   opened folder"), "{out}");
    assert!(out.lines().any(|line| line.contains(" s  --   ")), "no action is shown");
    assert!(out.ends_with("no objection\n"));
    let times: Vec<&str> = out.lines().filter_map(|line| line.split(" s  ").next()).collect();
    assert!(times[..times.len() - 1].is_sorted(), "out of order");
    assert_eq!(trace().1, out);
}

#[test]
fn a_link_is_played_to_its_hash_as_text_address_or_file() {
    let text = link::encode(&a_run());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seed-1.link");
    fs::write(&file, format!("# what was wrong\n{text}\n")).unwrap();
    let address = format!("http://127.0.0.1:7700/#run={text}");
    for what in [&text, &address, file.to_str().unwrap()] {
        let (code, out, err) = said(&["replay", what]);
        assert_eq!((code, err.as_str()), (0, ""), "{what}");
        assert!(out.contains(&format!("hash {:016x}, as the link says", a_run().hash)), "{out}");
    }
    let other = link::encode(&Run { hash: 1, ..a_run() });
    let (code, _, err) = said(&["replay", &other]);
    assert_eq!(code, 1);
    assert!(err.contains("the link says 0000000000000001") && err.contains("bug in kv"), "{err}");
}

#[test]
fn the_journal_of_a_node_is_played_to_its_hash() {
    let mut world = World::recorded(SimConfig::default()).unwrap();
    world.run_until(Mono(2_000_000), u64::MAX);
    let recorder = &world.journals(1)[0];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n2.journal");
    let name = file.to_str().unwrap();
    fs::write(&file, recorder.ended()).unwrap();
    let (code, out, err) = said(&["replay", name]);
    assert_eq!((code, err.as_str()), (0, ""));
    let end = format!("hash {:016x}, as recorded\n", recorder.hash());
    assert!(out.starts_with("n2, ") && out.ends_with(&end), "{out}");
    fs::write(&file, recorder.bytes()).unwrap();
    let (code, out, _) = said(&["replay", name]);
    assert!(code == 0 && out.contains("; nothing says that the journal ends here"), "{out}");
    fs::write(&file, &recorder.bytes()[..recorder.bytes().len() - 1]).unwrap();
    let (code, out, _) = said(&["replay", name]);
    assert!(code == 0 && out.contains("; the journal is cut off at byte "), "{out}");
    let mut damaged = recorder.bytes().to_vec();
    damaged[1_000] ^= 1;
    fs::write(&file, damaged).unwrap();
    let (code, _, err) = said(&["replay", name]);
    assert!(code == 2 && err.contains("the journal is damaged at byte "), "{err}");
}

/// Replays the journals that a command wrote to this folder, and returns what the command said of each.
fn replay_all(folder: &Path, out: &str) -> usize {
    let lines: Vec<&str> = out.lines().filter(|line| line.contains(".journal  hash ")).collect();
    for line in &lines {
        let (file, hash) = line.split_once("  ").unwrap();
        assert!(Path::new(file).starts_with(folder), "{file}");
        let (code, out, err) = said(&["replay", file]);
        assert_eq!((code, err.as_str()), (0, ""), "{file}");
        assert!(out.ends_with(&format!("; {hash}, as recorded\n")), "{line}: {out}");
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), lines.len(), "{out}");
    lines.len()
}

#[test]
fn the_journals_of_a_seed_and_of_a_link_are_written_and_played_again() {
    let folder = tempfile::tempdir().unwrap();
    let (of_seed, of_link) = (folder.path().join("seed"), folder.path().join("link"));
    let seed = ["sim", "--seeds", "3", "--strikes", "20", "--journals", of_seed.to_str().unwrap()];
    let (code, out, err) = said(&seed);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.ends_with("no objection\n"), "{out}");
    assert!(replay_all(&of_seed, &out) > 5, "nodes were opened once more after crashes: {out}");

    let text = link::encode(&a_run());
    let (code, out, err) = said(&["replay", &text, "--journals", of_link.to_str().unwrap()]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.ends_with(&format!("hash {:016x}, as the link says\n", a_run().hash)), "{out}");
    assert!(replay_all(&of_link, &out) > 1, "{out}");

    let file = of_link.join("n1-1.journal");
    let mut damaged = fs::read(&file).unwrap();
    let place = damaged.len() / 2;
    damaged[place] ^= 1;
    fs::write(&file, damaged).unwrap();
    let (code, _, err) = said(&["replay", file.to_str().unwrap()]);
    assert!(code == 2 && err.contains("the journal is damaged at byte "), "{err}");
}

#[test]
fn an_interrupted_search_sums_up_what_it_has_tried() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.md");
    let mut command = command(&["sim", "--seeds", "1..10000000", "--report"]);
    let child = command.arg(&report).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("it listens for Ctrl-C", || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        if caught >> 1 & 1 == 1 { Ok(()) } else { Err(status) }
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{words}");
    assert!(words.starts_with("kv: interrupted: "), "{words}");
    assert!(
        words.contains(" seeds with ") && words.ends_with(": no objection so far\n"),
        "{words}"
    );
    let text = fs::read_to_string(report).unwrap();
    assert!(text.starts_with("Interrupted: of the seeds from 1 to 10000000 these were tried."));
    assert!(text.contains("no judge objects to any run"), "{text}");
}

/// One is what a judge says, and nothing else.
#[test]
fn a_result_that_cannot_be_written_is_no_objection() {
    let text = link::encode(&a_run());
    let cases: [&[&str]; 3] = [
        &["sim", "--seeds", "1..2", "--strikes", "1"],
        &["sim", "--seeds", "1", "--strikes", "1", "--trace"],
        &["replay", &text],
    ];
    for arguments in cases {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = command(arguments).stdout(full).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {words}");
        assert!(words.starts_with("kv: the result cannot be written: "), "{words}");
        // Who has read enough is told nothing.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(arguments).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(141), vec![]), "{arguments:?}");
    }
}

#[test]
fn a_link_cannot_command_the_terminal() {
    let mut world = World::new(SimConfig::default()).unwrap();
    let (key, value) = ("k\nk".into(), "\u{1b}[2J\u{202e}".into());
    let operation = ClientOperation::Put { key, value };
    world.act(Action::Client { client: None, node: 0, operation }).unwrap();
    world.run_until(Mono(100_000), u64::MAX);
    let (code, out, _) = said(&["replay", "--trace", &link::encode(&world.run())]);
    assert_eq!(code, 0);
    assert!(out.contains("ask n1: put k\\nk = \\u{1b}[2J\\u{202e}\n"), "{out}");
}

#[test]
fn what_makes_no_sense_is_refused_with_words() {
    let cut = link::encode(&a_run());
    let cases: [(&[&str], &str); 18] = [
        (&["sim", "--faults", "crash,flood"], "known are crash, pause, wipe, cut, loss, disk"),
        (&["sim", "--seeds", "5..3"], "comes after the last"),
        (&["sim", "--seeds", "many"], "is no number"),
        (&["sim", "--threads", "2000"], "not in 1..=1024"),
        (&["sim", "--strikes", "4294967295"], "not in 1..=10000"),
        (&["sim", "--save", "/dev/null/runs"], "nothing was done"),
        (&["sim", "--report", "/dev/null/report"], "nothing was done"),
        (&["sim", "--ops", "20000"], "at most 10000 operations a second"),
        (&["sim", "--seeds", "3", "--trace", "--report", "r"], "cannot be used with '--report"),
        (&["sim", "--seeds", "3", "--journals", "j", "--shrink"], "cannot be used with '--shrink'"),
        (&["sim", "--seeds", "1..3", "--journals", "j"], "name one seed"),
        (&["sim", "--nodes", "900"], "from 1 to 200 nodes"),
        (&["sim", "--seeds", "1..3", "--trace"], "name one seed"),
        (&["replay", &cut[..cut.len() / 2]], "link"),
        (&["replay", "AQECAwQF"], "format 1"),
        (&["replay", "no-such.link"], "no file of this name"),
        (&["replay", "/dev/null"], "kv: /dev/null: the link is damaged or not complete"),
        (&["replay", "/dev/zero"], "more than the 67108864 bytes of the longest journal"),
    ];
    for (arguments, words) in cases {
        let (code, _, err) = said(arguments);
        assert_eq!(code, 2, "{arguments:?}: {err}");
        assert!(err.contains(words), "{arguments:?}: {err}");
    }
}

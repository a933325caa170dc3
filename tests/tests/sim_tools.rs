//! `kv sim` and `kv replay`, as a person uses them.

use kv_core::sim::{Run, SimConfig, World, link, nemesis};
use kv_core::time::Mono;
use kv_tests::process::command;

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
    let text = std::fs::read_to_string(&file).unwrap();
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
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("| crash |") && text.contains("| slow disk |"), "{text}");
    for other in ["pause", "wipe", "cut", "network", "clock", "message", "link"] {
        assert!(!text.contains(&format!("| {other}")), "{text}");
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
    std::fs::write(&file, format!("# what was wrong\n{text}\n")).unwrap();
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
    std::fs::write(&file, recorder.bytes()).unwrap();
    let (code, out, err) = said(&["replay", name]);
    assert_eq!((code, err.as_str()), (0, ""));
    let end = format!("hash {:016x}, as recorded\n", recorder.hash());
    assert!(out.starts_with("n2, ") && out.ends_with(&end), "{out}");
    std::fs::write(&file, &recorder.bytes()[..recorder.bytes().len() - 1]).unwrap();
    let (code, out, _) = said(&["replay", name]);
    assert!(code == 0 && out.contains("; the journal is cut off at byte "), "{out}");
    let mut damaged = recorder.bytes().to_vec();
    damaged[1_000] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let (code, _, err) = said(&["replay", name]);
    assert!(code == 2 && err.contains("the journal is damaged at byte "), "{err}");
}

#[test]
fn what_makes_no_sense_is_refused_with_words() {
    let cut = link::encode(&a_run());
    let cases: [(&[&str], &str); 11] = [
        (&["sim", "--faults", "crash,flood"], "known are crash, pause, wipe, cut, loss, disk"),
        (&["sim", "--seeds", "5..3"], "comes after the last"),
        (&["sim", "--seeds", "many"], "is no number"),
        (&["sim", "--threads", "2000"], "not in 1..=1024"),
        (&["sim", "--strikes", "4294967295"], "not in 0..=10000"),
        (&["sim", "--save", "/dev/null/runs"], "nothing was tried"),
        (&["sim", "--nodes", "900"], "from 1 to 200 nodes"),
        (&["sim", "--seeds", "1..3", "--trace"], "name one seed"),
        (&["replay", &cut[..cut.len() / 2]], "link"),
        (&["replay", "AQ"], "format 1"),
        (&["replay", "no-such.link"], "no file of this name"),
    ];
    for (arguments, words) in cases {
        let (code, _, err) = said(arguments);
        assert_eq!(code, 2, "{arguments:?}: {err}");
        assert!(err.contains(words), "{arguments:?}: {err}");
    }
}

//! `kv check` as people use it: a file or the standard input, a verdict, an exit code, and for every
//! unusable history the line and what is wrong with it.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use kv_tests::process::command;

/// Judges a history given as the standard input; exit code, output and words.
fn check(arguments: &[&str], history: &str) -> (Option<i32>, String, String) {
    let mut all = vec!["check", "-"];
    all.extend(arguments);
    let mut kv = command(&all);
    kv.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut kv = kv.spawn().unwrap();
    // Whoever refuses a history need not have read all of it.
    let _ = kv.stdin.take().unwrap().write_all(history.as_bytes());
    let output = kv.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A line: client, kind, value in JSON, call, return, outcome; on key k.
fn line(client: u64, kind: &str, value: &str, times: (u64, u64), outcome: &str) -> String {
    let (call, end) = times;
    format!(
        r#"{{"client":{client},"kind":"{kind}","key":"k","value":{value},"call":{call},"return":{end},"outcome":"{outcome}"}}"#
    ) + "\n"
}

#[test]
fn a_history_that_holds_ends_with_zero() {
    let history = [
        line(1, "write", "\"a\"", (0, 5), "ok"),
        // It was answered, but nobody knows how; it takes effect long after.
        line(1, "cas", "[\"a\",\"b\"]", (6, 9), "unknown"),
        "\n".to_owned(),
        line(2, "read", "\"a\"", (20, 25), "ok"),
        line(3, "write", "\"c\"", (20, 25), "failed"),
        line(2, "read", "[\"b\"]", (30, 35), "ok"),
        r#"{"client":4,"kind":"delete","key":"k","call":31,"outcome":"unknown"}"#.to_owned() + "\n",
        line(2, "read", "null", (40, 45), "ok"),
    ]
    .concat();
    let held = "7 operations\nlinearizable: holds\n".to_owned();
    assert_eq!(check(&[], &history), (Some(0), held.clone(), String::new()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.jsonl");
    fs::write(&file, &history).unwrap();
    let output = command(&["check", file.to_str().unwrap()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), held);
    assert!(output.status.success());
}

#[test]
fn a_wrong_history_ends_with_one_and_its_witness() {
    let history = [
        line(1, "write", "\"a\"", (0, 5), "ok"),
        line(1, "read", "\"a\"", (6, 9), "ok"),
        line(1, "write", "\"b\"", (10, 15), "ok"),
        line(2, "read", "\"a\"", (16, 20), "ok"),
        line(2, "write", "\"c\"", (21, 25), "ok"),
    ]
    .concat();
    let (code, output, words) = check(&[], &history);
    assert_eq!(code, Some(1), "{output}{words}");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..2], ["5 operations", "linearizable: WRONG at 20 µs"]);
    let named = lines[3..].iter().map(|line| line.split_whitespace().next().unwrap());
    assert_eq!(named.collect::<Vec<_>>(), ["1", "3", "4"], "{output}");
    assert!(words.starts_with("kv: linearizability at 20 µs: "), "{words}");
    assert!(words.contains("#4 client 2 read \"a\" (16 to 20 µs)"), "{words}");
    // Client 2 had seen nothing newer, so its session is as it should be.
    let (code, output, _) = check(&["--model", "session"], &history);
    assert_eq!((code, output.as_str()), (Some(0), "5 operations\nsession guarantees: holds\n"));
    let (code, output, _) = check(&["--model", "all"], &history);
    assert_eq!(code, Some(1));
    assert!(output.contains("linearizable: WRONG") && output.contains("session guarantees: holds"));

    let forgetful = history + &line(1, "read", "\"a\"", (30, 35), "ok");
    let (code, _, words) = check(&["--model", "session"], &forgetful);
    assert_eq!(code, Some(1));
    let moment = "kv: read your writes at 35 µs: on key \"k\", #3 client 1 wrote";
    assert!(words.starts_with(moment), "{words}");
    // What several values are worth to one key with one value.
    let (code, _, words) = check(&[], &line(1, "read", "[\"a\",\"b\"]", (0, 1), "ok"));
    assert_eq!(code, Some(1));
    assert!(words.contains("but a key has one value"), "{words}");
}

#[test]
fn what_cannot_be_decided_ends_with_three() {
    let twice = [
        line(1, "write", "\"a\"", (0, 5), "ok"),
        line(2, "write", "\"a\"", (0, 5), "ok"),
        line(1, "read", "\"a\"", (6, 9), "ok"),
    ]
    .concat();
    let (code, output, words) = check(&["--model", "session"], &twice);
    assert_eq!(code, Some(3), "{words}");
    assert_eq!(output, "3 operations\nsession guarantees: undecided\n");
    assert!(words.contains("#3") && words.contains("write every value once"), "{words}");
    assert_eq!(check(&["--model", "linearizable"], &twice).0, Some(0));
}

#[test]
fn an_unusable_history_ends_with_two_and_names_its_line() {
    let good = line(1, "write", "\"a\"", (10, 15), "ok");
    let read = r#""client":1,"kind":"read","key":"k","call":1"#;
    for (bad, named) in [
        ("nonsense".to_owned(), "no JSON"),
        ("[1]".to_owned(), "an operation is an object"),
        (line(1, "write", "\"b\"", (20, 19), "ok"), "returns before it is called"),
        (
            line(1, "push", "\"b\"", (20, 25), "ok"),
            "`kind` is read, write, delete or cas, not push",
        ),
        (line(1, "write", "null", (20, 25), "ok"), "the `value` of a write is a string"),
        (line(1, "delete", "\"a\"", (20, 25), "ok"), "a delete has no `value`"),
        (line(1, "cas", "[\"a\"]", (20, 25), "ok"), "the `value` of a cas is [old, new]"),
        (line(1, "cas", "[\"a\",3]", (20, 25), "ok"), "a value is a string or null, not 3"),
        (line(1, "read", "[null]", (20, 25), "ok"), "null among several values"),
        (line(1, "read", "null", (20, 25), "maybe"), "`outcome` is ok, failed or unknown"),
        (
            format!("{{{read},\"return\":2,\"outcome\":\"ok\"}}"),
            "the `value` that was read is missing",
        ),
        (format!("{{{read},\"value\":null,\"outcome\":\"ok\"}}"), "`return` is missing"),
        (format!("{{{read},\"retrun\":2,\"outcome\":\"unknown\"}}"), "`retrun` is no field"),
        (format!("{{{read},\"return\":-2,\"outcome\":\"unknown\"}}"), "`return` is an integer"),
        (r#"{"kind":"read"}"#.to_owned(), "`client` is missing"),
        ("x".repeat((1 << 20) + 1), "longer than 1048576 bytes"),
    ] {
        let (code, output, words) = check(&[], &format!("{good}\n{bad}\n"));
        assert_eq!((code, output.as_str()), (Some(2), ""), "{words}");
        assert!(words.starts_with("kv: line 3: ") && words.contains(named), "{words}");
    }
    assert!(check(&[], "\n\n").2.contains("no operation"));
    let nowhere = command(&["check", "no/such/file"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
    // Two operations of a client at once are no session, but can have an order.
    let both = good + &line(1, "read", "\"a\"", (12, 16), "ok");
    assert_eq!(check(&[], &both).0, Some(0));
    let (code, _, words) = check(&["--model", "all"], &both);
    assert_eq!(code, Some(2));
    assert!(words.starts_with("kv: line 2: client 1 calls at 12 µs"), "{words}");
}

/// What a history holds reaches the terminal as letters only, and never all of it.
#[test]
fn hostile_histories_are_refused_in_few_plain_words() {
    let text = |json: &str| line(1, "write", json, (0, 1), "ok");
    let number = |call: &str| text("\"a\"").replace("\"call\":0", &format!("\"call\":{call}"));
    let field = |field: &str| text("\"a\"").replace("\"client\"", field);
    for (bad, named) in [
        (text("\"a\",\"value\":\"b\""), "`value` is there twice"),
        (text("\"a\",\"\\u0076alue\":\"b\""), "`value` is there twice"),
        (text(&"[".repeat(100_000)), "no JSON: recursion limit"),
        (text("\"\0\""), "no JSON: control character"),
        (text("\"\\ud800\""), "no JSON: "),
        (number("18446744073709551616"), "`call` is an integer from 0 to 18446744073709551615"),
        (number("-0"), "`call` is an integer"),
        (number("1e2"), "`call` is an integer"),
        (number("1e999"), "no JSON: number out of range"),
        (format!("\"{}\"", "\u{1b}[2J".repeat(1_000)), "no JSON: control character"),
        (format!("\"{}\"", "\\u001b[2J".repeat(1_000)), "an operation is an object"),
        (field("\"\\u001b[2J\""), "`\\u{1b}[2J` is no field"),
        (field("\"\\u009b2J\""), "`\\u{9b}2J` is no field"),
        (field(&format!("\"{}\"", "x".repeat(100_000))), "xxx…` is no field"),
        (line(1, "\\u001b[2J", "\"a\"", (0, 1), "ok"), "not \\u{1b}[2J"),
        (line(1, "read", "null", (0, 1), "\\u001b[2J"), "not \\u{1b}[2J"),
        (line(1, "read", &format!("{{\"\u{9b}\":[{}1]}}", "1,".repeat(9_999)), (0, 1), "ok"), "…"),
    ] {
        let (code, output, words) = check(&[], &bad);
        assert_eq!((code, output.as_str()), (Some(2), ""), "{words}");
        assert!(words.starts_with("kv: line 1: ") && words.contains(named), "{words}");
        let plain = words.trim_end().chars().all(|letter| !letter.is_control());
        assert!(plain && words.len() < 300, "{words:?}");
    }
    let bytes = [b"{\"client\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.jsonl");
    fs::write(&file, bytes).unwrap();
    let output = command(&["check", file.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no JSON: invalid unicode"));
    // What is no mistake is judged, and shown as letters, too.
    let key = line(1, "read", "\"\\u001b[2J\\u009b\"", (0, u64::MAX), "ok")
        .replace("\"k\"", "\"\\u0000\\u001b]0;title\\u0007\"");
    let (code, output, words) = check(&["--model", "all"], &key);
    assert_eq!(code, Some(1), "{words}");
    let plain = |text: &str| !text.replace('\n', "").chars().any(char::is_control);
    assert!(plain(&output) && plain(&words), "{output:?} {words:?}");
    assert!(words.contains("\\x00\\x1b]0;title\\x07"), "{words}");
}

/// Some programs mark the byte order, which says nothing here.
#[test]
fn a_byte_order_mark_at_the_beginning_is_skipped() {
    let good = line(1, "write", "\"a\"", (10, 15), "ok");
    assert_eq!(check(&[], &format!("\u{feff}{good}")).0, Some(0));
    let (code, _, words) = check(&[], &format!("{good}\u{feff}{good}"));
    assert_eq!(code, Some(2));
    assert!(words.starts_with("kv: line 2: no JSON"), "{words}");
}

/// A client that is answered at once may ask again at the same moment, however the lines stand.
#[test]
fn an_operation_that_takes_no_time_comes_before_one_called_at_its_moment() {
    let long = line(1, "read", "\"a\"", (5, 10), "ok");
    let short = line(1, "write", "\"a\"", (5, 5), "ok");
    for history in [format!("{long}{short}"), format!("{short}{long}")] {
        let (code, _, words) = check(&["--model", "all"], &history);
        assert_eq!(code, Some(0), "{words}");
    }
}

/// Clocks are coarse, and then the order of the lines is all there is.
#[test]
fn of_two_operations_that_take_no_time_at_one_moment_the_first_line_comes_first() {
    let writes = ["\"a\"", "\"b\""].map(|value| line(1, "write", value, (5, 5), "ok"));
    let reads = line(2, "read", "\"a\"", (6, 7), "ok") + &line(2, "read", "\"b\"", (8, 9), "ok");
    for (order, code) in [([0, 1], 0), ([1, 0], 1)] {
        let history = order.map(|place| writes[place].clone()).concat() + &reads;
        assert_eq!(check(&["--model", "session"], &history).0, Some(code));
    }
}

#[test]
fn a_history_that_is_too_long_is_refused() {
    let lines = line(1, "write", "\"a\"", (0, 5), "failed").repeat(1_000_001);
    let (code, _, words) = check(&[], &lines);
    assert_eq!(code, Some(2));
    assert!(words.starts_with("kv: line 1000001: a history has at most 1000000"), "{words}");
}

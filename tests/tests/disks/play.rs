//! Plays scripts that have one transcript for both disks.
//!
//! `UPDATE=1` writes the transcripts anew, from the simulated disk; the real one must still agree.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

use kv_core::id::FileId;

/// Plays all scripts of a folder below `scripts/`, each by `play`, which returns what came of it on the
/// simulated disk and on the real one.
pub(crate) fn play_all(
    folder: &str,
    play: impl Fn(&str) -> (io::Result<String>, io::Result<String>),
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(folder);
    let mut played = 0;
    for entry in fs::read_dir(&folder).expect("there are scripts") {
        let path = entry.unwrap().path();
        let script = fs::read_to_string(&path).expect("a script can be read");
        let (simulated, real) = play(&script);
        let done = |transcript: io::Result<String>| {
            transcript.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let (simulated, real) = (done(simulated), done(real));
        compare(&simulated, &real, &path, "on the real disk");
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, simulated).expect("a script can be written");
        } else {
            compare(&script, &simulated, &path, "now");
        }
        played += 1;
    }
    assert!(played > 0, "{} has no scripts", folder.display());
}

fn compare(expected: &str, found: &str, path: &Path, when: &str) {
    for ((found, expected), number) in found.lines().zip(expected.lines()).zip(1..) {
        assert_eq!(found, expected, "{}:{number} {when}", path.display());
    }
    assert_eq!(found.len(), expected.len(), "{} {when} ends elsewhere", path.display());
}

/// The file of a name in a script: `log-1`, `table-2`, `root-0`, `reserve`.
pub(crate) fn file_named(name: &str) -> Result<FileId, Box<dyn Error>> {
    Ok(match name.split_once('-') {
        Some(("log", number)) => FileId::log(number.parse()?),
        Some(("table", number)) => FileId::table(number.parse()?),
        Some(("root", "0")) => FileId::ROOTS[0],
        Some(("root", "1")) => FileId::ROOTS[1],
        None if name == "reserve" => FileId::RESERVE,
        _ => return Err(format!("there is no such file: {name}").into()),
    })
}

/// Text with dots for zeros; of what is repeated often, how often.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for run in bytes.chunk_by(|one, next| one == next) {
        let shown = if run[0] == 0 { '.' } else { char::from(run[0]) };
        match run.len() {
            count @ 1..=8 => text.extend(std::iter::repeat_n(shown, count)),
            count => write!(text, "{shown}*{count} ").expect("text takes text"),
        }
    }
    format!("\"{}\"", text.trim_end())
}

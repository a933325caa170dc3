//! `kv check`: judges a recorded history of any store, by the judges of the simulator.
//!
//! The format of a history is that of [`input`]; `docs/testing.md` describes it.

mod input;

use std::path::Path;

use kv_core::check::linear::{self, Bounds};
use kv_core::check::{Objection, Operation, Verdict, overlapping, session};

use crate::cli::{CheckModel, End, output};
use crate::table::Table;

/// `kv check`.
pub(crate) fn run(file: &Path, model: CheckModel) -> Result<(), End> {
    let history = input::read(file)?;
    let (orders, sessions) = match model {
        CheckModel::Linearizable => (true, false),
        CheckModel::Session => (false, true),
        CheckModel::All => (true, true),
    };
    if sessions && let Some((first, second)) = overlapping(&history) {
        return Err(End::misuse(format!(
            "line {}: client {} calls at {} µs while its operation of line {} runs; a session is one operation after the other, so give them two clients or leave out --model",
            second.number, second.client, second.called.0, first.number
        )));
    }
    let mut judged = Vec::new();
    if orders {
        judged.push(("linearizable", linear::check(&history, Bounds::default())));
    }
    if sessions {
        judged.push(("session guarantees", session::check(&history)));
    }
    output(report(&history, &judged).as_bytes())?;
    end(judged.into_iter().map(|(_, verdict)| verdict).fold(Verdict::Holds, Verdict::and))
}

/// The verdict as exit code and words.
fn end(verdict: Verdict) -> Result<(), End> {
    match verdict {
        Verdict::Holds => Ok(()),
        Verdict::Wrong(objection) => Err(End::failed(objection.to_string())),
        Verdict::Undecided(words) => Err(End::undecided(words)),
    }
}

fn report(history: &[Operation], judged: &[(&str, Verdict)]) -> String {
    let mut words = format!("{} operations\n", history.len());
    for (what, verdict) in judged {
        let found = match verdict {
            Verdict::Holds => "holds".into(),
            Verdict::Wrong(objection) => format!("WRONG at {} µs", objection.at.0),
            Verdict::Undecided(_) => "undecided".into(),
        };
        words.push_str(&format!("{what}: {found}\n"));
        if let Some(objection) = verdict.objection() {
            words.push_str(&witness(history, objection));
        }
    }
    words
}

/// The operations that contradict each other, by line.
fn witness(history: &[Operation], objection: &Objection) -> String {
    let mut table = Table::new(&["LINE", "CALL", "RETURN", "WHAT"]);
    let named = |operation: &&Operation| objection.operations.contains(&operation.number);
    for operation in history.iter().filter(named) {
        table.row([
            operation.number.to_string(),
            operation.called.0.to_string(),
            operation.end.as_ref().map_or_else(|| "never".into(), |end| end.at.0.to_string()),
            operation.to_string(),
        ]);
    }
    match objection.more {
        0 => table.to_string(),
        more => format!("{table}and {more} more\n"),
    }
}

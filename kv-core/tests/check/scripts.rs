//! Histories as transcripts, each with what the judges say of it. `UPDATE=1` writes them anew.
//!
//! A block is a history, an operation per line, and then the judges that are asked:
//!
//! | line | what |
//! | --- | --- |
//! | `c1 0..5 write a` | client 1 calls at 0 µs and is answered at 5 µs; `0..` if nobody knows what became of it |
//! | `c1 0..5 read a b`, `read` | what was found; nothing if the key was absent |
//! | `c1 0..5 delete`, `c1 0..5 cas a b` | `none` stands for absent |
//! | `key=x` | of another key than `k` |
//! | `dots="1:1,2:1" knows="1:3,2:1" epoch=2` | the versions of the answer: dots, context, layout |
//! | `[failed]`, `[refused]`, `[unknown]` | how it ended |
//! | `linear`, `session`, `dots`, `overlapping` | what a judge says |
//! | `linear steps=10`, `linear memory=10` | with less to spend |

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use goldenscript::{ArgumentConsumer, Block, Command, Context as Script, Runner};
use kv_core::check::linear::Bounds;
use kv_core::check::{
    Answer, End, Kind, Operation, Outcome, Verdict, Versions, dots, linear, session,
};
use kv_core::id::{Epoch, Incarnation};
use kv_core::time::{Mono, Stamp};
use kv_core::version::{Clock, Context, Dot};

use super::value;

#[test]
fn known_histories_are_judged_as_they_should() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/check");
    let entries = fs::read_dir(&folder).expect("the scripts have a folder");
    let mut scripts: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(scripts.len() >= 3, "{} has too few scripts", folder.display());
    for path in scripts {
        let script = fs::read_to_string(&path).expect("a script can be read");
        let judged = goldenscript::generate(&mut Bench::default(), &script)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, judged).expect("a script can be written");
        } else {
            assert_eq!(judged, script, "{}", path.display());
        }
    }
}

/// The history of a block.
#[derive(Default)]
struct Bench(Vec<Operation>);

type Told = Result<String, Box<dyn Error>>;

impl Runner for Bench {
    type Command = Command;

    fn start_block(&mut self, _: &Block) -> Told {
        self.0.clear();
        Ok(String::new())
    }

    fn run(&mut self, command: &Command, context: &Script) -> Told {
        let mut args = command.consume_args();
        let mut bounds = Bounds::default();
        let verdict = match command.name.as_str() {
            "linear" => {
                if let Some(steps) = args.take_key("steps") {
                    bounds.steps = steps.parse()?;
                }
                if let Some(memory) = args.take_key("memory") {
                    bounds.memory = memory.parse()?;
                }
                linear::check(&self.0, bounds)
            }
            "session" => session::check(&self.0),
            "dots" => dots::check(&self.0),
            "overlapping" => dots::check_overlapping(&self.0),
            client => {
                let client = client.strip_prefix('c').ok_or("no such judge")?.parse()?;
                let tag = ["failed", "refused", "unknown"]
                    .into_iter()
                    .find(|tag| context.tags.contains(*tag));
                let number = self.0.len() as u64 + 1;
                self.0.push(operation(number, client, args, tag)?);
                return Ok(String::new());
            }
        };
        args.reject_next()?;
        Ok(told(&verdict))
    }
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Holds => "holds\n".to_owned(),
        Verdict::Undecided(words) => format!("undecided: {words}\n"),
        Verdict::Wrong(objection) => {
            let numbers = objection.operations.iter().map(|number| format!("#{number}"));
            let numbers = numbers.collect::<Vec<_>>().join(" ");
            let more = match objection.more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("wrong: {objection}\n  {numbers}{more}\n")
        }
    }
}

fn operation(
    number: u64,
    client: u64,
    mut args: ArgumentConsumer<'_>,
    tag: Option<&str>,
) -> Result<Operation, Box<dyn Error>> {
    let times = args.next_pos().ok_or("when?")?;
    let (called, ended) = times.split_once("..").ok_or("times are from..to")?;
    let name = args.next_pos().ok_or("what?")?;
    let mut words = Vec::new();
    while let Some(word) = args.next_pos() {
        words.push(word);
    }
    let maybe = |word: &str| (word != "none").then(|| value(word));
    let kind = match (name, words.as_slice()) {
        ("read", _) => Kind::Read,
        ("write", [written]) => Kind::Write(value(written)),
        ("delete", []) => Kind::Delete,
        ("cas", [old, new]) => Kind::CompareAndSet { old: maybe(old), new: maybe(new) },
        _ => return Err(format!("{name} is not done, or not so").into()),
    };
    let key = value(args.take_key("key").unwrap_or("k"));
    let versions = match args.take_key("dots") {
        None => None,
        Some(dots) => {
            let knows = args.take_key("knows").ok_or("what is known?")?;
            let mut clock = Clock::default();
            each_dot(knows)?.into_iter().for_each(|dot| clock.advance(dot, Stamp(0)));
            Some(Versions {
                dots: each_dot(dots)?,
                context: Context::of(&key, clock),
                epoch: Epoch(args.take_key("epoch").unwrap_or("1").parse()?),
            })
        }
    };
    args.reject_next()?;
    let found = if kind == Kind::Read { words } else { Vec::new() };
    let values = found.into_iter().map(value).collect();
    let outcome = match tag {
        Some("failed") => Outcome::Failed,
        Some("refused") => Outcome::Refused,
        Some(_) => Outcome::Unknown,
        None => Outcome::Done(Answer { values, versions }),
    };
    let end = match ended {
        "" => None,
        at => Some(End { at: Mono(at.parse()?), outcome }),
    };
    Ok(Operation { number, client, key, kind, called: Mono(called.parse()?), end })
}

/// Dots as `1:1,2:5`; `none` for none.
fn each_dot(text: &str) -> Result<Vec<Dot>, Box<dyn Error>> {
    let dots = text.split(',').filter(|dot| *dot != "none");
    dots.map(|dot| {
        let (actor, counter) = dot.split_once(':').ok_or("dots are actor:counter")?;
        Ok(Dot { actor: Incarnation(actor.parse()?), counter: counter.parse()? })
    })
    .collect()
}

//! kv-core's modules have levels, and a module uses only levels below its own, or what stands before
//! it in a level of vocabulary. So the core can be read from the bottom up, and the machines never know
//! each other.
//!
//! Test modules are free: a test may set up what its subject may not know.

use anyhow::Result;
use proc_macro2::TokenTree;

use super::rust::{braces, is_punct, is_word, line, production};
use super::{Finding, Source};

/// The modules of one level.
enum Level {
    /// Vocabulary: a module may also use those listed before it, so there is no circle.
    Ordered(&'static [&'static str]),
    /// Machines: none uses another.
    Apart(&'static [&'static str]),
}

use Level::{Apart, Ordered};

/// Every module of kv-core, from the bottom up; see ARCHITECTURE.md.
const LEVELS: [Level; 9] = [
    Ordered(&[
        "bugs", "time", "hash", "id", "rng", "error", "codec", "ordered", "pairs", "text", "timers",
    ]),
    Ordered(&["settings", "version", "ring", "merkle", "event"]),
    Ordered(&["disk", "request", "message", "begun"]),
    Ordered(&["storage"]),
    Ordered(&["io", "outbox"]),
    Apart(&["gossip", "raft", "cluster", "eventual", "causal", "strong"]),
    Ordered(&["node"]),
    Ordered(&["journal"]),
    Ordered(&["check", "sim"]),
];

/// What `lib.rs` itself defines, below every module.
const ROOT: [&str; 1] = ["BUILD"];

const RULE: &str = "module levels";

/// Checks one file of kv-core.
pub(super) fn check(source: &Source) -> Result<Vec<Finding>> {
    let Some(path) = source.path.strip_prefix("kv-core/src/").filter(|path| *path != "lib.rs")
    else {
        return Ok(Vec::new());
    };
    // Tests that have grown into a file of their own are as free as those below their subject.
    if !source.is_rust() || path.ends_with("/tests.rs") {
        return Ok(Vec::new());
    }
    let names: Vec<_> = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
    let Some(own) = place(names[0]) else {
        let text = format!("`{}` has no level; enter it in xtask/src/tidy/levels.rs", names[0]);
        return Ok(vec![source.finding(1, RULE, text)]);
    };
    let mut uses = Vec::new();
    collect(&production(source)?, names.len(), &mut uses);
    let breach = |(used, line): (String, usize)| {
        let text = judge(names[0], own, &used)?;
        Some(source.finding(line, RULE, text))
    };
    Ok(uses.into_iter().filter_map(breach).collect())
}

/// What is wrong with a module using another, if anything.
fn judge(user: &str, own: (usize, usize), used: &str) -> Option<String> {
    if used == user || ROOT.contains(&used) {
        return None;
    }
    let Some(other) = place(used) else {
        return Some(format!(
            "`crate::{used}` is no module with a level; name the module it comes from"
        ));
    };
    let allowed = match LEVELS[own.0] {
        Ordered(_) => other < own,
        Apart(_) => other.0 < own.0,
    };
    if allowed {
        return None;
    }
    Some(format!(
        "`{user}` (level {}) must not use `{used}` (level {}); pass the fact in as an argument, \
         or move what is shared to a lower level",
        own.0, other.0
    ))
}

/// A module's level, and its place among those of its level.
fn place(module: &str) -> Option<(usize, usize)> {
    LEVELS.iter().enumerate().find_map(|(level, Ordered(names) | Apart(names))| {
        Some((level, names.iter().position(|name| *name == module)?))
    })
}

/// The top-level modules that are named, each with its line: after `crate::`, and after as many
/// `super::` as lead to the top from a file that many folders deep.
fn collect(tokens: &[TokenTree], depth: usize, uses: &mut Vec<(String, usize)>) {
    let mut at = 0;
    while at < tokens.len() {
        if let TokenTree::Group(group) = &tokens[at] {
            let inner: Vec<_> = group.stream().into_iter().collect();
            collect(&inner, depth, uses);
        }
        let mut supers = 0;
        let mut next = at;
        while is_word_then_path(tokens, next, "super") {
            supers += 1;
            next += 3;
        }
        if is_word_then_path(tokens, at, "crate") {
            next = at + 3;
        }
        if next > at && (supers == 0 || supers >= depth) {
            named(&tokens[next..], uses);
        }
        at = next.max(at + 1);
    }
}

/// The module named first, or each of a list in braces.
fn named(tokens: &[TokenTree], uses: &mut Vec<(String, usize)>) {
    let Some(first) = tokens.first() else { return };
    if let Some(group) = braces(first) {
        let inner: Vec<_> = group.stream().into_iter().collect();
        for path in inner.split(|token| is_punct(token, ',')) {
            named(path, uses);
        }
    } else {
        uses.push((first.to_string(), line(first)));
    }
}

fn is_word_then_path(tokens: &[TokenTree], at: usize, word: &str) -> bool {
    let Some([first, second, third, ..]) = tokens.get(at..) else {
        return false;
    };
    is_word(first, word) && is_punct(second, ':') && is_punct(third, ':')
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let source = source(&format!("kv-core/src/{path}"), text);
        check(&source).unwrap().iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn downward_is_allowed_and_upward_is_not() {
        assert!(lines("storage/log.rs", "use crate::{id::NodeId, disk::{Disk}};").is_empty());
        assert_eq!(lines("id.rs", "use crate::ring::Ring;"), [1]);
        assert_eq!(lines("id.rs", "use crate::{\n    ring::Ring,\n    node::Node,\n};"), [2, 3]);
    }

    #[test]
    fn machines_do_not_know_each_other() {
        assert_eq!(lines("raft/log.rs", "fn f() {\n    g(vec![crate::gossip::Probe]);\n}"), [2]);
        assert!(lines("raft/log.rs", "use crate::raft::Term; use super::vote::Vote;").is_empty());
    }

    #[test]
    fn super_may_lead_to_the_top() {
        assert_eq!(lines("raft/log.rs", "use super::super::gossip::Probe;"), [1]);
        assert_eq!(lines("raft.rs", "use super::gossip::Probe;"), [1]);
    }

    #[test]
    fn tests_are_free_and_comments_are_no_code() {
        assert!(
            lines("id.rs", "// crate::node::Node\n#[cfg(test)]\nmod tests { use crate::node::N; }")
                .is_empty()
        );
    }

    #[test]
    fn what_has_no_level_is_named() {
        assert_eq!(lines("new.rs", ""), [1]);
        assert_eq!(lines("node.rs", "use crate::Shortcut;"), [1]);
        assert!(lines("node.rs", "const B: u64 = crate::BUILD;").is_empty());
        assert_eq!(lines("lib.rs", "pub use crate::node::Node;"), [0; 0]);
    }

    #[test]
    fn within_a_vocabulary_the_order_decides() {
        assert!(lines("io.rs", "use crate::message::Message;").is_empty());
        assert_eq!(lines("message.rs", "use crate::io::Input;"), [1]);
    }
}

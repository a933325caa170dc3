//! One revision for each shard as text: what a session and a place in a watch look like to a client.
//!
//! The numbers in the order of the shards with dots between them. Each list has exactly one text.

use kv_core::id::Index;

use super::header;

/// The text of a list.
pub(super) fn text(revisions: &[Index]) -> String {
    revisions.iter().map(|revision| revision.0.to_string()).collect::<Vec<_>>().join(".")
}

/// The list of a text; none if it is not one of [`text`].
pub(super) fn parse(text: &str) -> Option<Vec<Index>> {
    text.split('.').map(|number| header::number(number).map(Index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_has_one_text() {
        for list in [vec![Index(0)], vec![Index(17), Index(0), Index(u64::MAX)]] {
            assert_eq!(parse(&text(&list)), Some(list));
        }
        for wrong in [
            "",
            ".",
            "1.",
            ".1",
            "1..2",
            "01",
            "+1",
            "-1",
            " 1",
            "1,2",
            "x",
            "18446744073709551616",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}

//! `If-Match` and `If-None-Match` as conditions of a write (RFC 9110, section 13.1).
//!
//! The entity tag of a value is its revision in quotes. Lists of tags, weak tags and `If-None-Match` with
//! a tag are refused: no client needs them, and a tag that cannot be one is a mistake better told at once.

use axum::http::HeaderMap;
use kv_core::id::Index;
use kv_core::request::strong::Condition;

use super::super::answer::Failure;
use super::{header, refused};

/// The condition that the headers of a write name.
pub(super) fn of(headers: &HeaderMap) -> Result<Condition, Failure> {
    let matches = header::one(headers, header::IF_MATCH)?;
    let absent = header::one(headers, header::IF_NONE_MATCH)?;
    match (matches, absent) {
        (None, None) => Ok(Condition::Any),
        (Some("*"), None) => Ok(Condition::Present),
        (Some(tag), None) => revision_of(tag).map(Condition::Revision).ok_or_else(|| {
            refused(format!(
                "If-Match takes one entity tag as a read or write has returned it, like \"17\", or *; not {tag}; nothing was changed"
            ))
        }),
        (None, Some("*")) => Ok(Condition::Absent),
        (None, Some(tag)) => Err(refused(format!(
            "If-None-Match takes * and nothing else, not {tag}; nothing was changed"
        ))),
        (Some(_), Some(_)) => {
            Err(refused("If-Match and If-None-Match exclude each other; nothing was changed, send one"))
        }
    }
}

fn revision_of(tag: &str) -> Option<Index> {
    header::number(tag.strip_prefix('"')?.strip_suffix('"')?).map(Index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn condition(headers: &[(&'static str, &'static str)]) -> Option<Condition> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        of(&map).ok()
    }

    #[test]
    fn a_tag_is_a_revision_in_quotes() {
        assert_eq!(condition(&[]), Some(Condition::Any));
        assert_eq!(condition(&[("if-match", "\"17\"")]), Some(Condition::Revision(Index(17))));
        assert_eq!(condition(&[("if-match", "*")]), Some(Condition::Present));
        assert_eq!(condition(&[("if-none-match", "*")]), Some(Condition::Absent));
    }

    #[test]
    fn what_is_no_tag_of_ours_is_refused() {
        for tag in ["17", "W/\"17\"", "\"17\", \"18\"", "\"x\"", "\"017\"", "\"+1\"", "\"\"", "\""]
        {
            assert_eq!(condition(&[("if-match", tag)]), None, "{tag}");
        }
        assert_eq!(condition(&[("if-none-match", "\"17\"")]), None);
        assert_eq!(condition(&[("if-match", "*"), ("if-none-match", "*")]), None);
        assert_eq!(condition(&[("if-match", "\"1\""), ("if-match", "\"2\"")]), None);
    }
}

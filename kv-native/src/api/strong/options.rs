//! The query parameters of the strong keyspace.

use axum::http::Uri;
use bytes::Bytes;
use kv_core::request::strong::{Freshness, PAGE_MAX};
use kv_core::time::Micros;

use super::super::answer::Failure;
use super::super::keys::no_meaning;
use super::super::query;
use super::{header, refused};

/// What a request asks for beside its key and body.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// How fresh a read must be.
    pub(super) freshness: Freshness,
    /// How long to wait.
    pub(super) timeout: Option<Micros>,
    /// Whether to tell how the answer came about.
    pub(super) receipt: bool,
    /// How long a value is to live.
    pub(super) ttl: Option<Micros>,
    /// What keys begin with.
    pub(super) prefix: Bytes,
    /// Where to go on, as it is written.
    pub(super) after: Option<Bytes>,
    /// The most records.
    pub(super) limit: Option<u32>,
}

impl Options {
    /// The options of a request that understands only those that are named.
    pub(super) fn of(uri: &Uri, known: &[&str]) -> Result<Self, Failure> {
        let mut options = Self::default();
        for (name, value) in query::pairs(uri) {
            if !known.contains(&name.as_str()) {
                return Err(no_meaning(&name, &known.join(", ")));
            }
            options.set(&name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: Vec<u8>) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(&value).into_owned();
        let wrong = |what: &str| {
            refused(format!("{name} must be {what}, not {text:?}; nothing was changed"))
        };
        let positive = || {
            header::number(&text)
                .filter(|number| *number > 0)
                .ok_or_else(|| wrong("a whole number from 1 on"))
        };
        match name {
            "read" => {
                self.freshness = match text.as_str() {
                    "linearizable" => Freshness::Linearizable,
                    "stale" => Freshness::Stale,
                    _ => return Err(wrong("linearizable or stale")),
                };
            }
            "timeout_ms" => self.timeout = Some(Micros::from_millis(positive()?)),
            "ttl_ms" => self.ttl = Some(Micros::from_millis(positive()?)),
            "receipt" => {
                self.receipt = match text.as_str() {
                    "1" | "true" => true,
                    "0" | "false" => false,
                    _ => return Err(wrong("1 or 0")),
                };
            }
            "limit" => {
                let limit = u32::try_from(positive()?).ok().filter(|limit| *limit <= PAGE_MAX);
                let words = format!("a whole number from 1 to {PAGE_MAX}");
                self.limit = Some(limit.ok_or_else(|| wrong(&words))?);
            }
            "prefix" => self.prefix = value.into(),
            "after" => self.after = Some(value.into()),
            _ => return Err(no_meaning(name, "no others")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 7] = ["read", "timeout_ms", "receipt", "ttl_ms", "prefix", "after", "limit"];

    fn options(query: &str) -> Option<Options> {
        let uri = format!("/v1/strong/keys?{query}").parse().unwrap();
        Options::of(&uri, &ALL).ok()
    }

    #[test]
    fn options_are_typed() {
        let all =
            options("read=stale&timeout_ms=5&receipt=1&ttl_ms=7&prefix=%FF&after=a+b&limit=3");
        let all = all.unwrap();
        assert_eq!((all.freshness, all.receipt, all.limit), (Freshness::Stale, true, Some(3)));
        assert_eq!((all.timeout, all.ttl), (Some(Micros(5_000)), Some(Micros(7_000))));
        assert_eq!((all.prefix.as_ref(), all.after.as_deref()), (&b"\xff"[..], Some(&b"a b"[..])));
        let none = options("").unwrap();
        assert_eq!((none.freshness, none.receipt), (Freshness::Linearizable, false));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for query in [
            "read=lease",
            "read",
            "read=",
            "timeout_ms=0",
            "timeout_ms=-1",
            "timeout_ms=1.5",
            "ttl_ms=0",
            "ttl_ms=x",
            "receipt=yes",
            "limit=0",
            "limit=10001",
            "r=1",
            "local=true",
        ] {
            assert!(options(query).is_none(), "{query}");
        }
        let uri = "/v1/strong/keys/k?ttl_ms=5".parse().unwrap();
        assert!(Options::of(&uri, &["read"]).is_err());
    }
}

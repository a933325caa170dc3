//! Paths and query strings as bytes: keys need not be text.

use axum::http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// What a key may show as it is; everything else is percent-encoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The rest of a path behind `prefix`, decoded.
pub(crate) fn rest_of_path(uri: &Uri, prefix: &str) -> Vec<u8> {
    percent_decode_str(uri.path().strip_prefix(prefix).unwrap_or_default()).collect()
}

/// The pairs of the query string, decoded; a name without `=` has an empty value.
pub(crate) fn pairs(uri: &Uri) -> Vec<(String, Vec<u8>)> {
    let query = uri.query().unwrap_or_default();
    let parts = query.split('&').filter(|part| !part.is_empty());
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>();
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (String::from_utf8_lossy(&decode(name)).into_owned(), decode(value))
        })
        .collect()
}

/// A key as it is written in JSON: percent-encoded where it is not plain text. None if a `%` stands
/// without its two digits.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    let digits = |part: &str| part.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let whole = text.split('%').skip(1).all(digits);
    whole.then(|| percent_decode_str(text).collect())
}

/// A key as it stands in a path.
pub(crate) fn encoded(key: &[u8]) -> String {
    percent_encode(key, PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bytes() {
        let uri = Uri::from_static("/items/a%2Fb%FF?prefix=%00a+b&local&x=1=2");
        assert_eq!(rest_of_path(&uri, "/items/"), b"a/b\xff");
        let pairs = pairs(&uri);
        assert_eq!(pairs[0], ("prefix".into(), b"\0a b".to_vec()));
        assert_eq!(pairs[1], ("local".into(), Vec::new()));
        assert_eq!(pairs[2], ("x".into(), b"1=2".to_vec()));
        assert_eq!(encoded(b"a/b \xff-1"), "a%2Fb%20%FF-1");
    }

    #[test]
    fn keys_in_json_are_written_as_in_a_path() {
        assert_eq!(
            decoded("a/b%2F%ff%25ü+"),
            Some("a/b/".bytes().chain([0xff]).chain("%ü+".bytes()).collect())
        );
        for wrong in ["%", "a%2", "%%25", "%zz", "%ü1"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}

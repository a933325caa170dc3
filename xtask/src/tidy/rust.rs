//! Rust as tokens: comments and strings cannot be mistaken for code, macros are read like the rest,
//! and each token knows its line.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Source;

/// The tokens of a file, without its `#[cfg(test)]` modules.
pub(super) fn production(source: &Source) -> Result<Vec<TokenTree>> {
    Ok(without_tests(all(source)?.into_iter().collect()))
}

/// The tokens of a file.
pub(super) fn all(source: &Source) -> Result<TokenStream> {
    source.text.parse().map_err(|error: proc_macro2::LexError| {
        anyhow!("{}:{}: not Rust: {error}", source.path, error.span().start().line)
    })
}

/// The lines before the first `#[cfg(test)]` module, for rules on text.
pub(super) fn production_lines(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let test = |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].contains("mod ");
    lines.windows(2).position(test).unwrap_or(lines.len())
}

pub(super) fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

pub(super) fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// The tokens between braces.
pub(super) fn braces(token: &TokenTree) -> Option<&proc_macro2::Group> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
        _ => None,
    }
}

/// The line on which a token begins.
pub(super) fn line(token: &TokenTree) -> usize {
    token.span().start().line
}

fn without_tests(tokens: Vec<TokenTree>) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let marks_test = is_punct(&token, '#')
            && tokens.peek().is_some_and(|next| next.to_string().replace(' ', "") == "[cfg(test)]");
        if !marks_test {
            kept.push(token);
            continue;
        }
        // The item ends with its braces or its semicolon, whichever comes first.
        for skipped in tokens.by_ref() {
            if braces(&skipped).is_some() || is_punct(&skipped, ';') {
                break;
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn test_modules_are_left_out() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\n#[cfg(test)]\nuse x::y;\nfn c() {}";
        let tokens: TokenStream = production(&source("a.rs", text)).unwrap().into_iter().collect();
        assert_eq!(tokens.to_string().replace(' ', ""), "fna(){}fnc(){}");
        assert_eq!(production_lines(text), 1);
    }

    #[test]
    fn a_file_that_is_not_rust_is_named() {
        assert!(all(&source("a.rs", "fn {")).unwrap_err().to_string().starts_with("a.rs:1"));
    }
}

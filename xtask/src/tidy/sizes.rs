//! Small rooms: a file holds one idea, and a function can be seen at once.

use anyhow::Result;
use proc_macro2::TokenTree;

use super::rust::{all, braces, is_punct, is_word, line, production_lines};
use super::{Finding, Source};

/// Lines of a file, without its test module.
const FILE: usize = 700;
/// Lines of a function, from its `fn` to its closing brace.
const FUNCTION: usize = 70;

/// Checks one file.
pub(super) fn check(source: &Source) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if !source.is_rust() && !source.is_script() {
        return Ok(findings);
    }
    let lines = production_lines(&source.text);
    if lines > FILE {
        let text = format!("{lines} lines are more than {FILE}; split it by the noun it grew");
        findings.push(source.finding(FILE + 1, "file size", text));
    }
    if source.is_rust() {
        let tokens: Vec<_> = all(source)?.into_iter().collect();
        functions(&tokens, &mut |name, start, lines| {
            if lines > FUNCTION {
                let text = format!(
                    "`{name}` has {lines} lines, more than {FUNCTION}; give its parts names of their own"
                );
                findings.push(source.finding(start, "function size", text));
            }
        });
    }
    Ok(findings)
}

/// Calls `found` with name, first line and number of lines of every function that has a body.
fn functions(tokens: &[TokenTree], found: &mut impl FnMut(String, usize, usize)) {
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            let inner: Vec<_> = group.stream().into_iter().collect();
            functions(&inner, found);
        }
        let Some(name @ TokenTree::Ident(_)) = tokens.get(at + 1) else {
            continue;
        };
        if !is_word(token, "fn") {
            continue;
        }
        let end = |token: &&TokenTree| braces(token).is_some() || is_punct(token, ';');
        if let Some(body) = tokens[at..].iter().find(end).and_then(braces) {
            let last = body.span_close().end().line;
            found(name.to_string(), line(token), last + 1 - line(token));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn a_long_function_is_found_wherever_it_stands() {
        let body = "    x();\n".repeat(FUNCTION - 1);
        let text = format!("impl A {{\nfn long(\n) {{\n{body}}}\nfn short() {{}}\n}}\n");
        let findings = check(&source("a.rs", &text)).unwrap();
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].line, findings[0].rule), (2, "function size"));
        assert!(findings[0].text.contains("`long` has 72 lines"), "{}", findings[0].text);
    }

    #[test]
    fn a_declaration_without_body_and_a_type_are_no_functions() {
        let text =
            format!("trait T {{ fn a(f: fn(u8)); }}\nstruct S {{\n{}}}", "\n".repeat(FUNCTION));
        assert_eq!(check(&source("a.rs", &text)).unwrap(), []);
    }

    #[test]
    fn a_file_is_measured_without_its_tests() {
        let code = "// x\n".repeat(FILE);
        let tests = format!("{code}#[cfg(test)]\nmod tests {{\n{code}}}\n");
        assert_eq!(check(&source("a.rs", &tests)).unwrap(), []);
        let findings = check(&source("a.ts", &format!("{code}x\n"))).unwrap();
        assert_eq!((findings.len(), findings[0].rule), (1, "file size"));
    }
}

//! Every file says first what it is: `//!` in Rust, a comment in TypeScript and Svelte. And no file is
//! a drawer for what has no name.

use super::{Finding, Source};

/// Names that say nothing of what is inside.
const DRAWERS: [&str; 4] = ["util", "utils", "helpers", "misc"];

/// Checks one file.
pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.is_rust() && !source.is_script() {
        return findings;
    }
    let opened = if source.is_rust() {
        source.text.starts_with("//!")
    } else {
        opens_with_comment(&source.text)
    };
    if !opened {
        let how = if source.is_rust() { "`//!`" } else { "a comment" };
        let text =
            format!("begin with {how}: what it is, the idea in a few lines, what it leaves out");
        findings.push(source.finding(1, "opening", text));
    }
    let drawer = |name: &&str| DRAWERS.contains(&name.split('.').next().unwrap_or(name));
    if let Some(name) = source.path.split('/').find(drawer) {
        let text = format!("`{name}` names nothing; name it after the noun it holds");
        findings.push(source.finding(1, "module name", text));
    }
    for (at, line) in source.text.lines().enumerate() {
        let module = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        let module = module.strip_prefix("mod ").map(|rest| rest.trim_end_matches([';', '{', ' ']));
        if source.is_rust() && module.is_some_and(|name| DRAWERS.contains(&name)) {
            let text = "name the module after the noun it holds";
            findings.push(source.finding(at + 1, "module name", text));
        }
    }
    findings
}

/// At the very beginning, or first inside the `<script>` that a Svelte file begins with.
fn opens_with_comment(text: &str) -> bool {
    let script = text.starts_with("<script").then(|| text.split_once('>')).flatten();
    let text = script.map_or(text, |(_, inside)| inside.trim_start());
    ["/*", "//", "<!--"].iter().any(|comment| text.starts_with(comment))
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&source(path, text)).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_file_opens_with_what_it_is() {
        assert!(rules("a.rs", "//! A ring.\n").is_empty());
        assert_eq!(rules("a.rs", "use a;\n//! A ring.\n"), ["opening"]);
        assert!(rules("a.ts", "/** A ring. */\n").is_empty());
        assert!(rules("a.svelte", "<script lang=\"ts\">\n  // A ring.\n").is_empty());
        assert!(rules("a.svelte", "<!-- A ring. -->\n<script>").is_empty());
        assert_eq!(rules("a.svelte", "<script lang=\"ts\">\n  let a = 1;\n"), ["opening"]);
        assert!(rules("a.json", "{}").is_empty());
    }

    #[test]
    fn there_are_no_drawers() {
        assert_eq!(rules("src/util.rs", "//! x"), ["module name"]);
        assert_eq!(rules("src/utils/a.ts", "// x"), ["module name"]);
        assert_eq!(rules("src/a.rs", "//! x\npub(crate) mod util {\n"), ["module name"]);
    }
}

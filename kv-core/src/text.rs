//! Words and bytes of strangers, for people: on one line, and never a command to a terminal.

use alloc::format;
use alloc::string::String;

/// The same words without characters that break a line, command a terminal or turn the direction of
/// writing; these are escaped.
#[must_use]
pub fn line(words: &str) -> String {
    let mut line = String::with_capacity(words.len());
    for char in words.chars() {
        match is_harmless(char) {
            true => line.push(char),
            false => line.extend(char.escape_default()),
        }
    }
    line
}

/// Bytes as text on one line, cut where no reader would read on.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> String {
    const SHOWN: usize = 200;
    let shown = line(&String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]));
    if bytes.len() > SHOWN { format!("{shown}… ({} bytes)", bytes.len()) } else { shown }
}

/// Whether a character can be shown as it is.
#[must_use]
pub fn is_harmless(char: char) -> bool {
    // Ends of lines and paragraphs, and marks that turn the direction of what follows, are no controls.
    let turns = matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2066}'..='\u{2069}');
    !(char.is_control() || turns || matches!(char, '\u{2028}'..='\u{202e}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_or_breaks_a_line_is_escaped() {
        assert_eq!(line("grüße, \"日本\" \\ 👩‍🚀"), "grüße, \"日本\" \\ 👩‍🚀");
        assert_eq!(line("\u{1b}[2Ja\r\nb\t\u{7f}"), "\\u{1b}[2Ja\\r\\nb\\t\\u{7f}");
        assert_eq!(line("\u{9b}1A \u{202e}cba\u{2028}"), "\\u{9b}1A \\u{202e}cba\\u{2028}");
        assert_eq!(of_bytes(b"\0\xff"), "\\u{0}\u{fffd}");
        let long = of_bytes(&[b'\n'; 300]);
        assert!(long.starts_with("\\n\\n") && long.ends_with("… (300 bytes)"), "{long}");
    }
}

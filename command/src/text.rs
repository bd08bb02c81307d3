//! Text for a terminal: made harmless, measured, shortened, coloured.
//!
//! Anybody can write the text of an event. Control characters could move the cursor
//! or change the terminal, and bidirectional marks could make a line look like
//! another: both are shown as escapes and never sent to the terminal.

use std::fmt::Write;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text, with everything that is not visible replaced by an escape.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // A name with blanks at its end looks like the one without.
    let visible = text.trim_end_matches(' ');
    for (at, c) in text.char_indices() {
        match c {
            ' ' if at >= visible.len() => out.push_str("\\u{20}"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Controls, marks of direction, what takes no room and joins with nothing, and what
/// is drawn as a blank but is none.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// How many columns the text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text in `most` columns; a text that does not fit ends in `…`.
pub fn shortened(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut room = most.saturating_sub(1);
    for c in text.chars() {
        let needed = c.width().unwrap_or(0);
        if needed > room {
            break;
        }
        room -= needed;
        out.push(c);
    }
    if most > 0 {
        out.push('…');
    }
    out
}

/// Pads the text with spaces to `columns`.
pub fn pad(out: &mut String, text: &str, columns: usize) {
    out.push_str(text);
    out.extend(std::iter::repeat_n(
        ' ',
        columns.saturating_sub(width(text)),
    ));
}

/// `3,120`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 event`, `2 events`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        grouped(number),
        if number == 1 { one } else { many }
    )
}

/// `1.5 MB`.
pub fn bytes(number: u64) -> String {
    let mut unit = 1_000;
    let mut name = "kB";
    for next in ["MB", "GB", "TB", "PB"] {
        if number / unit < 1_000 {
            break;
        }
        unit *= 1_000;
        name = next;
    }
    if number < 1_000 {
        return format!("{number} B");
    }
    let tenths = number / (unit / 10);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

/// Whether to colour at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    /// The text in this style.
    pub fn paint(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Plain => "",
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Cyan => "36",
        };
        if self.0 && !code.is_empty() && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The style of an operation.
pub fn operation_style(operation: &str) -> Style {
    match operation {
        "create" => Style::Green,
        "update" => Style::Yellow,
        "delete" => Style::Red,
        _ => Style::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_reaches_the_terminal_unseen() {
        assert_eq!(
            shown("a\u{1b}[31m\n\u{202e}b\u{7f}\u{9b}"),
            "a\\u{1b}[31m\\n\\u{202e}b\\u{7f}\\u{9b}"
        );
        assert_eq!(shown("\u{e9}\u{4e2d}\u{1f600}"), "\u{e9}\u{4e2d}\u{1f600}");
    }

    #[test]
    fn what_looks_like_nothing_or_like_a_blank_is_seen() {
        for c in [
            '\u{a0}',
            '\u{2003}',
            '\u{3000}',
            '\u{3164}',
            '\u{2800}',
            '\u{fe0f}',
            '\u{34f}',
            '\u{115f}',
            '\u{ffa0}',
            '\u{e0100}',
            '\u{200b}',
        ] {
            let escape = format!("\\u{{{:x}}}", u32::from(c));
            assert_eq!(shown(&format!("a{c}")), format!("a{escape}"));
            assert_eq!(shown(&format!("{c}a")), format!("{escape}a"));
        }
        assert_eq!(shown("a b"), "a b");
        assert_eq!(shown("a "), "a\\u{20}");
        assert_eq!(shown("  "), "\\u{20}\\u{20}");
    }

    #[test]
    fn columns_are_counted_not_bytes() {
        assert_eq!(
            shortened("\u{4e2d}\u{4e2d}\u{4e2d}", 5),
            "\u{4e2d}\u{4e2d}…"
        );
        assert_eq!(
            shortened("\u{4e2d}\u{4e2d}\u{4e2d}", 6),
            "\u{4e2d}\u{4e2d}\u{4e2d}"
        );
        assert_eq!(shortened("abc", 2), "a…");
        assert_eq!(shortened("abc", 0), "");
        let mut padded = String::new();
        pad(&mut padded, "\u{4e2d}", 4);
        assert_eq!(padded, "\u{4e2d}  ");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(999_999), "999.9 kB");
        assert_eq!(bytes(5_242_880), "5.2 MB");
        assert_eq!(bytes(u64::MAX), "18446.7 PB");
    }
}

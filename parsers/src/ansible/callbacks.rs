//! Callbacks of ansible that print something else than `default` does: known by what only they print, so that a refusal can
//! name them. None of them is read.
//!
//! ```text
//! - Play recap -                                       unixy
//! # STATS ******************************************   selective
//! ESC[0;0mESC[sESC[2KESC[uESC[0;0mESC[2KESC[1mPLAY 1   dense
//! TASK 1/7 [base : Set motd] ***********************   counter_enabled
//! web1 | CHANGED => {                                  minimal, oneline
//! ```

use crate::ansible_minimal;
use crate::{ParseError, text};

/// What to say of `stdout`, which couldn't be read as callback `default`'s: the callback that wrote it, if it is known, else `error`.
pub(super) fn named(stdout: &[u8], error: ParseError) -> ParseError {
    let hint = "set ANSIBLE_STDOUT_CALLBACK=default";
    if stdout.is_empty() {
        return ParseError::format("ansible printed nothing, as its callback null does").hint(hint);
    }
    let named = |name| {
        ParseError::format(format!("output of ansible's callback {name}, which isn't read")).hint(hint)
    };
    other(stdout).map_or(error, named)
}

fn other(stdout: &[u8]) -> Option<&'static str> {
    if stdout.starts_with(b"\x1b[0;0m\x1b[s\x1b[2K") {
        return Some("dense");
    }
    let (mut banners, mut results) = (false, false);
    let found = text::lines(stdout).find_map(|line| {
        let plain = line.plain();
        banners |= plain.starts_with(b"TASK [") || plain.starts_with(b"PLAY");
        results = results || ansible_minimal::is_result(&plain);
        if plain.starts_with(b"Executing playbook ") || &*plain == b"- Play recap -" {
            Some("unixy")
        } else if plain.starts_with(b"# STATS ***") {
            Some("selective")
        } else if plain.strip_prefix(b"TASK ").is_some_and(counted) {
            Some("counter_enabled")
        } else {
            None
        }
    });
    // Under banners it is a task's text.
    found.or_else(|| (results && !banners).then_some("minimal or oneline"))
}

/// `1/7 [`
fn counted(rest: &[u8]) -> bool {
    let number = |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let first = number(rest);
    let Some(rest) = rest.get(first..).filter(|_| first > 0).and_then(|rest| rest.strip_prefix(b"/")) else {
        return false;
    };
    let second = number(rest);
    second > 0 && rest.get(second..).is_some_and(|rest| rest.starts_with(b" ["))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named() {
        let name = |stdout: &str| {
            let error = named(stdout.as_bytes(), ParseError::cut("x"));
            error
                .message
                .strip_prefix("output of ansible's callback ")
                .map_or_else(|| error.message.clone(), |m| m.split(',').next().unwrap().to_owned())
        };
        // Beginnings of what ansible-core 2.20.10 prints for the same playbook.
        assert_eq!(
            name("--- before: /srv/motd\n+++ after: /srv/motd\n@@ -1 +1 @@\n-a\n+b\n\nweb1 | CHANGED => {\n"),
            "minimal or oneline"
        );
        assert_eq!(name("web1 | CHANGED => {\"changed\": true}\nweb2 | SKIPPED\n"), "minimal or oneline");
        assert_eq!(
            name("Executing playbook site.yml\n\n- Base on hosts: all -\nSet motd...\n  web1 done\n"),
            "unixy"
        );
        assert_eq!(name("Set motd...\n  web1 done\n\n- Play recap -\n"), "unixy");
        assert_eq!(name(".....\n\n\u{1b}[1m# STATS ****************\u{1b}[0m\n"), "selective");
        assert_eq!(
            name("\u{1b}[0;0m\u{1b}[s\u{1b}[2K\u{1b}[u\u{1b}[0;0m\u{1b}[2K\u{1b}[1mPLAY 1: BASE\n"),
            "dense"
        );
        assert_eq!(
            name("\nPLAY [Base] ****\n\nTASK 1/3 [Set motd] ****\nchanged: 1/2 [web2]\n"),
            "counter_enabled"
        );
        assert_eq!(name(""), "ansible printed nothing, as its callback null does");
        // Text of a task, in an output that lost its end.
        assert_eq!(name("\nPLAY [Base] ****\n\nTASK [Say] ****\nweb1 | CHANGED => {\n"), "x");
        assert_eq!(name("hello\n"), "x");
    }
}

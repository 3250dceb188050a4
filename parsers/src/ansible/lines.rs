//! What single lines of ansible's text say: banners, hosts, loop labels, failures, the recap's lines. Pure functions; what a
//! line means where it stands is the reader's.

use crate::ansible_playbook::{Recap, Stats};
use crate::text::{self, Lines};
use memchr::{memchr_iter, memmem};
use serde::Deserialize;
use std::borrow::Cow;

/// A line between stars.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Banner<'a> {
    Play(Cow<'a, [u8]>),
    Task(Cow<'a, [u8]>),
    Recap,
    /// A play ended early, for every host.
    NoMoreHosts,
    Other,
}

impl Banner<'_> {
    /// The same with names of its own.
    pub(super) fn into_owned<'b>(self) -> Banner<'b> {
        match self {
            Banner::Play(name) => Banner::Play(Cow::Owned(name.into_owned())),
            Banner::Task(name) => Banner::Task(Cow::Owned(name.into_owned())),
            Banner::Recap => Banner::Recap,
            Banner::NoMoreHosts => Banner::NoMoreHosts,
            Banner::Other => Banner::Other,
        }
    }
}

/// `bytes` without the colours at their beginning: enough to reject most lines by their first byte.
#[inline]
pub(crate) fn after_colour(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\x1b[") {
        let Some(end) = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b';')) else { break };
        bytes = rest.get(end.saturating_add(1)..).unwrap_or_default();
    }
    bytes
}

/// `MSG ***`, with the time that the callback timestamp adds.
pub(super) fn banner(line: &[u8]) -> Option<Banner<'_>> {
    let line = line.trim_ascii_end();
    let time =
        if line.last().is_some_and(u8::is_ascii_digit) { line.rsplit(|b| *b == b' ').next() } else { None };
    let line = match time {
        Some([h1, h2, b':', m1, m2, b':', s1, s2])
            if [h1, h2, m1, m2, s1, s2].iter().all(|digit| digit.is_ascii_digit()) =>
        {
            line.get(..line.len().saturating_sub(9)).unwrap_or_default()
        }
        _ => line,
    };
    // They fill the line: eight at once.
    let mut rest = line;
    while let Some(shorter) = rest.strip_suffix(b"********") {
        rest = shorter;
    }
    while let Some(shorter) = rest.strip_suffix(b"*") {
        rest = shorter;
    }
    let stars = line.len().saturating_sub(rest.len());
    let message = rest.strip_suffix(b" ").filter(|_| stars >= 3)?;
    let message = message.strip_suffix(b" [CHECK MODE]").unwrap_or(message);
    let named = |beginning: &[u8]| message.strip_prefix(beginning)?.strip_suffix(b"]");
    if let Some(name) = named(b"PLAY [") {
        return Some(Banner::Play(Cow::Borrowed(name)));
    }
    let tasks: [&[u8]; 5] = [b"TASK [", b"RUNNING HANDLER [", b"CLEANUP TASK [", b"TASK: [", b"NOTIFIED: ["];
    if let Some(name) = tasks.iter().find_map(|beginning| named(beginning)) {
        return Some(Banner::Task(Cow::Borrowed(name)));
    }
    match message {
        b"PLAY RECAP" => Some(Banner::Recap),
        b"PLAY" => Some(Banner::Play(Cow::Borrowed(b""))),
        b"GATHERING FACTS" => Some(Banner::Task(Cow::Borrowed(message))),
        b"NO MORE HOSTS LEFT" => Some(Banner::NoMoreHosts),
        b"DRY RUN" => Some(Banner::Other),
        _ if message.starts_with(b"CUSTOM STATS: ") => Some(Banner::Other),
        _ => None,
    }
}

/// `HOST] tail`: the host ends at the first bracket that a result line's words follow.
pub(crate) fn bracketed(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    const TAILS: [&[u8]; 4] = [b" =>", b": FAILED!", b": UNREACHABLE!", b" (item="];
    memchr_iter(b']', rest).find_map(|at| {
        let (host, tail) = rest.split_at_checked(at)?;
        let tail = tail.get(1..)?;
        let known = tail.trim_ascii().is_empty() || TAILS.iter().any(|words| tail.starts_with(words));
        (known && !host.is_empty()).then_some((host, tail))
    })
}

/// Whether a loop's label ends on this line: `)`, `) ` where the item was skipped, or what `-v` adds after either.
pub(super) fn label_ends(line: &[u8]) -> bool {
    line.ends_with(b")")
        || line.ends_with(b") ")
        || [&b") => "[..], b")  => "].iter().any(|end| memmem::find(line, end).is_some())
}

/// Whether a failure's result says `"changed": true`: JSON on the line, pretty JSON or YAML on the next ones.
pub(super) fn failed_after_change(tail: &[u8], next: &mut Lines<'_>) -> bool {
    #[derive(Deserialize)]
    struct Result {
        #[serde(default)]
        changed: crate::ansible_json::Truth,
    }
    let tail = tail.trim_ascii_end();
    if let Some(at) = memmem::rfind(tail, b"=> changed=") {
        return tail.get(at..).unwrap_or_default().starts_with(b"=> changed=true");
    }
    if tail.ends_with(b"=> {") || tail.ends_with(b"=>") {
        return next
            .take_while(|line| after_colour(line.bytes).first() == Some(&b' '))
            .map(|line| line.plain().into_owned())
            .any(|line| line.starts_with(b"    \"changed\": true") || line == b"    changed: true");
    }
    // The label before it can hold `=> {` as well: the result is what reads as JSON to the end of the line.
    memmem::find_iter(tail, b"=> {").any(|at| {
        let json = tail.get(at.saturating_add(3)..).unwrap_or_default();
        serde_json::from_slice::<Result>(json).is_ok_and(|result| result.changed.0)
    })
}

/// `HOST : ok=1 changed=0 unreachable=0 failed=0`, and three more since 2.8.
pub(super) fn recap_line(line: &[u8], number: u32) -> Option<(String, Stats)> {
    const KEYS: [&str; 7] = ["ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored"];
    let line = std::str::from_utf8(line).ok()?;
    let (host, counts) = line.rsplit_once(" : ok=").or_else(|| line.rsplit_once(": ok="))?;
    let mut values = [0_u32; KEYS.len()];
    let mut seen = 0_usize;
    let first = counts.split_ascii_whitespace().next()?;
    let fields = std::iter::once(Some(("ok", first)))
        .chain(counts.split_ascii_whitespace().skip(1).map(|field| field.split_once('=')));
    for field in fields {
        let (key, value) = field?;
        if KEYS.get(seen) != Some(&key) {
            return None;
        }
        *values.get_mut(seen)? = value.parse().ok()?;
        seen = seen.saturating_add(1);
    }
    let host = host.trim_end();
    if !matches!(seen, 4 | 7) || host.is_empty() {
        return None;
    }
    let [ok, changed, unreachable, failed, _, rescued, ignored] = values;
    let (rescued, ignored) = ((seen == 7).then_some(rescued), (seen == 7).then_some(ignored));
    Some((host.to_owned(), Stats { ok, changed, unreachable, failed, rescued, ignored, line: Some(number) }))
}

/// The inventory's name of a host: what stands before the delegate, unless the name itself holds an arrow.
pub(crate) fn inventory_name(written: &[u8], recap: &Recap) -> String {
    let written = text::string(written);
    if recap.contains_key(&written) {
        return written;
    }
    let names = written.match_indices(" -> ").filter_map(|(at, _)| written.get(..at));
    let known = names.clone().filter(|name| recap.contains_key(*name)).last();
    known.or_else(|| names.clone().next()).unwrap_or(&written).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recap_lines_are_read_from_the_right() {
        let read =
            |line: &str| recap_line(line.as_bytes(), 1).map(|(host, stats)| (host, stats.ok, stats.rescued));
        assert_eq!(
            read(
                "::1 : ok=3    changed=1    unreachable=0    failed=0    skipped=1    rescued=2    ignored=0   "
            ),
            Some(("::1".to_owned(), 3, Some(2)))
        );
        assert_eq!(
            read("a : b : ok=3 changed=1 unreachable=0 failed=0"),
            Some(("a : b".to_owned(), 3, None))
        );
        assert_eq!(read("a : ok=3 changed=1 unreachable=0"), None);
        assert_eq!(read("a : ok=3 changed=1 unreachable=0 failed=0 skipped=0"), None);
        assert_eq!(read("a : ok=3 changed=x unreachable=0 failed=0"), None);
        assert_eq!(read("a : ok=3 changed=1 failed=0 unreachable=0"), None);
    }

    #[test]
    fn banners_end_in_stars_and_may_hold_anything() {
        let task = |line: &str| match banner(line.as_bytes()) {
            Some(Banner::Task(name)) => Some(text::string(&name)),
            _ => None,
        };
        assert_eq!(task("TASK [a] b] ***").unwrap(), "a] b");
        assert_eq!(task("TASK [stars *** in ***] ***** 12:34:56").unwrap(), "stars *** in ***");
        assert_eq!(task("RUNNING HANDLER [r : h] [CHECK MODE] ****").unwrap(), "r : h");
        assert_eq!(task("TASK [a] **"), None);
        assert_eq!(task("TASK [a"), None);
        assert_eq!(banner(b"PLAY RECAP ***"), Some(Banner::Recap));
        assert_eq!(banner(b"PLAY ***"), Some(Banner::Play(Cow::Borrowed(b""))));
        assert_eq!(task("GATHERING FACTS ***").unwrap(), "GATHERING FACTS");
        for other in ["DRY RUN ***", "CUSTOM STATS: ***", "CUSTOM STATS:  ***"] {
            assert_eq!(banner(other.as_bytes()).is_some(), other != "CUSTOM STATS: ***", "{other}");
        }
        assert_eq!((banner(b"SOMETHING ***"), task("TASK [a] *** ab:cd:ef")), (None, None));
        assert_eq!(banner(b"PLAY [RECAP] ***"), Some(Banner::Play(Cow::Borrowed(b"RECAP"))));
    }

    #[test]
    fn only_the_result_of_a_failure_says_that_it_changed_something() {
        let says = |tail: &str| failed_after_change(tail.as_bytes(), &mut text::lines(b""));
        assert!(says(": FAILED! => {\"changed\": true, \"msg\": \"x\"}"));
        assert!(!says(": FAILED! => {\"msg\": \"\\\"changed\\\": true\"}"));
        assert!(!says(" (item={\"changed\": true}) => {\"changed\": false}"));
        assert!(says(" (item=a => {b) => {\"changed\": true}"));
        let mut next = text::lines(b"    \"assertion\": \"a\",\n    \"changed\": true,\n}\n");
        assert!(failed_after_change(b": FAILED! => {", &mut next));
    }
}

//! Which attributes a diff shows as changed, where it shows all of them: what module `file` says of a file, and a content that
//! stands beside a file's attributes.
//!
//! ```text
//! --- before                                        --- before: /etc/sysctl.conf (content)
//! +++ after                                         +++ after: /etc/sysctl.conf (content)
//! @@ -1,4 +1,4 @@                                   @@ -1,2 +1,2 @@
//!  {                                                -vm.swappiness = 60
//! -    "mode": "0644",                              +vm.swappiness = 1
//! +    "mode": "0600",
//!      "path": "/etc/motd"                          --- before: /etc/sysctl.conf (file attributes)
//!  }                                                …
//! ```
//!
//! Everything else is silent. `copy`, `template` and `replace` show a content (`--- before: PATH`) and not the owner or mode that they
//! would change with it; other modules' dictionaries needn't hold all that changes. Never a value, only keys of a closed list.

use super::Pending;
use super::lines::after_colour;
use crate::text::Line;
use std::collections::BTreeMap;

/// What ansible-core knows of a file: `set_fs_attributes_if_different` and module `file`.
const KEYS: [&str; 17] = [
    "atime",
    "attributes",
    "group",
    "mode",
    "mtime",
    "owner",
    "path",
    "path_content",
    "secontext",
    "selevel",
    "serole",
    "setype",
    "seuser",
    "size",
    "src",
    "state",
    "uid",
];

/// The attributes that the diffs in `text` show, which end before the result on line `end`.
pub(crate) fn of(text: &Pending<'_>, end: u32) -> Option<Vec<String>> {
    let first = after_colour(text.first.bytes);
    if !first.starts_with(b"--- before") {
        return None;
    }
    // Most diffs are of a file that `copy` or `template` would write.
    let header = text.first.plain();
    if &*header != b"--- before"
        && !header.ends_with(b" (content)")
        && !header.ends_with(b" (file attributes)")
    {
        return None;
    }
    let lines = text.after.clone().take_while(|line| line.number < end);
    let mut lines = std::iter::once(text.first).chain(lines).peekable();
    let mut found = Vec::new();
    while lines.peek().is_some() {
        block(&mut lines, &mut found)?;
    }
    sorted(found)
}

/// What two changes of one task have changed together.
pub(crate) fn both(one: Option<Vec<String>>, other: Option<Vec<String>>) -> Option<Vec<String>> {
    let (mut one, other) = (one?, other?);
    one.extend(other);
    sorted(one)
}

/// What changes between two states of a file, where nothing but a file's state is in them.
pub(crate) fn between<V: PartialEq>(
    before: &BTreeMap<String, V>,
    after: &BTreeMap<String, V>,
) -> Option<Vec<String>> {
    let mut all = before.keys().chain(after.keys());
    if !all.all(|key| KEYS.contains(&key.as_str())) {
        return None;
    }
    let keys = before.keys().chain(after.keys());
    sorted(keys.filter(|key| before.get(*key) != after.get(*key)).cloned().collect())
}

fn sorted(mut paths: Vec<String>) -> Option<Vec<String>> {
    paths.sort_unstable();
    paths.dedup();
    (!paths.is_empty()).then_some(paths)
}

/// One diff, from its header to the blank line.
fn block<'a>(lines: &mut impl Iterator<Item = Line<'a>>, found: &mut Vec<String>) -> Option<()> {
    let before = lines.next()?.plain();
    let after = lines.next()?.plain();
    let (before, after) = (before.strip_prefix(b"--- before")?, after.strip_prefix(b"+++ after")?);
    if before != after {
        return None;
    }
    let body = lines.map(|line| line.plain()).take_while(|line| !line.is_empty());
    if before.ends_with(b" (content)") {
        found.push("content".to_owned());
        // To the blank line.
        body.for_each(drop);
        return Some(());
    }
    if !before.is_empty() && !before.ends_with(b" (file attributes)") {
        return None;
    }
    let (mut old, mut new) = (State::default(), State::default());
    for (n, line) in body.enumerate() {
        let (sign, line) = line.split_first()?;
        match sign {
            b'@' if n == 0 && line.starts_with(b"@ -1,") => {}
            b' ' => {
                old.line(line)?;
                new.line(line)?;
            }
            b'-' => old.line(line)?,
            b'+' => new.line(line)?,
            _ => return None,
        }
    }
    found.extend(between(&old.keys, &new.keys)?);
    Some(())
}

/// A file's state as it is printed: JSON or YAML, four columns deep, its keys sorted.
#[derive(Default)]
struct State {
    keys: BTreeMap<String, Vec<u8>>,
    last: Option<String>,
}

impl State {
    fn line(&mut self, line: &[u8]) -> Option<()> {
        let line = match line {
            b"{" | b"}" | b"{}" | b"" => return Some(()),
            _ => line.strip_prefix(b"    ")?,
        };
        // A longer value's next lines.
        if line.starts_with(b" ") || line.starts_with(b"- ") || matches!(line, b"}" | b"}," | b"]" | b"],") {
            self.keys
                .get_mut(self.last.as_ref()?)?
                .extend_from_slice(line.strip_suffix(b",").unwrap_or(line));
            return Some(());
        }
        let (key, value) = match line.strip_prefix(b"\"") {
            Some(quoted) => split(quoted, b"\":")?,
            None => split(line, b":")?,
        };
        // The last one has no comma.
        let value = value.strip_suffix(b",").unwrap_or(value);
        let key = String::from_utf8(key.to_vec()).ok()?;
        self.last = Some(key.clone());
        // A key comes once.
        self.keys.insert(key, value.to_vec()).is_none().then_some(())
    }
}

fn split<'a>(line: &'a [u8], by: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(line, by)?;
    Some((line.get(..at)?, line.get(at.saturating_add(by.len())..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    fn shown(diff: &str) -> Option<Vec<String>> {
        let mut after = text::lines(diff.as_bytes());
        let first = after.next()?;
        of(&Pending { first, after }, text::count_lines(diff.as_bytes()).saturating_add(1))
    }

    fn strings(paths: &[&str]) -> Vec<String> {
        paths.iter().map(ToString::to_string).collect()
    }

    const MODE: &str = "--- before\n+++ after\n@@ -1,4 +1,4 @@\n {\n-    \"mode\": \"0644\",\n+    \"mode\": \"0600\",\n     \"path\": \"/m\"\n }\n\n";
    const CONTENT: &str = "--- before: /m (content)\n+++ after: /m (content)\n@@ -1 +1 @@\n-a\n+b\n\n";

    #[test]
    fn a_file_s_state_names_what_differs() {
        assert_eq!(shown(MODE), Some(strings(&["mode"])));
        let yaml = "--- before\n+++ after\n@@ -1,7 +1,3 @@\n     path: /n\n-    path_content:\n-        files:\n-        - /n/a\n-    state: directory\n+    state: absent\n \n\n";
        assert_eq!(shown(yaml), Some(strings(&["path_content", "state"])));
        let coloured =
            MODE.replace("-    \"mode", "\u{1b}[0;31m-    \"mode").replace("0644\",", "0644\",\u{1b}[0m");
        assert_eq!(shown(&coloured), Some(strings(&["mode"])));
    }

    #[test]
    fn the_last_key_differs_by_more_than_its_comma() {
        let added = "--- before\n+++ after\n@@ -1,3 +1,4 @@\n {\n-    \"mode\": \"0644\"\n+    \"mode\": \"0644\",\n+    \"owner\": 0\n }\n\n";
        assert_eq!(shown(added), Some(strings(&["owner"])));
    }

    #[test]
    fn a_content_stands_beside_the_attributes_of_its_file() {
        assert_eq!(shown(CONTENT), Some(strings(&["content"])));
        let both = CONTENT.to_owned()
            + &MODE
                .replace("before\n", "before: /m (file attributes)\n")
                .replace("after\n", "after: /m (file attributes)\n");
        assert_eq!(shown(&both), Some(strings(&["content", "mode"])));
    }

    #[test]
    fn what_need_not_be_everything_is_not_named() {
        // `copy` with another content and another mode prints this.
        assert_eq!(shown(&CONTENT.replace(" (content)", "")), None);
        assert_eq!(shown(&MODE.replace("mode", "password")), None);
        assert_eq!(shown(&MODE.replace("+++ after", "+++ after: /m")), None);
        assert_eq!(
            shown(&(CONTENT.to_owned() + "diff skipped: destination file appears to be binary\n")),
            None
        );
        assert_eq!(shown("The following NEW packages will be installed:\n  x\n"), None);
        assert_eq!(shown(&MODE.replace("@@ -1,4", "@@ -7,4")), None);
        assert_eq!(both(Some(strings(&["mode"])), None), None);
        assert_eq!(
            both(Some(strings(&["mode"])), Some(strings(&["content", "mode"]))),
            Some(strings(&["content", "mode"]))
        );
    }
}

//! Takes secrets out of what a command wrote, before it stands on a page, on disk or in a log line. Parsers read what was written; nothing else does.
//!
//! Line by line: a pattern matches within a line, and lines are neither added nor removed, so that places in the output stay what they are. Keys
//! in PEM form, which have many lines, go from their beginning to their end.

use aho_corasick::{AhoCorasick, MatchKind};
use driftrun_parsers::text::{string, strip_ansi};
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

/// What stands where a secret was.
pub const GONE: &str = "(redacted)";

/// Secrets that are known by their form. A group called `secret` is what goes, else all that matches.
const BUILT_IN: [&str; 12] = [
    // Access keys of AWS, and the secret ones by their names. None demands a border before it: in JSON a `\n` may stand there.
    r"(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}\b",
    r#"(?i)(?:secret_?access_?key|session_?token)["']?\s*[=:]\s*["']?(?P<secret>[A-Za-z0-9/+=]{16,})"#,
    // Tokens of GitHub, GitLab, Slack, Google and HCP Terraform.
    r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}",
    r"gl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_-]{20,}",
    r"xox[abeprs]-[A-Za-z0-9-]{10,}",
    r"AIza[0-9A-Za-z_-]{35}",
    r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}",
    // JSON web tokens, also those of Kubernetes' service accounts.
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*",
    r"(?i)\b(?:bearer|basic)\s+(?P<secret>[A-Za-z0-9._~+/-]{8,}=*)",
    // The password of `scheme://user:password@host`.
    r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:(?P<secret>[^/\s]+)@",
    // `password = "old" -> "new"`, `--password=word`; and `password: word` where nothing but a border follows, as a sentence would go on. What goes on
    // to the end of the line without a space is one word, whatever is in it.
    concat!(
        r#"(?i)(?:password|passwd|passphrase|client[_-]?secret|api[_-]?key|(?:access|auth)[_-]?token)(?:\\?["'])?\s*=\s*"#,
        r#"(?P<secret>"(?:[^"\\]|\\.)*"(?:\s*->\s*"(?:[^"\\]|\\.)*")?|"[^"]*$|'[^']*(?:'|$)|\\"[^"\\]*\\"|[^\s"'\\,;&=>()<\[{](?:[^\s&]{0,200}$|[^\s"',;&]*))"#
    ),
    concat!(
        r#"(?i)(?:password|passwd|passphrase|client[_-]?secret|api[_-]?key|(?:access|auth)[_-]?token)(?:\\?["'])?\s*:\s*"#,
        r#"(?P<secret>"(?:[^"\\]|\\.)*"|"[^"]*$|'[^']*(?:'|$)|\\"[^"\\]*\\"|[^\s"'\\,;&()<\[{|>*](?:\S{0,200}$|[^\s"',;&}]*))\s*(?:\\n|[,}]|$)"#
    ),
];

const PEM_BEGIN: &[u8] = b"-----BEGIN ";
/// Also `PRIVATE KEY BLOCK-----` of PGP.
const PEM_KEY: &[u8] = b"PRIVATE KEY";
const PEM_END: &[u8] = b"-----END ";

/// What `terraform show -json` prints of plans and states has every value in it, the sensitive ones too: names that only stand there.
const RAW_PLAN: [&[u8]; 4] =
    [b"\"terraform_version\"", b"\"planned_values\"", b"\"resource_changes\"", b"\"root_module\""];

/// Whether a raw plan or state of Terraform stands in an output. It is never shown nor kept.
pub fn holds_raw_plan(bytes: &[u8]) -> bool {
    let is_state = names_state(bytes) && memchr::memmem::find(bytes, b"\"serial\"").is_some();
    (has_format_version(bytes) && names_plan(bytes)) || is_state
}

/// Whether a name stands there that a state's own file has, as `terraform state pull` prints it.
pub fn names_state(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"\"lineage\"").is_some()
}

/// Whether the version of a JSON format of Terraform's is named.
pub fn has_format_version(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"format_version\"").is_some()
}

/// Whether a name stands there that only plans and states have.
pub fn names_plan(bytes: &[u8]) -> bool {
    RAW_PLAN.into_iter().any(|name| memchr::memmem::find(bytes, name).is_some())
}

/// Which patterns match a line. Without tables of Unicode's classes it is small.
static SET: LazyLock<Option<RegexSet>> =
    LazyLock::new(|| RegexSetBuilder::new(BUILT_IN).unicode(false).build().ok());

/// Each of them for itself, made when it matches something first: most never do.
static EACH: [OnceLock<Option<Regex>>; BUILT_IN.len()] = [const { OnceLock::new() }; BUILT_IN.len()];

/// The built-in patterns that match `line`.
fn built_in<'r>(line: &[u8]) -> impl Iterator<Item = &'r Regex> + use<'r> {
    let matches = SET.as_ref().map(|set| set.matches(line).into_iter());
    matches.into_iter().flatten().filter_map(|n| {
        let make = || RegexBuilder::new(BUILT_IN[n]).unicode(false).build().ok();
        EACH[n].get_or_init(make).as_ref()
    })
}

/// A pattern of a check's own.
#[derive(Clone, Debug)]
pub struct Secret(Regex);

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Secret {
    /// Compiles `text`. A group called `secret` is what goes, else all that matches.
    ///
    /// # Errors
    /// What is wrong, as a lowercase fragment.
    pub fn new(text: &str) -> Result<Self, String> {
        let pattern = Regex::new(text).map_err(|error| {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("{text:?} is no regular expression: {last}")
        })?;
        if pattern.is_match(b"") {
            return Err(format!(
                "{text:?} could match an empty text, and so everywhere; let it demand a character"
            ));
        }
        Ok(Self(pattern))
    }
}

/// Texts that a run itself has told to be secret, such as those that a plan marks as sensitive.
#[derive(Clone, Debug, Default)]
pub struct Marked {
    searcher: Option<AhoCorasick>,
    unknown: bool,
}

impl Marked {
    /// These, none of which has several lines.
    pub fn new(texts: &[String]) -> Self {
        if texts.is_empty() {
            return Self::default();
        }
        match AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts) {
            Ok(searcher) => Self { searcher: Some(searcher), unknown: false },
            // Gigabytes of them.
            Err(_) => Self::unknown(),
        }
    }

    /// Something is marked, and what can't be known.
    pub const fn unknown() -> Self {
        Self { searcher: None, unknown: true }
    }

    /// Whether what is marked can't be known.
    pub const fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// `text` without them. Lines stay as many as they are.
    pub fn out_of<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        match &self.searcher {
            Some(searcher) if searcher.is_match(text) => {
                let mut out = Vec::with_capacity(text.len());
                searcher.replace_all_with_bytes(text, &mut out, |_, _, out| {
                    out.extend_from_slice(GONE.as_bytes());
                    true
                });
                Cow::Owned(out)
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// The same of a sentence.
    pub fn out_of_text(&self, text: String) -> String {
        match self.out_of(text.as_bytes()) {
            Cow::Borrowed(_) => text,
            Cow::Owned(clean) => String::from_utf8_lossy(&clean).into_owned(),
        }
    }
}

/// `bytes` without what `own` and the built-in patterns match.
pub fn redacted<'t>(bytes: &'t [u8], own: &[Secret]) -> Cow<'t, [u8]> {
    redacted_within(bytes, own, &mut Within::default())
}

/// What earlier lines say of the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Within {
    /// A key in PEM form has begun.
    pub key: bool,
    /// A Secret's diff has: `kubectl` masks what is in one, but not in one that is to be deleted.
    secret: bool,
    /// Its data have, too.
    data: bool,
}

/// Finds out what holds behind these lines; `within` is what holds before them.
pub fn follow(lines: &[u8], within: &mut Within) {
    let find = |what| memchr::memmem::find(lines, what).is_some();
    if *within != Within::default() || find(PEM_BEGIN) || find(SECRET) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if without_key(line, &mut within.key).is_none() {
                without_data(&strip_ansi(line), within);
            }
        }
    }
}

/// As [`redacted`], of lines behind others; what these say of them, and they of the next.
pub fn redacted_within<'t>(bytes: &'t [u8], own: &[Secret], within: &mut Within) -> Cow<'t, [u8]> {
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let clean = redacted_line(line, own, within);
        match (&mut out, clean) {
            (Some(out), clean) => out.extend_from_slice(&clean),
            (None, Cow::Owned(clean)) => out = Some([&bytes[..at], &clean].concat()),
            (None, Cow::Borrowed(_)) => {}
        }
        at += line.len();
    }
    out.map_or(Cow::Borrowed(bytes), Cow::Owned)
}

/// Which part of an output is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its beginning.
    Head,
    /// Its end.
    Tail,
}

/// As [`redacted`], of an output in whose middle something is missing: a secret that the cut has parted is known on neither side. So the line at the
/// cut goes, or as much of it as a secret may be long, and so does the end of a key that has lost its beginning.
pub fn redacted_part<'t>(bytes: &'t [u8], own: &[Secret], part: Part) -> Cow<'t, [u8]> {
    const LONGEST: usize = 4096;
    let newline = |byte: &u8| *byte == b'\n';
    match part {
        Part::Whole => redacted(bytes, own),
        Part::Head => {
            if let Some(at) = bytes.iter().rposition(newline) {
                return redacted(&bytes[..=at], own);
            }
            let clean = redacted(bytes, own);
            Cow::Owned(clean[..clean.len().saturating_sub(LONGEST)].to_vec())
        }
        Part::Tail => {
            let whole = match bytes.iter().position(newline) {
                Some(at) if at + 1 < bytes.len() => redacted(&bytes[at + 1..], own),
                _ => {
                    let clean = redacted(bytes, own);
                    Cow::Owned(clean[LONGEST.min(clean.len())..].to_vec())
                }
            };
            let find = |needle| memchr::memmem::find(&whole, needle);
            match find(PEM_END).filter(|end| find(PEM_BEGIN).is_none_or(|begin| *end < begin)) {
                Some(end) => {
                    let rest = memchr::memchr(b'\n', &whole[end..]).map_or(whole.len(), |at| end + at);
                    let lines = whole[..end].iter().filter(|byte| newline(byte)).count();
                    let gone = [GONE.as_bytes(), b"\n"].concat().repeat(lines);
                    Cow::Owned([&gone, GONE.as_bytes(), &whole[rest..]].concat())
                }
                None => whole,
            }
        }
    }
}

/// A text of one or a few lines, such as a reason.
pub fn redacted_text(text: String, own: &[Secret]) -> String {
    match redacted(text.as_bytes(), own) {
        Cow::Borrowed(_) => text,
        Cow::Owned(clean) => String::from_utf8_lossy(&clean).into_owned(),
    }
}

fn redacted_line<'t>(line: &'t [u8], own: &[Secret], within: &mut Within) -> Cow<'t, [u8]> {
    if let Some(line) = without_key(line, &mut within.key) {
        return Cow::Owned(line);
    }
    if let Some(line) = without_data(&strip_ansi(line), within) {
        return Cow::Owned(line);
    }
    if holds_raw_plan(line) {
        let end: &[u8] = if line.ends_with(b"\n") { b"\n" } else { b"" };
        return Cow::Owned([GONE.as_bytes(), end].concat());
    }
    // A pattern sees the line without its end, so that `$` is its end, and without colours, which may stand in a secret.
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    let body = body.strip_suffix(b"\r").unwrap_or(body);
    let end = &line[body.len()..];
    let plain = strip_ansi(body);
    // A dot of an own pattern matches a character: at a byte that is none a secret would be taken to end.
    let plain =
        if std::str::from_utf8(&plain).is_ok() { plain } else { Cow::Owned(string(&plain).into_bytes()) };
    match without_secrets(&plain, own) {
        Some(clean) => Cow::Owned([&clean, end].concat()),
        None => Cow::Borrowed(line),
    }
}

/// What a line is without what the patterns match, if they do.
fn without_secrets(line: &[u8], own: &[Secret]) -> Option<Vec<u8>> {
    let mut line = Cow::Borrowed(line);
    let patterns: Vec<&Regex> = built_in(&line).chain(own.iter().map(|Secret(pattern)| pattern)).collect();
    for pattern in patterns {
        if let Some(clean) = without(&line, pattern) {
            line = Cow::Owned(clean);
        }
    }
    match line {
        Cow::Owned(clean) => Some(clean),
        Cow::Borrowed(_) => None,
    }
}

/// How many secrets of an output are looked for in what quotes it, how long one is at least, and how much of each end is looked through.
const MOST: usize = 1_000;
const SHORTEST: usize = 4;
const LOOKED_AT: usize = 1 << 20;

/// `text` without the secrets that stand in what it may quote: as words of a sentence a line's pattern knows them no more, and one at its end may be cut.
pub fn without_secrets_of(mut text: String, printed: &[&[u8]], own: &[Secret]) -> String {
    for secret in printed.iter().flat_map(|bytes| secrets(bytes, own)).take(MOST) {
        text = text.replace(&secret, GONE);
        let mut cut = (SHORTEST..secret.len()).rev().filter(|at| secret.is_char_boundary(*at));
        if let Some(at) = cut.find(|at| text.ends_with(&secret[..*at])) {
            text.truncate(text.len() - at);
            text.push_str(GONE);
        }
    }
    redacted_text(text, own)
}

/// What may stand around a secret that was printed.
const QUOTES: [char; 3] = ['"', '\'', '\\'];

/// Values that stand in a password's place and tell nothing; sentences have them, too.
const WORDS: [&str; 5] = ["true", "false", "null", "none", "None"];

/// What the patterns take out of an output, longest first.
fn secrets(bytes: &[u8], own: &[Secret]) -> Vec<String> {
    let head = &bytes[..bytes.len().min(LOOKED_AT)];
    let tail = &bytes[bytes.len().saturating_sub(LOOKED_AT).max(head.len())..];
    let mut found = Vec::new();
    let mut within_key = false;
    for line in [head, tail].into_iter().flat_map(|part| part.split(|byte| *byte == b'\n')) {
        let plain = strip_ansi(line.strip_suffix(b"\r").unwrap_or(line));
        if without_key(&plain, &mut within_key).is_some() {
            found.push(String::from_utf8_lossy(&plain).trim().to_owned());
            continue;
        }
        let patterns = built_in(&plain).chain(own.iter().map(|Secret(pattern)| pattern));
        for captures in patterns.flat_map(|pattern| pattern.captures_iter(&plain)) {
            if let Some(secret) = captures.name("secret").or_else(|| captures.get(0)) {
                // Whoever quotes it may leave out what stands around it, and one of two.
                let secret = String::from_utf8_lossy(secret.as_bytes());
                found.extend(secret.split("->").map(|part| part.trim().trim_matches(QUOTES).to_owned()));
            }
        }
    }
    found.retain(|secret| secret.len() >= SHORTEST && !WORDS.contains(&secret.as_str()));
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.dedup();
    found
}

/// The line without the key in PEM form that it belongs to, if it belongs to one.
fn without_key(line: &[u8], within_key: &mut bool) -> Option<Vec<u8>> {
    let find =
        |needle: &[u8], from: usize| memchr::memmem::find(line.get(from..)?, needle).map(|at| at + from);
    let end: &[u8] = if line.ends_with(b"\n") { b"\n" } else { b"" };
    let begin =
        if *within_key { Some(0) } else { find(PEM_BEGIN, 0).filter(|at| find(PEM_KEY, *at).is_some()) };
    let begin = begin?;
    // `-----END … PRIVATE KEY-----`, on this line where the key is one value with `\n` in it.
    let closed = find(PEM_END, begin).and_then(|at| find(PEM_KEY, at)).map(|at| at + PEM_KEY.len());
    let closed =
        closed.map(|at| memchr::memmem::find(&line[at..], b"-----").map_or(at, |dashes| at + dashes + 5));
    *within_key = closed.is_none();
    let rest = closed.map_or(end, |at| &line[at..]);
    Some([&line[..begin], GONE.as_bytes(), rest].concat())
}

/// What stands in the names of the files that `kubectl diff` compares of a Secret.
const SECRET: &[u8] = b"/v1.Secret.";

/// The line without its value, if it is one of a Secret's data in a diff. What `kubectl` has masked stays.
fn without_data(line: &[u8], within: &mut Within) -> Option<Vec<u8>> {
    let is_head = [&b"diff "[..], b"--- ", b"+++ "].iter().any(|head| line.starts_with(head));
    if is_head {
        (within.secret, within.data) = (memchr::memmem::find(line, SECRET).is_some(), false);
    }
    if is_head || !within.secret {
        return None;
    }
    let text = line.trim_ascii_end();
    let end = &line[text.len()..];
    // The sign of a unified diff, or that of a normal one and a blank.
    let signs = usize::from(text.first().is_some_and(|sign| b" -+<>".contains(sign)));
    let signs = if text.starts_with(b"< ") || text.starts_with(b"> ") { 2 } else { signs };
    let body = &text[signs..];
    let words = body.trim_ascii_start();
    let indent = body.len() - words.len();
    let gone = |kept: usize| Some([&text[..kept], GONE.as_bytes(), end].concat());
    // The whole object once more, as the annotation of the last one who applied it has it.
    if words.starts_with(b"{") && memchr::memmem::find(words, b"\"kind\":\"Secret\"").is_some() {
        return gone(signs + indent);
    }
    if indent == 0 && !words.is_empty() {
        within.data = matches!(words, b"data:" | b"stringData:");
        return None;
    }
    if !within.data || words.is_empty() {
        return None;
    }
    match memchr::memmem::find(words, b": ") {
        Some(colon)
            if [&b"'***"[..], b"\"***", b"***"].iter().any(|mask| words[colon + 2..].starts_with(mask)) =>
        {
            None
        }
        Some(colon) => gone(signs + indent + colon + 2),
        None if words.ends_with(b":") => None,
        None => gone(signs + indent),
    }
}

/// The line without what the pattern matches, if it does.
fn without(line: &[u8], pattern: &Regex) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut from = 0;
    for captures in pattern.captures_iter(line) {
        let Some(whole) = captures.get(0) else { continue };
        let secret = captures.name("secret").unwrap_or(whole);
        // The end of the line is no part of a secret: lines stay as many as they were.
        let mut gone = secret.range();
        while gone.end > gone.start && line[gone.end - 1] == b'\n' {
            gone.end -= 1;
        }
        if gone.is_empty() {
            continue;
        }
        out.extend_from_slice(&line[from..gone.start]);
        out.extend_from_slice(GONE.as_bytes());
        from = gone.end;
    }
    (from > 0).then(|| {
        out.extend_from_slice(&line[from..]);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, own: &[&str]) -> String {
        let own: Vec<Secret> = own.iter().map(|pattern| Secret::new(pattern).unwrap()).collect();
        String::from_utf8(redacted(text.as_bytes(), &own).into_owned()).unwrap()
    }

    #[test]
    fn secrets_of_known_forms_go_and_their_surroundings_stay() {
        for (text, want) in [
            ("key AKIAIOSFODNN7EXAMPLE end\n", "key (redacted) end\n"),
            (
                "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
                "aws_secret_access_key = (redacted)\n",
            ),
            ("\"AWS_SESSION_TOKEN\": \"FwoGZXIvYXdzEBYaDExample\"", "\"AWS_SESSION_TOKEN\": \"(redacted)\""),
            ("Authorization: Bearer abcdefgh.ijkl\n", "Authorization: Bearer (redacted)\n"),
            (
                "postgres://app:hunter2@db:5432/x and http://a:b@c",
                "postgres://app:(redacted)@db:5432/x and http://a:(redacted)@c",
            ),
            ("t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_-d", "t=(redacted)"),
            ("ghp_0123456789012345678901234567890123456789", "(redacted)"),
            (
                "  -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- x\ny\n",
                "  (redacted)\n(redacted)\n(redacted)\n(redacted) x\ny\n",
            ),
            (
                "k = \"-----BEGIN PRIVATE KEY-----\\nMII\\n-----END PRIVATE KEY-----\\n\"\nz",
                "k = \"(redacted)\\n\"\nz",
            ),
            ("\u{1b}[33mAKIAIOSFODNN7EXAMPLE\u{1b}[0m \u{1b}[1mx\r\n", "(redacted) x\r\n"),
            ("{\"a\": \"id:\\nAKIAIOSFODNN7EXAMPLE\"}", "{\"a\": \"id:\\n(redacted)\"}"),
            ("Bearer abc\u{1b}[0mdefghijklmnop", "Bearer (redacted)"),
            ("postgres://u:p@ss@h/x", "postgres://u:(redacted)@h/x"),
            ("{\"SecretAccessKey\": \"wJalrXUtnFEMIK7MDENG\"}", "{\"SecretAccessKey\": \"(redacted)\"}"),
            (
                "~ password = \"old one\" -> \"new, one\"\n- db_password: abc\n+db_password: 'd e'\n",
                "~ password = (redacted)\n- db_password: (redacted)\n+db_password: (redacted)\n",
            ),
            (
                "mysql --password=hunter2 -u x; PASSWORD='a b' y",
                "mysql --password=(redacted) -u x; PASSWORD=(redacted) y",
            ),
            (
                "{\"user\": \"u\", \"password\": \"a,b\", \"apiKey\":\"k\"} {\\\"passwd\\\": \\\"x\\\"}",
                "{\"user\": \"u\", \"password\": (redacted), \"apiKey\":(redacted)} {\\\"passwd\\\": (redacted)}",
            ),
            // What a password itself may have in it.
            (
                "~ password = \"a\\\"b1\" -> \"c\\\"d2\"\n{\"password\": \"e\\\"f3\\\\\", \"x\": 1}\n",
                "~ password = (redacted)\n{\"password\": (redacted), \"x\": 1}\n",
            ),
            (
                "-password=a;b,c'd\n+password: a;b&c'd\n password=x;y z\n",
                "-password=(redacted)\n+password: (redacted)\n password=(redacted);y z\n",
            ),
            (
                "password = \"of many\nlines\"\npassword: 'a\n",
                "password = (redacted)\nlines\"\npassword: (redacted)\n",
            ),
            (
                "client-secret: x1\n{\"auth-token\": \"y\"}\nx-api-key=zz\n",
                "client-secret: (redacted)\n{\"auth-token\": (redacted)}\nx-api-key=(redacted)\n",
            ),
            (
                "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQ\n-----END PGP PRIVATE KEY BLOCK-----\nx\n",
                "(redacted)\n(redacted)\n(redacted)\nx\n",
            ),
            // What is said of passwords.
            (
                "wrong password: access denied for user x\n~ password = (sensitive value)\npassword:\npassword_length = 12\n",
                "wrong password: access denied for user x\n~ password = (sensitive value)\npassword:\npassword_length = 12\n",
            ),
            // A Secret that is to be deleted.
            (
                "diff -u -N /tmp/LIVE-1/v1.Secret.shop.s /tmp/MERGED-2/v1.Secret.shop.s\n--- /tmp/LIVE-1/v1.Secret.shop.s\n@@ -1,4 +0,0 @@\n-data:\n-  dsn: cHJ1bmVk\n-  many: |\n-    line\n-  masked: '*** (before)'\n-kind: Secret\n-    {\"data\":{\"dsn\":\"x\"},\"kind\":\"Secret\"}\n-  name: s\ndiff -u /tmp/LIVE-1/v1.ConfigMap.a.b c\n data:\n-  dsn: shown\n",
                "diff -u -N /tmp/LIVE-1/v1.Secret.shop.s /tmp/MERGED-2/v1.Secret.shop.s\n--- /tmp/LIVE-1/v1.Secret.shop.s\n@@ -1,4 +0,0 @@\n-data:\n-  dsn: (redacted)\n-  many: (redacted)\n-    (redacted)\n-  masked: '*** (before)'\n-kind: Secret\n-    (redacted)\n-  name: s\ndiff -u /tmp/LIVE-1/v1.ConfigMap.a.b c\n data:\n-  dsn: shown\n",
            ),
            // A plan with all its values.
            (
                "x\n{\"format_version\":\"1.2\",\"resource_changes\":[{\"v\":\"hunter2\"}]}\ny\n{\"format_version\":\"1.0\",\"valid\":true}\n",
                "x\n(redacted)\ny\n{\"format_version\":\"1.0\",\"valid\":true}\n",
            ),
            (
                "{\"version\":4,\"serial\":7,\"lineage\":\"x\",\"resources\":[]}\nno \"lines\"\n",
                "(redacted)\nno \"lines\"\n",
            ),
            // Kubernetes' own mask, a certificate, a URL without a password.
            (
                "-  token: '*** (before)'\n+  token: '*** (after)'\n",
                "-  token: '*** (before)'\n+  token: '*** (after)'\n",
            ),
            ("-----BEGIN CERTIFICATE-----\nMII\n", "-----BEGIN CERTIFICATE-----\nMII\n"),
            ("https://host:8443/a@b ssh://git@host", "https://host:8443/a@b ssh://git@host"),
            ("", ""),
        ] {
            assert_eq!(of(text, &[]), want);
            assert_eq!(want.lines().count(), text.lines().count());
        }
    }

    #[test]
    fn a_check_s_own_patterns_match_within_a_line() {
        let own = ["(?s)pin=.*", "user (?P<secret>[a-z]+)"];
        assert_eq!(
            of("a pin=12\nuser bob, user eve\n", &own),
            "a (redacted)\nuser (redacted), user (redacted)\n"
        );
        // The end of a line is where `$` is, whatever ends it.
        assert_eq!(of("token: a\r\nnext\n", &["^token: (?P<secret>.+)$"]), "token: (redacted)\r\nnext\n");
        assert!(Secret::new("x*").unwrap_err().contains("could match an empty text"));
        assert!(Secret::new("(").unwrap_err().contains("no regular expression: unclosed group"));
        assert_eq!(Secret::new("a"), Secret::new("a"));
    }

    #[test]
    fn what_a_run_has_marked_goes_wherever_it_stands() {
        let marked = Marked::new(&["s3cret".to_owned(), "s3cret two".to_owned()]);
        assert_eq!(
            &*marked.out_of(b"a s3cret two,s3cret\n\xffs3cret.x\n"),
            b"a (redacted),(redacted)\n\xff(redacted).x\n"
        );
        assert!(matches!(marked.out_of(b"nothing"), Cow::Borrowed(_)));
        assert_eq!(Marked::new(&[]).out_of_text("s3cret".to_owned()), "s3cret");
    }

    #[test]
    fn what_quotes_an_output_quotes_none_of_its_secrets() {
        let token = format!("ghp_{}", "A".repeat(38));
        let printed = format!(
            "Error: token {token} refused\npassword = \"horse'y\" -> \"battery\"\npassword: null\ntoken: hunter2\n-----BEGIN PRIVATE KEY-----\nError MIIE\n"
        );
        let own = [Secret::new("^token: (?P<secret>.+)$").unwrap()];
        let of = |text: &str| without_secrets_of(text.to_owned(), &[b"", printed.as_bytes()], &own);
        assert_eq!(of("exited with code 1: token: hunter2"), "exited with code 1: token: (redacted)");
        assert_eq!(of(&format!("Error: token {}", &token[..25])), "Error: token (redacted)");
        assert_eq!(of("code 1: Error MIIE"), "code 1: (redacted)");
        assert_eq!(of("code 1: nothing"), "code 1: nothing");
        assert_eq!(of("horse'y, then battery, is null"), "(redacted), then (redacted), is null");
    }

    #[test]
    fn a_secret_that_a_cut_parts_is_on_neither_side() {
        let part = |text: &str, part| {
            String::from_utf8(redacted_part(text.as_bytes(), &[], part).into_owned()).unwrap()
        };
        assert_eq!(part("a\nkey AKIAIOSFOD", Part::Head), "a\n");
        assert_eq!(part("NN7EXAMPLE\nb\n", Part::Tail), "b\n");
        assert_eq!(
            part("x\nMII\nabc\n-----END PRIVATE KEY-----\ny\n", Part::Tail),
            "(redacted)\n(redacted)\n(redacted)\ny\n"
        );
        assert_eq!(
            part("x\ny\n-----BEGIN PRIVATE KEY-----\nM\n-----END PRIVATE KEY-----\n", Part::Tail),
            "y\n(redacted)\n(redacted)\n(redacted)\n"
        );
        let long = "z".repeat(10_000);
        assert_eq!((part(&long, Part::Head).len(), part(&long, Part::Tail).len()), (5_904, 5_904));
        assert_eq!((part("short", Part::Head), part("short", Part::Tail)), (String::new(), String::new()));
    }

    #[test]
    fn what_holds_no_secret_is_not_copied_and_need_not_be_text() {
        let bytes = b"\xff\xfe plain\n\0";
        assert!(matches!(redacted(bytes, &[]), Cow::Borrowed(_)));
        assert_eq!(
            &*redacted(b"\xff AKIAIOSFODNN7EXAMPLE \0\n\xfe", &[]),
            b"\xef\xbf\xbd (redacted) \0\n\xfe"
        );
        let pin = Secret::new("pin=.*").unwrap();
        assert_eq!(&*redacted(b"pin=a\xffb\n", &[pin]), b"(redacted)\n");
        assert!(SET.is_some());
        assert!(BUILT_IN.iter().all(|pattern| RegexBuilder::new(pattern).unicode(false).build().is_ok()));
    }
}

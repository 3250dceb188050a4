//! The grammar of Terraform's resource addresses, as its text prints them.
//!
//! ```text
//! module.vpc["a b"].module.x[0].aws_subnet.this["k \"1\""]      data.toy_lookup.l      toy_file.a (deposed object e44bc0d3)
//! ```
//!
//! A key is quoted as in HCL (`\"`, `\\`, `\n`, `$${`) and may hold anything: ` will be created`, ` has moved to `, `]`, `#`.
//! So a line is read from its left, and what follows the address is what the line says. nom stays in this file.

use memchr::memchr2;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{anychar, char, digit1, none_of};
use nom::combinator::{all_consuming, consumed, opt, recognize, value, verify};
use nom::multi::many0_count;
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

/// An address at the beginning of a line, and the rest of that line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    /// As written, without a deposed object's key.
    pub full: &'a str,
    /// Module path; empty at the root.
    pub module: &'a str,
    /// Resource type.
    pub kind: &'a str,
    /// ` (deposed object XXXXXXXX)` follows.
    pub deposed: bool,
}

/// Splits `line` after the address that it begins with.
pub(crate) fn leading(line: &str) -> Option<(Address<'_>, &str)> {
    ordinary(line).or_else(|| address(line).ok().map(|(rest, address)| (address, rest)))
}

/// Reads `OLD has moved to NEW`, without a quote's contents being mistaken for the words between.
pub(crate) fn moved(line: &str) -> Option<(Address<'_>, Address<'_>)> {
    all_consuming((terminated(address, tag(" has moved to ")), address))
        .parse(line)
        .ok()
        .map(|(_, pair)| pair)
}

/// The same for nearly every address, by bytes: names of ASCII, no escapes in a key, no deposed object. `None` leaves it to the grammar.
fn ordinary(line: &str) -> Option<(Address<'_>, &str)> {
    let mut rest = line.as_bytes();
    while let [b'm', b'o', b'd', b'u', b'l', b'e', b'.', module @ ..] = rest {
        rest = behind_name(module)?;
        rest = if let [b'.', rest @ ..] = rest { rest } else { return None };
    }
    let before = |rest: &[u8]| line.split_at_checked(line.len().checked_sub(rest.len())?);
    let (module, _) = before(rest)?;
    if let [b'd', b'a', b't', b'a', b'.', data @ ..] = rest {
        rest = data;
    }
    let (_, resource) = before(rest)?;
    let (kind, _) = resource.split_at_checked(plain_word(rest)?)?;
    let [b'.', name @ ..] = rest.get(kind.len()..)? else { return None };
    let rest = behind_name(name)?;
    if kind == "module" || rest.starts_with(b" (") {
        return None;
    }
    let (full, rest) = before(rest)?;
    let module = module.strip_suffix('.').unwrap_or(module);
    Some((Address { full, module, kind, deposed: false }, rest))
}

/// What follows `NAME`, `NAME[0]` or `NAME["key"]`.
fn behind_name(text: &[u8]) -> Option<&[u8]> {
    let rest = text.get(plain_word(text)?..)?;
    let rest = match rest {
        [b'[', b'"', key @ ..] => match key.get(memchr2(b'"', b'\\', key)?..)? {
            [b'"', rest @ ..] => rest,
            _ => return None,
        },
        [b'[', b'0'..=b'9', key @ ..] => key.get(key.iter().position(|b| !b.is_ascii_digit())?..)?,
        [b'[', ..] => return None,
        _ => return Some(rest),
    };
    if let [b']', rest @ ..] = rest { Some(rest) } else { None }
}

/// Where the word ends that `text` begins with, if it is of ASCII.
fn plain_word(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|b| !is_plain(*b)).unwrap_or(text.len());
    (end > 0 && text.get(end).is_none_or(u8::is_ascii)).then_some(end)
}

/// What a name of ASCII is made of: letters, digits, `_` and `-`.
#[inline]
pub(crate) const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-')
}

fn address(input: &str) -> IResult<&str, Address<'_>> {
    let (rest, (full, (module, kind))) = consumed((module_path, resource)).parse(input)?;
    let (rest, deposed) = opt(deposed_key).parse(rest)?;
    let module = module.strip_suffix('.').unwrap_or(module);
    Ok((rest, Address { full, module, kind, deposed: deposed.is_some() }))
}

fn module_path(input: &str) -> IResult<&str, &str> {
    recognize(many0_count((tag("module."), word, opt(index), char('.')))).parse(input)
}

/// The type of `[data.]TYPE.NAME[INDEX]`.
fn resource(input: &str) -> IResult<&str, &str> {
    let kind = verify(word, |kind: &str| kind != "module");
    preceded(opt(tag("data.")), terminated(kind, (char('.'), word, opt(index)))).parse(input)
}

/// An identifier: letters of any script, digits, `_` and `-`.
fn word(input: &str) -> IResult<&str, &str> {
    // Nearly always it is of ASCII: bytes are faster than characters.
    if let Some((word, rest)) = plain_word(input.as_bytes()).and_then(|end| input.split_at_checked(end)) {
        return Ok((rest, word));
    }
    take_while1(|c: char| {
        c.is_alphanumeric() || matches!(c, '_' | '-') || (!c.is_ascii() && !c.is_whitespace())
    })
    .parse(input)
}

/// `[0]`, `["key"]`, or `[*]` where the key isn't known yet.
fn index(input: &str) -> IResult<&str, &str> {
    delimited(char('['), alt((digit1, quoted, tag("*"))), char(']')).parse(input)
}

fn quoted(input: &str) -> IResult<&str, &str> {
    let escaped = value((), (char('\\'), anychar));
    let plain = value((), none_of("\"\\"));
    recognize((char('"'), many0_count(alt((escaped, plain))), char('"'))).parse(input)
}

fn deposed_key(input: &str) -> IResult<&str, &str> {
    let key = take_while1(|c: char| c.is_ascii_alphanumeric());
    delimited(tag(" (deposed object "), key, char(')')).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Option<(&str, &str, &str, bool, &str)> {
        let grammar = address(line).ok().map(|(rest, address)| (address, rest));
        assert!(ordinary(line).is_none_or(|found| Some(found) == grammar), "{line:?}");
        leading(line).map(|(a, rest)| (a.full, a.module, a.kind, a.deposed, rest))
    }

    #[test]
    fn an_address_ends_where_its_quotes_do() {
        for key in [
            r#"[""]"#,
            "[0]",
            r##"["# x will be created"]"##,
            r#"["$${x}"]"#,
            r#"["%%{x}"]"#,
            r#"["'"]"#,
            r#"["-> null"]"#,
            r#"["]"]"#,
            r#"["a.b"]"#,
            r#"["a[0]"]"#,
            r#"["back\\slash"]"#,
            r#"["back\\"]"#,
            r#"["new\nline"]"#,
            r#"["x\"y"]"#,
            r#"["x\"].y has moved to z"]"#,
            r#"["日本語 🦀"]"#,
        ] {
            let full = format!("terraform_data.r{key}");
            let line = format!("{full} will be created");
            assert_eq!(split(&line), Some((&*full, "", "terraform_data", false, " will be created")));
            let full = format!("module.m{key}.module.n.terraform_data.r{key}");
            let module = format!("module.m{key}.module.n");
            let line = format!("{full} has changed");
            assert_eq!(split(&line), Some((&*full, &*module, "terraform_data", false, " has changed")));
        }
    }

    #[test]
    fn data_sources_odd_names_and_deposed_objects() {
        assert_eq!(split("data.toy_lookup.l"), Some(("data.toy_lookup.l", "", "toy_lookup", false, "")));
        assert_eq!(
            split("module.data.data.http.größe-2 will"),
            Some(("module.data.data.http.größe-2", "module.data", "http", false, " will"))
        );
        assert_eq!(
            split("toy_file.a (deposed object e44bc0d3) will be destroyed"),
            Some(("toy_file.a", "", "toy_file", true, " will be destroyed"))
        );
        assert_eq!(split("toy_file.a[*] x"), Some(("toy_file.a[*]", "", "toy_file", false, " x")));
    }

    #[test]
    fn what_is_no_address_is_none() {
        for line in ["", "x", "x.", ".x.y", "module.m", "module.m.x", " x.y", "(because x.y", "x .y"] {
            assert_eq!(split(line), None, "{line:?}");
        }
        // An index that isn't one stays outside: the words after it then mean nothing to anybody.
        assert_eq!(split("x.y[\"open"), Some(("x.y", "", "x", false, "[\"open")));
    }

    #[test]
    fn an_ordinary_address_needs_no_grammar() {
        for (line, module) in [
            ("toy_file.a will be", ""),
            (
                "module.m[12].module.n-1[\"日 ]\"].data.toy_x.a_b[\"k.1\"] has",
                "module.m[12].module.n-1[\"日 ]\"]",
            ),
            ("module.data.data.http.x", "module.data"),
            ("data.data.x[0][1]", ""),
        ] {
            assert_eq!(ordinary(line).map(|(address, _)| address.module), Some(module), "{line:?}");
            assert!(split(line).is_some());
        }
        // Cut and damaged anywhere, both say the same where the first says anything.
        let line = r#"module.m["a\"b"].module.module.data.t.n[3] (deposed object 1f) has moved"#;
        for at in 0..line.len() {
            split(&line[at..]);
            split(&line[..at]);
            for with in [".", "[", "]", "\"", "\\", " ", "é", "0", "module."] {
                split(&format!("{}{with}{}", &line[..at], &line[at + 1..]));
                split(&format!("{}{with}{}", &line[..at], &line[at..]));
            }
        }
    }

    #[test]
    fn a_move_is_split_where_quotes_balance() {
        let line = r#"a.b[" has moved to c.d"] has moved to module.m[0].a.b["has moved to"]"#;
        let (old, new) = moved(line).unwrap();
        assert_eq!(old.full, r#"a.b[" has moved to c.d"]"#);
        assert_eq!((new.full, new.module), (r#"module.m[0].a.b["has moved to"]"#, "module.m[0]"));
        assert_eq!(moved("a.b has moved to a.c or so"), None);
        assert_eq!(moved("a.b has changed"), None);
    }
}

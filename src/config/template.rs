//! Strings with holes: `{name}` from `for_each`, `${VAR}` from the environment. Nothing of which key they stand in.

use std::collections::BTreeMap;

/// Names and values of one item of a `for_each`.
pub(super) type Variables = BTreeMap<String, String>;

/// Where environment variables come from.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The name that is replaced when a run starts, by the run's private folder.
pub(super) const TMP: &str = "tmp";

/// How it is written.
pub const TMP_HOLE: &str = "{tmp}";

/// `text` with every `{name}` replaced whose name is a variable. Any other brace stays, and so does `${name}`.
pub(super) fn fill(text: &str, variables: &Variables) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, hole) = rest.split_at(at);
        out.push_str(before);
        let name = hole[1..].split('}').next().unwrap_or_default();
        match variables.get(name) {
            Some(value) if !out.ends_with('$') && hole.len() > name.len() + 1 => {
                out.push_str(value);
                rest = &hole[name.len() + 2..];
            }
            _ => {
                out.push('{');
                rest = &hole[1..];
            }
        }
    }
    out + rest
}

/// `text` with `${VAR}`, `${VAR:-default}` and `$$` expanded.
///
/// # Errors
/// The name of a variable that is not set, or what is wrong with the braces.
pub(super) fn expand(text: &str, environment: Environment<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(braced) = tail.strip_prefix('{') {
            let Some((hole, after)) = braced.split_once('}') else {
                return Err(format!("{text:?} lacks the closing brace of ${{"));
            };
            let (name, default) =
                hole.split_once(":-").map_or((hole, None), |(name, default)| (name, Some(default)));
            let value = environment(name).filter(|value| default.is_none() || !value.is_empty());
            match (value, default) {
                (Some(value), _) => out.push_str(&value),
                (None, Some(default)) => out.push_str(default),
                (None, None) => {
                    return Err(format!(
                        "environment variable {name:?} is not set; set it, write ${{{name}:-default}}, or $$ for a dollar sign"
                    ));
                }
            }
            rest = after;
        } else {
            out.push('$');
            rest = tail;
        }
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_are_replaced() {
        let variables = Variables::from([("env".to_owned(), "prod".to_owned())]);
        assert_eq!(
            fill("a-{env}/{other}{env} {} {env ${env} {{env}}", &variables),
            "a-prod/{other}prod {} {env ${env} {prod}"
        );
    }

    #[test]
    fn environment_variables_have_defaults_and_escapes() {
        let environment = |name: &str| match name {
            "HOME" => Some("/home/ops".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        assert_eq!(
            expand("${HOME}/$$x/$y/${NONE:-d}/${EMPTY:-e}${EMPTY}", &environment).unwrap(),
            "/home/ops/$x/$y/d/e"
        );
        assert!(expand("${NONE}", &environment).unwrap_err().contains("\"NONE\" is not set"));
        assert!(expand("${HOME", &environment).unwrap_err().contains("closing brace"));
    }
}

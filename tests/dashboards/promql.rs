//! What the rules look at in an expression: its selectors, and what each stands in. Whether it is one at all, Prometheus says.

const KEYWORDS: [&str; 10] =
    ["and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right"];

#[derive(Debug, PartialEq)]
enum Token<'e> {
    /// A name, a number, a duration, a variable of Grafana's.
    Word(&'e str),
    /// What stands between double quotes.
    Text(&'e str),
    Sign(char),
}

/// `function(metric{matchers}[range])`.
#[derive(Debug, PartialEq)]
pub struct Selector {
    pub metric: String,
    /// Each as it is written, without spaces.
    pub matchers: Vec<String>,
    pub range: Option<String>,
    /// What it is the first argument of, without anything between.
    pub function: Option<String>,
}

/// Every selector of an expression, in order.
pub fn selectors(expression: &str) -> Vec<Selector> {
    let tokens = tokens(expression);
    let sign = |at: usize, sign: char| tokens.get(at) == Some(&Token::Sign(sign));
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => Some(*word),
        _ => None,
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Some(name) = word(at).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic())) else {
            at += 1;
            continue;
        };
        at += 1;
        if KEYWORDS.contains(&name) {
            // `and` has no list; of those that have one it is skipped, unless what follows is an operand.
            if !matches!(name, "and" | "or" | "unless" | "bool") && sign(at, '(') {
                at = after(&tokens, at, ')');
            }
            continue;
        }
        if sign(at, '(') || matches!(word(at), Some("by" | "without")) {
            continue;
        }
        let before = at.checked_sub(3).and_then(word).filter(|_| sign(at - 2, '('));
        let mut selector = Selector {
            metric: name.to_owned(),
            matchers: Vec::new(),
            range: None,
            function: before.map(str::to_owned),
        };
        if sign(at, '{') {
            let end = after(&tokens, at, '}');
            let inner = tokens.get(at + 1..end - 1).unwrap_or_default();
            let matchers = inner.split(|token| *token == Token::Sign(',')).map(written);
            selector.matchers = matchers.filter(|matcher| !matcher.is_empty()).collect();
            at = end;
        }
        if sign(at, '[') {
            let end = after(&tokens, at, ']');
            selector.range = tokens.get(at + 1..end - 1).map(written);
            at = end;
        }
        found.push(selector);
    }
    found
}

/// The place after the next such sign.
fn after(tokens: &[Token<'_>], from: usize, sign: char) -> usize {
    let found = tokens.iter().skip(from).position(|token| *token == Token::Sign(sign));
    found.map_or(tokens.len(), |found| from + found + 1)
}

fn written(tokens: &[Token<'_>]) -> String {
    let one = |token: &Token<'_>| match token {
        Token::Word(word) => (*word).to_owned(),
        Token::Text(text) => format!("\"{text}\""),
        Token::Sign(sign) => sign.to_string(),
    };
    tokens.iter().map(one).collect()
}

fn tokens(expression: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let of_word = |c: char| c.is_ascii_alphanumeric() || "_:.$".contains(c);
        if let Some(quoted) = rest.strip_prefix('"') {
            // No text in a dashboard has a quote in it.
            let (text, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            tokens.push(Token::Text(text));
            rest = after;
        } else if of_word(first) {
            let (word, after) = rest.split_at(rest.find(|c| !of_word(c)).unwrap_or(rest.len()));
            tokens.push(Token::Word(word));
            rest = after;
        } else {
            tokens.push(Token::Sign(first));
            rest = &rest[first.len_utf8()..];
        }
        rest = rest.trim_start();
    }
    tokens
}

#[test]
fn selectors_are_found_wherever_they_stand() {
    let expression = "1.5 * sum by (a, b) (rate(x_total{c=\"by (d)\", e=~\"$f\"}[$__rate_interval])) > on (g) group_left (h) up \
        or count_values without (i) (\"j\", k) unless time() - max(y{}) > 5m and ignoring (l) m";
    let found: Vec<String> = selectors(expression)
        .into_iter()
        .map(|s| {
            let function = s.function.unwrap_or_default();
            format!("{function} {} {:?} {}", s.metric, s.matchers, s.range.unwrap_or_default())
        })
        .collect();
    let expected = [
        r#"rate x_total ["c=\"by (d)\"", "e=~\"$f\""] $__rate_interval"#,
        " up [] ",
        " k [] ",
        "max y [] ",
        " m [] ",
    ];
    assert_eq!(found, expected);
}

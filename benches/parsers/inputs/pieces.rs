//! Pieces of the real outputs in `fixtures/`, and how many copies of one are put into a text without `format!` for each.

use std::path::Path;

/// The standard output of a fixture, `PARSER/CASE`.
pub fn real(case: &str) -> String {
    fixture(&format!("{case}/stdout"))
}

/// A file below `fixtures/`.
pub fn fixture(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(file);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A piece of text with holes, in which each copy has words of its own.
pub struct Piece {
    /// What stands before each hole, and which of the values fills it.
    holes: Vec<(String, usize)>,
    rest: String,
}

impl Piece {
    /// A piece with a hole wherever one of `words` stands, for the value of the same position. Every word must be there: a fixture
    /// that has changed would make equal names.
    pub fn new(text: &str, words: &[&str]) -> Self {
        for word in words {
            assert!(text.contains(word), "no {word:?} in {text:?}");
        }
        let (mut holes, mut rest) = (Vec::new(), text);
        let next = |rest: &str| {
            let found = words.iter().enumerate().filter_map(|(which, word)| Some((rest.find(word)?, which)));
            found.min()
        };
        while let Some((at, which)) = next(rest) {
            holes.push((rest[..at].to_owned(), which));
            rest = &rest[at + words[which].len()..];
        }
        Self { holes, rest: rest.to_owned() }
    }

    /// Appends a copy.
    pub fn put(&self, text: &mut String, values: &[&str]) {
        for (before, which) in &self.holes {
            text.push_str(before);
            text.push_str(values[*which]);
        }
        text.push_str(&self.rest);
    }

    /// About how long a copy is.
    pub fn len(&self) -> usize {
        self.rest.len() + self.holes.iter().map(|(before, _)| before.len() + 24).sum::<usize>()
    }
}

/// The first line that holds `mark`, with its end.
pub fn line<'a>(text: &'a str, mark: &str) -> &'a str {
    let at = text.find(mark).unwrap();
    let begin = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
    &text[begin..end]
}

/// From `first` to before the `next` after it, or to the end.
pub fn between<'a>(text: &'a str, first: &str, next: &str) -> &'a str {
    let begin = text.find(first).unwrap();
    let behind = begin + first.len();
    &text[begin..text[behind..].find(next).map_or(text.len(), |end| behind + end)]
}

/// The JSON object that begins with `head`, after `section`.
pub fn object<'a>(text: &'a str, section: &str, head: &str) -> &'a str {
    let section = text.find(section).unwrap();
    let begin = section + text[section..].find(head).unwrap();
    let mut objects = serde_json::Deserializer::from_str(&text[begin..]).into_iter::<serde::de::IgnoredAny>();
    objects.next().unwrap().unwrap();
    &text[begin..begin + objects.byte_offset()]
}

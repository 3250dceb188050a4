//! A Markdown file as a reader sees it: blocks of code in their order with the marks before them, links, headings.
//!
//! A mark is an HTML comment directly before a block, which no rendered page shows:
//!
//! | mark | before | means |
//! |---|---|---|
//! | `<!-- not run: REASON -->` | `sh`, `yaml` | it can't run here |
//! | `<!-- exit code: N -->` | `sh`, of one command | it ends with that code |
//! | `<!-- serves -->` | `sh` | its last line is a server, which stays until the page ends or the next one serves |
//! | `<!-- page PATH: TEXT -->` | `sh` | driftrun's page at this path shows this text, sooner or later; then the block is run |
//! | `<!-- output -->` | no language | what the block of `sh` before it printed on standard output; a line `…` is any number of lines, `…` in a line any text |
//! | `<!-- output, soon -->` | no language | what it prints sooner or later, when it is run again and again |
//! | `<!-- lines of: COMMAND -->` | no language | each line is one that the command prints, sooner or later |
//! | `<!-- empty here: REASON -->` | `promql` | the Prometheus of the tests has no answer to it |
//! | `<!-- file: NAME -->` | any language but `sh` | the reader has it in a file of that name |

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The project.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a comment before a block says of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Mark {
    None,
    NotRun(String),
    ExitCode(i32),
    Serves,
    Page { path: String, text: String },
    Output { soon: bool },
    LinesOf(String),
    File(String),
    EmptyHere(String),
}

impl Mark {
    /// `comment` is all of it, with its brackets.
    fn parse(comment: &str) -> Option<Self> {
        let text = comment.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim();
        Some(match text {
            "serves" => Self::Serves,
            "output" => Self::Output { soon: false },
            "output, soon" => Self::Output { soon: true },
            _ => match text.split_once(": ") {
                Some(("not run", reason)) => Self::NotRun(reason.to_owned()),
                Some(("exit code", code)) => Self::ExitCode(code.parse().ok()?),
                Some(("lines of", command)) => Self::LinesOf(command.to_owned()),
                Some(("empty here", reason)) => Self::EmptyHere(reason.to_owned()),
                Some(("file", name)) => Self::File(name.to_owned()),
                Some((page, text)) => {
                    let path = page.strip_prefix("page ")?.to_owned();
                    Self::Page { path, text: text.to_owned() }
                }
                None => return None,
            },
        })
    }
}

/// A fenced or indented block of code.
#[derive(Debug)]
pub struct Block {
    /// Empty where none is given.
    pub language: String,
    pub text: String,
    pub mark: Mark,
    /// From 1.
    pub line: usize,
}

/// A Markdown file of the project.
pub struct Page {
    /// Relative to the project.
    pub path: String,
    pub text: String,
    pub blocks: Vec<Block>,
    /// Where links and pictures lead, as they are written, with their lines.
    pub links: Vec<(usize, String)>,
    /// What `#…` can name, as GitHub makes it of headings.
    pub anchors: Vec<String>,
}

impl Page {
    pub fn read(path: &str) -> Self {
        let text = fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
        Self::of(path, text)
    }

    pub fn of(path: &str, text: String) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            text: String::new(),
            blocks: vec![],
            links: vec![],
            anchors: vec![],
        };
        let line = |range: &Range<usize>| text[..range.start].matches('\n').count() + 1;
        let (mut comment, mut heading, mut block) = (None, None, None);
        let mut headings = vec![];
        for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Html(html) => {
                    let found = Mark::parse(&html);
                    let (path, line) = (&page.path, line(&range));
                    assert!(found.is_some() || !html.contains("<!--"), "{path}:{line}: no such mark: {html}");
                    comment = found;
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    let mark = comment.take().unwrap_or(Mark::None);
                    block = Some(Block { language, text: String::new(), mark, line: line(&range) });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap());
                    let before = headings.iter().filter(|of| **of == anchor).count();
                    let numbered = if before == 0 { anchor.clone() } else { format!("{anchor}-{before}") };
                    headings.push(anchor);
                    page.anchors.push(numbered);
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line(&range), dest_url.to_string()));
                }
                Event::Text(words) | Event::Code(words) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&words);
                    }
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
                Event::Start(_) => {
                    let at = format!("{}:{}", page.path, line(&range));
                    assert_eq!(comment.take(), None, "{at}: a mark that stands before no block");
                }
                _ => {}
            }
        }
        assert_eq!(comment, None, "{}: a mark at its end", page.path);
        page.text = text;
        page
    }

    /// `PATH:LINE`
    pub fn place(&self, block: &Block) -> String {
        format!("{}:{}", self.path, block.line)
    }

    /// Where relative links lead: the file or folder, relative to the project, and the anchor.
    pub fn targets(&self) -> Vec<(usize, PathBuf, Option<String>)> {
        let relative = self.links.iter().filter(|(_, link)| !link.contains("://"));
        relative
            .map(|(line, link)| {
                let (path, anchor) = match link.split_once('#') {
                    Some((path, anchor)) => (path, Some(anchor.to_owned())),
                    None => (link.as_str(), None),
                };
                let target = if path.is_empty() {
                    PathBuf::from(&self.path)
                } else {
                    tidy(&Path::new(&self.path).parent().unwrap().join(path))
                };
                (*line, target, anchor)
            })
            .collect()
    }
}

/// Without `..` and `.`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => assert!(tidy.pop(), "{} leaves the project", path.display()),
            std::path::Component::CurDir => {}
            part => tidy.push(part),
        }
    }
    tidy
}

/// What GitHub makes of a heading: small letters, digits, `_` and `-`; blanks become `-`.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

/// Every Markdown file of the project that people read, relative to it.
pub fn markdown() -> Vec<String> {
    let mut found: Vec<String> =
        ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned).into();
    let mut folders = vec![PathBuf::from("docs"), PathBuf::from("deploy")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(Path::new(ROOT).join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

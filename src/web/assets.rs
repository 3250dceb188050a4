//! What pages load beside themselves: one style sheet, one script, one picture. All of it in the binary.

use crate::schedule::fnv1a;
use std::sync::LazyLock;

/// One of them.
#[derive(Debug)]
pub(super) struct Asset {
    /// Below the prefix.
    at: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// Its content.
    pub content: &'static str,
}

pub(super) static STYLE: Asset =
    Asset { at: "/assets/style.css", kind: "text/css; charset=utf-8", content: include_str!("style.css") };
pub(super) static SCRIPT: Asset =
    Asset { at: "/assets/live.js", kind: "text/javascript; charset=utf-8", content: include_str!("live.js") };
pub(super) static ICON: Asset =
    Asset { at: "/assets/icon.svg", kind: "image/svg+xml", content: include_str!("icon.svg") };

/// A number made of all of them: it is another one when any of them is.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: String = [&STYLE, &SCRIPT, &ICON].map(|asset| asset.content).concat();
    format!("{:016x}", fnv1a(all.as_bytes()))
});

impl Asset {
    /// Its address below the prefix: another one when it changes, so that it may be kept for ever.
    pub(super) fn path(&self) -> String {
        format!("{}?v={}", self.at, *VERSION)
    }
}

/// The one at this path, if there is one.
pub(super) fn at(path: &str) -> Option<&'static Asset> {
    [&STYLE, &SCRIPT, &ICON].into_iter().find(|asset| asset.at == path)
}

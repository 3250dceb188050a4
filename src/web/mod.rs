//! HTTP: [`respond`] is a pure function from a request and a snapshot to an answer; `server` is hyper around it; `pages` is the HTML.

pub mod access;
mod body;
mod connections;
mod diff;
mod listen;
mod pages;
pub mod rate;
mod seldom;
mod server;
pub mod tls;
pub mod users;

pub use body::Pieces;
pub use listen::{Listener, activated, bind};
pub use server::{Asking, Bound};

use crate::metrics::{self, Encoding, Exposition, WebConfigState};
use crate::snapshot::Snapshot;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use jiff::Timestamp;
use prometheus::proto::MetricFamily;

/// The style sheet of all pages.
const STYLE: &str = include_str!("style.css");

/// Nothing but our own style sheet may load, run or be sent anywhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where whoever may loads the configuration again.
const RELOAD: &str = "/-/reload";

/// What costs the same for everybody, beside the metrics.
const QUICK: [&str; 3] = ["/-/healthy", "/-/ready", "/assets/style.css"];

/// What of a command's output a page may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Everything.
    Output,
    /// Tables only: whoever can connect could read secrets in an output.
    TablesOnly,
}

/// What is answered at which path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// The overview at `/`, a page for each check, nothing at paths that nobody knows.
    Own,
    /// As prom-run: the page of its one check at `/` and at every path that isn't driftrun's, and its metrics beside driftrun's.
    PromRun,
}

/// What answers depend on besides the state.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// What all paths begin with: empty, or `/` and a name or more.
    pub prefix: &'a str,
    /// What the links in pages begin with: the same, unless somebody in between takes a prefix away.
    pub link: &'a str,
    /// Where the metrics are, below the prefix.
    pub metrics_path: &'a str,
    /// What pages may show.
    pub show: Show,
    /// What is answered where.
    pub paths: Paths,
    /// Whether the end has begun.
    pub stopping: bool,
    /// The process' own metrics; only where metrics are asked for.
    pub process_metrics: &'a [MetricFamily],
    /// How the web configuration was loaded, where there is one.
    pub web_config: Option<WebConfigState>,
    /// The time of day.
    pub now: Timestamp,
}

impl Site<'_> {
    /// The path below the prefix; nothing where it isn't below it.
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        below(self.prefix, path)
    }
}

fn below<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    let below = path.strip_prefix(prefix)?;
    // `/x` is `/x/` to people.
    if below.is_empty() && !prefix.is_empty() { Some("/") } else { Some(below) }
}

/// Answers a request; a path is taken as it was sent, and no name of a check has to be encoded in one. HEAD is answered like GET; the server leaves
/// the body out.
pub fn respond(request: &Parts, snapshot: &Snapshot, site: &Site<'_>) -> Response<Pieces> {
    let path = site.below(request.uri.path());
    if request.method != Method::GET && request.method != Method::HEAD {
        return not_allowed(if path == Some(RELOAD) { "POST, PUT" } else { "GET, HEAD" });
    }
    match path {
        Some("/") if site.paths == Paths::Own => html(StatusCode::OK, pages::overview(snapshot, site)),
        Some("/-/healthy") => text(StatusCode::OK, "driftrun is healthy.\n"),
        Some("/-/ready") if site.stopping => text(StatusCode::SERVICE_UNAVAILABLE, "driftrun is stopping.\n"),
        Some("/-/ready") => text(StatusCode::OK, "driftrun is ready.\n"),
        Some(RELOAD) => not_allowed("POST, PUT"),
        Some("/assets/style.css") => {
            content(StatusCode::OK, "text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes()))
        }
        Some(path) if path == site.metrics_path => scrape(&request.headers, snapshot, site),
        path => {
            let named = path.and_then(|path| snapshot.get(path.strip_prefix("/checks/")?));
            let only = match site.paths {
                Paths::Own => None,
                Paths::PromRun => snapshot.views.first(),
            };
            match named.or(only) {
                Some(view) => html(StatusCode::OK, pages::check(view, site)),
                None => html(StatusCode::NOT_FOUND, pages::not_found(site)),
            }
        }
    }
}

/// The metrics, in the format and encoding that the scraper likes best.
fn scrape(headers: &HeaderMap, snapshot: &Snapshot, site: &Site<'_>) -> Response<Pieces> {
    let format = metrics::format(&joined(headers, &ACCEPT));
    let encoding = metrics::encoding(&joined(headers, &ACCEPT_ENCODING));
    let mut exposition = Exposition::new(format);
    exposition.add_all(snapshot);
    if site.paths == Paths::PromRun {
        exposition.add_prom_run(snapshot);
    }
    if let Some(state) = &site.web_config {
        exposition.add_web_config(state);
    }
    exposition.add_process(site.process_metrics);
    let mut response = content(StatusCode::OK, "", exposition.finish(encoding));
    let headers = response.headers_mut();
    if let Ok(kind) = format.content_type().try_into() {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if encoding == Encoding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// All headers of that name as one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn not_allowed(allow: &'static str) -> Response<Pieces> {
    let body = match allow {
        "GET, HEAD" => "only GET and HEAD are answered here\n",
        _ => "only POST and PUT are answered here\n",
    };
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, body);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Pieces> {
    content(status, "text/plain; charset=utf-8", body.into())
}

fn html(status: StatusCode, page: maud::Markup) -> Response<Pieces> {
    let mut response = content(status, "text/html; charset=utf-8", Bytes::from(page.into_string()));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response.headers_mut().insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

fn content(status: StatusCode, kind: &'static str, body: impl Into<Pieces>) -> Response<Pieces> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

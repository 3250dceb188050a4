//! HTTP: [`respond`] is a pure function from a request and a snapshot to an answer; `server` is hyper around it; `pages` is the HTML.

pub mod access;
mod ansi;
mod api;
mod assets;
mod body;
mod connections;
mod events;
mod listen;
mod pages;
mod query;
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
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, LOCATION,
    VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use jiff::Timestamp;
use prometheus::proto::MetricFamily;
use std::io::Write as _;

/// Nothing but what is ours may be loaded, run or asked, and nothing stands in a page itself that could be run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Below it, what programs ask for.
const API: &str = "/api/v1/";

/// Where whoever may loads the configuration again.
const RELOAD: &str = "/-/reload";

/// What costs the same for everybody, beside the metrics.
const QUICK: [&str; 2] = ["/-/healthy", "/-/ready"];

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
    /// Whether a run can be asked for.
    pub lifecycle: bool,
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
        if path.is_some_and(|path| path.starts_with(API)) {
            let answer =
                api::Answer::error(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here");
            return allowing("GET, HEAD", api_answer(answer, &request.headers));
        }
        return not_allowed(if path == Some(RELOAD) { "POST, PUT" } else { "GET, HEAD" });
    }
    let query = request.uri.query();
    match path {
        Some("/") if site.paths == Paths::Own => html(StatusCode::OK, pages::overview(snapshot, site, query)),
        Some("/-/healthy") => text(StatusCode::OK, "driftrun is healthy.\n"),
        Some("/-/ready") if site.stopping => text(StatusCode::SERVICE_UNAVAILABLE, "driftrun is stopping.\n"),
        Some("/-/ready") => text(StatusCode::OK, "driftrun is ready.\n"),
        Some(RELOAD) => not_allowed("POST, PUT"),
        Some(path) if path == site.metrics_path => scrape(&request.headers, snapshot, site),
        Some(path) if path.starts_with(API) => {
            let response =
                api_answer(api::answer(&path[API.len()..], query, snapshot, site), &request.headers);
            if response.status() == StatusCode::METHOD_NOT_ALLOWED {
                allowing("POST", response)
            } else {
                response
            }
        }
        path => match path.and_then(assets::at) {
            Some(asset) => kept_for_ever(asset),
            None => html_page(path, query, snapshot, site),
        },
    }
}

/// The page of a check, or of one of its runs.
fn html_page(
    path: Option<&str>,
    query: Option<&str>,
    snapshot: &Snapshot,
    site: &Site<'_>,
) -> Response<Pieces> {
    let below = path.and_then(|path| path.strip_prefix("/checks/"));
    let (name, run) = match below.map(|below| below.split_once("/runs/")) {
        Some(Some((name, run))) => (Some(name), Some(run)),
        Some(None) => (below, None),
        None => (None, None),
    };
    let named = name.and_then(|name| snapshot.get(name));
    if let (Some(view), Some(id)) = (named, run) {
        return match api::find_run(view, id, snapshot) {
            Some(run) => {
                let past = view.state.history.get(run.started.as_millisecond());
                html(StatusCode::OK, pages::run(view, &run, past.map(AsRef::as_ref), site))
            }
            None => html(StatusCode::NOT_FOUND, pages::no_such_run(site, name.unwrap_or_default())),
        };
    }
    let only = match site.paths {
        Paths::Own => None,
        Paths::PromRun => snapshot.views.iter().next(),
    };
    match named.or(only) {
        Some(view) => html(StatusCode::OK, pages::check(view, snapshot, site, query)),
        None => html(StatusCode::NOT_FOUND, pages::not_found(site)),
    }
}

/// An answer for a program, with a tag by which it can ask whether it is still the same.
fn api_answer(answer: api::Answer, headers: &HeaderMap) -> Response<Pieces> {
    let (mut response, tag) = match answer {
        api::Answer::Json(status, json) => {
            let tag = (status == StatusCode::OK).then(|| tag(&json));
            (content(status, "application/json", Bytes::from(json)), tag)
        }
        api::Answer::Output(bytes, name) => {
            let tag = tag(&bytes);
            let mut response = text(StatusCode::OK, bytes);
            if let Ok(name) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
                response.headers_mut().insert(CONTENT_DISPOSITION, name);
            }
            (response, Some(tag))
        }
    };
    if let Some(tag) = tag {
        let same = headers.get_all(IF_NONE_MATCH).iter().any(|known| {
            let known = known.to_str().unwrap_or_default().split(',');
            known.map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
        });
        if same {
            response = content(StatusCode::NOT_MODIFIED, "application/json", Bytes::new());
            response.headers_mut().remove(CONTENT_TYPE);
        }
        if let Ok(tag) = HeaderValue::try_from(tag) {
            response.headers_mut().insert(ETAG, tag);
        }
        // To be kept, and asked for again each time.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    response
}

fn tag(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let (half, _) = digest.as_ref().as_chunks::<16>();
    let number = half.first().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    format!("\"{number:032x}\"")
}

/// What is shorter is sent as it is.
const PACKED_FROM: u64 = 2 << 10;

/// The same answer with its body compressed, where whoever asks likes that and it is worth it.
fn packed(response: Response<Pieces>, headers: &HeaderMap) -> Response<Pieces> {
    let wanted = metrics::encoding(&joined(headers, &ACCEPT_ENCODING)) == Encoding::Gzip;
    if !wanted || response.body().len() < PACKED_FROM || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let bytes = Bytes::from(body.concat());
    let Ok(packed) = encoder.write_all(&bytes).and_then(|()| encoder.finish()) else {
        return Response::from_parts(parts, bytes.into());
    };
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    // Not byte for byte what the tag was made of.
    if let Some(Ok(weak)) =
        parts.headers.get(ETAG).map(|tag| HeaderValue::try_from([b"W/", tag.as_bytes()].concat()))
    {
        parts.headers.insert(ETAG, weak);
    }
    Response::from_parts(parts, Bytes::from(packed).into())
}

/// Its address says which one it is.
fn kept_for_ever(asset: &'static assets::Asset) -> Response<Pieces> {
    let mut response = content(StatusCode::OK, asset.kind, Bytes::from_static(asset.content.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
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
    allowing(allow, text(StatusCode::METHOD_NOT_ALLOWED, body))
}

fn allowing(allow: &'static str, mut response: Response<Pieces>) -> Response<Pieces> {
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Look there instead.
fn see_other(path: &str) -> Response<Pieces> {
    let mut response = text(StatusCode::SEE_OTHER, "");
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Pieces> {
    content(status, "text/plain; charset=utf-8", body.into())
}

fn html(status: StatusCode, page: maud::Markup) -> Response<Pieces> {
    let mut response = content(status, "text/html; charset=utf-8", Bytes::from(page.into_string()));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // Not `no-referrer`: a form would be sent as if nobody had sent it.
    response.headers_mut().insert("referrer-policy", HeaderValue::from_static("same-origin"));
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

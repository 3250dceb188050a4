//! HTTP: [`respond`] is a pure function from a request and a snapshot to an answer; `server` is hyper around it; `pages` is the HTML.

pub mod access;
mod diff;
mod pages;
pub mod rate;
mod server;
pub mod tls;
pub mod users;

pub use server::{Bound, Listener, bind};

use crate::metrics;
use crate::snapshot::Snapshot;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use jiff::Timestamp;

/// The style sheet of all pages.
const STYLE: &str = include_str!("style.css");

/// Nothing but our own style sheet may load, run or be sent anywhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
    /// Where the metrics are.
    pub metrics_path: &'a str,
    /// What pages may show.
    pub show: Show,
    /// What is answered where.
    pub paths: Paths,
    /// The process' own metrics, ready.
    pub process_metrics: &'a str,
    /// The time of day.
    pub now: Timestamp,
}

/// Answers `method` on `path` (decoded only where it names a check). HEAD is answered like GET; the server leaves the body out.
pub fn respond(method: &Method, path: &str, snapshot: &Snapshot, site: &Site<'_>) -> Response<Bytes> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/" if site.paths == Paths::Own => html(StatusCode::OK, pages::overview(snapshot, site)),
        "/-/healthy" => text(StatusCode::OK, "driftrun is healthy.\n"),
        "/-/ready" => text(StatusCode::OK, "driftrun is ready.\n"),
        "/assets/style.css" => {
            content(StatusCode::OK, "text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes()))
        }
        path if path == site.metrics_path => {
            let prom_run = match site.paths {
                Paths::Own => String::new(),
                Paths::PromRun => metrics::render_prom_run(snapshot),
            };
            let body = metrics::render(snapshot) + &prom_run + site.process_metrics;
            content(StatusCode::OK, metrics::CONTENT_TYPE, body.into())
        }
        path => {
            let named = path.strip_prefix("/checks/").and_then(|name| snapshot.get(name));
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

fn text(status: StatusCode, body: &'static str) -> Response<Bytes> {
    content(status, "text/plain; charset=utf-8", Bytes::from_static(body.as_bytes()))
}

fn html(status: StatusCode, page: maud::Markup) -> Response<Bytes> {
    let mut response = content(status, "text/html; charset=utf-8", page.into_string().into());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response.headers_mut().insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

fn content(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

//! Whether a driftrun answers: for a container's HEALTHCHECK, whose image has no other program.

use crate::client::{Trust, client};
use crate::config::units::show_duration;
use std::io::{self, Read as _};
use std::time::Duration;
use ureq::http::{StatusCode, Uri};

/// Asks `url` and waits at most `timeout`; what the answer was.
///
/// Certificates are not verified, as nothing is told and nothing is believed. That users are wanted is an answer, too.
///
/// # Errors
/// For people: no URL, nobody answers in time, or what answers is not well.
pub fn ask(url: &str, timeout: Duration) -> Result<String, String> {
    let example = "write one such as http://127.0.0.1:9152/-/healthy";
    let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no URL ({error}); {example}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.authority().is_none() {
        return Err(format!("{url:?} is no URL of a driftrun; {example}"));
    }
    let response = client(Trust::Anybody, timeout).get(uri).call();
    let mut response = response.map_err(|error| format!("{url}: {}", no_answer(error, timeout)))?;
    let status = response.status();
    if status.is_success() {
        let mut said = String::new();
        // What breaks off is not what it says either.
        let _ = response.body_mut().as_reader().take(100).read_to_string(&mut said);
        if !said.starts_with("driftrun is ") {
            return Err(format!("{url}: {status}, and it doesn't say that it is a driftrun; {example}"));
        }
    }
    if status.is_success() || status == StatusCode::UNAUTHORIZED {
        Ok(format!("{url}: {status}"))
    } else {
        let hint = match status {
            StatusCode::NOT_FOUND => "; with --web.route-prefix the path is PREFIX/-/healthy",
            StatusCode::BAD_REQUEST => "; a server with TLS wants https://",
            _ => "",
        };
        Err(format!("{url}: {status}{hint}"))
    }
}

fn no_answer(error: ureq::Error, timeout: Duration) -> String {
    match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "connection refused; does a driftrun listen there?".to_owned()
        }
        ureq::Error::Io(error) if error.to_string().contains("CertificateRequired") => {
            "only clients with a certificate get an answer there".to_owned()
        }
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(_) => format!("no answer within {}", show_duration(timeout)),
        error => error.to_string(),
    }
}

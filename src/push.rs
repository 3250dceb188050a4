//! A Pushgateway: one group {job, check} a check, over HTTP or TLS. The only place that knows how a group is spelt in a path.

use crate::client::{Trust, client};
use crate::metrics::Format;
use crate::oneshot::Push;
use crate::web::tls::unusable_certificate;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{Certificate, PemItem, parse_pem};
use ureq::{Agent, Body};

/// How often a push is tried once more.
const RETRIES: u32 = 3;

/// How many characters of an answer are quoted.
const QUOTED: usize = 300;

/// What to push to, as it was asked for.
#[derive(Clone)]
pub struct Target {
    /// `http://` or `https://`, with a path where the gateway has one, and with user and password where they stand there.
    pub url: String,
    /// The label `job` of each group.
    pub job: String,
    /// A user, and the file that holds the password.
    pub user: Option<(String, PathBuf)>,
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long one try may take.
    pub timeout: Duration,
    /// The pause before the first of three more tries; each next one is twice as long.
    pub pause: Duration,
}

/// A Pushgateway.
pub struct Gateway {
    agent: Agent,
    /// Without user, password and a slash at the end.
    base: String,
    job: String,
    /// User and password as the header has them, and the password for itself.
    login: Option<(String, String)>,
    timeout: Duration,
    pause: Duration,
}

/// Why a push failed.
enum Failure {
    /// It would fail again.
    Refused(String),
    /// The gateway answers, and may take it later.
    Busy(String),
    /// Nobody answers.
    Unreached(String),
}

impl Gateway {
    /// Makes ready what pushing needs. Nothing is sent.
    ///
    /// # Errors
    /// For people, and never with a password: no URL of a gateway, or a file that can't be read.
    pub fn new(target: &Target) -> Result<Self, String> {
        let Target { url, job, user, ca_file, timeout, pause } = target;
        // The URL is not quoted: it may hold a password, also where it is not understood.
        let not_understood = "--push: that is no URL of a Pushgateway; write one such as http://pushgateway:9091, with every special character of a user and password as %XX";
        let uri: Uri = url.parse().map_err(|_| not_understood.to_owned())?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(not_understood.to_owned());
        };
        let path = uri.path().trim_end_matches('/');
        let (user_info, host) = match authority.as_str().rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, authority.as_str()),
        };
        let port = host.rsplit(']').next().and_then(|after| Some(after.split_once(':')?.1));
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(not_understood.to_owned());
        }
        if uri.query().is_some() || url.contains('#') || path.contains('@') || host.is_empty() {
            return Err(not_understood.to_owned());
        }
        let base = format!("{scheme}://{host}{path}");
        if job.is_empty() {
            return Err(
                "--push.job: a Pushgateway takes no empty job; leave the flag out for driftrun".to_owned()
            );
        }
        let login = match (user_info, user) {
            (Some(_), Some(_)) => {
                return Err("--push.user: the URL of --push names a user, too; keep one".to_owned());
            }
            (Some(user_info), None) => Some(login_in_url(user_info)?),
            (None, Some((user, file))) => Some((user.clone(), password(file)?)),
            (None, None) => None,
        };
        let login = match login {
            Some((user, _)) if user.contains(':') => {
                return Err("--push.user: a user's name can't hold ':'".to_owned());
            }
            Some((user, password)) => {
                Some((format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))), password))
            }
            None => None,
        };
        if scheme == "http" && ca_file.is_some() {
            return Err("--push.ca-file: the URL of --push is http://, so that nobody shows a certificate; write https://, or leave the flag out".to_owned());
        }
        let roots = match (scheme, ca_file) {
            ("https", Some(file)) => trusted(file)?,
            ("https", None) => system_roots()?,
            // Nothing is said to anybody over TLS.
            _ => Vec::new(),
        };
        let agent = client(Trust::SignedBy(roots), *timeout);
        Ok(Self { agent, base, job: job.clone(), login, timeout: *timeout, pause: *pause })
    }

    /// Pushes each check's group, by the name of the check, and waits where the gateway can't take it yet. What went wrong, for people, check by check.
    ///
    /// A round that finds nobody ends there, and the next one begins behind: many checks take no longer to fail than one.
    #[must_use]
    pub fn push(&self, groups: Vec<(&str, Push)>) -> Vec<String> {
        let (mut problems, mut waiting) = (Vec::new(), groups);
        for n in 0..=RETRIES {
            let (mut untried, mut again): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
            let mut last_why = String::new();
            let mut gone = None;
            for (check, push) in std::mem::take(&mut waiting) {
                if gone.is_some() {
                    untried.push((check, push));
                    continue;
                }
                match self.send(check, &push) {
                    Ok(()) => {}
                    Err(Failure::Refused(why)) => problems.push(self.problem(check, &why)),
                    Err(Failure::Busy(why)) => {
                        last_why.clone_from(&why);
                        again.push((check, push, why));
                    }
                    Err(Failure::Unreached(why)) => {
                        last_why.clone_from(&why);
                        gone = Some(why.clone());
                        again.push((check, push, why));
                    }
                }
            }
            if again.is_empty() && untried.is_empty() {
                break;
            }
            if n == RETRIES {
                let why = gone.unwrap_or_default();
                let untried = untried.iter().map(|(check, _)| (*check, why.as_str()));
                let failed = again.iter().map(|(check, _, why)| (*check, why.as_str()));
                problems.extend(failed.chain(untried).map(|(check, why)| self.problem(check, why)));
                break;
            }
            let pause = self.pause.saturating_mul(2_u32.pow(n));
            let checks = again.len() + untried.len();
            let seconds = pause.as_secs_f64();
            tracing::warn!(
                url = self.base,
                checks,
                why = last_why,
                seconds,
                "push failed: it is tried again"
            );
            std::thread::sleep(pause);
            waiting =
                untried.into_iter().chain(again.into_iter().map(|(check, push, _)| (check, push))).collect();
        }
        problems.sort();
        problems
    }

    fn problem(&self, check: &str, why: &str) -> String {
        format!("--push {}: check {check} is not pushed: {why}", self.base)
    }

    fn send(&self, check: &str, push: &Push) -> Result<(), Failure> {
        let url = format!("{}{}", self.base, path(&self.job, check));
        let (request, text) = match push {
            Push::Replace(text) => (self.agent.put(url), text),
            Push::Update(text) => (self.agent.post(url), text),
        };
        let request = request.content_type(Format::Text.content_type());
        let request = match &self.login {
            Some((header, _)) => request.header("authorization", header),
            None => request,
        };
        let mut response = request.send(text.as_bytes()).map_err(|error| self.no_answer(error))?;
        let status = response.status();
        let is_page = response
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if status.is_success() && !is_page {
            return Ok(());
        }
        if status.is_success() {
            // Whatever answers everything with a page has not taken it.
            return Err(Failure::Refused("what answers is no Pushgateway: it sends a page for people; the URL is the gateway's own, without /metrics".to_owned()));
        }
        let why = self.answer(&mut response);
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Err(Failure::Busy(why))
        } else {
            Err(Failure::Refused(why))
        }
    }

    /// What an answer says that isn't success: its status, the first line of its body, what to do.
    fn answer(&self, response: &mut Response<Body>) -> String {
        let status = response.status();
        let location =
            response.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        // A body that breaks off is as good as none.
        let _ = response.body_mut().as_reader().take(4096).read_to_end(&mut body);
        let body = String::from_utf8_lossy(&body);
        let line = body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let mut why = format!("the gateway answers {status}");
        let said: String = line.chars().filter(|c| !c.is_control()).take(QUOTED).collect();
        if !said.is_empty() {
            let _ = write!(why, ": {said}");
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.login.is_none() => {
                why.push_str("; name a user with --push.user and --push.password-file");
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                why.push_str("; the user or the password is not the gateway's");
            }
            StatusCode::NOT_FOUND => {
                why.push_str("; the URL is the gateway's own, without /metrics");
            }
            status if status.is_redirection() => {
                let _ = write!(why, " to {}; name that URL", location.as_deref().unwrap_or("somewhere else"));
            }
            _ => {}
        }
        self.without_password(why)
    }

    fn no_answer(&self, error: ureq::Error) -> Failure {
        let why = match error {
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Failure::Refused(tls_problem(&error.to_string()));
            }
            ureq::Error::Rustls(error) => return Failure::Refused(tls_problem(&error.to_string())),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "connection refused; is there a Pushgateway?".to_owned()
            }
            ureq::Error::Io(error) => error.to_string(),
            ureq::Error::Timeout(_) => {
                format!("no answer within {}", crate::config::units::show_duration(self.timeout))
            }
            ureq::Error::HostNotFound => "no such host".to_owned(),
            ureq::Error::ConnectionFailed => "no connection".to_owned(),
            ureq::Error::Protocol(error) => format!("what answers speaks no HTTP: {error}"),
            error => return Failure::Refused(self.without_password(error.to_string())),
        };
        Failure::Unreached(self.without_password(why))
    }

    /// Whoever answers might quote it.
    fn without_password(&self, text: String) -> String {
        match &self.login {
            Some((_, password)) if !password.is_empty() => text.replace(password.as_str(), "(redacted)"),
            Some(_) | None => text,
        }
    }
}

fn tls_problem(error: &str) -> String {
    if let Some(made) = unusable_certificate(error) {
        return format!("TLS: the gateway's certificate {made}");
    }
    let remedy = if error.contains("certificate") {
        "--push.ca-file names certificates to trust"
    } else {
        "does the gateway speak https?"
    };
    format!("TLS: {error}; {remedy}")
}

/// The path of a group. A check's name can stand in it as it is; a job may hold anything.
fn path(job: &str, check: &str) -> String {
    let plain = job.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if plain && !job.bytes().all(|b| b == b'.') {
        format!("/metrics/job/{job}/check/{check}")
    } else {
        format!("/metrics/job@base64/{}/check/{check}", URL_SAFE_NO_PAD.encode(job))
    }
}

/// User and password of a URL.
fn login_in_url(user_info: &str) -> Result<(String, String), String> {
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned);
    match (decoded(user), decoded(password)) {
        (Ok(user), Ok(password)) => Ok((user, password)),
        _ => Err(
            "--push: user and password in the URL are not UTF-8; use --push.user and --push.password-file"
                .to_owned(),
        ),
    }
}

/// The content of a password's file, without the newline at its end.
fn password(file: &Path) -> Result<String, String> {
    let wrong = |what: &str| format!("--push.password-file {}: {what}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(wrong("it is empty; it holds the password and nothing else"));
    }
    Ok(text.to_owned())
}

fn trusted(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let wrong = |what: &str| format!("--push.ca-file {}: {what}", file.display());
    let pem = std::fs::read(file).map_err(|error| wrong(&error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(wrong(&error.to_string())),
        }
    }
    if certificates.is_empty() {
        return Err(wrong("it holds no certificate in PEM form"));
    }
    Ok(certificates)
}

/// What the system trusts, or `SSL_CERT_FILE` and `SSL_CERT_DIR`.
fn system_roots() -> Result<Vec<Certificate<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!(
            "--push: the system has no certificates to trust{why}; name some with --push.ca-file or SSL_CERT_FILE"
        ));
    }
    Ok(found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_a_path_cannot_hold_is_spelt_in_base64() {
        assert_eq!(path("driftrun", "a.b-c_1"), "/metrics/job/driftrun/check/a.b-c_1");
        assert_eq!(path("a/b ü", "c"), "/metrics/job@base64/YS9iIMO8/check/c");
        assert_eq!(path("..", "c"), "/metrics/job@base64/Li4/check/c");
    }

    #[test]
    fn no_mistake_in_a_url_is_told_with_its_password() {
        let of = |url: &str| {
            let (url, job) = (url.to_owned(), "driftrun".to_owned());
            let (timeout, pause) = (Duration::from_secs(1), Duration::ZERO);
            let gateway = Gateway::new(&Target { url, job, user: None, ca_file: None, timeout, pause });
            gateway.map(|gateway| (gateway.base, gateway.login))
        };
        for url in [
            "pushgateway:9091",
            "ftp://u:SECRET@h",
            "http://u:SEC/RET@h/",
            "http://u:SEC#RET@h/",
            "http://u:SEC?RET@h/",
            "http://u:SECRET@h/?q",
            "http://u:SEC@RET@h:x/",
            "http://u:SECRET@",
            "http://u:SECRET@h:",
            "http://u/SECRET@h/",
            "http://u:SEC RET@h",
            "/SECRET",
            "",
        ] {
            let told = of(url).unwrap_err();
            assert!(told.starts_with("--push: that is no URL of a Pushgateway; write one"), "{url}: {told}");
            assert!(!told.contains("SEC") && !told.contains("RET"), "{url}: {told}");
        }
        assert!(!of("http://u:%ff@h/").unwrap_err().contains("ff@"));
        assert_eq!(of("http://[::1]:9091/").unwrap(), ("http://[::1]:9091".to_owned(), None));
        let (base, login) = of("http://a%20b:p%40%3a%2F@h:1/push/gw/").unwrap();
        assert_eq!(base, "http://h:1/push/gw");
        assert_eq!(login, Some(("Basic YSBiOnBAOi8=".to_owned(), "p@:/".to_owned())));
    }
}

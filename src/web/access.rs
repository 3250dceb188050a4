//! Who is let in, over what, and what every answer carries: the web configuration at one moment, and how it is kept up to date.
//!
//! Certificates are renewed and users come and go while driftrun runs, as with exporter-toolkit, which reads its file at every request. Here it
//! is looked at once a second, when somebody asks, and a bad one changes nothing: the one before stays. No request waits for a slow disk.
//! What a request's answer is, this doesn't know.

use super::rate::Limiter;
use super::tls::{self, Protocols};
use super::users::Users;
use crate::config::web::{Tls, WebConfig, load_web};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use rustls::ServerConfig;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How often the files are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);

/// How long the request that finds it is time to look waits for what is found, so that a user who was removed an hour ago isn't let in once more.
/// Looking takes less than a millisecond, but on a disk that hangs.
const PATIENCE: Duration = Duration::from_millis(100);

/// The web configuration at one moment, ready to be used.
#[derive(Debug)]
pub struct Current {
    /// What connections are accepted with; `None` for plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// What is spoken over TLS; over plain HTTP it is always HTTP/1.1.
    pub protocols: Protocols,
    /// What every answer carries.
    pub headers: HeaderMap,
    /// Who is let in; `None` for everybody.
    pub users: Option<Users>,
    /// How many requests are answered; `None` for all.
    pub limiter: Option<Arc<Limiter>>,
    config: WebConfig,
}

impl Current {
    /// What is the same as `before` goes on as it was: verified passwords, sessions, tokens taken.
    fn new(config: WebConfig, before: Option<&Self>) -> Result<Self, String> {
        let protocols = if config.http2 { Protocols::Http2AndHttp1 } else { Protocols::Http1 };
        let kept = before.filter(|before| before.config.tls == config.tls && before.protocols == protocols);
        let tls = match (&config.tls, kept) {
            (Some(_), Some(kept)) => kept.tls.clone(),
            (Some(tls), None) => {
                Some(tls::server_config(tls, protocols).map_err(|error| format!("TLS: {error}"))?)
            }
            (None, _) => None,
        };
        let users = match before.and_then(|before| before.users.as_ref()) {
            _ if config.users.is_empty() => None,
            Some(users) => Some(users.renewed(config.users.clone())?),
            None => Some(Users::new(config.users.clone())?),
        };
        let limiter = config.rate_limit.map(|limit| {
            let kept = before.and_then(|before| before.limiter.as_ref()).filter(|kept| kept.limit() == limit);
            kept.map_or_else(|| Arc::new(Limiter::new(limit)), Arc::clone)
        });
        Ok(Self { tls, protocols, headers: headers(&config)?, users, limiter, config })
    }

    /// Takes the place of `before`, unless that can't be done with listeners that are open, or lets everybody in without being asked to.
    fn following(config: WebConfig, before: &Self, why: Why) -> Result<Self, String> {
        match (before.config.tls.is_some(), config.tls.is_some()) {
            (false, true) => return Err("TLS can't be turned on while driftrun runs; restart it".to_owned()),
            (true, false) => return Err("TLS can't be turned off while driftrun runs; restart it".to_owned()),
            (true, true) if before.config.http2 != config.http2 => {
                return Err("`http2` can't be changed while driftrun runs; restart it".to_owned());
            }
            (true, true) | (false, false) => {}
        }
        // So does a file that is caught while it is written, when it is empty or its users are still to come.
        if why == Why::Time && is_closed(&before.config) && !is_closed(&config) {
            return Err("it would let in everybody, and so far only those come in who are known; send SIGHUP or restart driftrun if that is meant".to_owned());
        }
        Self::new(config, Some(before))
    }

    /// A certificate that has ended is served all the same: a clock may be wrong, and some clients don't mind.
    fn warn_of_the_end(&self, path: &Path) {
        let end = self.config.tls.as_ref().and_then(Tls::end).filter(|end| *end < Timestamp::now());
        if let Some(end) = end {
            tracing::warn!(file = %path.display(), %end, "the certificate is out of date: clients will refuse it");
        }
    }

    /// Whether clients show the same certificates as for `other`, or the same lack of them: a connection that was accepted then may go on.
    pub fn asks_for_the_same_certificates_as(&self, other: &Self) -> bool {
        let asked = |current: &Self| current.config.tls.as_ref().map(|tls| tls.client_auth.clone());
        asked(self) == asked(other)
    }

    /// Whether only clients with a certificate of a known authority get an answer.
    pub fn is_protected_by_client_certificates(&self) -> bool {
        is_protected_by_client_certificates(&self.config)
    }
}

fn is_protected_by_client_certificates(config: &WebConfig) -> bool {
    config.tls.as_ref().is_some_and(|tls| tls::protects(&tls.client_auth))
}

/// Whether it lets in only those who are known.
fn is_closed(config: &WebConfig) -> bool {
    !config.users.is_empty() || is_protected_by_client_certificates(config)
}

fn headers(config: &WebConfig) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let wrong = |error: &dyn std::fmt::Display| format!("header {name}: {error}");
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong(&error))?;
        headers.insert(header, HeaderValue::from_str(value).map_err(|error| wrong(&error))?);
    }
    Ok(headers)
}

/// The web configuration as it is now.
#[derive(Debug)]
pub struct Access {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// `None` where no file was named.
    path: Option<PathBuf>,
    state: Mutex<State>,
    /// Held while files are read: two that look at once could leave the older find.
    turn: Mutex<()>,
}

#[derive(Debug)]
struct State {
    current: Arc<Current>,
    looking: bool,
    next_look: Instant,
    /// Of the last attempt; what holds is from before it.
    complaint: Option<String>,
    last_success: Timestamp,
}

impl Access {
    /// Plain HTTP for everybody: no file was named.
    pub fn for_everybody() -> Self {
        let current = Current {
            tls: None,
            protocols: Protocols::Http1,
            headers: HeaderMap::new(),
            users: None,
            limiter: None,
            config: WebConfig::none(),
        };
        Self::new(None, current)
    }

    /// From the file at `path`, which is looked at again from then on.
    ///
    /// # Errors
    /// Every problem that it has, for people.
    pub fn load(path: &Path) -> Result<Self, String> {
        let config = load_web(path).map_err(|invalid| invalid.to_string())?;
        let current =
            Current::new(config, None).map_err(|message| format!("{}: {message}", path.display()))?;
        current.warn_of_the_end(path);
        Ok(Self::new(Some(path.to_owned()), current))
    }

    fn new(path: Option<PathBuf>, current: Current) -> Self {
        let state = State {
            current: Arc::new(current),
            looking: false,
            next_look: Instant::now() + LOOK,
            complaint: None,
            last_success: Timestamp::now(),
        };
        Self { shared: Arc::new(Shared { path, state: Mutex::new(state), turn: Mutex::new(()) }) }
    }

    /// What holds for a connection or a request that comes now. Once a second it has a look at the files started; while that is under way, the last
    /// one that was found is what holds.
    pub async fn current(&self) -> Arc<Current> {
        if self.shared.is_time_to_look() {
            let shared = Arc::clone(&self.shared);
            let look = tokio::task::spawn_blocking(move || shared.look());
            // Given up, it goes on, and a later request has what it finds.
            let _ = timeout(PATIENCE, look).await;
        }
        Arc::clone(&self.shared.state().current)
    }

    /// Takes in the file as it is now, changed or not. Reads from disk: not on a thread that serves.
    ///
    /// # Errors
    /// What is wrong with it, for people; what held before still holds.
    pub fn reload(&self) -> Result<(), String> {
        let Some(path) = &self.shared.path else { return Ok(()) };
        let _turn = self.shared.turn();
        self.shared.take_in(path, Why::Asked)
    }

    /// Whether there is a file that it comes from.
    pub fn is_from_a_file(&self) -> bool {
        self.shared.path.is_some()
    }

    /// Whether what holds is what the file said when it was looked at last.
    pub fn is_last_reload_ok(&self) -> bool {
        self.shared.state().complaint.is_none()
    }

    /// When the configuration that holds was taken in, or found to be as it was by [`Access::reload`].
    pub fn last_success(&self) -> Timestamp {
        self.shared.state().last_success
    }
}

/// Why the file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Somebody wants it loaded, and wants to know how it went.
    Asked,
    /// It is time to see whether something has changed.
    Time,
}

/// Ends the look also when it panics.
struct Looking<'s>(&'s Shared);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.state().looking = false;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says so once; whoever is told has to look.
    fn is_time_to_look(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        let time = self.path.is_some() && !state.looking && now >= state.next_look;
        if time {
            state.looking = true;
            state.next_look = now + LOOK;
        }
        time
    }

    fn look(&self) {
        let _looking = Looking(self);
        let Some(path) = &self.path else { return };
        let _turn = self.turn();
        let (current, complained) = {
            let state = self.state();
            (Arc::clone(&state.current), state.complaint.is_some())
        };
        // Which files a bad one names isn't known: it is read again until it is good.
        if complained || !current.config.is_up_to_date() {
            // Logged there.
            let _ = self.take_in(path, Why::Time);
        }
    }

    /// The caller has the turn.
    fn take_in(&self, path: &Path, why: Why) -> Result<(), String> {
        let before = Arc::clone(&self.state().current);
        let found = match load_web(path) {
            Err(invalid) => Err(invalid.to_string()),
            Ok(config) if config == before.config => Ok(None),
            Ok(config) => Current::following(config, &before, why)
                .map(Some)
                .map_err(|message| format!("{}: {message}", path.display())),
        };
        let mut state = self.state();
        match found {
            Ok(next) => {
                if let Some(next) = next {
                    next.warn_of_the_end(path);
                    state.current = Arc::new(next);
                    tracing::info!(file = %path.display(), "web configuration taken in");
                } else if state.complaint.is_some() {
                    tracing::info!(file = %path.display(), "web configuration is good again, as it was");
                }
                state.complaint = None;
                state.last_success = Timestamp::now();
                Ok(())
            }
            Err(complaint) => {
                // By itself once: it is the same every second until somebody sees to it.
                if why == Why::Asked || state.complaint.as_ref() != Some(&complaint) {
                    for problem in complaint.lines() {
                        tracing::error!(problem, "web configuration not taken in, the last good one holds");
                    }
                }
                state.complaint = Some(complaint.clone());
                Err(complaint)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    #[expect(clippy::await_holding_lock, reason = "a disk that hangs is a turn that doesn't end")]
    async fn whoever_comes_while_the_disk_hangs_gets_what_was_found_last() {
        let access = Access::new(Some(PathBuf::from("/nowhere/web.yml")), everything_as_it_is());
        let held = Arc::clone(&access.shared.state().current);
        access.shared.state().next_look = Instant::now();
        let disk = access.shared.turn();
        let current = timeout(Duration::from_secs(30), access.current()).await.unwrap();
        assert!(Arc::ptr_eq(&current, &held));
        // One look is under way, and there is time for another: it isn't started, and nobody waits.
        access.shared.state().next_look = Instant::now();
        assert!(!access.shared.is_time_to_look());
        assert!(Arc::ptr_eq(&access.current().await, &held));
        assert!(access.is_last_reload_ok());
        drop(disk);
        while access.shared.state().looking {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!access.is_last_reload_ok(), "the disk answered that there is no such file");
        assert!(Arc::ptr_eq(&access.current().await, &held));
    }

    #[test]
    fn a_complaint_is_logged_once_until_it_changes_or_somebody_asks() {
        let folder = std::env::temp_dir().join(format!("driftrun-access-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("web.yml");
        std::fs::write(&file, "").unwrap();
        let access = Access::load(&file).unwrap();
        let name = file.display().to_string();
        let tell = |text: &str| {
            std::fs::write(&file, text).unwrap();
            logged(|| (0..3).for_each(|_| access.shared.look()))
        };
        let error = |problem: &str| {
            format!(
                "ERROR driftrun::web::access: web configuration not taken in, the last good one holds problem=\"{name}{problem}\""
            )
        };
        assert_eq!(
            tell("htp: 1"),
            [error(
                ":1:1: unknown key \\\"htp\\\" in a web configuration; known here: basic_auth_users, http_server_config, rate_limit, tls_server_config"
            )]
        );
        assert_eq!(
            tell("rate_limit: 1"),
            [error(":1:13: rate_limit must be a mapping of keys to values, not a value")]
        );
        let asked = logged(|| (0..2).for_each(|_| drop(access.reload())));
        assert_eq!(
            asked,
            [(); 2].map(|()| error(":1:13: rate_limit must be a mapping of keys to values, not a value"))
        );
        assert_eq!(
            tell(""),
            [format!(" INFO driftrun::web::access: web configuration is good again, as it was file={name}")]
        );
        assert_eq!(
            tell("rate_limit: { interval: 1s, burst: 1 }"),
            [format!(" INFO driftrun::web::access: web configuration taken in file={name}")]
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// What is logged while `work` runs on this thread.
    fn logged(work: impl FnOnce()) -> Vec<String> {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }

    /// As of an empty file that is there no more.
    fn everything_as_it_is() -> Current {
        let folder = std::env::temp_dir().join(format!("driftrun-access-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("web.yml");
        std::fs::write(&file, "").unwrap();
        let config = load_web(&file).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        Current::new(config, None).unwrap()
    }
}

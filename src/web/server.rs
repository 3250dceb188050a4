//! hyper around [`respond`](super::respond): connections, who is let in, limits, and an end that lets answers finish.

use super::access::{Access, Current};
use super::body::Sent;
use super::connections::{Answer, Connections, LOOK, Place, Watched};
use super::listen::{Address, Listener, Stream};
use super::seldom::Seldom;
use super::tls::unusable_certificate;
use super::users::Admission;
use super::{
    API, Paths, Pieces, QUICK, RELOAD, Show, Site, WebConfigState, assets, below, events, packed, respond,
    see_other, text,
};
use crate::board::{AskedFor, Board};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue,
    ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use jiff::Timestamp;
use prometheus::Registry;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

/// How long answers under way may take once the server ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How much of a request's head is read.
const LONGEST_HEAD: usize = 64 << 10;
/// Requests of one HTTP/2 connection at a time: as many as a client may think of before it is told.
const STREAMS: u32 = 100;
/// How often an HTTP/2 connection is asked whether the other side is still there, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// How many pages, and how many other answers, are made at once: no scrape stands in line behind pages. They are made on threads that runs need, too,
/// for their outputs.
const MADE_AT_ONCE: usize = 2;
/// KiB of pages that may be under way. Each is made for whoever asked, while metrics are shared; and a client can ask for many over HTTP/2
/// and take none.
const ROOM: usize = 64 << 10;
/// Streams of events at once; each is a page that somebody has open.
const EVENTS: usize = 64;
/// Events that wait for one reader. Then the one who sends them waits, and the run doesn't.
const EVENTS_AHEAD: usize = 4;

/// What stands around a check's name where a run of it is asked for.
const RUN: (&str, &str) = ("/api/v1/checks/", "/run");

/// Whoever asks for the configuration to be loaded again is told how it went.
pub type Asking = mpsc::Sender<oneshot::Sender<Result<(), String>>>;

/// The listeners, and what they serve.
#[derive(Debug)]
pub struct Bound {
    /// At least one.
    pub listeners: Vec<Listener>,
    /// What all paths begin with: empty, or `/` and a name or more.
    pub prefix: String,
    /// What links in pages begin with.
    pub link: String,
    /// Where the metrics are, below the prefix.
    pub metrics_path: String,
    /// What pages may show; `None`: the output on loopback addresses, and where only those are let in who are known; else tables only.
    pub show: Option<Show>,
    /// Who is let in, over what.
    pub access: Arc<Access>,
    /// What is answered where.
    pub paths: Paths,
    /// Who loads the configuration again, where that may be asked for over HTTP.
    pub reload: Option<Asking>,
    /// Whether a run may be asked for over HTTP.
    pub lifecycle: bool,
    /// Names by which people know this server, beside those of the machine itself.
    pub own_names: Vec<String>,
    /// Host and port of the external URL.
    pub external: Option<String>,
    /// Cancelled when driftrun has begun to end.
    pub stopping: CancellationToken,
}

impl Bound {
    /// Serves until `stop`, then lets answers under way finish for a moment.
    pub async fn serve(self, board: Arc<Board>, stop: CancellationToken) {
        let Self {
            listeners,
            prefix,
            link,
            metrics_path,
            show,
            access,
            paths,
            reload,
            lifecycle,
            own_names,
            external,
            stopping,
        } = self;
        let registry = Registry::new();
        // Counts the memory, CPU and descriptors of driftrun itself.
        if let Err(error) =
            registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
        {
            tracing::warn!(%error, "no metrics of the process itself");
        }
        let shared = Arc::new(Shared {
            board,
            registry,
            prefix,
            link,
            metrics_path,
            show,
            access,
            paths,
            reload,
            lifecycle,
            own_names,
            external,
            stopping,
            events: Arc::new(Semaphore::new(EVENTS)),
            others: Arc::new(Semaphore::new(MADE_AT_ONCE)),
            pages: Arc::new(Semaphore::new(MADE_AT_ONCE)),
            room: Arc::new(Semaphore::new(ROOM)),
            seldom: Refusals::default(),
        });
        let connections = Arc::new(Connections::default());
        let mut tasks = tokio::task::JoinSet::new();
        for listener in listeners {
            tasks.spawn(accept(listener, Arc::clone(&connections), Arc::clone(&shared), stop.clone()));
        }
        let watch = async {
            loop {
                tokio::time::sleep(LOOK).await;
                connections.look();
            }
        };
        tokio::select! {
            _ = tasks.join_all() => {}
            () = watch => {}
        }
    }
}

/// What all answers have in common.
struct Shared {
    board: Arc<Board>,
    registry: Registry,
    prefix: String,
    link: String,
    metrics_path: String,
    show: Option<Show>,
    access: Arc<Access>,
    paths: Paths,
    reload: Option<Asking>,
    lifecycle: bool,
    own_names: Vec<String>,
    external: Option<String>,
    stopping: CancellationToken,
    /// See [`EVENTS`].
    events: Arc<Semaphore>,
    /// Turns.
    pages: Arc<Semaphore>,
    others: Arc<Semaphore>,
    /// See [`ROOM`].
    room: Arc<Semaphore>,
    seldom: Refusals,
}

/// What is refused, each with a line of the log now and then.
#[derive(Debug, Default)]
struct Refusals {
    places: Seldom,
    handshakes: Seldom,
    users: Seldom,
    rate: Seldom,
}

async fn accept(
    listener: Listener,
    connections: Arc<Connections>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: a pause lets some be closed.
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let Some(entered) = connections.enter() else {
            if let Some(times) = shared.seldom.places.again() {
                tracing::warn!(times, "connection closed: all places are taken by answers under way");
            }
            continue;
        };
        let peer = match &stream {
            Either::Left(stream) => stream.peer_addr().ok(),
            Either::Right(_) => None,
        };
        let stream = Watched::new(stream, Arc::clone(&entered.place));
        let (shared, at) = (Arc::clone(&shared), listener.address.clone());
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            tokio::select! {
                () = speak(stream, peer, Arc::clone(&entered.place), shared, at, watcher) => {}
                () = entered.ended() => tracing::debug!("connection ended: too slow, not let in any more, or another one needed its place"),
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(LAST_ANSWERS, graceful.shutdown()).await;
}

/// One connection: the handshake where there is TLS, then HTTP/1 or 2.
async fn speak(
    mut stream: Watched<Stream>,
    peer: Option<SocketAddr>,
    place: Arc<Place>,
    shared: Arc<Shared>,
    at: Address,
    watcher: Watcher,
) {
    let current = shared.access.current().await;
    let client = peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
    let caller = Caller { shared, at, client, accepted: Arc::clone(&current) };
    let Some(tls) = &current.tls else {
        return http1(stream, Answering { place, caller: Some(caller) }, watcher).await;
    };
    // No TLS begins with a letter, and a method does.
    if matches!(stream.first().await, Ok(Some(byte)) if byte.is_ascii_uppercase()) {
        return http1(stream, Answering { place, caller: None }, watcher).await;
    }
    match TlsAcceptor::from(Arc::clone(tls)).accept(stream).await {
        Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            place.multiplexed();
            http2(stream, Answering { place, caller: Some(caller) }, watcher).await;
        }
        Ok(stream) => http1(stream, Answering { place, caller: Some(caller) }, watcher).await,
        Err(error) => {
            // Whoever only wanted to know whether the port is open.
            let left = error.kind() == io::ErrorKind::UnexpectedEof;
            let error = error.to_string();
            let error = unusable_certificate(&error)
                .map_or(error.clone(), |made| format!("the client's certificate {made}"));
            let Caller { shared, client, .. } = caller;
            let times = if left { None } else { shared.seldom.handshakes.again() };
            if let Some(times) = times {
                tracing::warn!(client, error, times, "no TLS connection");
            } else {
                tracing::debug!(client, error, "no TLS connection");
            }
        }
    }
}

async fn http1<S>(stream: S, answering: Answering, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // Whoever is too slow is ended by `connections`, which knows idle from slow.
        .header_read_timeout(None)
        .max_buf_size(LONGEST_HEAD)
        // A client may say that it is done before it has its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), answering);
    ended(watcher.watch(connection).await);
}

async fn http2<S>(stream: S, answering: Answering, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(64 << 10)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .serve_connection(TokioIo::new(stream), answering);
    ended(watcher.watch(connection).await);
}

fn ended(connection: hyper::Result<()>) {
    if let Err(error) = connection {
        tracing::debug!(%error, "connection ended");
    }
}

/// Answers the requests of one connection.
struct Answering {
    place: Arc<Place>,
    /// `None` where somebody speaks plain HTTP to TLS.
    caller: Option<Caller>,
}

impl Service<Request<Incoming>> for Answering {
    type Response = Response<Answered>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (caller, answer) = (self.caller.clone(), self.place.answer());
        let place = Arc::clone(&self.place);
        Box::pin(async move {
            let response = match caller {
                Some(caller) => {
                    if let Some(response) = caller.answer(request).await {
                        response
                    } else {
                        place.end();
                        std::future::pending().await
                    }
                }
                None => not_over_tls().map(Sent::Pieces),
            };
            Ok(response.map(|sent| Answered { sent, _answer: answer }))
        })
    }
}

/// What Go answers, word for word. It carries no headers of the web configuration: those are for HTTPS.
fn not_over_tls() -> Response<Pieces> {
    let mut response = text(StatusCode::BAD_REQUEST, "Client sent an HTTP request to an HTTPS server.\n");
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// For whoever may come again.
fn busy(why: &'static str) -> Response<Pieces> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// A body, and the place that it is sent from.
struct Answered {
    sent: Sent,
    _answer: Answer,
}

impl Body for Answered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.sent).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.sent.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.sent.size_hint()
    }
}

/// Who answers on one connection.
#[derive(Clone)]
struct Caller {
    shared: Arc<Shared>,
    at: Address,
    /// Where it comes from, for people.
    client: String,
    /// What held when the connection was accepted: who it is by certificate was found out then, and never again.
    accepted: Arc<Current>,
}

impl Caller {
    /// Every answer carries the headers of the web configuration, whose word counts where it says something of a header of ours. There is none where
    /// other certificates are asked for by now than when the connection was accepted: whoever it is has to come anew.
    async fn answer(&self, request: Request<Incoming>) -> Option<Response<Sent>> {
        let current = self.shared.access.current().await;
        if !current.asks_for_the_same_certificates_as(&self.accepted) {
            return None;
        }
        let (request, _) = request.into_parts();
        let mut response = match self.refused(&request, &current).await {
            Some(refusal) => refusal.map(Sent::Pieces),
            None if self.shared.is_events(&request) => self.events(&request, &current),
            None => self.admitted(request, &current).await.map(Sent::Pieces),
        };
        for (name, value) in &current.headers {
            response.headers_mut().insert(name, value.clone());
        }
        Some(response)
    }

    /// In exporter-toolkit's order: how many requests there are, then who it is.
    async fn refused(&self, request: &Parts, current: &Current) -> Option<Response<Pieces>> {
        if request.version == Version::HTTP_11 && !request.headers.contains_key(HOST) {
            return Some(text(StatusCode::BAD_REQUEST, "HTTP/1.1 wants a Host header\n"));
        }
        let client = &self.client;
        if current.limiter.as_ref().is_some_and(|limiter| !limiter.allow()) {
            if let Some(times) = self.shared.seldom.rate.again() {
                tracing::warn!(client, times, "request refused: over rate_limit");
            }
            return Some(text(StatusCode::TOO_MANY_REQUESTS, "too many requests\n"));
        }
        let admission = match &current.users {
            None => return None,
            Some(users) => users.admit(request.headers.get(AUTHORIZATION)).await,
        };
        match admission {
            Admission::Admitted(_) => None,
            Admission::Refused => {
                // A browser asks without before it asks the person. A name is not told: it may be a password in the wrong place.
                let times = request.headers.get(AUTHORIZATION).and_then(|_| self.shared.seldom.users.again());
                if let Some(times) = times {
                    tracing::warn!(client, times, "request refused: no such user, or another password");
                }
                let mut response = text(StatusCode::UNAUTHORIZED, "unauthorized\n");
                let realm = HeaderValue::from_static("Basic realm=\"driftrun\", charset=\"UTF-8\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, realm);
                Some(response)
            }
            Admission::Busy => Some(busy("too many passwords to verify\n")),
        }
    }

    async fn admitted(&self, request: Parts, current: &Current) -> Response<Pieces> {
        let asks = request.method == Method::POST || request.method == Method::PUT;
        if asks {
            let path = request.uri.path().strip_prefix(&*self.shared.prefix).unwrap_or_default();
            if path == RELOAD {
                return self.reload(&request, current).await;
            }
            if let Some(name) = path.strip_prefix(RUN.0).and_then(|path| path.strip_suffix(RUN.1)) {
                return self.run(name, &request, current);
            }
        }
        let making = if self.shared.is_page(&request) { &self.shared.pages } else { &self.shared.others };
        let Ok(making) = Arc::clone(making).acquire_owned().await else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "driftrun is stopping\n");
        };
        let (shared, show) = (Arc::clone(&self.shared), self.show(&request, current));
        // Rendering a page, compressing, or gathering /proc takes time: not on a worker.
        let work = move || {
            let response = shared.respond(&request, show);
            // Here and not outside: whoever resets what was asked for doesn't stop the work, and others must not begin beside it without bound.
            drop(making);
            response
        };
        let made = tokio::task::spawn_blocking(work).await;
        made.unwrap_or_else(|error| {
            tracing::error!(%error, "no answer");
            text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
        })
    }

    /// Loads the configuration again, as `Prometheus` does it.
    async fn reload(&self, request: &Parts, current: &Current) -> Response<Pieces> {
        let Some(asking) = &self.shared.reload else {
            return text(
                StatusCode::FORBIDDEN,
                "not enabled; `driftrun serve --web.enable-lifecycle` loads its file again when asked here, and by SIGHUP in any case\n",
            );
        };
        if let Some(why) = self.refused_to_others(request, current) {
            return text(StatusCode::FORBIDDEN, format!("{why}\n"));
        }
        let (answer, answered) = oneshot::channel();
        if asking.send(answer).await.is_err() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "driftrun is stopping\n");
        }
        match answered.await {
            Ok(Ok(())) => text(StatusCode::OK, "configuration loaded\n"),
            Ok(Err(problems)) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{problems}\n")),
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "driftrun is stopping\n"),
        }
    }

    /// Lets a check run as soon as there is a place for it.
    fn run(&self, name: &str, request: &Parts, current: &Current) -> Response<Pieces> {
        let answer = |status, what: &str| {
            let key = if status == StatusCode::ACCEPTED { "asked_for" } else { "error" };
            let mut response = text(status, serde_json::json!({ key: what }).to_string());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        };
        if !self.shared.lifecycle {
            return answer(StatusCode::FORBIDDEN, "not enabled; start driftrun with --web.enable-lifecycle");
        }
        if let Some(why) = self.refused_to_others(request, current) {
            return answer(StatusCode::FORBIDDEN, &why);
        }
        // A person has sent a form, and wants to see the check.
        let is_page =
            request.headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"));
        let page = match self.shared.paths {
            Paths::Own => format!("{}/checks/{name}", self.shared.link),
            Paths::PromRun => format!("{}/", self.shared.link),
        };
        match self.shared.board.ask_for_run(name) {
            AskedFor::NoSuchCheck => answer(StatusCode::NOT_FOUND, "no check of that name"),
            AskedFor::Asked | AskedFor::Running if is_page => see_other(&page),
            AskedFor::Asked => answer(StatusCode::ACCEPTED, name),
            AskedFor::Running => answer(StatusCode::CONFLICT, "a run of this check is under way"),
        }
    }

    /// Pages of other sites must not make a browser do something here: neither one that asks under our name, nor one that gave us a name of its own (DNS
    /// rebinding), which nobody has to prove where there are no users. What isn't a browser is neither. Why not, for people.
    fn refused_to_others(&self, request: &Parts, current: &Current) -> Option<String> {
        let external = self.shared.external.as_deref().unwrap_or_default();
        if is_from_elsewhere(request, external) {
            return Some("not for pages of other sites".to_owned());
        }
        let is_browser =
            [ORIGIN.as_str(), "sec-fetch-site"].iter().any(|name| request.headers.contains_key(*name));
        let known = current.users.is_some() || current.is_protected_by_client_certificates();
        if !is_browser || known || matches!(self.at, Address::Unix(_)) {
            return None;
        }
        let host =
            authority(request).map(|authority| authority.host().to_ascii_lowercase()).unwrap_or_default();
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let is_external = |asked: Authority| asked.as_str() == external;
        // A name without a dot is none of the Internet's.
        let is_ours = name.parse::<IpAddr>().is_ok()
            || !name.contains('.')
            || self.shared.own_names.iter().any(|own| own.eq_ignore_ascii_case(name))
            || origin(request).is_some_and(is_external);
        (!is_ours).then(|| {
            format!("{name:?} is not known to be this server's name: say it with --web.external-url")
        })
    }

    /// A stream of events.
    fn events(&self, request: &Parts, current: &Current) -> Response<Sent> {
        let Ok(place) = Arc::clone(&self.shared.events).try_acquire_owned() else {
            return busy("too many pages are open\n").map(Sent::Pieces);
        };
        let last_seen = request.headers.get("last-event-id").and_then(|id| id.to_str().ok());
        let wanted = events::Wanted::of(request.uri.query(), last_seen);
        if let Some(name) = &wanted.check
            && self.shared.board.snapshot().get(name).is_none()
        {
            let mut response = text(StatusCode::NOT_FOUND, r#"{"error":"no check of that name"}"#);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            return response.map(Sent::Pieces);
        }
        let shows = self.show(request, current) == Show::Output;
        let (send, receive) = mpsc::channel(EVENTS_AHEAD);
        let (board, stopping) = (Arc::clone(&self.shared.board), self.shared.stopping.clone());
        if request.method == Method::GET {
            tokio::spawn(async move {
                events::follow(board, wanted, shows, stopping, send).await;
                drop(place);
            });
        }
        let mut response = Response::new(Sent::Events(receive));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        // nginx would keep them back.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    /// What the pages of this listener show to whom. By itself, the output only to those who are known, and to whoever asks for this machine by one of
    /// its loopback names: a web page elsewhere can make a browser ask under a name of its own that leads here (DNS rebinding).
    fn show(&self, request: &Parts, current: &Current) -> Show {
        let known = current.users.is_some() || current.is_protected_by_client_certificates();
        let is_own = match &self.at {
            Address::Tcp(address) => address.ip().is_loopback() && is_local(request),
            Address::Unix(_) => true,
        };
        self.shared.show.unwrap_or(if known || is_own { Show::Output } else { Show::TablesOnly })
    }
}

impl Shared {
    fn respond(&self, request: &Parts, show: Show) -> Response<Pieces> {
        let snapshot = self.board.snapshot();
        let mut site = Site {
            prefix: &self.prefix,
            link: &self.link,
            metrics_path: &self.metrics_path,
            show,
            paths: self.paths,
            lifecycle: self.lifecycle,
            stopping: self.stopping.is_cancelled(),
            process_metrics: &[],
            web_config: self.access.is_from_a_file().then(|| WebConfigState {
                reloaded: self.access.is_last_reload_ok(),
                loaded: self.access.last_success(),
            }),
            now: Timestamp::now(),
        };
        let gathered;
        if site.below(request.uri.path()) == Some(&self.metrics_path) {
            gathered = self.registry.gather();
            site.process_metrics = &gathered;
        }
        let response = respond(request, &snapshot, &site);
        if response.headers().contains_key(CONTENT_ENCODING) {
            self.board.pack_from_now_on();
        }
        let response = packed(response, &request.headers);
        if self.is_page(request) { self.within_room(response) } else { response }
    }

    fn is_events(&self, request: &Parts) -> bool {
        let is_read = request.method == Method::GET || request.method == Method::HEAD;
        let path = below(&self.prefix, request.uri.path()).and_then(|path| path.strip_prefix(API));
        is_read && path == Some("events")
    }

    /// Whether the answer is made for this request alone.
    fn is_page(&self, request: &Parts) -> bool {
        let path = below(&self.prefix, request.uri.path());
        !path.is_some_and(|path| {
            path == self.metrics_path || QUICK.contains(&path) || assets::at(path).is_some()
        })
    }

    /// The answer with its share of the room, which it has until it is sent. One that is larger than the room takes all of it.
    fn within_room(&self, response: Response<Pieces>) -> Response<Pieces> {
        let size = usize::try_from(response.body().len() >> 10).unwrap_or(usize::MAX).min(ROOM);
        let share = u32::try_from(size)
            .ok()
            .and_then(|size| Arc::clone(&self.room).try_acquire_many_owned(size).ok());
        match share {
            Some(share) => response.map(|pieces| pieces.keeping(share)),
            None => busy("too many pages are under way\n"),
        }
    }
}

fn is_local(request: &Parts) -> bool {
    // A proxy on this machine asks for somebody elsewhere, by whatever name.
    const PROXIES: [&str; 8] = [
        "cf-connecting-ip",
        "forwarded",
        "true-client-ip",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    ];
    if PROXIES.iter().any(|by| request.headers.contains_key(*by)) {
        return false;
    }
    let name = authority(request).map(|authority| authority.host().to_owned()).unwrap_or_default();
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whom the client believes to ask: HTTP/2 says it in place of `Host`.
fn authority(request: &Parts) -> Option<Authority> {
    match request.headers.get(HOST) {
        Some(host) => host.to_str().ok()?.parse().ok(),
        None => request.uri.authority().cloned(),
    }
}

/// Whether a browser sends this for a page that isn't ours. What isn't a browser says neither.
fn is_from_elsewhere(request: &Parts, external: &str) -> bool {
    let header = |name: &str| request.headers.get(name);
    let fetched = header("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let foreign = request.headers.contains_key(ORIGIN) && {
        let origin = origin(request);
        // A proxy may have given us another name than the browser knows.
        let is_external = origin.as_ref().is_some_and(|origin| origin.as_str() == external);
        origin.is_none() || (!is_external && origin != authority(request))
    };
    fetched || foreign
}

/// Whose page it is that asks.
fn origin(request: &Parts) -> Option<Authority> {
    let (_, origin) = request.headers.get(ORIGIN)?.to_str().ok()?.split_once("://")?;
    origin.parse().ok()
}

//! hyper around [`respond`](super::respond): connections, limits, and an end that lets answers finish.

use super::connections::{Answer, Connections, Entered, LOOK, Watched};
use super::listen::{Address, Listener};
use super::{Paths, Pieces, RELOAD, Show, Site, respond, text};
use crate::board::Board;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_ENCODING, HOST, HeaderMap, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use jiff::Timestamp;
use prometheus::Registry;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How long answers under way may take once the server ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How much of a request's head is read.
const LONGEST_HEAD: usize = 64 << 10;
/// How many answers are made at once. They are made on threads that runs need, too, for their outputs.
const MADE_AT_ONCE: usize = 4;

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
    /// What pages may show; `None`: the output on loopback addresses, else tables only.
    pub show: Option<Show>,
    /// What is answered where.
    pub paths: Paths,
    /// Who loads the configuration again, where that may be asked for over HTTP.
    pub reload: Option<Asking>,
    /// Cancelled when driftrun has begun to end.
    pub stopping: CancellationToken,
}

impl Bound {
    /// Serves until `stop`, then lets answers under way finish for a moment.
    pub async fn serve(self, board: Arc<Board>, stop: CancellationToken) {
        let Self { listeners, prefix, link, metrics_path, show, paths, reload, stopping } = self;
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
            paths,
            reload,
            stopping,
            making: Semaphore::new(MADE_AT_ONCE),
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
    paths: Paths,
    reload: Option<Asking>,
    stopping: CancellationToken,
    making: Semaphore,
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
            tracing::warn!("connection closed: all places are taken by answers under way");
            continue;
        };
        let stream = Watched { stream, place: Arc::clone(&entered.place) };
        let caller = Caller { shared: Arc::clone(&shared), at: listener.address.clone() };
        speak(stream, entered, caller, &graceful);
    }
    drop(listener);
    let _ = tokio::time::timeout(LAST_ANSWERS, graceful.shutdown()).await;
}

/// HTTP on one connection, in a task of its own.
fn speak<S>(stream: Watched<S>, entered: Entered, caller: Caller, graceful: &GracefulShutdown)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let place = Arc::clone(&entered.place);
    let service = service_fn(move |request| {
        let (caller, answer) = (caller.clone(), place.answer());
        async move {
            let response = caller.answer(request).await;
            Ok::<_, Infallible>(response.map(|pieces| Answered { pieces, _answer: answer }))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // Whoever is too slow is ended by `connections`, which knows idle from slow.
        .header_read_timeout(None)
        .max_buf_size(LONGEST_HEAD)
        // A client may say that it is done before it has its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            },
            () = entered.ended() => tracing::debug!("connection ended: too slow, or another one needed its place"),
        }
    });
}

/// A body, and the place that it is sent from.
struct Answered {
    pieces: Pieces,
    _answer: Answer,
}

impl Body for Answered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.pieces).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.pieces.size_hint()
    }
}

/// Who answers on one connection.
#[derive(Clone)]
struct Caller {
    shared: Arc<Shared>,
    at: Address,
}

impl Caller {
    async fn answer(&self, request: Request<Incoming>) -> Response<Pieces> {
        let (request, _) = request.into_parts();
        if request.version == Version::HTTP_11 && !request.headers.contains_key(HOST) {
            return text(StatusCode::BAD_REQUEST, "HTTP/1.1 wants a Host header\n");
        }
        let asks = request.method == Method::POST || request.method == Method::PUT;
        if asks && request.uri.path().strip_prefix(&*self.shared.prefix) == Some(RELOAD) {
            return self.reload(&request).await;
        }
        let Ok(_making) = self.shared.making.acquire().await else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "driftrun is stopping\n");
        };
        let (shared, show) = (Arc::clone(&self.shared), self.show(&request));
        // Rendering a page, compressing, or gathering /proc takes time: not on a worker.
        let made = tokio::task::spawn_blocking(move || shared.respond(&request, show)).await;
        made.unwrap_or_else(|error| {
            tracing::error!(%error, "no answer");
            text(StatusCode::INTERNAL_SERVER_ERROR, "internal error\n")
        })
    }

    /// Loads the configuration again, as `Prometheus` does it.
    async fn reload(&self, request: &Parts) -> Response<Pieces> {
        let Some(asking) = &self.shared.reload else {
            return text(
                StatusCode::FORBIDDEN,
                "not enabled; `driftrun serve --web.enable-lifecycle` loads its file again when asked here, and by SIGHUP in any case\n",
            );
        };
        if is_from_elsewhere(&request.headers) {
            return text(StatusCode::FORBIDDEN, "not for pages of other sites\n");
        }
        let (answer, answered) = oneshot::channel();
        if asking.send(answer).await.is_err() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "driftrun is stopping\n");
        }
        match answered.await {
            Ok(Ok(())) => text(StatusCode::OK, "configuration loaded\n"),
            Ok(Err(problems)) => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("configuration not loaded, the old one goes on:\n{problems}\n"),
            ),
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "driftrun is stopping\n"),
        }
    }

    /// What the pages of this listener show to whom. By itself, the output only to whoever asks for this machine by one of its loopback names: a web
    /// page elsewhere can make a browser ask under a name of its own that leads here (DNS rebinding).
    fn show(&self, request: &Parts) -> Show {
        let is_own = match &self.at {
            Address::Tcp(address) => address.ip().is_loopback() && is_local(&request.headers),
            Address::Unix(_) => true,
        };
        self.shared.show.unwrap_or(if is_own { Show::Output } else { Show::TablesOnly })
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
            stopping: self.stopping.is_cancelled(),
            process_metrics: &[],
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
        response
    }
}

fn is_local(headers: &HeaderMap) -> bool {
    let name = authority(headers).map(|authority| authority.host().to_owned()).unwrap_or_default();
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn authority(headers: &HeaderMap) -> Option<Authority> {
    headers.get(HOST)?.to_str().ok()?.parse().ok()
}

/// Whether a browser sends this for a page that isn't ours. What isn't a browser says neither.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let fetched = headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let origin = headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        origin.map(|(_, authority)| authority) != host
    });
    fetched || origin
}

//! hyper around [`respond`](super::respond): listeners, limits, and an end that lets answers finish.

use super::{Paths, Show, Site, respond};
use crate::board::Board;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use jiff::Timestamp;
use prometheus::{Encoder as _, Registry, TextEncoder};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// More connections than that wait to be accepted.
const CONNECTIONS: usize = 512;
/// A client that takes longer for its request's head is gone.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long answers under way may take once the server ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// The address it is bound to, port filled in.
    pub address: SocketAddr,
}

/// The listeners, and what they serve.
#[derive(Debug)]
pub struct Bound {
    /// At least one.
    pub listeners: Vec<Listener>,
    /// Where the metrics are.
    pub metrics_path: String,
    /// What pages may show; `None`: the output on loopback addresses, else tables only.
    pub show: Option<Show>,
    /// What is answered where.
    pub paths: Paths,
}

/// Binds `address`: `host:port`, or `:port` for every address of the machine.
///
/// # Errors
/// For people: the address, what is wrong, what to do.
pub async fn bind(address: &str) -> Result<Listener, String> {
    let wanted = match address.strip_prefix(':') {
        Some(port) => vec![format!("[::]:{port}"), format!("0.0.0.0:{port}")],
        None => vec![address.to_owned()],
    };
    let mut problem = None;
    for wanted in wanted {
        let socket = match TcpListener::bind(&wanted).await {
            Ok(socket) => socket,
            // No IPv6 on this machine is no reason not to listen.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                problem = Some(error);
                continue;
            }
            Err(error) => {
                problem = Some(error);
                break;
            }
        };
        let address = socket.local_addr().map_err(|error| error.to_string())?;
        return Ok(Listener { socket, address });
    }
    Err(match problem {
        Some(error) if error.kind() == io::ErrorKind::AddrInUse => {
            format!(
                "can't listen on {address}: the port is in use; stop whoever has it, or choose another with --web.listen-address"
            )
        }
        Some(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            format!(
                "can't listen on {address}: no interface of this machine has that address; :PORT listens on all"
            )
        }
        Some(error) => {
            format!("can't listen on {address}: {error}; an address looks like 127.0.0.1:9152 or :9152")
        }
        None => format!("can't listen on {address}"),
    })
}

impl Bound {
    /// Serves until `stop`, then lets answers under way finish for a moment.
    pub async fn serve(self, board: Arc<Board>, stop: CancellationToken) {
        let registry = Registry::new();
        // Counts the memory, CPU and descriptors of driftrun itself.
        if let Err(error) =
            registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
        {
            tracing::warn!(%error, "no metrics of the process itself");
        }
        let mut tasks = tokio::task::JoinSet::new();
        let metrics_path: Arc<str> = self.metrics_path.into();
        for listener in self.listeners {
            let own = if listener.address.ip().is_loopback() {
                Showing::ToLocalNames
            } else {
                Showing::Always(Show::TablesOnly)
            };
            let show = self.show.map_or(own, Showing::Always);
            let shared = Arc::new(Shared {
                board: Arc::clone(&board),
                registry: registry.clone(),
                metrics_path: Arc::clone(&metrics_path),
                show,
                paths: self.paths,
            });
            tasks.spawn(accept(listener.socket, shared, stop.clone()));
        }
        tasks.join_all().await;
    }
}

/// What the pages of one listener show.
#[derive(Clone, Copy)]
enum Showing {
    Always(Show),
    /// The output to whoever asks for this machine by one of its loopback names: a web page elsewhere can make a browser ask under a name of its own
    /// that leads here (DNS rebinding).
    ToLocalNames,
}

impl Showing {
    fn to(self, request: &Request<Incoming>) -> Show {
        match self {
            Self::Always(show) => show,
            Self::ToLocalNames if is_local(request) => Show::Output,
            Self::ToLocalNames => Show::TablesOnly,
        }
    }
}

fn is_local(request: &Request<Incoming>) -> bool {
    let host =
        request.headers().get(hyper::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host
        .parse::<hyper::http::uri::Authority>()
        .map(|authority| authority.host().to_owned())
        .unwrap_or_default();
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

struct Shared {
    board: Arc<Board>,
    registry: Registry,
    metrics_path: Arc<str>,
    show: Showing,
    paths: Paths,
}

async fn accept(socket: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let stream = tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: a pause lets some be closed.
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = stop.cancelled() => break,
        };
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(answer(&request, shared).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(64 << 10)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(place);
        });
    }
    drop(socket);
    let _ = tokio::time::timeout(LAST_ANSWERS, graceful.shutdown()).await;
}

async fn answer(request: &Request<Incoming>, shared: Arc<Shared>) -> Response<Full<Bytes>> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let show = shared.show.to(request);
    // Rendering a page or gathering /proc takes time: not on a worker.
    let work = move || {
        let snapshot = shared.board.snapshot();
        let mut process_metrics = Vec::new();
        if path == *shared.metrics_path {
            let _ = TextEncoder::new().encode(&shared.registry.gather(), &mut process_metrics);
        }
        let site = Site {
            metrics_path: &shared.metrics_path,
            show,
            paths: shared.paths,
            process_metrics: std::str::from_utf8(&process_metrics).unwrap_or_default(),
            now: Timestamp::now(),
        };
        respond(&method, &path, &snapshot, &site)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(response) => response.map(Full::new),
        Err(error) => {
            tracing::error!(%error, "no answer");
            let mut response = Response::new(Full::new(Bytes::from_static(b"internal error\n")));
            *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

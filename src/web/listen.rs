//! Sockets that listen: bound here, or handed over by systemd.

use listenfd::ListenFd;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    /// Where, for people.
    pub address: Address,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// With the port filled in.
    Tcp(SocketAddr),
    /// A path, or nothing where the socket has none.
    Unix(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// A connection.
pub type Stream = Either<TcpStream, UnixStream>;

impl Listener {
    /// The next connection.
    ///
    /// # Errors
    /// Those of accept(2); most are somebody else's or pass.
    pub async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, _) = socket.accept().await?;
                // Answers are written whole: nothing is gained by waiting for more.
                stream.set_nodelay(true)?;
                Ok(Either::Left(stream))
            }
            Socket::Unix(socket) => Ok(Either::Right(socket.accept().await?.0)),
        }
    }
}

/// Binds `address`: `host:port`, or `:port` for every address of the machine.
///
/// # Errors
/// For people: the address, what is wrong, what to do.
pub async fn bind(address: &str) -> Result<Listener, String> {
    if address.contains('/') {
        return Err(format!(
            "can't listen on {address}: only TCP addresses such as 127.0.0.1:9152 or :9152 can be bound; other sockets come with --web.systemd-socket"
        ));
    }
    let wanted = match address.strip_prefix(':') {
        Some(port) => vec![format!("[::]:{port}"), format!("0.0.0.0:{port}")],
        None => vec![address.to_owned()],
    };
    let mut problem = None;
    for wanted in wanted {
        match TcpListener::bind(&wanted).await {
            Ok(socket) => return tcp(socket).map_err(|error| error.to_string()),
            // No IPv6 on this machine is no reason not to listen.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => problem = Some(error),
            Err(error) => {
                problem = Some(error);
                break;
            }
        }
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
        Some(error) if address.matches(':').count() > 1 && !address.contains('[') => {
            format!(
                "can't listen on {address}: {error}; an IPv6 address stands in brackets, as in [::1]:9152"
            )
        }
        Some(error) => {
            format!("can't listen on {address}: {error}; an address looks like 127.0.0.1:9152 or :9152")
        }
        None => format!("can't listen on {address}"),
    })
}

fn tcp(socket: TcpListener) -> io::Result<Listener> {
    let address = Address::Tcp(socket.local_addr()?);
    Ok(Listener { socket: Socket::Tcp(socket), address })
}

fn unix(socket: UnixListener) -> io::Result<Listener> {
    let path = socket.local_addr()?.as_pathname().map(|path| path.display().to_string());
    Ok(Listener { socket: Socket::Unix(socket), address: Address::Unix(path.unwrap_or_default()) })
}

/// The sockets that systemd has handed over, TCP or Unix. The variables that say so stay in driftrun's own environment; no command gets them.
///
/// # Errors
/// For people: there are none, or one is of another kind.
pub fn activated() -> Result<Vec<Listener>, String> {
    let mut handed = ListenFd::from_env();
    if handed.len() == 0 {
        return Err(
            "--web.systemd-socket: no socket was handed over; start driftrun by a .socket unit, or name a --web.listen-address instead"
                .to_owned(),
        );
    }
    (0..handed.len())
        .map(|n| {
            take(&mut handed, n).map_err(|error| {
                format!("--web.systemd-socket: socket {n}: {error}; TCP and Unix stream sockets are served")
            })
        })
        .collect()
}

/// A socket of a unit with `Accept=yes` is a connection, and nothing could be accepted from it.
fn listens(socket: impl AsFd) -> io::Result<()> {
    if rustix::net::sockopt::socket_acceptconn(socket)? {
        Ok(())
    } else {
        Err(io::Error::other("it is no listening socket: the .socket unit must not have Accept=yes"))
    }
}

fn take(handed: &mut ListenFd, n: usize) -> io::Result<Listener> {
    if let Ok(Some(socket)) = handed.take_tcp_listener(n) {
        listens(&socket)?;
        socket.set_nonblocking(true)?;
        return tcp(TcpListener::from_std(socket)?);
    }
    let socket = handed.take_unix_listener(n)?.ok_or(io::ErrorKind::NotFound)?;
    listens(&socket)?;
    socket.set_nonblocking(true)?;
    unix(UnixListener::from_std(socket)?)
}

//! Clients that speak TLS, with HTTP/1.1 or HTTP/2 in it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use crate::certificates::{Authority, Signed};
use crate::support::{Folder, HANG, Server, driftrun};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use driftrun::web::Pieces;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// A server's certificate, for anybody.
pub const TLS: &str = "tls_server_config: { cert_file: server.pem, key_file: server.pem }\n";

/// As `TLS`, for clients of the authority that are called so.
pub const MUTUAL: &str = "tls_server_config: { cert_file: server.pem, key_file: server.pem, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [prometheus.example] }\n";

/// A folder with an authority, what it has signed, and configurations that name that.
pub struct Place {
    pub folder: Folder,
    pub authority: Authority,
    pub elsewhere: Authority,
}

impl Place {
    pub fn new(name: &str) -> Self {
        let place = Self {
            folder: Folder::new(name),
            authority: Authority::new("here"),
            elsewhere: Authority::new("elsewhere"),
        };
        place.renew(&place.authority.server());
        place.folder.write("ca.pem", &place.authority.pem);
        place
    }

    /// Replaces the server's certificate and key, both at once.
    pub fn renew(&self, server: &Signed) {
        self.replace("server.pem", &format!("{}{}", server.pem, server.key_pem()));
    }

    /// Writes a file that nobody sees half.
    pub fn replace(&self, name: &str, text: &str) -> PathBuf {
        let (new, path) = (self.folder.write(&format!("{name}.new"), text), self.folder.path().join(name));
        std::fs::rename(new, &path).unwrap();
        path
    }

    /// `driftrun serve` with these checks and this web configuration, and without an address.
    pub fn command(&self, checks: &str, web: &str, flags: &[&str]) -> std::process::Command {
        let config = self.replace("driftrun.yaml", checks);
        let web = self.replace("web.yml", web);
        let mut command = driftrun();
        command.args(["serve", "--config.file"]).arg(config).arg("--web.config.file").arg(web).args(flags);
        command
    }

    pub fn serve(&self, checks: &str, web: &str, flags: &[&str]) -> Server {
        Server::start(self.command(checks, web, flags), &[], &[])
    }

    /// A client without a certificate.
    pub fn anybody(&self) -> Client {
        Client::new(&self.authority, None)
    }

    pub fn client(&self, own: &Signed) -> Client {
        Client::new(&self.authority, Some(own))
    }
}

/// Users with the passwords that stand beside their names, at the lowest cost.
pub fn users(pairs: &[(&str, &str)]) -> String {
    let lines =
        pairs.iter().map(|(name, password)| format!("  {name}: {}\n", bcrypt::hash(password, 4).unwrap()));
    format!("basic_auth_users:\n{}", lines.collect::<String>())
}

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Somebody who connects.
#[derive(Clone)]
pub struct Client(Arc<ClientConfig>);

impl Client {
    /// Trusts `authority`, and has a certificate or none.
    pub fn new(authority: &Authority, own: Option<&Signed>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_auth_cert(vec![own.der.clone()], own.key_der()).unwrap(),
        };
        Self(Arc::new(config))
    }

    /// The same, who offers HTTP/2 and nothing else.
    fn http2(&self) -> Arc<ClientConfig> {
        let mut config = (*self.0).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }

    /// A connection that begins its handshake when something is sent.
    pub fn connect(&self, address: &str) -> Tls {
        connection(Arc::clone(&self.0), address)
    }

    /// As `connect`, for frames of HTTP/2.
    pub fn connect_http2(&self, address: &str) -> Tls {
        connection(self.http2(), address)
    }

    /// What is sent first.
    pub fn hello(&self) -> Vec<u8> {
        let name = ServerName::try_from("localhost").unwrap();
        let mut bytes = Vec::new();
        ClientConnection::new(Arc::clone(&self.0), name).unwrap().write_tls(&mut bytes).unwrap();
        bytes
    }

    /// Status line with headers, and body, of a request on a connection of its own.
    pub fn ask(&self, address: &str, request: &str) -> io::Result<(String, String)> {
        let mut stream = self.connect(address);
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        Ok((head.to_owned(), body.to_owned()))
    }

    pub fn get(&self, address: &str, path: &str) -> io::Result<(String, String)> {
        self.ask(address, &get(path, ""))
    }

    /// A connection for many requests at once; it lives as long as the runtime.
    pub async fn multiplexed(&self, address: &str) -> SendRequest<Pieces> {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(self.http2()).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (send, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        send
    }
}

fn connection(config: Arc<ClientConfig>, address: &str) -> Tls {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.set_write_timeout(Some(HANG)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream)
}

/// The certificate that the other side has shown.
pub fn shown(stream: &Tls) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

/// The last request of a connection; `more` are whole lines.
pub fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}Connection: close\r\n\r\n")
}

/// A line with name and password.
pub fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

/// As [`support::answer`](crate::support::answer), whose body is text.
pub fn answer(stream: &mut impl Read) -> (String, String) {
    let (head, body) = crate::support::answer(stream);
    (head, String::from_utf8(body).unwrap())
}

/// Everything that comes until the other side closes, which it may do rudely.
pub fn rest(stream: &mut impl Read) -> Vec<u8> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut part) {
            Ok(0) => return bytes,
            Ok(n) => bytes.extend(&part[..n]),
            Err(error) => {
                assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "nobody closes");
                return bytes;
            }
        }
    }
}

/// A request of HTTP/2.
pub fn request(path: &str) -> Request<Pieces> {
    Request::get(format!("https://localhost{path}")).body(Pieces::default()).unwrap()
}

/// The whole body.
pub async fn body(response: Response<Incoming>) -> String {
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    while let Some(frame) = next(&mut body).await {
        bytes.extend(frame);
    }
    String::from_utf8(bytes).unwrap()
}

/// The next part of a body.
pub async fn next(body: &mut Incoming) -> Option<Vec<u8>> {
    use hyper::body::Body as _;
    let mut body = std::pin::Pin::new(body);
    let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await?.unwrap();
    Some(frame.into_data().map(|data| data.to_vec()).unwrap_or_default())
}

/// Frames of HTTP/2, for what no good client sends.
pub mod frames {
    pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    pub const HEADERS: u8 = 1;
    pub const RESET: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GO_AWAY: u8 = 7;
    pub const CONTINUATION: u8 = 9;

    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;

    pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// The fields of `GET https://localhost/PATH`, without compression.
    pub fn fields(path: &str) -> Vec<u8> {
        let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        [&[0x82, 0x87, 0x04][..], &text(path), &[0x01], &text("localhost")].concat()
    }

    /// The next frame: kind, flags and payload.
    pub fn read(stream: &mut impl std::io::Read) -> std::io::Result<(u8, u8, Vec<u8>)> {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload)?;
        Ok((head[3], head[4], payload))
    }
}

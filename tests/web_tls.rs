//! TLS as configured, spoken with a real client: who is let in, and over what.

#[path = "support/certificates.rs"]
mod certificates;

use certificates::{Authority, Signed};
use driftrun::config::web::{CipherSuite, ClientAuth, Curve, Order, Tls, TlsVersion};
use driftrun::web::tls::{Protocols, protects, server_config};
use rcgen::SanType;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A server of one authority, and clients.
struct Town {
    authority: Authority,
    elsewhere: Authority,
    server: Signed,
}

impl Town {
    fn new() -> Self {
        let authority = Authority::new("here");
        Self { server: authority.server(), elsewhere: Authority::new("elsewhere"), authority }
    }

    /// Go's defaults.
    fn tls(&self, client_auth: ClientAuth) -> Tls {
        Tls {
            certificates: vec![self.server.der.clone()],
            key: self.server.key_der(),
            client_auth,
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            cipher_suites: CipherSuite::ALL.to_vec(),
            curves: vec![Curve::X25519, Curve::P256, Curve::P384],
            order: Order::Server,
        }
    }

    fn required(&self, allowed_sans: &[&str]) -> ClientAuth {
        ClientAuth::RequireAndVerifyClientCert {
            authorities: vec![self.authority.der.clone()],
            allowed_sans: allowed_sans.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn client(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
        own: Own<'_>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match own {
            Own::Nothing => builder.with_no_client_auth(),
            Own::Certificate(own) => {
                builder.with_client_auth_cert(vec![own.der.clone()], own.key_der()).unwrap()
            }
            Own::Stolen(own, key) => {
                let key = default_provider().key_provider.load_private_key(key.key_der()).unwrap();
                let stolen = CertifiedKey::new(vec![own.der.clone()], key);
                builder.with_client_cert_resolver(Arc::new(Stolen(Arc::new(stolen))))
            }
        }
    }

    fn anybody(&self) -> ClientConfig {
        self.client(default_provider(), &[&TLS12, &TLS13], Own::Nothing)
    }
}

/// What a client has.
#[derive(Clone, Copy)]
enum Own<'c> {
    Nothing,
    Certificate(&'c Signed),
    /// A certificate and a key that isn't its own.
    Stolen(&'c Signed, &'c Signed),
}

/// Shows a certificate whose key it doesn't have.
#[derive(Debug)]
struct Stolen(Arc<CertifiedKey>);

impl ResolvesClientCert for Stolen {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A connection as the server sees it.
#[derive(Debug)]
struct Seen {
    version: ProtocolVersion,
    suite: rustls::CipherSuite,
    group: Option<NamedGroup>,
    alpn: Option<Vec<u8>>,
    certificates: usize,
    kind: HandshakeKind,
}

/// Connects and lets each side hear a byte of the other: under TLS 1.3 a client learns only then whether its certificate was taken.
async fn connect(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<Seen, String> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let accept = async {
        let mut stream =
            TlsAcceptor::from(Arc::clone(server)).accept(near).await.map_err(|e| e.to_string())?;
        stream.write_all(b"x").await.map_err(|e| e.to_string())?;
        stream.flush().await.map_err(|e| e.to_string())?;
        let _ = stream.read_u8().await;
        let (_, connection) = stream.get_ref();
        Ok::<_, String>(Seen {
            version: connection.protocol_version().unwrap(),
            suite: connection.negotiated_cipher_suite().unwrap().suite(),
            group: connection.negotiated_key_exchange_group().map(SupportedKxGroup::name),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            certificates: connection.peer_certificates().map_or(0, <[_]>::len),
            kind: connection.handshake_kind().unwrap(),
        })
    };
    let go = async {
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream =
            TlsConnector::from(Arc::clone(client)).connect(name, far).await.map_err(|e| e.to_string())?;
        stream.read_u8().await.map_err(|e| e.to_string())?;
        stream.write_all(b"y").await.map_err(|e| e.to_string())?;
        stream.shutdown().await.map_err(|e| e.to_string())
    };
    let (seen, went) = tokio::join!(accept, go);
    assert_eq!(seen.is_ok(), went.is_ok(), "both sides agree: {seen:?} {went:?}");
    seen
}

async fn seen(tls: &Tls, client: ClientConfig) -> Result<Seen, String> {
    connect(&server_config(tls, Protocols::Http2AndHttp1).unwrap(), &Arc::new(client)).await
}

#[tokio::test]
async fn each_client_auth_type_lets_in_whom_it_says() {
    let town = Town::new();
    let known = town.authority.client(Vec::new());
    let unknown = town.elsewhere.client(Vec::new());
    let der = || vec![town.authority.der.clone()];
    // Whether nobody, someone of the authority and someone of another one come in, and how many certificates are seen then.
    let table = [
        (ClientAuth::NoClientCert, [Some(0), Some(0), Some(0)]),
        (ClientAuth::RequestClientCert { hints: Vec::new() }, [Some(0), Some(1), Some(1)]),
        (ClientAuth::RequestClientCert { hints: der() }, [Some(0), Some(1), Some(1)]),
        (ClientAuth::RequireAnyClientCert { hints: Vec::new() }, [None, Some(1), Some(1)]),
        (ClientAuth::RequireAnyClientCert { hints: der() }, [None, Some(1), Some(1)]),
        (ClientAuth::VerifyClientCertIfGiven { authorities: der() }, [Some(0), Some(1), None]),
        (town.required(&[]), [None, Some(1), None]),
    ];
    for (client_auth, expected) in table {
        let tls = town.tls(client_auth);
        for version in [&TLS12, &TLS13] {
            let mut got = Vec::new();
            for own in [Own::Nothing, Own::Certificate(&known), Own::Certificate(&unknown)] {
                let client = town.client(default_provider(), &[version], own);
                got.push(seen(&tls, client).await.ok().map(|seen| seen.certificates));
            }
            assert_eq!(got, expected, "{:?} {version:?}", tls.client_auth);
        }
    }
}

#[tokio::test]
async fn a_certificate_whose_key_somebody_else_has_is_refused_even_where_none_is_verified() {
    let town = Town::new();
    let (theirs, own) = (town.authority.client(Vec::new()), town.authority.client(Vec::new()));
    for client_auth in [
        ClientAuth::RequestClientCert { hints: Vec::new() },
        ClientAuth::RequireAnyClientCert { hints: Vec::new() },
        town.required(&[]),
    ] {
        let tls = town.tls(client_auth);
        for version in [&TLS12, &TLS13] {
            let thief = town.client(default_provider(), &[version], Own::Stolen(&theirs, &own));
            assert!(seen(&tls, thief).await.is_err(), "{:?} {version:?}", tls.client_auth);
        }
    }
}

#[tokio::test]
async fn one_of_the_allowed_names_is_enough_and_none_is_not() {
    let town = Town::new();
    let names = vec![
        SanType::DnsName("a.example.org".try_into().unwrap()),
        SanType::DnsName("*.wild.example.org".try_into().unwrap()),
        SanType::Rfc822Name("ops@example.org".try_into().unwrap()),
        SanType::URI("spiffe://example.org/prometheus".try_into().unwrap()),
        SanType::IpAddress("10.0.0.1".parse().unwrap()),
        SanType::IpAddress("2001:db8::1".parse().unwrap()),
    ];
    let holder = town.authority.client(names.clone());
    let forged = town.elsewhere.client(names);
    let nameless = town.authority.client(Vec::new());
    let admitted = async |allowed: &[&str], own: Own<'_>| {
        let client = town.client(default_provider(), &[&TLS13], own);
        seen(&town.tls(town.required(allowed)), client).await.is_ok()
    };
    for allowed in [
        "a.example.org",
        "*.wild.example.org",
        "ops@example.org",
        "spiffe://example.org/prometheus",
        "10.0.0.1",
        "2001:db8::1",
        "2001:DB8:0:0::1",
    ] {
        assert!(admitted(&["no.example.org", allowed], Own::Certificate(&holder)).await, "{allowed}");
        assert!(!admitted(&[allowed], Own::Certificate(&forged)).await, "{allowed}");
        assert!(!admitted(&[allowed], Own::Certificate(&nameless)).await, "{allowed}");
        assert!(!admitted(&[allowed], Own::Nothing).await, "{allowed}");
    }
    for allowed in [
        "b.example.org",
        "example.org",
        "*.example.org",
        "x.wild.example.org",
        "a.example.org.",
        "A.example.org",
        "example.org/prometheus",
        "10.0.0.2",
        "2001:db8::2",
        "::ffff:10.0.0.1",
    ] {
        assert!(!admitted(&[allowed], Own::Certificate(&holder)).await, "{allowed}");
    }
    assert!(admitted(&[], Own::Certificate(&nameless)).await, "no list lets in all of the authority");
}

#[tokio::test]
async fn versions_are_those_that_are_configured() {
    use TlsVersion::{Tls12, Tls13};
    let town = Town::new();
    let version = async |min, max, offered: &[&'static SupportedProtocolVersion]| {
        let tls = Tls { min_version: min, max_version: max, ..town.tls(ClientAuth::NoClientCert) };
        let client = town.client(default_provider(), offered, Own::Nothing);
        seen(&tls, client).await.ok().map(|seen| seen.version)
    };
    assert_eq!(version(Tls12, Tls13, &[&TLS12, &TLS13]).await, Some(ProtocolVersion::TLSv1_3));
    assert_eq!(version(Tls12, Tls13, &[&TLS12]).await, Some(ProtocolVersion::TLSv1_2));
    assert_eq!(version(Tls12, Tls12, &[&TLS12, &TLS13]).await, Some(ProtocolVersion::TLSv1_2));
    assert_eq!(version(Tls13, Tls13, &[&TLS12, &TLS13]).await, Some(ProtocolVersion::TLSv1_3));
    assert_eq!(version(Tls13, Tls13, &[&TLS12]).await, None);
    assert_eq!(version(Tls12, Tls12, &[&TLS13]).await, None);
}

#[tokio::test]
async fn cipher_suites_and_their_order_are_those_that_are_configured() {
    let town = Town::new();
    let suite = async |suites: &[CipherSuite], order, client: ClientConfig| {
        let tls = Tls { cipher_suites: suites.to_vec(), order, ..town.tls(ClientAuth::NoClientCert) };
        seen(&tls, client).await.ok().map(|seen| seen.suite)
    };
    let chacha = rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
    assert_eq!(suite(&[CipherSuite::ChaCha20], Order::Server, town.anybody()).await, Some(chacha));
    let only = |suites: Vec<_>, version| {
        let provider = CryptoProvider { cipher_suites: suites, ..default_provider() };
        town.client(provider, &[version], Own::Nothing)
    };
    let aes = || only(vec![cipher_suite::TLS13_AES_128_GCM_SHA256], &TLS13);
    assert_eq!(suite(&[CipherSuite::ChaCha20], Order::Server, aes()).await, None);
    let of_12 = [CipherSuite::EcdsaAes128Gcm, CipherSuite::EcdsaChaCha20];
    let (first, second) = (
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    );
    let backwards = || {
        let suites = vec![
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ];
        only(suites, &TLS12)
    };
    assert_eq!(suite(&of_12, Order::Server, backwards()).await, Some(first));
    assert_eq!(suite(&of_12, Order::Client, backwards()).await, Some(second));
    assert_eq!(
        suite(&of_12, Order::Server, aes()).await,
        None,
        "no suite of 1.3 in the list that tls was made of"
    );
}

#[tokio::test]
async fn every_cipher_suite_of_ecdsa_and_13_can_be_the_only_one() {
    let town = Town::new();
    for suite in CipherSuite::ALL {
        let tls = Tls { cipher_suites: vec![suite], ..town.tls(ClientAuth::NoClientCert) };
        let seen = seen(&tls, town.anybody()).await;
        if suite.as_str().contains("_RSA_") {
            assert!(seen.is_err(), "the certificate is ECDSA");
        } else {
            let name = format!("{:?}", seen.unwrap().suite).replace("TLS13_", "TLS_");
            assert_eq!(name, suite.as_str());
        }
    }
}

#[tokio::test]
async fn curves_are_those_that_are_configured() {
    let town = Town::new();
    for version in [&TLS12, &TLS13] {
        let group = async |curves: &[Curve], offered: Vec<_>| {
            let tls = Tls { curves: curves.to_vec(), ..town.tls(ClientAuth::NoClientCert) };
            let provider = CryptoProvider { kx_groups: offered, ..default_provider() };
            let seen = seen(&tls, town.client(provider, &[version], Own::Nothing)).await;
            seen.ok().map(|seen| seen.group.unwrap())
        };
        let all = || vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
        assert_eq!(group(&[Curve::P384], all()).await, Some(NamedGroup::secp384r1));
        assert_eq!(group(&[Curve::P256], all()).await, Some(NamedGroup::secp256r1));
        assert_eq!(group(&[Curve::X25519], all()).await, Some(NamedGroup::X25519));
        assert_eq!(group(&[Curve::P384], vec![kx_group::X25519]).await, None);
    }
}

#[tokio::test]
async fn http_2_is_offered_first_or_not_at_all() {
    let town = Town::new();
    let alpn = async |protocols, offered: &[&str]| {
        let mut client = town.anybody();
        client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let server = server_config(&town.tls(ClientAuth::NoClientCert), protocols).unwrap();
        let seen = connect(&server, &Arc::new(client)).await;
        seen.ok().map(|seen| seen.alpn.map(|name| String::from_utf8(name).unwrap()))
    };
    let name = |name: &str| Some(Some(name.to_owned()));
    assert_eq!(alpn(Protocols::Http2AndHttp1, &["http/1.1", "h2"]).await, name("h2"));
    assert_eq!(alpn(Protocols::Http2AndHttp1, &["http/1.1"]).await, name("http/1.1"));
    assert_eq!(alpn(Protocols::Http1, &["h2", "http/1.1"]).await, name("http/1.1"));
    assert_eq!(alpn(Protocols::Http1, &["h2"]).await, None);
    assert_eq!(alpn(Protocols::Http1, &[]).await, Some(None), "a client without ALPN speaks HTTP/1.1");
}

#[tokio::test]
async fn sessions_are_resumed_only_where_no_certificate_is_asked_for() {
    let town = Town::new();
    let known = town.authority.client(Vec::new());
    let resumed = async |client_auth, version| {
        let server = server_config(&town.tls(client_auth), Protocols::Http1).unwrap();
        let client = Arc::new(town.client(default_provider(), &[version], Own::Certificate(&known)));
        connect(&server, &client).await.unwrap();
        connect(&server, &client).await.unwrap().kind == HandshakeKind::Resumed
    };
    let authorities = || vec![town.authority.der.clone()];
    for version in [&TLS12, &TLS13] {
        assert!(resumed(ClientAuth::NoClientCert, version).await);
        for client_auth in [
            ClientAuth::RequestClientCert { hints: Vec::new() },
            ClientAuth::RequireAnyClientCert { hints: Vec::new() },
            ClientAuth::VerifyClientCertIfGiven { authorities: authorities() },
            town.required(&[]),
        ] {
            assert!(!resumed(client_auth, version).await);
        }
    }
}

#[test]
fn only_required_and_verified_certificates_protect() {
    let town = Town::new();
    assert!(protects(&town.required(&[])));
    assert!(protects(&town.required(&["a"])));
    let authorities = vec![town.authority.der.clone()];
    for client_auth in [
        ClientAuth::NoClientCert,
        ClientAuth::RequestClientCert { hints: authorities.clone() },
        ClientAuth::RequireAnyClientCert { hints: authorities.clone() },
        ClientAuth::VerifyClientCertIfGiven { authorities },
    ] {
        assert!(!protects(&client_auth), "{client_auth:?}");
    }
}

//! `tls_server_config`: what TLS is made of, with Go's names for everything, as people have them in their files.
//!
//! What is said here of what "is not offered" is rustls' and ring's choice: TLS 1.2 and 1.3, suites with forward secrecy and authenticated encryption.

use super::super::Place;
use super::super::yaml::{Node, Value};
use super::{Decoder, Source, pem, read};
use crate::check::nearest;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;

pub(super) const KEYS: &[&str] = &[
    "cert",
    "cert_file",
    "cipher_suites",
    "client_allowed_sans",
    "client_auth_type",
    "client_ca",
    "client_ca_file",
    "curve_preferences",
    "key",
    "key_file",
    "max_version",
    "min_version",
    "prefer_server_cipher_suites",
];

/// The certificate with its chain and key, which belong together, and how connections are made.
#[derive(Debug, PartialEq, Eq)]
pub struct Tls {
    /// The server's own certificate, then those that lead to an authority.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The key of the first certificate. Its `Debug` shows nothing of it.
    pub key: PrivateKeyDer<'static>,
    /// What clients show of themselves.
    pub client_auth: ClientAuth,
    /// The oldest version that is spoken, not above `max_version`.
    pub min_version: TlsVersion,
    /// The newest one.
    pub max_version: TlsVersion,
    /// In the order of preference. Some suite of them can be used with one of the versions.
    pub cipher_suites: Vec<CipherSuite>,
    /// At least one; of several the client chooses.
    pub curves: Vec<Curve>,
    /// Whose order of cipher suites decides.
    pub order: Order,
}

impl Tls {
    /// When the server's own certificate ends.
    pub fn end(&self) -> Option<Timestamp> {
        Timestamp::from_second(pem::end(self.certificates.first()?)?).ok()
    }
}

/// Whose preference decides where both sides have several cipher suites in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The server's.
    Server,
    /// The client's.
    Client,
}

/// What clients show of themselves, by the names that Go's `crypto/tls` gives it. Authorities are at least one certificate each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nothing is asked for.
    NoClientCert,
    /// A certificate is asked for; any one will do, and so will none.
    RequestClientCert {
        /// Authorities whose names clients are told, to choose a certificate by.
        hints: Vec<CertificateDer<'static>>,
    },
    /// Any certificate whose key the client has.
    RequireAnyClientCert {
        /// As above.
        hints: Vec<CertificateDer<'static>>,
    },
    /// None, or one that leads to an authority.
    VerifyClientCertIfGiven {
        /// Whom certificates are traced to.
        authorities: Vec<CertificateDer<'static>>,
    },
    /// One that leads to an authority.
    RequireAndVerifyClientCert {
        /// Whom certificates are traced to.
        authorities: Vec<CertificateDer<'static>>,
        /// Of these subject alternative names the certificate has one; whoever has a certificate may come where it is empty.
        allowed_sans: Vec<String>,
    },
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

impl TlsVersion {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLS12",
            Self::Tls13 => "TLS13",
        }
    }
}

/// A key exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names are all there is to say")]
pub enum Curve {
    X25519,
    P256,
    P384,
}

const CURVES: &[(&str, Curve)] =
    &[("X25519", Curve::X25519), ("CurveP256", Curve::P256), ("CurveP384", Curve::P384)];

/// A cipher suite; see [`CipherSuite::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names are all there is to say")]
pub enum CipherSuite {
    Aes256Gcm,
    Aes128Gcm,
    ChaCha20,
    EcdsaAes256Gcm,
    EcdsaAes128Gcm,
    EcdsaChaCha20,
    RsaAes256Gcm,
    RsaAes128Gcm,
    RsaChaCha20,
}

impl CipherSuite {
    /// All, in the order that is preferred where none is written.
    pub const ALL: [Self; 9] = [
        Self::Aes256Gcm,
        Self::Aes128Gcm,
        Self::ChaCha20,
        Self::EcdsaAes256Gcm,
        Self::EcdsaAes128Gcm,
        Self::EcdsaChaCha20,
        Self::RsaAes256Gcm,
        Self::RsaAes128Gcm,
        Self::RsaChaCha20,
    ];

    /// Its name in IANA's registry and in Go.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "TLS_AES_256_GCM_SHA384",
            Self::Aes128Gcm => "TLS_AES_128_GCM_SHA256",
            Self::ChaCha20 => "TLS_CHACHA20_POLY1305_SHA256",
            Self::EcdsaAes256Gcm => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            Self::EcdsaAes128Gcm => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            Self::EcdsaChaCha20 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            Self::RsaAes256Gcm => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            Self::RsaAes128Gcm => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            Self::RsaChaCha20 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        }
    }

    /// Whether it is one of TLS 1.2 that can be used with a key that is RSA, or with one that isn't.
    fn is_for(self, rsa: bool) -> bool {
        let name = self.as_str();
        name.contains(if rsa { "_RSA_" } else { "_ECDSA_" })
    }

    /// The one version that it belongs to.
    pub fn version(self) -> TlsVersion {
        match self {
            Self::Aes256Gcm | Self::Aes128Gcm | Self::ChaCha20 => TlsVersion::Tls13,
            Self::EcdsaAes256Gcm
            | Self::EcdsaAes128Gcm
            | Self::EcdsaChaCha20
            | Self::RsaAes256Gcm
            | Self::RsaAes128Gcm
            | Self::RsaChaCha20 => TlsVersion::Tls12,
        }
    }
}

/// A value that may be absent, or there and wrong, which has been reported.
enum Given<T> {
    Absent,
    Wrong,
    Is(Place, T),
}

impl<T> Given<T> {
    fn value(self) -> Option<T> {
        match self {
            Self::Absent | Self::Wrong => None,
            Self::Is(_, value) => Some(value),
        }
    }
}

impl Decoder<'_> {
    /// `place` is the section's own. A section without a key in it is no TLS, as in exporter-toolkit.
    pub(super) fn tls(&mut self, place: Place, node: &Node) -> Option<Tls> {
        if self.keys(node, KEYS, "tls_server_config")?.is_empty() {
            return None;
        }
        let certificates = self.pem(node, ["cert", "cert_file"], pem::certificates);
        let key = self.pem(node, ["key", "key_file"], pem::key);
        for (absent, inline, file) in [
            (matches!(certificates, Given::Absent), "cert", "cert_file"),
            (matches!(key, Given::Absent), "key", "key_file"),
        ] {
            if absent {
                self.problem(
                    place,
                    format!(
                        "tls_server_config has neither `{inline}` nor `{file}`; without it there is no TLS"
                    ),
                );
            }
        }
        if let (Given::Is(place, certificates), Given::Is(_, key)) = (&certificates, &key)
            && let Err(message) = pem::pair(certificates, key)
        {
            self.problem(*place, message);
        }
        let client_auth = self.client_auth(node);
        let (min_version, max_version) = self.versions(node);
        let cipher_suites = self.cipher_suites(node, min_version, max_version);
        if let (Some(list), Given::Is(_, key), TlsVersion::Tls12) =
            (node.get("cipher_suites"), &key, max_version)
            && let Some(is_rsa) = pem::is_rsa(key)
            && cipher_suites.iter().any(|suite| suite.version() == TlsVersion::Tls12)
            && !cipher_suites.iter().any(|suite| suite.is_for(is_rsa))
        {
            let (has, wants) = if is_rsa {
                ("RSA", "TLS_ECDHE_RSA_…")
            } else {
                ("ECDSA or Ed25519", "TLS_ECDHE_ECDSA_…")
            };
            self.problem(
                list.place,
                format!("none of cipher_suites can be used with the certificate's key, which is {has}: nobody could connect; add one called {wants}"),
            );
        }
        let curves = node.get("curve_preferences").map(|node| self.curves(node)).unwrap_or_default();
        let prefer = node.get("prefer_server_cipher_suites").and_then(|node| self.boolean(node));
        Some(Tls {
            certificates: certificates.value()?,
            key: key.value()?,
            client_auth: client_auth?,
            min_version,
            max_version,
            cipher_suites,
            curves: if curves.is_empty() { CURVES.iter().map(|(_, curve)| *curve).collect() } else { curves },
            order: if prefer == Some(false) { Order::Client } else { Order::Server },
        })
    }

    /// PEM that stands in the configuration itself, or in a file that it names.
    fn pem<T>(
        &mut self,
        node: &Node,
        [inline, file]: [&str; 2],
        parse: fn(&[u8]) -> Result<T, String>,
    ) -> Given<T> {
        let (place, what, bytes) = match (node.get(inline), node.get(file)) {
            (None, None) => return Given::Absent,
            (Some(_), Some(node)) => {
                self.problem(node.place, format!("both `{inline}` and `{file}`; keep one"));
                return Given::Wrong;
            }
            (Some(node), None) => match self.text(node) {
                Some(text) => (node.place, format!("`{inline}`"), text.into_bytes()),
                None => return Given::Wrong,
            },
            (None, Some(node)) => match self.file(node, file) {
                Some((what, bytes)) => (node.place, what, bytes),
                None => return Given::Wrong,
            },
        };
        match parse(&bytes) {
            Ok(value) => Given::Is(place, value),
            Err(message) => {
                let is_path = node.get(inline).is_some() && memchr::memmem::find(&bytes, b"-----").is_none();
                let remedy =
                    if is_path { format!("; a file's name is written as `{file}`") } else { String::new() };
                self.problem(place, format!("{what} {message}{remedy}"));
                Given::Wrong
            }
        }
    }

    /// A file that is named, with its content.
    fn file(&mut self, node: &Node, key: &str) -> Option<(String, Vec<u8>)> {
        let text = self.text(node)?;
        if text.is_empty() {
            self.problem(node.place, format!("`{key}` names no file"));
            return None;
        }
        let path = self.folder.join(text);
        match read(&path) {
            Ok(bytes) => {
                let what = path.display().to_string();
                self.sources.push(Source { digest: digest(&SHA256, &bytes), path });
                Some((what, bytes))
            }
            Err(error) => {
                let remedy = if error.kind() == io::ErrorKind::NotFound {
                    "; relative paths are relative to the configuration file"
                } else {
                    ""
                };
                let path = path.display();
                self.problem(node.place, format!("can't read {path}: {error}{remedy}"));
                None
            }
        }
    }

    fn client_auth(&mut self, node: &Node) -> Option<ClientAuth> {
        let authorities = self.pem(node, ["client_ca", "client_ca_file"], pem::authorities);
        let sans = node.get("client_allowed_sans").map(|node| (node.place, self.sans(node)));
        let kind = node.get("client_auth_type");
        let name = match kind {
            None => "NoClientCert".to_owned(),
            Some(kind) => self.text(kind)?,
        };
        let verifies = matches!(name.as_str(), "VerifyClientCertIfGiven" | "RequireAndVerifyClientCert");
        if let (true, Given::Absent, Some(kind)) = (verifies, &authorities, kind) {
            self.problem(kind.place, format!("{name} needs `client_ca_file` or `client_ca`, the authorities that clients' certificates are traced to"));
        }
        if let Some((place, _)) = &sans
            && name != "RequireAndVerifyClientCert"
        {
            self.problem(*place, "client_allowed_sans needs `client_auth_type: RequireAndVerifyClientCert`: who shows no certificate has no name, and in one that isn't verified anybody can write any name");
        }
        if let ("NoClientCert", Given::Is(place, _)) = (name.as_str(), &authorities) {
            self.problem(*place, "a client CA, and no certificate is asked for; write `client_auth_type: RequireAndVerifyClientCert` to let in only clients with one of its certificates");
        }
        Some(match name.as_str() {
            "NoClientCert" => ClientAuth::NoClientCert,
            "RequestClientCert" => {
                ClientAuth::RequestClientCert { hints: authorities.value().unwrap_or_default() }
            }
            // The second name is the one that exporter-toolkit had first.
            "RequireAnyClientCert" | "RequireClientCert" => {
                ClientAuth::RequireAnyClientCert { hints: authorities.value().unwrap_or_default() }
            }
            "VerifyClientCertIfGiven" => {
                ClientAuth::VerifyClientCertIfGiven { authorities: authorities.value()? }
            }
            "RequireAndVerifyClientCert" => ClientAuth::RequireAndVerifyClientCert {
                authorities: authorities.value()?,
                allowed_sans: sans.map(|(_, sans)| sans).unwrap_or_default(),
            },
            other => {
                let place = kind.map_or(node.place, |kind| kind.place);
                self.problem(place, format!("{other:?} is not one of NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"));
                return None;
            }
        })
    }

    fn sans(&mut self, node: &Node) -> Vec<String> {
        let names = self.list(node, "client_allowed_sans", "[prometheus.example.org]");
        if names.is_empty() && matches!(&node.value, Value::List(_)) {
            self.problem(node.place, "client_allowed_sans is empty: nobody could come; leave it out to let in every certificate of the CA");
        }
        for (place, name) in &names {
            if name.is_empty() {
                self.problem(*place, "a name is empty");
            }
        }
        names.into_iter().map(|(_, name)| name).collect()
    }

    fn versions(&mut self, node: &Node) -> (TlsVersion, TlsVersion) {
        let mut version = |key: &str| {
            let node = node.get(key)?;
            match self.text(node)?.as_str() {
                "TLS12" => Some(TlsVersion::Tls12),
                "TLS13" => Some(TlsVersion::Tls13),
                old @ ("TLS10" | "TLS11") => {
                    self.problem(node.place, format!("{old} is not offered: it is broken and was withdrawn in 2021 (RFC 8996); write TLS12 or TLS13"));
                    None
                }
                other => {
                    self.problem(node.place, format!("{other:?} is no version of TLS; write TLS12 or TLS13"));
                    None
                }
            }
        };
        let (min, max) = (version("min_version"), version("max_version"));
        if let (Some(min), Some(max), Some(node)) = (min, max, node.get("min_version"))
            && min > max
        {
            self.problem(
                node.place,
                format!("min_version {} is above max_version {}", min.as_str(), max.as_str()),
            );
        }
        (min.unwrap_or(TlsVersion::Tls12), max.unwrap_or(TlsVersion::Tls13))
    }

    /// Go doesn't let the suites of TLS 1.3 be chosen: a list without any of them leaves them all. A list with some of them means those.
    fn cipher_suites(&mut self, node: &Node, min: TlsVersion, max: TlsVersion) -> Vec<CipherSuite> {
        let Some(list) = node.get("cipher_suites") else { return CipherSuite::ALL.to_vec() };
        let names = self.list(list, "cipher_suites", "[TLS_AES_128_GCM_SHA256]");
        let mut suites = Vec::new();
        let mut wrong = false;
        for (place, name) in &names {
            if let Some(suite) = CipherSuite::ALL.into_iter().find(|suite| suite.as_str() == name) {
                suites.push(suite);
            } else {
                wrong = true;
                self.problem(*place, no_suite(name));
            }
        }
        if suites.is_empty() {
            return CipherSuite::ALL.to_vec();
        }
        if suites.iter().all(|suite| suite.version() == TlsVersion::Tls12) {
            let of_13 = CipherSuite::ALL.into_iter().filter(|suite| suite.version() == TlsVersion::Tls13);
            suites.splice(0..0, of_13);
        }
        if !wrong && !suites.iter().any(|suite| (min..=max).contains(&suite.version())) {
            self.problem(
                list.place,
                format!(
                    "no suite of {} to {} is among cipher_suites: nobody could connect",
                    min.as_str(),
                    max.as_str()
                ),
            );
        }
        suites
    }

    fn curves(&mut self, node: &Node) -> Vec<Curve> {
        let mut curves = Vec::new();
        for (place, name) in self.list(node, "curve_preferences", "[X25519, CurveP256]") {
            let known: Vec<&str> = CURVES.iter().map(|(name, _)| *name).collect();
            match CURVES.iter().find(|(known, _)| *known == name) {
                Some((_, curve)) => curves.push(*curve),
                None if matches!(name.as_str(), "CurveP521" | "X25519MLKEM768") => {
                    self.problem(place, format!("{name} is not offered: driftrun's cryptography (ring) has no such key exchange; possible: {}", known.join(", ")));
                }
                None => {
                    self.problem(
                        place,
                        format!("{name:?} is no key exchange; possible: {}", known.join(", ")),
                    );
                }
            }
        }
        curves
    }

    fn list(&mut self, node: &Node, key: &str, example: &str) -> Vec<(Place, String)> {
        let Value::List(items) = &node.value else {
            self.problem(
                node.place,
                format!("`{key}` must be a list such as {example}, not {}", node.kind()),
            );
            return Vec::new();
        };
        items.iter().filter_map(|item| Some((item.place, self.text(item)?))).collect()
    }
}

/// Why a cipher suite can't be had.
fn no_suite(name: &str) -> String {
    let possible = CipherSuite::ALL.map(CipherSuite::as_str);
    let why = if name.starts_with("TLS_RSA_WITH_") {
        "its key exchange is RSA: who gets the key later can read what was said before"
    } else if name.contains("_CBC_") {
        "CBC has been attacked again and again"
    } else if name.contains("_RC4_") {
        "RC4 is broken"
    } else {
        return match nearest(name, &possible) {
            Some(near) => format!("{name:?} is no cipher suite; did you mean {near:?}?"),
            None => format!("{name:?} is no cipher suite; possible: {}", possible.join(", ")),
        };
    };
    format!("{name} is not offered: {why}; possible: {}", possible.join(", "))
}

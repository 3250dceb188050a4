//! [`Tls`] → a `rustls` server configuration: versions, suites, ALPN, and what clients must show.
//!
//! What may stand in a configuration was decided before; this knows no file. No session is resumed where certificates are asked for: a resumed
//! handshake would show none, whatever has expired or been reconfigured since.

use crate::config::web::{CipherSuite, ClientAuth, Curve, Order, Tls, TlsVersion};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::{self, cipher_suite, kx_group};
use rustls::crypto::{
    CryptoProvider, SupportedKxGroup, WebPkiSupportedAlgorithms, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion,
};
use std::net::IpAddr;
use std::sync::Arc;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// What is offered beside HTTP/1.1, which always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// Nothing.
    Http1,
    /// HTTP/2, as the first choice.
    Http2AndHttp1,
}

/// What makes the other side's certificate one that `rustls` takes from nobody, where `error` says that; what OpenSSL and Go may take.
pub fn unusable_certificate(error: &str) -> Option<&'static str> {
    if error.contains("CaUsedAsEndEntity") {
        Some("is an authority's own (CA:TRUE); openssl makes another with: -addext basicConstraints=CA:FALSE")
    } else if error.contains("UnsupportedCertVersion") {
        Some(
            "is one of version 1 of X.509; openssl makes one of version 3 with: -addext subjectAltName=DNS:NAME",
        )
    } else {
        None
    }
}

/// What connections are accepted with.
///
/// # Errors
/// The certificate, the key or the authorities can't be used; [`load_web`](crate::config::web::load_web) has tried each of them.
pub fn server_config(tls: &Tls, protocols: Protocols) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: tls.cipher_suites.iter().map(|suite| supported(*suite)).collect(),
        kx_groups: tls.curves.iter().map(|curve| group(*curve)).collect(),
        ..ring::default_provider()
    });
    let verifier = verifier(&tls.client_auth, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(tls))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(tls.certificates.clone(), tls.key.clone_key())?;
    config.alpn_protocols = match protocols {
        Protocols::Http1 => vec![b"http/1.1".to_vec()],
        Protocols::Http2AndHttp1 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    config.ignore_client_order = tls.order == Order::Server;
    if tls.client_auth != ClientAuth::NoClientCert {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// Whether only clients with a certificate of a known authority come in: whoever gets an answer then has been let in by somebody.
pub fn protects(client_auth: &ClientAuth) -> bool {
    match client_auth {
        ClientAuth::RequireAndVerifyClientCert { .. } => true,
        ClientAuth::NoClientCert
        | ClientAuth::RequestClientCert { .. }
        | ClientAuth::RequireAnyClientCert { .. }
        | ClientAuth::VerifyClientCertIfGiven { .. } => false,
    }
}

fn versions(tls: &Tls) -> Vec<&'static SupportedProtocolVersion> {
    [(TlsVersion::Tls13, &TLS13), (TlsVersion::Tls12, &TLS12)]
        .into_iter()
        .filter(|(version, _)| (tls.min_version..=tls.max_version).contains(version))
        .map(|(_, version)| version)
        .collect()
}

fn supported(suite: CipherSuite) -> SupportedCipherSuite {
    match suite {
        CipherSuite::Aes256Gcm => cipher_suite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::Aes128Gcm => cipher_suite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::ChaCha20 => cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::EcdsaAes256Gcm => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdsaAes128Gcm => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdsaChaCha20 => cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::RsaAes256Gcm => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::RsaAes128Gcm => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::RsaChaCha20 => cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

fn group(curve: Curve) -> &'static dyn SupportedKxGroup {
    match curve {
        Curve::X25519 => kx_group::X25519,
        Curve::P256 => kx_group::SECP256R1,
        Curve::P384 => kx_group::SECP384R1,
    }
}

fn verifier(
    client_auth: &ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let any = |hints: &[CertificateDer<'static>], need| {
        let algorithms = provider.signature_verification_algorithms;
        Ok(Arc::new(AnyCertificate { hints: roots(hints)?.subjects(), need, algorithms })
            as Arc<dyn ClientCertVerifier>)
    };
    let traced = |authorities: &[CertificateDer<'static>]| {
        Ok::<_, Error>(WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots(authorities)?),
            Arc::clone(provider),
        ))
    };
    let unusable = |error: rustls::server::VerifierBuilderError| Error::General(error.to_string());
    match client_auth {
        ClientAuth::NoClientCert => Ok(WebPkiClientVerifier::no_client_auth()),
        ClientAuth::RequestClientCert { hints } => any(hints, Need::Optional),
        ClientAuth::RequireAnyClientCert { hints } => any(hints, Need::Mandatory),
        ClientAuth::VerifyClientCertIfGiven { authorities } => {
            traced(authorities)?.allow_unauthenticated().build().map_err(unusable)
        }
        ClientAuth::RequireAndVerifyClientCert { authorities, allowed_sans } => {
            let traced = traced(authorities)?.build().map_err(unusable)?;
            if allowed_sans.is_empty() {
                return Ok(traced);
            }
            Ok(Arc::new(OneOfThese { traced, allowed: allowed_sans.clone() }))
        }
    }
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for authority in authorities {
        store.add(authority.clone())?;
    }
    Ok(store)
}

/// Whether a client may come without a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Optional,
    Mandatory,
}

/// Takes every certificate whose key the client has, whoever signed it.
#[derive(Debug)]
struct AnyCertificate {
    hints: Vec<DistinguishedName>,
    need: Need,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.need == Need::Mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Takes what `traced` takes and what has one of these names.
#[derive(Debug)]
struct OneOfThese {
    traced: Arc<dyn ClientCertVerifier>,
    allowed: Vec<String>,
}

impl ClientCertVerifier for OneOfThese {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.traced.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.traced.verify_client_cert(end_entity, intermediates, now)?;
        if names(end_entity).iter().any(|name| self.allowed.iter().any(|allowed| name.is(allowed))) {
            Ok(verified)
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.traced.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.traced.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.traced.supported_verify_schemes()
    }
}

/// A subject alternative name.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    /// DNS, e-mail or URI, as the certificate has it.
    Text(String),
    Address(IpAddr),
}

impl Name {
    /// Exactly; only of an address there are several spellings.
    fn is(&self, allowed: &str) -> bool {
        match self {
            Self::Text(text) => text == allowed,
            Self::Address(address) => allowed.parse() == Ok(*address),
        }
    }
}

/// Those that a name can be compared with; none of a certificate that can't be read, which is refused then.
fn names(certificate: &CertificateDer<'_>) -> Vec<Name> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some(Name::Text((*text).to_owned()))
        }
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(Name::Address)
        }
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

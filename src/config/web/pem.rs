//! Certificates and keys out of PEM text, and whether they can be served together. Who is allowed to see what is not its business.

use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::{Error, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore, SignatureAlgorithm};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Version};

/// What PEM libraries say may quote a line of the text, which may be a key's: these words are ours.
const BROKEN: &str = "is broken: a section is cut off or has characters that don't belong there";

const KEY_KINDS: &str = "RSA from 2048 to 4096 bits, ECDSA P-256 and P-384, and Ed25519 are";

/// All certificates of `pem`, in its order; at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, Error> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) if PrivateKeyDer::from_pem_slice(pem).is_ok() => {
            Err("holds a private key and no certificate; are the two files swapped?".to_owned())
        }
        Ok(_) => Err("has no certificate; one begins with -----BEGIN CERTIFICATE-----".to_owned()),
        Err(_) => Err(BROKEN.to_owned()),
    }
}

/// Certificates of authorities: those that a client's certificate can be traced to.
pub(super) fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = certificates(pem)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|_| "has a certificate that can't be read".to_owned())?;
    }
    Ok(certificates)
}

/// The first private key of `pem`.
pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let says = |word: &str| memchr::memmem::find(pem, word.as_bytes()).is_some();
    if says("-----BEGIN ENCRYPTED PRIVATE KEY-----") || says("Proc-Type: 4,ENCRYPTED") {
        return Err("is an encrypted key, and nobody is there to type its passphrase; decrypt it with: openssl pkey -in KEY -out PLAIN".to_owned());
    }
    let key = match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => key,
        Err(Error::NoItemsFound) if certificates(pem).is_ok() => {
            return Err("holds a certificate and no private key; are the two files swapped?".to_owned());
        }
        Err(Error::NoItemsFound) => {
            return Err("has no private key; one begins with -----BEGIN PRIVATE KEY-----".to_owned());
        }
        Err(_) => return Err(BROKEN.to_owned()),
    };
    match default_provider().key_provider.load_private_key(key.clone_key()) {
        Ok(_) => Ok(key),
        Err(_) => Err(format!("is no key that can be served with; {KEY_KINDS}")),
    }
}

/// When a certificate ends, in seconds since 1970.
pub(super) fn end(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// Whether a key is RSA; `None` where it is no key that can be used.
pub(super) fn is_rsa(key: &PrivateKeyDer<'_>) -> Option<bool> {
    let key = any_supported_type(key).ok()?;
    Some(key.algorithm() == SignatureAlgorithm::RSA)
}

/// Whether `key` belongs to the first of `certificates`.
pub(super) fn pair(
    certificates: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<(), String> {
    match CertifiedKey::from_der(certificates.to_vec(), key.clone_key(), &default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(
            "the key doesn't belong to the certificate; the server's own certificate must be the first one"
                .to_owned(),
        ),
        Err(error) => Err(match certificates.first().map(|first| X509Certificate::from_der(first)) {
            Some(Ok((_, certificate))) if certificate.version != X509Version::V3 => {
                "the certificate is one of version 1 of X.509, which has no names of hosts; openssl makes one of version 3 with: -addext subjectAltName=DNS:NAME".to_owned()
            }
            Some(Ok(_)) | None => format!("the certificate can't be served with: {error}"),
            Some(Err(_)) => "the certificate can't be read".to_owned(),
        }),
    }
}

//! Authorities and certificates for one test, made when it runs: nothing that expires is committed.
#![allow(dead_code, reason = "each test file uses a part of it")]

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// An authority that can sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
    pub der: CertificateDer<'static>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// A server's certificate for `localhost`.
    pub fn server(&self) -> Signed {
        self.sign(Self::localhost(), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// As [`Self::server`], of the second day of this century.
    pub fn server_of_2000(&self) -> Signed {
        let mut params = Self::params(Self::localhost(), ExtendedKeyUsagePurpose::ServerAuth);
        params.not_before = date_time_ymd(2000, 1, 2);
        params.not_after = date_time_ymd(2000, 1, 3);
        self.signed(&params)
    }

    /// A client's certificate with these names.
    pub fn client(&self, names: Vec<SanType>) -> Signed {
        self.sign(names, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, names: Vec<SanType>, usage: ExtendedKeyUsagePurpose) -> Signed {
        self.signed(&Self::params(names, usage))
    }

    fn localhost() -> Vec<SanType> {
        vec![SanType::DnsName("localhost".try_into().unwrap())]
    }

    fn params(names: Vec<SanType>, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![usage];
        params
    }

    fn signed(&self, params: &CertificateParams) -> Signed {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Signed { pem: certificate.pem(), der: certificate.der().clone(), key }
    }
}

/// A certificate and its key.
pub struct Signed {
    pub pem: String,
    pub der: CertificateDer<'static>,
    key: KeyPair,
}

impl Signed {
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

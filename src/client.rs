//! The HTTP client: how it is set up, whoever it is for. The only place that knows how ureq takes its TLS.

use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Whose certificates are taken.
#[derive(Debug)]
pub enum Trust {
    /// Those that these have signed.
    SignedBy(Vec<Certificate<'static>>),
    /// Anybody's: nothing is said that somebody else may not hear, and nothing depends on who it is that answers.
    Anybody,
}

/// A client that gives up after `timeout`, follows no redirect (a redirected PUT would become a GET) and takes every status for an answer.
pub fn client(trust: Trust, timeout: Duration) -> Agent {
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let (tls, config) = match trust {
        Trust::SignedBy(roots) => (tls.root_certs(RootCerts::from(roots)), Agent::config_builder()),
        // Whoever is asked so is on this machine, and a proxy would ask its own.
        Trust::Anybody => (tls.disable_verification(true), Agent::config_builder().proxy(None)),
    };
    config
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(timeout))
        .tls_config(tls.build())
        .user_agent(concat!("driftrun/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

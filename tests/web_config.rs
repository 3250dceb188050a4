//! exporter-toolkit's web configuration: good and bad files, one for each rule, in `tests/web_config`.
//!
//! `UPDATE_FIXTURES=1` rewrites `*.expected`; read the difference before it is committed. In a file `"@NAME"` stands for the text of a file that is
//! made when the test runs.

#[path = "support/certificates.rs"]
mod certificates;
mod support;

use certificates::Authority;
use driftrun::config::web::{
    CipherSuite, ClientAuth, Curve, Order, RateLimit, TlsVersion, WebConfig, load_web,
};
use driftrun::web::tls::{Protocols, server_config};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::Folder;

const HASH: &str = "$2y$10$MvKglX4tUHO4NuprWL4G2ex/RwXUjw8B9bnUeSV8cyz66vCqGDZ02";

/// What is no certificate and no key, in their clothes.
fn section(label: &str, content: &str) -> String {
    format!("-----BEGIN {label}-----\n{content}\n-----END {label}-----\n")
}

/// The files that configurations name.
fn materials() -> Vec<(&'static str, String)> {
    let (authority, other) = (Authority::new("one"), Authority::new("two"));
    let server = authority.server();
    let (pem, key) = (server.pem.clone(), server.key_pem());
    vec![
        ("ca.pem", authority.pem.clone()),
        ("cas.pem", format!("{}{}", other.pem, authority.pem)),
        ("certs/server.pem", pem.clone()),
        ("server.pem", pem.clone()),
        ("server.key", key.clone()),
        ("both.pem", format!("{key}{pem}")),
        ("chain.pem", format!("{pem}{}", authority.pem)),
        ("chain_reversed.pem", format!("{}{pem}", authority.pem)),
        ("other.key", other.server().key_pem()),
        ("text.pem", "hunter2\n".to_owned()),
        ("empty.pem", String::new()),
        ("large.pem", "x".repeat((1 << 20) + 1)),
        ("broken.pem", pem[..pem.len() / 2].to_owned()),
        ("broken.key", key[..key.len() / 2].to_owned()),
        ("garbage.pem", section("CERTIFICATE", "aHVudGVyMg==")),
        ("garbage.key", section("PRIVATE KEY", "aHVudGVyMg==")),
        ("encrypted.key", section("ENCRYPTED PRIVATE KEY", "aHVudGVyMg==")),
        (
            "encrypted_the_old_way.key",
            section("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\naHVudGVyMg=="),
        ),
    ]
}

/// A folder with everything that a configuration may name.
struct Place {
    folder: Folder,
    materials: Vec<(&'static str, String)>,
}

impl Place {
    fn new() -> Self {
        let (folder, materials) = (Folder::new("web-config"), materials());
        for (name, text) in &materials {
            folder.write(name, text);
        }
        Self { folder, materials }
    }

    /// Loads `text` as a file there; a complaint has the folder's name taken out.
    fn load(&self, text: &str) -> Result<WebConfig, String> {
        let mut text = text.to_owned();
        for (name, content) in &self.materials {
            let hole = format!("\"@{name}\"");
            if text.contains(&hole) {
                text = text.replace(&hole, &serde_json::to_string(content).unwrap());
            }
        }
        let file = self.folder.write("web.yml", &text);
        let here = format!("{}/", self.folder.path().display());
        load_web(&file).map_err(|invalid| invalid.to_string().replace(&here, "") + "\n")
    }
}

/// The files of `tests/web_config` whose names end so, sorted.
fn files(ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web_config");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.to_str().is_some_and(|path| path.ends_with(ending))).collect();
    files.sort();
    assert!(!files.is_empty(), "no {ending} in tests/web_config");
    files
}

#[test]
fn good_files_are_taken_and_can_be_served() {
    let place = Place::new();
    let mut wrong = Vec::new();
    for file in files(".good.yml") {
        match place.load(&fs::read_to_string(&file).unwrap()) {
            Ok(config) => {
                if let Some(tls) = &config.tls {
                    server_config(tls, Protocols::Http2AndHttp1).unwrap();
                }
                assert!(config.is_up_to_date(), "{}", file.display());
            }
            Err(complaint) => wrong.push(format!("{}\n{complaint}", file.display())),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn bad_files_are_refused_with_what_to_write_instead() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let place = Place::new();
    let mut wrong = Vec::new();
    for file in files(".bad.yml") {
        let got = match place.load(&fs::read_to_string(&file).unwrap()) {
            Ok(config) => format!("taken: {config:?}\n"),
            Err(complaint) => complaint,
        };
        for secret in ["hunter2", "aHVudGVyMg", HASH.get(8..20).unwrap(), "-----END"] {
            assert!(!got.contains(secret), "{} tells {secret}: {got}", file.display());
        }
        let path = PathBuf::from(file.to_str().unwrap().replace(".bad.yml", ".expected"));
        if update {
            fs::write(&path, &got).unwrap();
        }
        let want = fs::read_to_string(&path).unwrap_or_else(|e| format!("{}: {e}", path.display()));
        if got != want {
            wrong.push(format!("{}\n--- want\n{want}\n--- got\n{got}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_expectation_belongs_to_a_bad_file() {
    for file in files(".expected") {
        let bad = file.to_str().unwrap().replace(".expected", ".bad.yml");
        assert!(Path::new(&bad).exists(), "{}", file.display());
    }
}

#[test]
fn everything_is_what_it_says() {
    let place = Place::new();
    let text = fs::read_to_string("tests/web_config/everything.good.yml").unwrap();
    let config = place.load(&text).unwrap();
    let files: Vec<String> =
        config.files().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(files, ["web.yml", "server.pem", "server.key", "ca.pem"]);
    let tls = config.tls.as_ref().unwrap();
    assert_eq!(tls.certificates.len(), 1);
    assert!(
        matches!(&tls.client_auth, ClientAuth::RequireAndVerifyClientCert { authorities, allowed_sans }
            if authorities.len() == 1 && *allowed_sans == ["prometheus.example.org"]),
        "{:?}",
        tls.client_auth
    );
    assert_eq!((tls.min_version, tls.max_version), (TlsVersion::Tls12, TlsVersion::Tls13));
    assert_eq!(tls.cipher_suites, [CipherSuite::Aes256Gcm, CipherSuite::EcdsaAes256Gcm]);
    assert_eq!(tls.curves, [Curve::X25519, Curve::P256]);
    assert_eq!(tls.order, Order::Server);
    assert!(config.http2);
    assert_eq!(config.headers, [("X-Frame-Options", "deny".to_owned())]);
    assert_eq!(config.users, BTreeMap::from([("prometheus".to_owned(), HASH.to_owned())]));
    assert_eq!(config.rate_limit, Some(RateLimit { interval: Duration::from_millis(100), burst: 20 }));
    let shown = format!("{config:?}");
    assert!(shown.contains("prometheus") && !shown.contains(HASH), "{shown}");
}

#[test]
fn nothing_written_means_plain_http_for_everybody() {
    let config = Place::new().load("").unwrap();
    assert_eq!(config.tls, None);
    assert!(
        config.http2 && config.headers.is_empty() && config.users.is_empty() && config.rate_limit.is_none()
    );
    assert_eq!(config.files().count(), 1);
}

#[test]
fn what_isn_t_written_about_tls_is_as_go_has_it() {
    let config =
        Place::new().load("tls_server_config: { cert_file: server.pem, key_file: server.key }").unwrap();
    let tls = config.tls.unwrap();
    assert_eq!(tls.client_auth, ClientAuth::NoClientCert);
    assert_eq!((tls.min_version, tls.max_version), (TlsVersion::Tls12, TlsVersion::Tls13));
    assert_eq!(tls.cipher_suites, CipherSuite::ALL);
    assert_eq!(tls.curves, [Curve::X25519, Curve::P256, Curve::P384]);
    assert_eq!(tls.order, Order::Server);
}

#[test]
fn suites_of_tls_13_can_be_chosen_and_stay_where_none_is() {
    let place = Place::new();
    let suites = |list: &str| {
        let text = format!(
            "tls_server_config: {{ cert_file: server.pem, key_file: server.key, cipher_suites: {list} }}"
        );
        place.load(&text).unwrap().tls.unwrap().cipher_suites
    };
    assert_eq!(
        suites("[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]"),
        [CipherSuite::Aes256Gcm, CipherSuite::Aes128Gcm, CipherSuite::ChaCha20, CipherSuite::RsaAes128Gcm]
    );
    assert_eq!(suites("[TLS_CHACHA20_POLY1305_SHA256]"), [CipherSuite::ChaCha20]);
    assert_eq!(suites("[]"), CipherSuite::ALL);
}

#[test]
fn every_file_that_was_read_is_watched_by_its_content() {
    let place = Place::new();
    let config = place.load("tls_server_config: { cert_file: server.pem, key_file: server.key }").unwrap();
    assert!(config.is_up_to_date());
    let path = place.folder.path().join("server.key");
    let key = fs::read(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert!(!config.is_up_to_date());
    fs::write(&path, &key).unwrap();
    assert!(config.is_up_to_date());
    fs::remove_file(&path).unwrap();
    assert!(!config.is_up_to_date());
}

#[test]
fn a_file_that_can_t_be_read_is_named() {
    let folder = Folder::new("web-config-none");
    let path = folder.path().join("web.yml");
    let complaint = |path: &Path| load_web(path).unwrap_err().to_string();
    assert_eq!(
        complaint(&path),
        format!("{}: can't read it: No such file or directory (os error 2)", path.display())
    );
    fs::write(&path, b"key: \xff").unwrap();
    assert_eq!(complaint(&path), format!("{}: not UTF-8", path.display()));
    assert_eq!(complaint(folder.path()), format!("{}: can't read it: not a file", folder.path().display()));
}

#[test]
fn config_check_looks_at_both_files_at_once() {
    let folder = Folder::new("check-both");
    let bad = folder.write("driftrun.yaml", "checks:\n- name: a\n");
    let web = folder.write("web.yml", "rate_limit: 1\n");
    let flag = format!("--web.config.file={}", web.display());
    let (bad, name) = (bad.to_str().unwrap(), web.display().to_string());
    let complaint = format!("{name}:1:13: rate_limit must be a mapping of keys to values, not a value\n");
    let (stdout, stderr, code) = support::ended(&["config", "check", bad, &flag]);
    assert!(stderr.starts_with(&format!("driftrun: {bad}:2:3: ")), "{stderr}");
    assert!(stderr.ends_with(&complaint), "{stderr}");
    assert_eq!((stdout, code), (String::new(), Some(1)));
    folder.write("web.yml", "rate_limit: { interval: 1s, burst: 1 }\n");
    let good = (format!("{name} is good\n"), String::new(), Some(0));
    assert_eq!(support::ended(&["config", "check", &flag]), good);
}

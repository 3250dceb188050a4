//! The web configuration of a driftrun that runs: what is changed on disk holds a second later, what is bad changes nothing.

#[path = "support/certificates.rs"]
mod certificates;
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certificates::Authority;
use driftrun::web::access::{Access, Current};
use driftrun::web::users::Admission;
use hyper::header::HeaderValue;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::Folder;
use tokio::time::advance;

const TLS: &str = "tls_server_config: { cert_file: server.pem, key_file: server.key }\n";

async fn a_second() {
    advance(Duration::from_secs(1)).await;
}

fn header(current: &Current) -> Option<&str> {
    current.headers.get("X-Frame-Options").map(|value| value.to_str().unwrap())
}

fn frame_options(value: &str) -> String {
    format!("http_server_config: {{ headers: {{ X-Frame-Options: {value} }} }}\n")
}

fn users(pairs: &[(&str, &str)]) -> String {
    let lines =
        pairs.iter().map(|(name, password)| format!("  {name}: {}\n", bcrypt::hash(password, 4).unwrap()));
    format!("basic_auth_users:\n{}", lines.collect::<String>())
}

fn basic(user: &str, password: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).unwrap()
}

/// Writes a certificate for `localhost` and its key.
fn write_certificate(folder: &Folder, below: &str) {
    let server = Authority::new("here").server();
    folder.write(&format!("{below}server.pem"), &server.pem);
    folder.write(&format!("{below}server.key"), &server.key_pem());
}

#[tokio::test(start_paused = true)]
async fn a_change_holds_after_a_second_and_nothing_is_made_anew_without_one() {
    let folder = Folder::new("access");
    let file = folder.write("web.yml", &frame_options("deny"));
    let access = Access::load(&file).unwrap();
    let first = access.current().await;
    assert_eq!(header(&first), Some("deny"));
    for _ in 0..3 {
        a_second().await;
        // The same bytes, written anew.
        folder.write("web.yml", &frame_options("deny"));
        assert!(Arc::ptr_eq(&access.current().await, &first));
    }
    folder.write("web.yml", &frame_options("sameorigin"));
    assert_eq!(header(&*access.current().await), Some("deny"), "it was looked at less than a second ago");
    a_second().await;
    assert_eq!(header(&*access.current().await), Some("sameorigin"), "whoever finds it is time waits for it");
    assert!(access.is_last_reload_ok());
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_changes_nothing_until_it_is_good_again() {
    let folder = Folder::new("access-bad");
    let file = folder.write("web.yml", &frame_options("deny"));
    let access = Access::load(&file).unwrap();
    let (first, since) = (access.current().await, access.last_success());
    for bad in ["http_server_config: { headers: { X-Frame-Options: allow } }", "tls_server_config: 5", ": ["]
    {
        folder.write("web.yml", bad);
        a_second().await;
        assert!(Arc::ptr_eq(&access.current().await, &first));
        assert!(!access.is_last_reload_ok());
        assert_eq!(access.last_success(), since);
    }
    std::fs::remove_file(&file).unwrap();
    a_second().await;
    assert!(Arc::ptr_eq(&access.current().await, &first));
    assert!(!access.is_last_reload_ok());
    folder.write("web.yml", &frame_options("deny"));
    a_second().await;
    assert!(Arc::ptr_eq(&access.current().await, &first), "it is as it was");
    assert!(access.is_last_reload_ok());
    folder.write("web.yml", "");
    a_second().await;
    assert_eq!(header(&*access.current().await), None);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_kubernetes_swaps_is_noticed_through_its_links() {
    let folder = Folder::new("access-swap");
    let at = |name: &str| folder.path().join(name);
    for version in ["..1", "..2"] {
        write_certificate(&folder, &format!("{version}/"));
        folder.write(&format!("{version}/web.yml"), TLS);
    }
    symlink("..1", at("..data")).unwrap();
    for name in ["web.yml", "server.pem", "server.key"] {
        symlink(Path::new("..data").join(name), at(name)).unwrap();
    }
    let access = Access::load(&at("web.yml")).unwrap();
    let first = access.current().await;
    symlink("..2", at("..data_tmp")).unwrap();
    std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
    a_second().await;
    let second = access.current().await;
    assert!(!Arc::ptr_eq(first.tls.as_ref().unwrap(), second.tls.as_ref().unwrap()));
    assert!(access.is_last_reload_ok());
    a_second().await;
    assert!(Arc::ptr_eq(&access.current().await, &second));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_comes_before_its_key_waits_for_it() {
    let folder = Folder::new("access-half");
    write_certificate(&folder, "");
    let access = Access::load(&folder.write("web.yml", TLS)).unwrap();
    let first = access.current().await;
    let next = Authority::new("next").server();
    folder.write("server.pem", &next.pem);
    a_second().await;
    assert!(Arc::ptr_eq(&access.current().await, &first));
    assert!(!access.is_last_reload_ok());
    folder.write("server.key", &next.key_pem());
    a_second().await;
    assert!(!Arc::ptr_eq(&access.current().await, &first));
    assert!(access.is_last_reload_ok());
}

#[tokio::test(start_paused = true)]
async fn users_come_and_go_and_what_did_not_change_is_kept() {
    let folder = Folder::new("access-users");
    write_certificate(&folder, "");
    let limit = "rate_limit: { interval: 1h, burst: 3 }\n";
    let file = folder.write("web.yml", &format!("{TLS}{limit}{}", users(&[("ann", "a"), ("ben", "b")])));
    let access = Access::load(&file).unwrap();
    let admit = async |user: &str, password: &str| {
        access.current().await.users.as_ref().unwrap().admit(Some(&basic(user, password))).await
    };
    let first = access.current().await;
    assert_eq!(admit("ann", "a").await, Admission::Admitted("ann".to_owned()));
    assert!(first.limiter.as_ref().unwrap().allow());
    folder.write("web.yml", &format!("{TLS}{limit}{}", users(&[("ann", "new"), ("cleo", "c")])));
    a_second().await;
    assert_eq!(admit("ann", "a").await, Admission::Refused);
    assert_eq!(admit("ann", "new").await, Admission::Admitted("ann".to_owned()));
    assert_eq!(admit("ben", "b").await, Admission::Refused);
    assert_eq!(admit("cleo", "c").await, Admission::Admitted("cleo".to_owned()));
    let second = access.current().await;
    assert!(Arc::ptr_eq(first.tls.as_ref().unwrap(), second.tls.as_ref().unwrap()), "sessions live on");
    assert!(Arc::ptr_eq(first.limiter.as_ref().unwrap(), second.limiter.as_ref().unwrap()), "tokens, too");
    folder.write("web.yml", TLS);
    assert_eq!(access.reload(), Ok(()));
    let third = access.current().await;
    assert!(third.users.is_none() && third.limiter.is_none() && third.tls.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_caught_while_it_is_written_lets_nobody_in() {
    let folder = Folder::new("access-emptied");
    write_certificate(&folder, "");
    folder.write("ca.pem", &Authority::new("here").pem);
    let mutual =
        TLS.replace(" }", ", client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert }");
    for (closed, half) in
        [(users(&[("ann", "a")]), ""), (format!("{TLS}{}", users(&[("ann", "a")])), TLS), (mutual, TLS)]
    {
        let access = Access::load(&folder.write("web.yml", &closed)).unwrap();
        let first = access.current().await;
        for _ in 0..2 {
            folder.write("web.yml", half);
            a_second().await;
            assert!(Arc::ptr_eq(&access.current().await, &first));
            assert!(!access.is_last_reload_ok());
            folder.write("web.yml", &closed);
            a_second().await;
            assert!(Arc::ptr_eq(&access.current().await, &first));
            assert!(access.is_last_reload_ok());
        }
        // Somebody means it.
        folder.write("web.yml", half);
        assert_eq!(access.reload(), Ok(()));
        let open = access.current().await;
        assert!(open.users.is_none() && !open.is_protected_by_client_certificates());
        assert!(access.is_last_reload_ok());
    }
}

#[tokio::test]
async fn what_listeners_were_opened_with_stays() {
    let folder = Folder::new("access-fixed");
    write_certificate(&folder, "");
    let file = folder.write("web.yml", TLS);
    let secure = Access::load(&file).unwrap();
    let name = file.display();
    folder.write("web.yml", &frame_options("deny"));
    let plain = Access::load(&file).unwrap();
    assert_eq!(
        secure.reload(),
        Err(format!("{name}: TLS can't be turned off while driftrun runs; restart it"))
    );
    assert!(secure.current().await.tls.is_some() && header(&*secure.current().await).is_none());
    folder.write("web.yml", TLS);
    assert_eq!(
        plain.reload(),
        Err(format!("{name}: TLS can't be turned on while driftrun runs; restart it"))
    );
    assert!(plain.current().await.tls.is_none());
    assert_eq!(secure.reload(), Ok(()));
    assert!(secure.is_last_reload_ok());
    folder.write("web.yml", &format!("{TLS}http_server_config: {{ http2: false }}\n"));
    assert_eq!(
        secure.reload(),
        Err(format!("{name}: `http2` can't be changed while driftrun runs; restart it"))
    );
    folder.write("web.yml", "http_server_config: { http2: false }\n");
    assert_eq!(plain.reload(), Ok(()), "there is no HTTP/2 without TLS");
}

#[test]
fn a_bad_file_is_told_in_full_at_the_start() {
    let folder = Folder::new("access-start");
    let file = folder.write("web.yml", "rate_limit: 1\nhtp: 1\n");
    let complaint = Access::load(&file).unwrap_err();
    assert!(complaint.starts_with(&format!("{} has 2 mistakes:\n", file.display())), "{complaint}");
}

#[tokio::test]
async fn without_a_file_everybody_is_let_in() {
    let access = Access::for_everybody();
    let current = access.current().await;
    assert!(current.tls.is_none() && current.users.is_none() && current.limiter.is_none());
    assert!(current.headers.is_empty() && !current.is_protected_by_client_certificates());
    assert_eq!(access.reload(), Ok(()));
    assert!(access.is_last_reload_ok());
}

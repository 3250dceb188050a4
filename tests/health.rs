//! `driftrun health`: what it says of a server that is well, of one that isn't, and of none.

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/secure.rs"]
mod secure;
mod support;

use secure::{MUTUAL, Place, TLS, users};
use std::net::TcpListener;
use support::{Server, driftrun};

const CHECKS: &str = "checks: [{ name: t, command: ['true'], parser: none, interval: 1h, splay: 0s }]\n";

/// What is printed, what is complained of, and the exit code.
fn health(arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = driftrun().arg("health").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

fn well(url: &str, status: &str) -> (String, String, Option<i32>) {
    (format!("{url}: {status}\n"), String::new(), Some(0))
}

fn unwell(why: &str) -> (String, String, Option<i32>) {
    (String::new(), format!("driftrun: {why}\n"), Some(1))
}

#[test]
fn a_server_is_well_with_tls_and_users_too() {
    let place = Place::new("health");
    let config = place.replace("driftrun.yaml", CHECKS);
    let server = Server::serve(&config);
    let url = format!("http://{}/-/healthy", server.address);
    assert_eq!(health(&[&url]), well(&url, "200 OK"));
    // Whatever is between this machine and others.
    let mut command = driftrun();
    for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"] {
        command.env(variable, "http://127.0.0.1:1");
    }
    assert!(command.args(["health", &url]).output().unwrap().status.success());
    let other = url.replace("/-/healthy", "/metrics");
    let why = format!(
        "{other}: 200 OK, and it doesn't say that it is a driftrun; write one such as http://127.0.0.1:9152/-/healthy"
    );
    assert_eq!(health(&[&other]), unwell(&why));
    let elsewhere = format!("http://{}/ops/-/healthy", server.address);
    let why = format!("{elsewhere}: 404 Not Found; with --web.route-prefix the path is PREFIX/-/healthy");
    assert_eq!(health(&[&elsewhere]), unwell(&why));

    let server = place.serve(CHECKS, &format!("{TLS}{}", users(&[("ops", "pw")])), &[]);
    let url = format!("https://{}/-/healthy", server.address);
    assert_eq!(health(&[&url]), well(&url, "401 Unauthorized"));
    let plain = url.replace("https", "http");
    let (_, why, code) = health(&[&plain]);
    assert_eq!((why.starts_with(&format!("driftrun: {plain}: ")), code), (true, Some(1)), "{why}");
}

#[test]
fn nobody_is_not_well() {
    // Refused, as it is bound and doesn't listen any more.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/-/healthy");
    assert_eq!(health(&[&url]), unwell(&format!("{url}: connection refused; does a driftrun listen there?")));
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/-/healthy", silent.local_addr().unwrap());
    assert_eq!(health(&["--timeout=100ms", &url]), unwell(&format!("{url}: no answer within 100ms")));
    let why = "\"127.0.0.1:9152\" is no URL of a driftrun; write one such as http://127.0.0.1:9152/-/healthy";
    assert_eq!(health(&["127.0.0.1:9152"]), unwell(why));
}

/// Who shows no certificate gets no answer there: such a server is asked otherwise.
#[test]
fn a_server_that_wants_certificates_gives_no_answer() {
    let place = Place::new("health-mutual");
    let server = place.serve(CHECKS, MUTUAL, &[]);
    let url = format!("https://{}/-/healthy", server.address);
    assert_eq!(
        health(&[&url]),
        unwell(&format!("{url}: only clients with a certificate get an answer there"))
    );
}

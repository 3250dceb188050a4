//! As `abuse`, over TLS: handshakes that never end, that are no handshakes, and what HTTP/2 lets a client do. A scrape beside it gets its metrics.

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/secure.rs"]
mod secure;
mod support;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use secure::frames::{
    ACK, CONTINUATION, END_HEADERS, END_STREAM, GO_AWAY, HEADERS, PING, PREFACE, RESET, SETTINGS, fields,
    frame, read,
};
use secure::{Client, Place, TLS, Tls, answer, rest};
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use support::{HANG, Scrape, Server};

/// More connections than driftrun has places for.
const CROWD: usize = 600;

/// A check that runs every second and one that has found 10,000 drifting resources: metrics and a page of megabytes.
const CHECKS: &str = "checks:
- { name: many, command: [seq, -f, '%06g is stale', '10000'], parser: lines, interval: 1h, splay: 0s }
- { name: often, command: ['true'], parser: none, interval: 1s }
parsers: { lines: { regex: '^(?P<name>\\S+) is (?P<kind>stale)$', clean: '^fresh$' } }
";

fn server(place: &Place) -> Server {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    let mut server = place.serve(CHECKS, TLS, &[]);
    let line = server.wait_for_run("many");
    assert!(line.contains("drifted=10000"), "{line}");
    server
}

/// Sends `bytes`, which are no TLS or not yet; the stream stays open.
fn send(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.set_nodelay(true).unwrap();
    // It may be closed already.
    let _ = stream.write_all(bytes);
    stream
}

/// A scrape is whole, memory is what it should be, and runs go on.
fn all_is_well(server: &mut Server, client: &Client) {
    let (head, body) = client.get(&server.address, "/metrics").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let scrape = Scrape(body);
    assert_eq!(scrape.samples("driftrun_resource_drift", "many").len(), 10_000);
    let resident = scrape.0.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    let resident: f64 = resident.unwrap().parse().unwrap();
    println!("resident: {resident}");
    assert!(resident < 400e6, "{resident}");
    server.wait_for_fresh_run("often");
}

#[test]
fn handshakes_that_never_end_leave_room_for_a_scrape() {
    let place = Place::new("secure-handshakes");
    let mut server = server(&place);
    let client = place.anybody();
    let hello = client.hello();
    let most = &hello[..hello.len() - 1];
    for half in [&b""[..], &hello[..1], &hello[..5], most] {
        let crowd: Vec<TcpStream> = (0..CROWD).map(|_| send(&server, half)).collect();
        all_is_well(&mut server, &client);
        drop(crowd);
    }
    // Byte by byte, each of them.
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| send(&server, b"")).collect();
    for byte in most {
        for stream in &mut crowd {
            // Those that came first have given their places away.
            let _ = stream.write_all(&[*byte]);
        }
    }
    all_is_well(&mut server, &client);
    drop(crowd);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_handshake_that_never_ends_is_not_waited_for() {
    let place = Place::new("secure-slow");
    let mut server = server(&place);
    let client = place.anybody();
    let mut silent = send(&server, b"");
    let mut half = send(&server, &client.hello()[..100]);
    // A byte now and then doesn't help: this record would take a minute and a half.
    let mut dribble = send(&server, &[22, 3, 1, 2, 0]);
    let mut pen = dribble.try_clone().unwrap();
    let dribbler = std::thread::spawn(move || {
        while pen.write_all(&[1]).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    });
    // Nor does a handshake without a request after it.
    let mut mute = client.connect(&server.address);
    mute.conn.complete_io(&mut mute.sock).unwrap();
    all_is_well(&mut server, &client);
    let none: Vec<u8> = Vec::new();
    assert_eq!(
        [rest(&mut silent), rest(&mut half), rest(&mut dribble)],
        [none.clone(), none.clone(), none.clone()]
    );
    assert_eq!(rest(&mut mute), none);
    dribbler.join().unwrap();
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_is_no_handshake_is_closed_at_once() {
    let place = Place::new("secure-garbage");
    let mut server = server(&place);
    let client = place.anybody();
    let hello = client.hello();
    let mut all: Vec<Vec<u8>> = vec![
        vec![0],
        vec![0xff; 70_000],
        vec![22; 70_000],
        vec![22, 3, 1, 0, 0],
        [&[22, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat(),
        vec![21, 3, 1, 0, 2, 2, 40],
        vec![23, 3, 3, 0, 5, 1, 2, 3, 4, 5],
        vec![20, 3, 3, 0, 1, 1].repeat(1_000),
        // As of SSL 2.
        vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10],
        hello.repeat(3),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        "é\r\n\r\n".into(),
    ];
    // Every byte of a good one in another way.
    for at in 0..hello.len() {
        let mut damaged = hello.clone();
        damaged[at] ^= 0xff;
        all.push(damaged);
    }
    for bytes in &all {
        let mut stream = send(&server, bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let said = rest(&mut stream);
        // An alert, or half a handshake, or that this isn't HTTP.
        assert!(
            said.is_empty() || matches!(said[0], 21 | 22) || said.starts_with(b"HTTP/1.1 400 "),
            "{said:?}"
        );
    }
    all_is_well(&mut server, &client);
    assert_eq!(server.stop(), Some(0));
}

/// A connection that has begun to speak HTTP/2: both sides have said how they want it. The client wants `settings`.
fn begin(server: &Server, client: &Client, settings: &[u8]) -> Tls {
    let mut stream = client.connect_http2(&server.address);
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).unwrap();
    assert_eq!(read(&mut stream).unwrap().0, SETTINGS);
    stream
}

/// Waits until everything that was sent has been read, or it is known that nobody reads any more.
fn is_read(stream: &mut Tls, mark: u64) -> bool {
    if stream.write_all(&frame(PING, 0, 0, &mark.to_be_bytes())).is_err() {
        return false;
    }
    loop {
        match read(stream) {
            Ok((PING, ACK, payload)) if payload == mark.to_be_bytes() => return true,
            Ok((GO_AWAY, ..)) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

fn ask(path: &str, stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields(path))
}

#[test]
fn a_crowd_of_idle_http_2_connections_leaves_room_for_a_scrape() {
    let place = Place::new("secure-idle");
    let mut server = server(&place);
    let client = place.anybody();
    let crowd: Vec<Tls> = (0..CROWD).map(|_| begin(&server, &client, &[])).collect();
    all_is_well(&mut server, &client);
    drop(crowd);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn streams_that_are_opened_and_reset_cost_nobody_else() {
    let place = Place::new("secure-reset");
    let mut server = server(&place);
    let client = place.anybody();
    let mut streams = (1..).step_by(2);
    let mut reset = 0;
    // As fast as they go, as long as it is borne.
    let mut stream = begin(&server, &client, &[]);
    for id in streams.by_ref().take(10_000) {
        let both = [ask("/checks/many", id), frame(RESET, 0, id, &8_u32.to_be_bytes())].concat();
        if stream.write_all(&both).is_err() {
            break;
        }
        reset += 1;
    }
    all_is_well(&mut server, &client);
    println!("{reset} reset at once");
    drop(stream);
    // Each after its request was taken in, so that there is work to be thrown away.
    let (mut stream, mut streams, mut reset) = (begin(&server, &client, &[]), (1..).step_by(2), 0);
    for mark in 0..160 {
        // Not so many that it is noticed.
        let ids: Vec<u32> = streams.by_ref().take(16).collect();
        let asked: Vec<u8> = ids.iter().flat_map(|id| ask("/checks/many", *id)).collect();
        if stream.write_all(&asked).is_err() || !is_read(&mut stream, mark) {
            break;
        }
        let resets: Vec<u8> = ids.iter().flat_map(|id| frame(RESET, 0, *id, &8_u32.to_be_bytes())).collect();
        if stream.write_all(&resets).is_err() {
            break;
        }
        reset += ids.len();
    }
    all_is_well(&mut server, &client);
    // A page is made for somebody else, too.
    let (head, page) = client.get(&server.address, "/checks/often").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("often"), "{head}");
    println!("{reset} reset after each was taken in");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn heads_without_end_are_not_kept() {
    let place = Place::new("secure-heads");
    let mut server = server(&place);
    let client = place.anybody();
    let field = [&[0, 1, b'a', 100][..], &[b'b'; 100]].concat().repeat(150);
    let mut stream = begin(&server, &client, &[]);
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &fields("/metrics"))).unwrap();
    let taken =
        (0..8_000).take_while(|_| stream.write_all(&frame(CONTINUATION, 0, 1, &field)).is_ok()).count();
    assert!(taken < 8_000, "all 120 MB of it");
    all_is_well(&mut server, &client);
    // One that ends, and is too long: others on that connection don't suffer.
    let mut stream = begin(&server, &client, &[]);
    let mut long = frame(HEADERS, END_STREAM, 1, &fields("/metrics"));
    for n in 0..6 {
        long.extend(frame(CONTINUATION, if n == 5 { END_HEADERS } else { 0 }, 1, &field));
    }
    stream.write_all(&long).unwrap();
    stream.write_all(&ask("/-/healthy", 3)).unwrap();
    assert!(is_read(&mut stream, 7));
    all_is_well(&mut server, &client);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn settings_and_pings_without_end_leave_room_for_a_scrape() {
    let place = Place::new("secure-floods");
    let mut server = server(&place);
    let client = place.anybody();
    for flood in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[0; 8])] {
        // Of those who read no answer, too.
        let crowd: Vec<Tls> = (0..8)
            .map(|_| {
                let mut stream = begin(&server, &client, &[]);
                let _ = stream.write_all(&flood.repeat(10_000));
                stream
            })
            .collect();
        all_is_well(&mut server, &client);
        for mut stream in crowd {
            is_read(&mut stream, 7);
        }
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn whoever_was_there_before_a_crowd_came_still_gets_answers() {
    let place = Place::new("secure-before");
    let mut server = server(&place);
    let client = place.anybody();
    let hello = client.hello();
    let mut stream = client.connect(&server.address);
    let mut scrape = || {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        answer(&mut stream).0
    };
    assert!(scrape().starts_with("HTTP/1.1 200 OK\r\n"));
    let crowd: Vec<TcpStream> = (0..CROWD / 2).map(|_| send(&server, &hello)).collect();
    assert!(scrape().starts_with("HTTP/1.1 200 OK\r\n"));
    all_is_well(&mut server, &client);
    drop(crowd);
    assert_eq!(server.stop(), Some(0));
}

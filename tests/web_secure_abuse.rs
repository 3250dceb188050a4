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
use support::{HANG, Scrape, Server, poll};

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

/// A scrape is whole, and memory is what it should be.
fn all_is_well(server: &Server, client: &Client) {
    let (head, body) = client.get(&server.address, "/metrics").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let scrape = Scrape(body);
    assert_eq!(scrape.samples("driftrun_resource_drift", "many").len(), 10_000);
    let resident = scrape.0.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    let resident: f64 = resident.unwrap().parse().unwrap();
    assert!(resident < 200e6, "{resident}");
}

/// Runs went on, and it ends as it should.
fn end(mut server: Server) {
    server.wait_for_fresh_run("often");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn handshakes_that_never_end_leave_room_for_a_scrape() {
    let place = Place::new("secure-handshakes");
    let server = server(&place);
    let client = place.anybody();
    let hello = client.hello();
    let most = &hello[..hello.len() - 1];
    for half in [&b""[..], &hello[..1], &hello[..5], most] {
        let crowd: Vec<TcpStream> = (0..CROWD).map(|_| send(&server, half)).collect();
        all_is_well(&server, &client);
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
    all_is_well(&server, &client);
    drop(crowd);
    end(server);
}

#[test]
fn a_handshake_that_never_ends_is_not_waited_for() {
    let place = Place::new("secure-slow");
    let server = server(&place);
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
    all_is_well(&server, &client);
    let none: Vec<u8> = Vec::new();
    assert_eq!(
        [rest(&mut silent), rest(&mut half), rest(&mut dribble)],
        [none.clone(), none.clone(), none.clone()]
    );
    assert_eq!(rest(&mut mute), none);
    dribbler.join().unwrap();
    end(server);
}

#[test]
fn what_is_no_handshake_is_closed_at_once() {
    let place = Place::new("secure-garbage");
    let server = server(&place);
    let client = place.anybody();
    let hello = client.hello();
    let mut all: Vec<Vec<u8>> = vec![
        vec![0],
        vec![0xff; 70_000],
        vec![22; 70_000],
        vec![22, 3, 1, 0, 0],
        [&[22, 3, 1, 0xff, 0xff][..], &vec![0; 70_000]].concat(),
        vec![21, 3, 1, 0, 2, 2, 40],
        vec![23, 3, 3, 0, 5, 1, 2, 3, 4, 5],
        [20, 3, 3, 0, 1, 1].repeat(1_000),
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
    all_is_well(&server, &client);
    end(server);
}

/// A connection that has begun to speak HTTP/2: both sides have said how they want it. The client wants `settings`.
fn begin(server: &Server, client: &Client, settings: &[u8]) -> Tls {
    let mut stream = client.connect_http2(&server.address);
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).unwrap();
    assert_eq!(read(&mut stream).unwrap().0, SETTINGS);
    stream
}

/// Waits until everything that was sent has been read; how many answers began meanwhile. `None`: nobody reads any more.
fn until_read(stream: &mut Tls, mark: u64) -> Option<usize> {
    stream.write_all(&frame(PING, 0, 0, &mark.to_be_bytes())).ok()?;
    let mut answers = 0;
    loop {
        match read(stream) {
            Ok((PING, ACK, payload)) if payload == mark.to_be_bytes() => return Some(answers),
            Ok((GO_AWAY, ..)) | Err(_) => return None,
            Ok((HEADERS, ..)) => answers += 1,
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
    let server = server(&place);
    let client = place.anybody();
    let crowd: Vec<Tls> = (0..CROWD).map(|_| begin(&server, &client, &[])).collect();
    all_is_well(&server, &client);
    drop(crowd);
    end(server);
}

#[test]
fn streams_that_are_opened_and_reset_cost_nobody_else() {
    let place = Place::new("secure-reset");
    let server = server(&place);
    let client = place.anybody();
    let mut streams = (1..).step_by(2);
    // As fast as they go, as long as it is borne.
    let mut stream = begin(&server, &client, &[]);
    for id in streams.by_ref().take(10_000) {
        let both = [ask("/checks/many", id), frame(RESET, 0, id, &8_u32.to_be_bytes())].concat();
        if stream.write_all(&both).is_err() {
            break;
        }
    }
    all_is_well(&server, &client);
    drop(stream);
    // Each after its request was taken in, so that there is work to be thrown away.
    let (mut stream, mut streams, mut reset) = (begin(&server, &client, &[]), (1..).step_by(2), 0);
    while reset < 2_560 {
        // So few that it is hardly ever noticed.
        let ids: Vec<u32> = streams.by_ref().take(16).collect();
        let asked: Vec<u8> = ids.iter().flat_map(|id| ask("/checks/many", *id)).collect();
        let resets: Vec<u8> = ids.iter().flat_map(|id| frame(RESET, 0, *id, &8_u32.to_be_bytes())).collect();
        let is_taken_in = stream.write_all(&asked).is_ok() && until_read(&mut stream, 1).is_some();
        if is_taken_in && stream.write_all(&resets).is_ok() {
            reset += ids.len();
        } else {
            (stream, streams) = (begin(&server, &client, &[]), (1..).step_by(2));
        }
    }
    all_is_well(&server, &client);
    // A page is made for somebody else, too.
    let (head, page) = client.get(&server.address, "/checks/often").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("often"), "{head}");
    end(server);
}

#[test]
fn heads_without_end_are_not_kept() {
    let place = Place::new("secure-heads");
    let server = server(&place);
    let client = place.anybody();
    let field = [&[0, 1, b'a', 100][..], &[b'b'; 100]].concat().repeat(150);
    let mut stream = begin(&server, &client, &[]);
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &fields("/metrics"))).unwrap();
    let taken =
        (0..8_000).take_while(|_| stream.write_all(&frame(CONTINUATION, 0, 1, &field)).is_ok()).count();
    assert!(taken < 8_000, "all 120 MB of it");
    all_is_well(&server, &client);
    // One that ends, and is too long: others on that connection don't suffer.
    let mut stream = begin(&server, &client, &[]);
    let mut long = frame(HEADERS, END_STREAM, 1, &fields("/metrics"));
    for n in 0..6 {
        long.extend(frame(CONTINUATION, if n == 5 { END_HEADERS } else { 0 }, 1, &field));
    }
    stream.write_all(&long).unwrap();
    stream.write_all(&ask("/-/healthy", 3)).unwrap();
    assert!(until_read(&mut stream, 7).is_some());
    all_is_well(&server, &client);
    end(server);
}

#[test]
fn settings_and_pings_without_end_leave_room_for_a_scrape() {
    let place = Place::new("secure-floods");
    let server = server(&place);
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
        all_is_well(&server, &client);
        for mut stream in crowd {
            let _ = until_read(&mut stream, 7);
        }
    }
    end(server);
}

#[test]
fn a_crowd_that_asks_by_http_2_and_takes_nothing_leaves_room_for_a_scrape() {
    let place = Place::new("secure-deaf");
    let server = server(&place);
    let client = place.anybody();
    // SETTINGS_INITIAL_WINDOW_SIZE: no byte of any answer may be sent.
    let nothing = [0, 4, 0, 0, 0, 0];
    // 64 answers of each connection are begun, and stay.
    let crowd = |connections, path: &str| -> Vec<Tls> {
        let mut crowd: Vec<Tls> = (0..connections).map(|_| begin(&server, &client, &nothing)).collect();
        for stream in &mut crowd {
            let asked: Vec<u8> = (1..).step_by(2).take(64).flat_map(|id| ask(path, id)).collect();
            stream.write_all(&asked).unwrap();
        }
        for stream in &mut crowd {
            let mut begun = 0;
            while begun < 64 {
                begun += usize::from(read(stream).unwrap().0 == HEADERS);
            }
        }
        crowd
    };
    // What was rendered is shared, not copied for each of them.
    let deaf = crowd(8, "/metrics");
    all_is_well(&server, &client);
    drop(deaf);
    // A page is made for each, as long as there is room.
    let page = || client.get(&server.address, "/api/v1/checks/many/report").unwrap();
    assert!(page().0.starts_with("HTTP/1.1 200 OK\r\n"));
    let deaf = crowd(2, "/api/v1/checks/many/report");
    all_is_well(&server, &client);
    let (head, body) = page();
    assert!(
        head.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && head.contains("\r\nretry-after: 1\r\n"),
        "{head}"
    );
    assert_eq!(body, "too many pages are under way\n");
    drop(deaf);
    poll(|| page().0.starts_with("HTTP/1.1 200 OK\r\n"));
    end(server);
}

#[test]
fn neither_a_scrape_nor_a_probe_stands_in_line_behind_pages() {
    let place = Place::new("secure-line");
    let server = server(&place);
    let client = place.anybody();
    let mut stream = begin(&server, &client, &[0, 4, 0, 0, 0, 0]);
    let asked: Vec<u8> = (1..).step_by(2).take(64).flat_map(|id| ask("/checks/many", id)).collect();
    stream.write_all(&asked).unwrap();
    let before = until_read(&mut stream, 1).unwrap();
    all_is_well(&server, &client);
    // Nor does whoever wants to know whether it lives.
    assert_eq!(client.get(&server.address, "/-/healthy").unwrap().1, "driftrun is healthy.\n");
    let made = before + until_read(&mut stream, 2).unwrap();
    assert!(made < 32, "{made} of 64 pages were made before the scrape that came after them");
    drop(stream);
    end(server);
}

#[test]
fn whoever_was_there_before_a_crowd_came_still_gets_answers() {
    let place = Place::new("secure-before");
    let server = server(&place);
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
    all_is_well(&server, &client);
    drop(crowd);
    end(server);
}

//! A Kubernetes API server small enough to start in every test: real kubectl talks to it over plain HTTP on the loopback.
//!
//! Knows what `kubectl diff` asks: discovery, objects, lists by label, patches and new objects as a dry run. Objects are kept as
//! they are given: no defaults, no validation, no field ownership, no `OpenAPI` (kubectl from 1.29 on then
//! merges by the types built into it; older ones want it).

#![allow(dead_code, reason = "each test file uses a part of it")]

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

/// A kind that the server serves.
struct Kind {
    group: &'static str,
    version: &'static str,
    name: &'static str,
    plural: &'static str,
    namespaced: bool,
}

const KINDS: [Kind; 6] = [
    Kind { group: "", version: "v1", name: "Namespace", plural: "namespaces", namespaced: false },
    Kind { group: "", version: "v1", name: "ConfigMap", plural: "configmaps", namespaced: true },
    Kind { group: "", version: "v1", name: "Secret", plural: "secrets", namespaced: true },
    Kind { group: "", version: "v1", name: "Service", plural: "services", namespaced: true },
    Kind { group: "apps", version: "v1", name: "Deployment", plural: "deployments", namespaced: true },
    Kind {
        group: "rbac.authorization.k8s.io",
        version: "v1",
        name: "ClusterRole",
        plural: "clusterroles",
        namespaced: false,
    },
];

/// What a path names: a collection, or one object in it.
struct Place {
    kind: &'static Kind,
    namespace: String,
    name: Option<String>,
}

/// Group, plural, namespace, name.
type Key = (&'static str, &'static str, String, String);

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    denied: Vec<(&'static str, &'static str)>,
    requests: Vec<String>,
    connections: Vec<TcpStream>,
    stopping: bool,
    /// Objects seen so far: kubectl tells them apart by their uid when it prunes.
    serial: u64,
}

/// The running server; dropping it ends its threads and connections.
pub struct KubeApi {
    /// Where it listens.
    pub addr: SocketAddr,
    state: Arc<Mutex<State>>,
    acceptor: Option<JoinHandle<()>>,
}

impl KubeApi {
    /// Starts a server without any object.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let acceptor = thread::spawn(move || accept(&listener, &shared));
        Self { addr, state, acceptor: Some(acceptor) }
    }

    /// Creates or replaces an object, and its namespace where there is none. Its `apiVersion`, `kind`, `metadata.name` and
    /// `metadata.namespace` say where it belongs.
    pub fn set_object(&self, mut object: Value) {
        let kind = kind_of(&object);
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let place =
            Place { kind, namespace: text("/metadata/namespace"), name: Some(text("/metadata/name")) };
        let mut state = lock(&self.state);
        complete(&mut object, &place, &mut state);
        if kind.namespaced {
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace}});
            let key = ("", "namespaces", String::new(), place.namespace.clone());
            state.objects.entry(key).or_insert(namespace);
        }
        state.objects.insert(place.key(), object);
    }

    /// Answers requests with `method` for the kind called `plural` with "forbidden" from now on.
    pub fn deny(&self, method: &'static str, plural: &'static str) {
        lock(&self.state).denied.push((method, plural));
    }

    /// Answers everything again.
    pub fn allow_all(&self) {
        lock(&self.state).denied.clear();
    }

    /// Method and path of every request so far.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).requests.clone()
    }

    /// Writes a kubeconfig that leads here into `dir`.
    pub fn kubeconfig(&self, dir: &Path) -> PathBuf {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "standin", "cluster": {"server": format!("http://{}", self.addr)}}],
            "users": [{"name": "standin", "user": {}}],
            "contexts": [{"name": "standin", "context": {"cluster": "standin", "user": "standin"}}],
            "current-context": "standin",
        });
        let path = dir.join("kubeconfig");
        fs::write(&path, config.to_string()).unwrap();
        path
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        lock(&self.state).stopping = true;
        // `accept` returns for one more connection and finds out.
        drop(TcpStream::connect(self.addr));
        for connection in &lock(&self.state).connections {
            // The other side may have closed it already.
            let _ = connection.shutdown(Shutdown::Both);
        }
        if let Some(acceptor) = self.acceptor.take() {
            let ended = acceptor.join();
            assert!(ended.is_ok() || thread::panicking(), "the stand-in panicked");
        }
    }
}

impl Place {
    /// `/api/v1/namespaces/shop/configmaps/web`, `/apis/apps/v1/namespaces/shop/deployments`.
    fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match &parts[..] {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, plural, name) = match rest {
            ["namespaces", namespace, plural, name @ ..] => (*namespace, *plural, name),
            [plural, name @ ..] => ("", *plural, name),
            [] => return None,
        };
        let name = match name {
            [] => None,
            [name] => Some((*name).to_owned()),
            _ => return None,
        };
        let kind = KINDS.iter().find(|k| (k.group, k.version, k.plural) == (group, version, plural))?;
        Some(Self { kind, namespace: namespace.to_owned(), name })
    }

    fn key(&self) -> Key {
        let name = self.name.clone().expect("an object, not a collection");
        (self.kind.group, self.kind.plural, self.namespace.clone(), name)
    }
}

/// Undoes percent encoding.
fn decode(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let byte = hex.filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap()
}

fn kind_of(object: &Value) -> &'static Kind {
    let api = object["apiVersion"].as_str().expect("apiVersion");
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    let found = KINDS
        .iter()
        .find(|k| (k.group, k.version) == (group, version) && object["kind"].as_str() == Some(k.name));
    found.unwrap_or_else(|| panic!("the stand-in serves no {api} {}", object["kind"]))
}

/// What a server adds to an object that it accepts.
fn complete(object: &mut Value, place: &Place, state: &mut State) {
    state.serial += 1;
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    let mut add = |key: &str, value: Value| {
        metadata.entry(key).or_insert(value);
    };
    if place.kind.namespaced {
        add("namespace", json!(place.namespace));
    }
    add("uid", json!(format!("00000000-0000-4000-8000-{:012}", state.serial)));
    add("resourceVersion", json!("1"));
    add("creationTimestamp", json!("2026-01-01T00:00:00Z"));
    if place.kind.name == "Deployment" {
        add("generation", json!(1));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

fn accept(listener: &TcpListener, state: &Arc<Mutex<State>>) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        let mut shared = lock(state);
        if shared.stopping {
            break;
        }
        shared.connections.push(stream.try_clone().unwrap());
        let state = Arc::clone(state);
        // A client that goes away ends its connection: nothing to tell.
        threads.push(thread::spawn(move || drop(serve(&stream, &state))));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    accept: String,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    content_type: &'static str,
    body: Value,
}

impl Answer {
    fn json(status: u16, body: Value) -> Self {
        Self { status, content_type: "application/json", body }
    }

    fn failure(code: u16, reason: &str, message: &str) -> Self {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code});
        Self::json(code, status)
    }
}

/// Answers requests on one connection until it closes.
fn serve(stream: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader)? {
        let answer = answer(&request, &mut lock(state));
        let body = answer.body.to_string();
        let Answer { status, content_type, .. } = answer;
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} -\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        writer.write_all((head + &body).as_bytes())?;
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let (mut accept, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "accept" => value.trim().clone_into(&mut accept),
            "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
            "transfer-encoding" => return Err(io::Error::other("kubectl sends no chunks")),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { method, path, query, accept, body }))
}

fn answer(request: &Request, state: &mut State) -> Answer {
    let Request { method, path, .. } = request;
    state.requests.push(format!("{method} {path}"));
    match path.as_str() {
        "/version" => {
            return Answer::json(200, json!({"major": "1", "minor": "32", "gitVersion": "v1.32.4"}));
        }
        "/api" => return discovery(&request.accept, |kind| kind.group.is_empty()),
        "/apis" => return discovery(&request.accept, |kind| !kind.group.is_empty()),
        _ => {}
    }
    let Some(place) = Place::parse(path) else {
        return Answer::failure(404, "NotFound", "the server could not find the requested resource");
    };
    let plural = place.kind.plural;
    if state.denied.iter().any(|(verb, denied)| verb == method && *denied == plural) {
        return forbidden(method, &place);
    }
    match (method.as_str(), &place.name) {
        ("GET", Some(name)) => match state.objects.get(&place.key()) {
            Some(object) => Answer::json(200, object.clone()),
            None => not_found(plural, name),
        },
        ("GET", None) => list(request, &place, state),
        ("POST", None) => {
            let mut object: Value = serde_json::from_slice(&request.body).unwrap();
            let name = object.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
            let place = Place { name, ..place };
            complete(&mut object, &place, state);
            // A dry run has no version in the store.
            let metadata = object["metadata"].as_object_mut().unwrap();
            metadata.remove("resourceVersion");
            keep(request, state, &place, object, 201)
        }
        ("PATCH", Some(name)) => {
            let Some(mut object) = state.objects.get(&place.key()).cloned() else {
                return not_found(plural, name);
            };
            let patch: Value = serde_json::from_slice(&request.body).unwrap();
            let spec = object.get("spec").cloned();
            merge(&mut object, &patch, "");
            if spec.as_ref() != object.get("spec")
                && let Some(generation) = object.pointer_mut("/metadata/generation")
            {
                *generation = json!(generation.as_u64().unwrap() + 1);
            }
            keep(request, state, &place, object, 200)
        }
        _ => Answer::failure(405, "MethodNotAllowed", "the server does not allow this method"),
    }
}

fn keep(request: &Request, state: &mut State, place: &Place, object: Value, status: u16) -> Answer {
    if !request.query.split('&').any(|pair| pair == "dryRun=All") {
        state.objects.insert(place.key(), object.clone());
    }
    Answer::json(status, object)
}

fn not_found(plural: &str, name: &str) -> Answer {
    Answer::failure(404, "NotFound", &format!("{plural} \"{name}\" not found"))
}

fn forbidden(method: &str, place: &Place) -> Answer {
    let Place { kind: Kind { group, plural, .. }, namespace, name } = place;
    let verb = match (method, name) {
        ("GET", Some(_)) => "get",
        ("GET", None) => "list",
        ("POST", _) => "create",
        _ => "patch",
    };
    let resource = if group.is_empty() { (*plural).to_owned() } else { format!("{plural}.{group}") };
    let name = name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    let message = format!(
        "{resource}{name} is forbidden: User \"standin\" cannot {verb} resource \"{plural}\" in API group \"{group}\" \
         in the namespace \"{namespace}\""
    );
    Answer::failure(403, "Forbidden", &message)
}

/// Objects of a collection whose labels the selector names, each `key=value`.
fn list(request: &Request, place: &Place, state: &State) -> Answer {
    let Place { kind, namespace, .. } = place;
    let selector = request.query.split('&').find_map(|pair| pair.strip_prefix("labelSelector="));
    let selector = selector.map(decode).unwrap_or_default();
    let selected = |object: &Value| {
        selector.split(',').filter(|term| !term.is_empty()).all(|term| {
            let (key, value) = term.split_once('=').unwrap_or((term, ""));
            object["metadata"]["labels"][key] == *value
        })
    };
    let items: Vec<&Value> = state
        .objects
        .iter()
        .filter(|((group, plural, of, _), object)| {
            (*group, *plural) == (kind.group, kind.plural)
                && (namespace.is_empty() || of == namespace)
                && selected(object)
        })
        .map(|(_, object)| object)
        .collect();
    let version = if kind.group.is_empty() {
        kind.version.to_owned()
    } else {
        format!("{}/{}", kind.group, kind.version)
    };
    Answer::json(
        200,
        json!({"apiVersion": version, "kind": format!("{}List", kind.name), "metadata": {"resourceVersion": "1"}, "items": items}),
    )
}

/// Aggregated discovery, in the version that the client prefers.
fn discovery(accept: &str, among: fn(&Kind) -> bool) -> Answer {
    let (version, content_type) = if accept.contains("g=apidiscovery.k8s.io;v=v2;") {
        ("v2", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    } else {
        ("v2beta1", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList")
    };
    let mut groups: BTreeMap<(&str, &str), Vec<Value>> = BTreeMap::new();
    for kind in KINDS.iter().filter(|kind| among(kind)) {
        groups.entry((kind.group, kind.version)).or_default().push(json!({
            "resource": kind.plural,
            "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.name},
            "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": kind.name.to_lowercase(),
            "verbs": ["create", "get", "list", "patch"],
        }));
    }
    let items: Vec<Value> = groups
        .into_iter()
        .map(|((group, version), resources)| {
            json!({"metadata": {"name": group}, "versions": [{"version": version, "resources": resources, "freshness": "Current"}]})
        })
        .collect();
    let body = json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {}, "items": items});
    Answer { status: 200, content_type, body }
}

/// Merges `patch` into `target`, the value of `field`: maps key by key, null deletes, lists that have a merge key element by
/// element, and whatever else replaces. Strategic directives are obeyed where kubectl sends them.
fn merge(target: &mut Value, patch: &Value, field: &str) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => merge_maps(target, patch),
        (Value::Array(target), Value::Array(patch)) if merge_key(field, patch).is_some() => {
            let key = merge_key(field, patch).expect("just found");
            merge_lists(target, patch, key);
        }
        (target, patch) => *target = patch.clone(),
    }
}

fn merge_maps(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    if let Some(keep) = patch.get("$retainKeys").and_then(Value::as_array) {
        target.retain(|key, _| keep.iter().any(|kept| kept == key));
    }
    for (key, value) in patch {
        match value {
            _ if key.starts_with('$') => {}
            Value::Null => drop(target.remove(key)),
            _ => match target.get_mut(key) {
                Some(current) => merge(current, value, key),
                None => drop(target.insert(key.clone(), value.clone())),
            },
        }
    }
}

fn merge_lists(target: &mut Vec<Value>, patch: &[Value], key: &str) {
    for element in patch {
        let at = target.iter().position(|current| current[key] == element[key]);
        match (at, element["$patch"].as_str()) {
            (Some(at), Some("delete")) => drop(target.remove(at)),
            (Some(at), _) => merge(&mut target[at], element, ""),
            (None, Some("delete")) => {}
            (None, _) => target.push(element.clone()),
        }
    }
}

/// What tells the elements of a list apart, where Kubernetes merges it.
fn merge_key(field: &str, patch: &[Value]) -> Option<&'static str> {
    match field {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "ports" if patch.iter().any(|port| port.get("containerPort").is_some()) => Some("containerPort"),
        "ports" => Some("port"),
        _ => None,
    }
}

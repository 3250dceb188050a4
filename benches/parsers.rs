//! How fast each parser reads about 100 MB, in MB/s, beside the fastest that could be hoped for: a plain scan for line ends, and for a saved
//! plan `serde_json` that throws everything away.
//!
//! The inputs are made of pieces of the real outputs in `fixtures/`, each piece with a name of its own, in shares as they come in a large
//! estate: one resource of a plan in ten has drifted (one in a hundred in the saved plan, which lists the others in four sections), one
//! result of a playbook in fifty; `kubectl diff` prints nothing else. Every input is checked: it must be read as drifted, with as many
//! resources as were put in.

use driftrun_parsers::{Input, Reading, Stream, Verdict, by_name, read};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

const SIZE: usize = 100 << 20;
const TIMES: usize = 5;

fn main() {
    println!(
        "parsers: best of {TIMES} times; target: text at least 500 MB/s, terraform-show at most 3 times IgnoredAny"
    );
    println!("  {:<24}{:>10}{:>8}{:>12}{:>10}", "", "resources", "MB/s", "lines MB/s", "ratio");
    measure("terraform", "terraform", Some(2), terraform());
    measure("terraform-json", "terraform-json", Some(2), terraform_json());
    measure("terraform-show", "terraform-show", Some(2), terraform_show());
    measure("ansible", "ansible", Some(0), ansible());
    measure("ansible-json", "ansible-json", Some(0), ansible_json());
    measure("ansible-jsonl", "ansible-jsonl", Some(0), ansible_jsonl());
    measure("kubectl", "kubectl", Some(1), kubectl(include_str!("../fixtures/kubectl/changed/stdout")));
    measure(
        "kubectl, full context",
        "kubectl",
        Some(1),
        kubectl(include_str!("../fixtures/kubectl/full-context/stdout")),
    );
}

/// One output and how many resources are in it.
struct Output {
    text: String,
    resources: usize,
}

fn measure(title: &str, parser: &str, exit: Option<i32>, output: Output) {
    let parser = by_name(parser).unwrap();
    let Output { text, resources } = output;
    let bytes = text.as_bytes();
    let stream = Stream::whole(bytes);
    let input = Input { argv: &[], exit, stdout: stream, stderr: Stream::whole(b""), files: &[] };
    match read(parser, None, &input) {
        Reading::Read(report) => {
            assert_eq!(
                (report.verdict(), report.resources().len()),
                (Verdict::Drifted, resources),
                "{title}"
            );
            assert!(report.resources().iter().all(|resource| resource.count == 1), "{title}: no name twice");
        }
        other => panic!("{title}: {:?}", other.reason()),
    }
    let parse = best(|| drop(black_box(read(parser, None, &input))));
    let lines = best(|| {
        let mut begin = 0;
        let longest =
            memchr::memchr_iter(b'\n', bytes).map(|end| end - std::mem::replace(&mut begin, end)).max();
        black_box(longest);
    });
    #[expect(clippy::cast_precision_loss, reason = "a few hundred million at most")]
    let speed = |time: Duration| bytes.len() as f64 / 1e6 / time.as_secs_f64();
    let ratio = parse.as_secs_f64() / lines.as_secs_f64();
    println!("  {title:<24}{resources:>10}{:>8.0}{:>12.0}{ratio:>10.1}", speed(parse), speed(lines));
    if parser.name == "terraform-show" {
        let ignored = best(|| {
            black_box(serde_json::from_slice::<serde::de::IgnoredAny>(black_box(bytes)).unwrap());
        });
        let ratio = parse.as_secs_f64() / ignored.as_secs_f64();
        println!("  {:<24}{:>10}{:>8}{:>12.0}{ratio:>10.1}", "  beside IgnoredAny", "", "", speed(ignored));
    }
}

fn best(mut act: impl FnMut()) -> Duration {
    let time = |act: &mut dyn FnMut()| {
        let began = Instant::now();
        act();
        began.elapsed()
    };
    (0..TIMES).map(|_| time(&mut act)).min().unwrap()
}

// ---- inputs ----

/// A plan of ten refreshed resources for each changed one.
fn terraform() -> Output {
    let real = include_str!("../fixtures/terraform/drift_and_plan/stdout");
    let refreshing = line(real, "toy_file.a: Refreshing");
    let preamble = between(real, "Terraform used the selected providers", "  # toy_file.b will be");
    let block = between(real, "  # toy_file.b will be", "Plan: ");
    let (mut text, mut resources) = (String::new(), 0);
    let unit = 10 * (refreshing.len() + 24) + block.len() + 24;
    let count = SIZE / unit;
    for n in 0..10 * count {
        text += &refreshing.replace("toy_file.a", &format!("module.m[{}].toy_file.r{n}", n / 10_000));
    }
    let _ = write!(text, "\n{preamble}");
    for n in 0..count {
        // As the tool sorts them: by module, then by name.
        let address = format!("module.m[{}].toy_file.r{n}", n / 1_000);
        text += &block.replace("toy_file.b", &address).replace("\"b\" {", &format!("\"r{n}\" {{"));
        resources += 1;
    }
    let _ = writeln!(text, "Plan: 0 to add, {resources} to change, 0 to destroy.");
    Output { text, resources }
}

/// The stream of the same plan.
fn terraform_json() -> Output {
    let real = include_str!("../fixtures/terraform-json/everything/stdout");
    let refreshed = line(real, "\"@message\":\"terraform_data.upd: Refreshing").to_owned()
        + line(real, "\"@message\":\"terraform_data.upd: Refresh complete");
    let planned = line(real, "\"@message\":\"terraform_data.upd: Plan to update");
    let summary = line(real, "\"type\":\"change_summary\"");
    let mut text = line(real, "\"type\":\"version\"").to_owned();
    let count = SIZE / (10 * refreshed.len() + planned.len());
    let named = |text: &str, n: usize| {
        text.replace("terraform_data.upd", &format!("terraform_data.r{n}"))
            .replace("\"upd\"", &format!("\"r{n}\""))
    };
    for n in 0..10 * count {
        text += &named(&refreshed, n);
    }
    for n in 0..count {
        text += &named(planned, n);
    }
    text += &summary
        .replace(
            "\"add\":3,\"change\":2,\"import\":1,\"remove\":3",
            &format!("\"add\":0,\"change\":{count},\"import\":0,\"remove\":0"),
        )
        .replace(
            "Plan: 1 to import, 3 to add, 2 to change, 3 to destroy.",
            &format!("Plan: 0 to add, {count} to change, 0 to destroy."),
        );
    Output { text, resources: count }
}

/// A saved plan of a hundred resources for each changed one, with their planned and prior values and their configuration.
fn terraform_show() -> Output {
    let quiet = include_str!("../fixtures/terraform-show/clean/stdout");
    let changed = include_str!("../fixtures/terraform-show/everything/stdout");
    let sections = ["\"planned_values\":", "\"resource_changes\":", "\"prior_state\":", "\"configuration\":"];
    let pieces = sections.map(|section| {
        let quiet = object(quiet, section, "{\"address\":\"terraform_data.a\"");
        let changed = object(changed, section, "{\"address\":\"terraform_data.upd\"");
        (quiet, changed)
    });
    let unit: usize = pieces.iter().map(|(quiet, _)| quiet.len() + 12).sum();
    let count = SIZE / unit;
    let mut text = between(quiet, "{\"format_version\"", "{\"address\"").to_owned();
    let mut rest = &quiet[text.len()..];
    for (at, (quiet, changed)) in pieces.iter().enumerate() {
        for n in 0..count {
            if n > 0 {
                text.push(',');
            }
            let (piece, name) = if n % 100 == 0 { (changed, "upd") } else { (quiet, "a") };
            text += &piece
                .replace(&format!("terraform_data.{name}"), &format!("terraform_data.r{n}"))
                .replace(&format!("\"name\":\"{name}\""), &format!("\"name\":\"r{n}\""));
        }
        rest = rest.strip_prefix(*quiet).unwrap();
        let next = if at + 1 < pieces.len() { rest.find("{\"address\"").unwrap() } else { rest.len() };
        text += &rest[..next];
        rest = &rest[next..];
    }
    Output { text: text.replace("\"applyable\":false", "\"applyable\":true"), resources: count.div_ceil(100) }
}

const HOSTS: usize = 200;

/// One result in so many is a change.
const QUIET: usize = 50;

/// Whether a task has changed something on a host: not always on the same.
fn differs(task: usize, host: usize) -> bool {
    (task + host).is_multiple_of(QUIET)
}

/// About how many bytes a task's results on all hosts have.
fn results(changed: usize, quiet: usize) -> usize {
    HOSTS * (changed + (QUIET - 1) * quiet) / QUIET
}

/// How many of so many tasks have.
fn changes(tasks: usize, host: usize) -> usize {
    (0..tasks).filter(|task| differs(*task, host)).count()
}

fn ansible() -> Output {
    let real = include_str!("../fixtures/ansible/drifted/stdout");
    let play = between(real, "\nPLAY [Base]", "TASK [");
    let task = line(real, "TASK [base : Set motd]");
    let changed =
        between(real, "--- before: /srv/demo/target/web1/motd", "--- before: /srv/demo/target/web2/motd");
    let ok = "ok: [web1]\n";
    assert!(include_str!("../fixtures/ansible/clean/stdout").contains(ok));
    let tasks = SIZE / (task.len() + results(changed.len() + 4, ok.len() + 4));
    let mut text = play.to_owned();
    let mut resources = 0;
    for n in 0..tasks {
        text += &task.replace("Set motd", &format!("Set motd {n}"));
        for host in 0..HOSTS {
            let piece = if differs(n, host) { changed } else { ok };
            text += &piece.replace("web1", &format!("web{host:04}"));
            resources += usize::from(differs(n, host));
        }
        text.push('\n');
    }
    text += line(real, "PLAY RECAP");
    let recap = line(real, "web1                       :");
    for host in 0..HOSTS {
        text += &recap
            .replace("web1   ", &format!("web{host:04}"))
            .replace("ok=5 ", &format!("ok={tasks} "))
            .replace("changed=4 ", &format!("changed={} ", changes(tasks, host)));
    }
    text.push('\n');
    Output { text, resources }
}

fn ansible_json() -> Output {
    let real = include_str!("../fixtures/ansible-json/drifted/stdout");
    let clean = include_str!("../fixtures/ansible-json/clean/stdout");
    let changed = object(real, "\"web1\":", "{");
    let ok = object(clean, "\"web2\":", "{");
    let task = object(real, "\"task\":", "{");
    let stats = object(real, "\"stats\":", "{\n            \"changed\"");
    let tasks = SIZE / (task.len() + results(changed.len() + 36, ok.len() + 36));
    let mut text =
        between(real, "{\n    \"custom_stats\"", "                {\n                    \"hosts\"")
            .to_owned();
    let mut resources = 0;
    for n in 0..tasks {
        text += if n > 0 { ",\n" } else { "" };
        text += "                {\n                    \"hosts\": {";
        for host in 0..HOSTS {
            let name = format!("web{host:04}");
            let piece =
                if differs(n, host) { changed.replace("web1", &name) } else { ok.replace("web2", &name) };
            let comma = if host > 0 { "," } else { "" };
            let _ = write!(text, "{comma}\n                        \"{name}\": {piece}");
            resources += usize::from(differs(n, host));
        }
        let task = task.replace("Set motd", &format!("Set motd {n}"));
        let _ = write!(
            text,
            "\n                    }},\n                    \"task\": {task}\n                }}"
        );
    }
    text += "\n            ]\n        }\n    ],\n    \"stats\": {";
    for host in 0..HOSTS {
        let stats = stats
            .replace("\"changed\": 4", &format!("\"changed\": {}", changes(tasks, host)))
            .replace("\"ok\": 5", &format!("\"ok\": {tasks}"));
        let comma = if host > 0 { "," } else { "" };
        let _ = write!(text, "{comma}\n        \"web{host:04}\": {stats}");
    }
    text += "\n    }\n}\n";
    Output { text, resources }
}

fn ansible_jsonl() -> Output {
    let real = include_str!("../fixtures/ansible-jsonl/drifted/stdout");
    let clean = include_str!("../fixtures/ansible-jsonl/clean/stdout");
    let (task_id, clean_id) =
        ("02fc0000-0001-8af0-b1ff-000000000009", "02fc0000-0001-b5ea-15d4-000000000006");
    let task = line(real, "v2_playbook_on_task_start");
    let changed = line(real, "\"web1\":{\"_ansible_no_log\"").replace(task_id, "ID");
    let ok = line(clean, "\"web2\":{\"_ansible_no_log\"").replace(clean_id, "ID");
    assert!(task.contains(task_id) && changed.contains("ID") && ok.contains("ID"));
    let tasks = SIZE / (task.len() + results(changed.len(), ok.len()));
    let mut text = line(real, "v2_playbook_on_play_start").to_owned();
    let mut resources = 0;
    for n in 0..tasks {
        let (id, name) = (format!("02fc0000-0001-8af0-b1ff-{n:012}"), format!("Set motd {n}"));
        text += &task.replace(task_id, &id).replace("Set motd", &name);
        for host in 0..HOSTS {
            let host_name = format!("web{host:04}");
            let piece = if differs(n, host) {
                changed.replace("web1", &host_name).replace("Set motd", &name)
            } else {
                ok.replace("web2", &host_name).replace("Motd", &name)
            };
            text += &piece.replace("ID", &id);
            resources += usize::from(differs(n, host));
        }
    }
    let stats = line(real, "v2_playbook_on_stats");
    let one = object(stats, "\"web1\":", "{");
    text += &stats[..stats.find("\"web1\"").unwrap()];
    for host in 0..HOSTS {
        let one = one
            .replace("\"changed\":4", &format!("\"changed\":{}", changes(tasks, host)))
            .replace("\"ok\":5", &format!("\"ok\":{tasks}"));
        let comma = if host > 0 { "," } else { "" };
        let _ = write!(text, "{comma}\"web{host:04}\":{one}");
    }
    text += "}}\n";
    Output { text, resources }
}

/// Changed Deployments, one after another.
fn kubectl(real: &str) -> Output {
    let block = real.split("\ndiff -u").next().unwrap().trim_end_matches('\n').to_owned() + "\n";
    let count = SIZE / (block.len() + 25);
    let text = (0..count).map(|n| block.replace(".shop.web", &format!(".shop.web{n}"))).collect();
    Output { text, resources: count }
}

// ---- pieces of real outputs ----

/// The first line that holds `mark`, with its end.
fn line<'a>(text: &'a str, mark: &str) -> &'a str {
    let at = text.find(mark).unwrap();
    let begin = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
    &text[begin..end]
}

/// From `first` to before the `next` after it.
fn between<'a>(text: &'a str, first: &str, next: &str) -> &'a str {
    let begin = text.find(first).unwrap();
    let end = text[begin + 1..].find(next).unwrap();
    &text[begin..=begin + end]
}

/// The JSON object that begins with `head`, after `section`.
fn object<'a>(text: &'a str, section: &str, head: &str) -> &'a str {
    let section = text.find(section).unwrap();
    let begin = section + text[section..].find(head).unwrap();
    let mut objects = serde_json::Deserializer::from_str(&text[begin..]).into_iter::<serde::de::IgnoredAny>();
    objects.next().unwrap().unwrap();
    &text[begin..begin + objects.byte_offset()]
}

//! The pages that are followed, and what each needs here.

/// A page with blocks, what its reader has already, and how many of its blocks are run and looked at at least.
pub struct Lesson {
    pub path: &'static str,
    /// Programs without which none of its blocks can be followed.
    pub tools: &'static [&'static str],
    /// Files of the reader's folder; those that end in `/` are folders, those that read `-> X` links to the project's X.
    pub files: &'static [(&'static str, &'static str)],
    /// A server that the reader has running already.
    pub before: &'static str,
    /// What is run or read here in place of what the page says.
    pub instead: &'static [(&'static str, &'static str)],
    /// Blocks of `sh` that are run.
    pub run: usize,
    /// Blocks that are held against something: outputs, configurations, rules, queries.
    pub checked: usize,
}

pub const WATCHED: &str =
    "checks: [{ name: watched, command: [uptime], parser: none, splay: 1s, interval: 1s }]\n";

const NOTHING: Lesson =
    Lesson { path: "", tools: &[], files: &[], before: "", instead: &[], run: 0, checked: 0 };

pub const LESSONS: &[Lesson] = &[
    Lesson {
        path: "README.md",
        tools: &["terraform", "curl"],
        files: &[
            ("examples", "-> examples"),
            ("infra/main.tf", ""),
            ("inventory", ""),
            ("site.yml", ""),
            ("k8s/a.yaml", ""),
        ],
        instead: &[("cargo run --release -- ", "driftrun ")],
        run: 3,
        checked: 2,
        ..NOTHING
    },
    Lesson {
        path: "docs/getting-started/terraform.md",
        tools: &["terraform", "curl"],
        run: 9,
        checked: 7,
        ..NOTHING
    },
    Lesson {
        path: "docs/getting-started/ansible.md",
        tools: &["ansible-playbook", "curl"],
        run: 9,
        checked: 7,
        ..NOTHING
    },
    Lesson {
        path: "docs/getting-started/kubernetes.md",
        tools: &["kubectl", "diff", "curl"],
        // The stand-in for a cluster has no OpenAPI, which `apply` asks for to validate.
        instead: &[("kubectl apply -f", "kubectl apply --validate=false -f")],
        run: 9,
        checked: 7,
        ..NOTHING
    },
    Lesson { path: "docs/getting-started/opentofu.md", checked: 1, ..NOTHING },
    Lesson { path: "docs/getting-started/terragrunt.md", checked: 1, ..NOTHING },
    Lesson { path: "docs/false-positives.md", tools: &["terraform"], run: 3, checked: 5, ..NOTHING },
    Lesson { path: "docs/environments.md", files: &[("k8s/dev/", "")], run: 3, checked: 3, ..NOTHING },
    Lesson { path: "docs/reading-metrics.md", checked: 21, ..NOTHING },
    Lesson { path: "docs/installing.md", ..NOTHING },
    Lesson { path: "CONTRIBUTING.md", ..NOTHING },
    Lesson {
        path: "docs/alerts.md",
        files: &[(
            "driftrun.rules.yaml",
            "runbook_url: https://driftrun.example.com/runbooks/DriftrunDown.md\n",
        )],
        run: 1,
        ..NOTHING
    },
    Lesson { path: "docs/performance.md", ..NOTHING },
    Lesson {
        path: "docs/api.md",
        tools: &["curl", "jq"],
        files: &[("examples", "-> examples")],
        before: "driftrun serve --config.file examples/demo/driftrun.yaml",
        run: 1,
        ..NOTHING
    },
    Lesson {
        path: "docs/configuration.md",
        files: &[
            ("infra/dev/", ""),
            ("infra/prod/", ""),
            ("k8s/dev/shop/", ""),
            ("k8s/prod/shop/", ""),
            ("age.sh", "#!/bin/sh\n"),
            ("read-inventory.py", "#!/usr/bin/python3\n"),
        ],
        checked: 3,
        ..NOTHING
    },
    Lesson {
        path: "docs/one-shot.md",
        tools: &["curl", "prometheus-pushgateway"],
        files: &[
            ("etc/driftrun/driftrun.yaml", WATCHED),
            ("driftrun.yaml", WATCHED),
            ("var/lib/prometheus/node-exporter/", ""),
            ("var/lib/driftrun/", ""),
        ],
        before: "prometheus-pushgateway --web.listen-address=127.0.0.1:9091",
        instead: &[("http://pushgateway:9091", "http://127.0.0.1:9091")],
        run: 3,
        checked: 3,
    },
    Lesson { path: "docs/parsers.md", checked: 3, ..NOTHING },
    Lesson {
        path: "docs/web-configuration.md",
        tools: &["openssl"],
        files: &[("driftrun.yaml", WATCHED), ("driftrun.password", "secret")],
        run: 4,
        checked: 3,
        ..NOTHING
    },
    Lesson { path: "deploy/grafana/README.md", checked: 3, ..NOTHING },
];

/// Pages that another test follows, and which.
pub const ELSEWHERE: [(&str, &str); 2] = [
    (
        "docs/migrating.md",
        "tests/migrating.rs loads its configurations and rules and runs its crontab's line, tests/prom_run.rs its command line",
    ),
    (
        "deploy/kubernetes/README.md",
        "tests/kubernetes_manifests.rs renders its example; its commands need a cluster",
    ),
];

/// Texts of queries that ask for more time than a test has, and what is asked instead.
pub const SHORT: [(&str, &str); 3] = [("[30d:1h]", "[1m:1s]"), ("[30d]", "[1m]"), ("[1d]", "[1m]")];

/// What a block of commands begins with.
pub const PROGRAMS: [&str; 15] = [
    "ansible",
    "ansible-playbook",
    "cargo",
    "cat",
    "cp",
    "curl",
    "docker",
    "driftrun",
    "kubectl",
    "mkdir",
    "promtool",
    "sed",
    "sudo",
    "systemctl",
    "terraform",
];

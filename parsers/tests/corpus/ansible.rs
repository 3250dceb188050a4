//! Ansible's part of the corpus: `generated/` has the truth of each playbook from the json callback (`expected/`) and the recap
//! of each capture; of `public/` the recaps are known.

use super::{Case, Check};
use driftrun_parsers::{DriftReport, Verdict};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const PROMISED: [&str; 4] = ["2.13", "2.16", "2.19", "2.20"];

type Recap = BTreeMap<String, BTreeMap<String, u64>>;

pub fn cases(root: &Path) -> Vec<Case> {
    let root = root.join("ansible");
    let mut cases = generated(&root.join("generated"));
    cases.extend(public(&root.join("public")));
    cases
}

/// Cut anywhere, no output with changes may read as clean.
pub fn no_beginning_reads_as_clean(root: &Path) {
    let mut cuts = 0_u32;
    for mut case in cases(root).into_iter().filter(|case| case.promised && case.parser != "ansible-json") {
        if !case.verdicts.iter().any(|v| matches!(v, Verdict::Drifted | Verdict::Partial)) {
            continue;
        }
        let whole = std::mem::take(&mut case.stdout);
        let ends: Vec<usize> =
            whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
        // Each line end of the last lines, where recaps are, and a sample of the others.
        let late = ends.len().saturating_sub(40);
        for (n, end) in
            ends.iter().enumerate().filter(|(n, end)| (*n > late || n % 5 == 0) && **end < whole.len())
        {
            case.stdout = whole[..*end].to_vec();
            cuts += 1;
            assert_ne!(case.read().verdict(), Verdict::Clean, "{} cut after line {}", case.path, n + 1);
        }
    }
    assert!(cuts > 5_000, "only {cuts} cuts");
}

fn generated(root: &Path) -> Vec<Case> {
    let index = fs::read_to_string(root.join("index.tsv")).unwrap();
    let captures: Vec<&str> = index.lines().skip(1).map(|line| line.split('\t').next().unwrap()).collect();
    let metas: BTreeMap<&str, Value> =
        captures.iter().map(|capture| (*capture, json(&root.join(format!("{capture}.meta.json"))))).collect();
    // The truth of a playbook, by version and command line (verbosity aside).
    let mut truths: BTreeMap<(String, Vec<String>), Value> = BTreeMap::new();
    for (capture, meta) in &metas {
        let (version, name) = capture.split_once('/').unwrap();
        let Some(name) = name.strip_prefix("json-") else { continue };
        let expected = root.join(format!("expected/{version}/{name}.json"));
        // The json callback of 2.4 shows neither actions nor which results failed: its truth is none.
        if expected.exists() && version != "2.4" {
            truths.insert((version.to_owned(), quiet_argv(meta)), json(&expected));
        }
    }
    let mut with_truth = 0;
    let cases: Vec<Case> = captures
        .iter()
        .map(|capture| {
            let (version, name) = capture.split_once('/').unwrap();
            let meta = &metas[capture];
            let bytes = |ext: &str| fs::read(root.join(format!("{capture}.{ext}"))).unwrap();
            let stdout = bytes("stdout");
            let parser = match name.split_once('-').unwrap().0 {
                "json" => "ansible-json",
                "jsonl" => "ansible-jsonl",
                "adhoc" => "ansible-minimal",
                _ => "ansible",
            };
            let exit = i32::try_from(meta["exit_code"].as_i64().unwrap()).unwrap();
            let recap = match parser {
                "ansible" => text_recap(&stdout),
                "ansible-minimal" => Some(results(&stdout)),
                _ => json_recap(&stdout),
            };
            // With display_failed_stderr the failures aren't on stdout: the truth can't be seen there.
            let truth = truths
                .get(&(version.to_owned(), quiet_argv(meta)))
                .filter(|_| !name.contains("stderr") || name.contains("combined"))
                .cloned();
            with_truth += usize::from(truth.is_some());
            // Hosts whose recap looks fine and of which something is not known.
            let down: &[&str] = match name {
                // 2.16 and newer count an ignored unreachable host as ok.
                "default-ignore-unreachable" => &["down.example.com"],
                // The play ended there for all, and this host had done nothing but skip.
                "default-any-errors-fatal" => &["web02.example.com"],
                _ => &[],
            };
            let default = matches!(name.split_once('-').unwrap().0, "default" | "json" | "jsonl" | "adhoc");
            let cows = name.contains("cowsay");
            let verdict = if cows { Verdict::Unreadable } else { verdict(recap.as_ref(), exit, down) };
            let mut verdicts = vec![verdict];
            if !default {
                verdicts.push(Verdict::Unreadable);
            }
            Case {
                path: (*capture).to_owned(),
                parser,
                argv: strings(&meta["argv"]),
                exit: Some(exit),
                stdout,
                stderr: bytes("stderr"),
                promised: default && PROMISED.contains(&version) && !cows,
                check: check(parser, recap.unwrap_or_default(), truth, down),
                verdicts,
            }
        })
        .collect();
    assert!(with_truth > 120, "the truth is known of {with_truth} captures only");
    cases
}

fn public(root: &Path) -> Vec<Case> {
    let index = fs::read_to_string(root.join("index.tsv")).unwrap();
    let mut cases = Vec::new();
    for line in index.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (file, known, adds_up) = (fields[0], fields[4], fields[7] == "yes");
        let recap: Recap = known
            .split("; ")
            .filter_map(|entry| {
                let (host, counts) = entry.split_once(":ok=").or_else(|| entry.split_once(": ok="))?;
                let counts = format!("ok={counts}");
                let pairs = counts.split(',').filter_map(|pair| pair.trim().split_once('='));
                Some((host.to_owned(), pairs.map(|(k, n)| (k.to_owned(), n.parse().unwrap())).collect()))
            })
            .collect();
        let stdout = fs::read(root.join(file)).unwrap();
        let quiet = !recap.is_empty()
            && recap
                .values()
                .all(|host| ["changed", "failed", "unreachable"].iter().all(|key| host[*key] == 0));
        let mut verdicts = vec![Verdict::Drifted, Verdict::Partial, Verdict::Failed, Verdict::Unreadable];
        if quiet {
            verdicts = vec![Verdict::Clean, Verdict::Unreadable];
        } else if recap.is_empty() {
            verdicts = vec![Verdict::Failed, Verdict::Unreadable];
        }
        let failed: BTreeSet<String> =
            recap.iter().filter(|(_, c)| c["failed"] > 0).map(|(h, _)| h.clone()).collect();
        let counts: BTreeMap<String, u64> = recap.iter().map(|(h, c)| (h.clone(), c["changed"])).collect();
        cases.push(Case {
            path: format!("public/{file}"),
            parser: "ansible",
            argv: Vec::new(),
            exit: None,
            stdout,
            stderr: Vec::new(),
            promised: false,
            check: Box::new(move |report| {
                if adds_up && !counts.is_empty() && !counts.contains_key("see file") {
                    let got = changed(report);
                    let want: BTreeMap<String, u64> =
                        counts.iter().filter(|(_, n)| **n > 0).map(|(h, n)| (h.clone(), *n)).collect();
                    // A loop that failed in the end isn't counted, and its changes are shown.
                    let same = |host: &String| {
                        let (got, want) = (got.get(host).unwrap_or(&0), want.get(host).unwrap_or(&0));
                        got == want || failed.contains(host) && got > want
                    };
                    if !counts.keys().all(same) || !got.keys().all(|host| counts.contains_key(host)) {
                        return Err(format!("changed tasks {got:?} instead of {want:?}"));
                    }
                }
                Ok(())
            }),
            verdicts,
        });
    }
    cases
}

/// What has to be read of a run with this recap.
fn verdict(recap: Option<&Recap>, exit: i32, down: &[&str]) -> Verdict {
    let Some(recap) = recap.filter(|recap| !recap.is_empty()) else {
        return if exit == 0 { Verdict::Unreadable } else { Verdict::Failed };
    };
    if !matches!(exit, 0 | 2..=4) {
        return Verdict::Failed;
    }
    let unread = unread(recap, down);
    if unread.len() == recap.len() {
        Verdict::Failed
    } else if !unread.is_empty() {
        Verdict::Partial
    } else if recap.values().any(|host| host["changed"] > 0) {
        Verdict::Drifted
    } else {
        Verdict::Clean
    }
}

fn unread(recap: &Recap, down: &[&str]) -> BTreeSet<String> {
    let bad = |(host, counts): &(&String, &BTreeMap<String, u64>)| {
        counts["unreachable"] > 0 || counts["failed"] > 0 || down.contains(&host.as_str())
    };
    recap.iter().filter(bad).map(|(host, _)| host.clone()).collect()
}

fn check(parser: &str, recap: Recap, truth: Option<Value>, down: &[&str]) -> Check {
    let unread = unread(&recap, down);
    let text = matches!(parser, "ansible" | "ansible-minimal");
    Box::new(move |report| {
        let got: BTreeSet<String> = report.scopes().unread.iter().map(|u| u.scope.clone()).collect();
        let read: BTreeSet<String> = report.scopes().read.iter().cloned().collect();
        let want_read: BTreeSet<String> = recap.keys().filter(|h| !unread.contains(*h)).cloned().collect();
        if got != unread || read != want_read {
            return Err(format!(
                "unread {got:?} instead of {unread:?}, read {read:?} instead of {want_read:?}"
            ));
        }
        let counts: BTreeMap<String, u64> =
            recap.iter().map(|(h, c)| (h.clone(), c["changed"])).filter(|(_, n)| *n > 0).collect();
        let got = changed(report);
        let same =
            if text { got == counts } else { got.iter().all(|(h, n)| counts.get(h).is_some_and(|c| n >= c)) };
        if !same || got.len() != counts.len() {
            return Err(format!("changed tasks {got:?} instead of {counts:?}"));
        }
        truth.as_ref().map_or(Ok(()), |truth| hold(report, truth, !text))
    })
}

/// Every changed task of the truth, as often as it changed; what failed after a change may be there, nothing else.
fn hold(report: &DriftReport, truth: &Value, kinds: bool) -> Result<(), String> {
    let (mut must, mut may) = (BTreeMap::<_, u32>::new(), BTreeMap::<_, u32>::new());
    for result in truth["results"].as_array().unwrap() {
        if result["changed"] == true && result["status"] != "skipped" {
            let text = |key: &str| result[key].as_str().unwrap_or_default().to_owned();
            let kind = if kinds { text("action") } else { String::new() };
            let key = (text("host"), kind, text("task"));
            if result["status"] != "failed" {
                *must.entry(key.clone()).or_default() += 1;
            }
            *may.entry(key).or_default() += 1;
        }
    }
    let got: BTreeMap<_, u32> = report
        .resources()
        .iter()
        .map(|r| ((r.scope.clone(), r.kind.clone(), r.name.clone()), r.count))
        .collect();
    let missing: Vec<_> = must.iter().filter(|(key, n)| got.get(*key).is_none_or(|got| got < *n)).collect();
    let surplus: Vec<_> = got.iter().filter(|(key, n)| may.get(*key).is_none_or(|may| may < *n)).collect();
    if missing.is_empty() && surplus.is_empty() {
        Ok(())
    } else {
        Err(format!("missing {missing:?}, too much {surplus:?}"))
    }
}

/// Changed tasks by host, those that aren't shown included.
fn changed(report: &DriftReport) -> BTreeMap<String, u64> {
    let mut changed = BTreeMap::new();
    for resource in report.resources() {
        let hidden = resource.name.strip_prefix('(').and_then(|n| n.strip_suffix(" changes not shown)"));
        let count = hidden.map_or(u64::from(resource.count), |n| n.parse().unwrap());
        *changed.entry(resource.scope.clone()).or_default() += count;
    }
    changed
}

/// The last recap, read in another way than the parser does.
fn text_recap(stdout: &[u8]) -> Option<Recap> {
    let text = String::from_utf8_lossy(&driftrun_parsers::text::strip_ansi(stdout)).into_owned();
    let at = text.rfind("\nPLAY RECAP")?;
    let lines = text[at + 1..].lines().skip(1).take_while(|line| !line.trim().is_empty());
    Some(
        lines
            .map(|line| {
                let (host, counts) = line.split_once(" : ok=").unwrap();
                let counts = format!("ok={counts}");
                let pairs = counts.split_whitespace().map(|pair| pair.split_once('=').unwrap());
                (host.trim().to_owned(), pairs.map(|(k, n)| (k.to_owned(), n.parse().unwrap())).collect())
            })
            .collect(),
    )
}

/// The results of `ansible -m` as a recap; a host that was skipped has none.
fn results(stdout: &[u8]) -> Recap {
    let text = String::from_utf8_lossy(&driftrun_parsers::text::strip_ansi(stdout)).into_owned();
    let states =
        [("CHANGED", "changed"), ("FAILED", "failed"), ("UNREACHABLE", "unreachable"), ("SUCCESS", "ok")];
    let counts = |line: &str| {
        let (host, rest) = line.split_once(" | ")?;
        let (_, counted) = states.iter().find(|(word, _)| rest.starts_with(word))?;
        let counts = states.iter().map(|(_, key)| ((*key).to_owned(), u64::from(key == counted))).collect();
        Some((host.to_owned(), counts))
    };
    text.lines().filter_map(counts).collect()
}

fn json_recap(stdout: &[u8]) -> Option<Recap> {
    let text = String::from_utf8_lossy(stdout);
    let mut stats = None;
    for (at, _) in text.match_indices('{').filter(|(at, _)| *at == 0 || text.as_bytes()[at - 1] == b'\n') {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        if let Some(Ok(value)) = values.next()
            && let Some(found) = value["stats"].as_object()
        {
            stats = Some(found.clone());
        }
    }
    let number = |counts: &Value, key: &str| counts[key].as_u64().unwrap();
    Some(
        stats?
            .into_iter()
            .map(|(host, c)| {
                let keys = [("changed", "changed"), ("failures", "failed"), ("unreachable", "unreachable")];
                (host, keys.iter().map(|(from, to)| ((*to).to_owned(), number(&c, from))).collect())
            })
            .collect(),
    )
}

fn quiet_argv(meta: &Value) -> Vec<String> {
    strings(&meta["argv"]).into_iter().filter(|arg| !arg.starts_with("-v")).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

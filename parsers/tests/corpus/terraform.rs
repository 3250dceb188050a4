//! Terraform's and OpenTofu's plans: recorded runs of Terraform 0.11 to 1.15 in every form, and what public repositories hold.
//!
//! The truth of a recorded run is its `show.json`, read here by other means than the parser's.

use super::{Case, Check};
use driftrun_parsers::{
    Action, DriftReport, Input, Reading, Resource, Source, Stream, Verdict, by_name, read,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Source, scope, kind, name, action, previous name.
type Row = (Source, String, String, String, Action, Option<String>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Stream,
    Show,
}

const PARSERS: [(Form, &str); 3] =
    [(Form::Stream, "terraform-json"), (Form::Show, "terraform-show"), (Form::Text, "terraform")];

pub fn cases(root: &Path) -> Vec<Case> {
    let root = root.join("terraform");
    let mut cases = Vec::new();
    for folder in ["scenarios", "legacy"] {
        for run in folders(&root.join("generated").join(folder)).iter().flat_map(|s| folders(s)) {
            if run.join("meta.json").is_file() {
                recorded(&root, &run, &mut cases);
            }
        }
    }
    signals(&root, &mut cases);
    public(&root, &mut cases);
    cases
}

/// Every recorded output, given to the parsers of the other forms: none of them may make anything of it.
pub fn mistaken(root: &Path) -> Vec<Case> {
    let mut found = Vec::new();
    for case in cases(root).into_iter().filter(|c| c.path.starts_with("generated") && !c.stdout.is_empty()) {
        for (_, parser) in PARSERS.iter().filter(|(_, parser)| *parser != case.parser) {
            found.push(Case {
                path: case.path.clone(),
                parser,
                argv: Vec::new(),
                exit: Some(0),
                stdout: case.stdout.clone(),
                stderr: Vec::new(),
                promised: false,
                check: Box::new(|_| Err("read as another form".to_owned())),
                verdicts: vec![Verdict::Unreadable, Verdict::Failed],
            });
        }
    }
    found
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(path)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn bytes(path: &Path) -> Option<Vec<u8>> {
    path.is_file().then(|| fs::read(path).unwrap())
}

fn json(path: &Path) -> Option<Value> {
    bytes(path).map(|b| serde_json::from_slice(&b).unwrap())
}

fn argv(flags: &[&str], more: &Value) -> Vec<String> {
    let more = more.as_array().into_iter().flatten().map(|flag| flag.as_str().unwrap());
    ["terraform", "plan"].into_iter().chain(flags.iter().copied()).chain(more).map(str::to_owned).collect()
}

fn row(source: Source, change: &Value) -> Option<Row> {
    let text = |key: &str| change[key].as_str().unwrap_or_default().to_owned();
    let previous = change["previous_address"].as_str().map(str::to_owned);
    let actions: Vec<&str> =
        change["change"]["actions"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    let action = match actions.join("+").as_str() {
        "no-op" if previous.is_some() => Action::Move,
        "no-op" if change["change"].get("importing").is_some() => Action::Import,
        "no-op" => return None,
        "create" => Action::Create,
        "read" => Action::Read,
        "update" => Action::Update,
        "delete" => Action::Delete,
        "forget" => Action::Forget,
        "delete+create" | "create+delete" | "create+forget" | "forget+create" => Action::Replace,
        other => panic!("{other}"),
    };
    let deposed = if change.get("deposed").is_some() { " (deposed)" } else { "" };
    Some((source, text("module_address"), text("type"), text("address") + deposed, action, previous))
}

/// Everything that `show -json` lists.
fn truth(show: &Value) -> BTreeSet<Row> {
    let list = |key: &str| show[key].as_array().cloned().unwrap_or_default();
    let mut rows: BTreeSet<Row> =
        list("resource_changes").iter().filter_map(|c| row(Source::Plan, c)).collect();
    rows.extend(list("resource_drift").iter().filter_map(|c| row(Source::Refresh, c)));
    for (name, change) in show["output_changes"].as_object().into_iter().flatten() {
        let action = match change["actions"][0].as_str().unwrap() {
            "no-op" => continue,
            "create" => Action::Create,
            "update" => Action::Update,
            "delete" => Action::Delete,
            other => panic!("{other}"),
        };
        let kind = driftrun_parsers::report::OUTPUT_KIND.to_owned();
        rows.insert((Source::Plan, String::new(), kind, name.clone(), action, None));
    }
    rows
}

fn rows(report: &DriftReport) -> BTreeSet<Row> {
    let row = |r: &driftrun_parsers::Resource| {
        (r.source, r.scope.clone(), r.kind.clone(), r.name.clone(), r.action, r.previous_name.clone())
    };
    report.resources().iter().map(row).collect()
}

/// The stream has no word for a deposed object: it is told by being the second of its address.
fn as_streamed(truth: &BTreeSet<Row>) -> BTreeSet<Row> {
    let names: BTreeSet<&String> = truth.iter().filter(|r| r.0 == Source::Plan).map(|r| &r.3).collect();
    let mut seen = truth.clone();
    for row in truth {
        let Some(current) = row.3.strip_suffix(" (deposed)") else { continue };
        if !names.contains(&current.to_owned()) {
            let mut alone = row.clone();
            current.clone_into(&mut alone.3);
            seen.remove(row);
            seen.insert(alone);
        }
    }
    seen
}

/// `old_text`: text of Terraform before 0.14, which shows outputs only when it likes.
fn check(form: Form, old_text: bool, truth: Rc<BTreeSet<Row>>) -> Check {
    Box::new(move |report| {
        let mut want = if form == Form::Stream { as_streamed(&truth) } else { (*truth).clone() };
        if old_text {
            want.retain(|row| row.2 != driftrun_parsers::report::OUTPUT_KIND);
        }
        let mut got = rows(report);
        if old_text {
            got.retain(|row| want.contains(row) || !truth.contains(row));
        }
        if form == Form::Text {
            // Text shows what it thinks relevant of the drift: nothing that isn't there, but not all of it.
            let unplanned = |row: &Row| row.0 == Source::Refresh;
            let refresh: BTreeSet<Row> = got.iter().filter(|r| unplanned(r)).cloned().collect();
            if !refresh.is_subset(&want) {
                return Err(format!("drift that isn't: {refresh:?}"));
            }
            got.extend(want.iter().filter(|r| unplanned(r)).cloned());
        }
        let names = |rows: &BTreeSet<Row>, other: &BTreeSet<Row>| format!("{:?}", rows - other);
        if got == want {
            return Ok(());
        }
        Err(format!("not there: {}; missing: {}", names(&got, &want), names(&want, &got)))
    })
}

/// What changes in each resource by `show -json`, without the numbers of elements, which text doesn't show.
type Attributes = BTreeMap<(Source, String), Option<BTreeSet<String>>>;

fn attributes(show: &[u8]) -> Attributes {
    let stdout = Stream::whole(show);
    let input = Input { argv: &[], exit: None, stdout, stderr: Stream::whole(b""), files: &[] };
    let reading = read(by_name("terraform-show").unwrap(), None, &input);
    let resources = reading.report().map(DriftReport::resources).unwrap_or_default();
    let row = |r: &Resource| {
        let paths = r.attributes.as_ref().map(|all| all.iter().map(|path| without_numbers(path)).collect());
        ((r.source, r.name.clone()), paths)
    };
    resources.iter().map(row).collect()
}

fn without_numbers(path: &str) -> String {
    let mut parts = path.split('[');
    let mut found = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) => found.push_str(rest),
            _ => found.extend(["[", part]),
        }
    }
    found
}

/// Text shows less exactly where a change is (a list as a whole), and of a block that another one replaces all of its members.
/// Never less of what changes: a rule that covers all paths of the text has to cover all of `show -json`.
fn compare_attributes(report: &DriftReport, all: &Attributes) -> Result<(), String> {
    let covers = |above: &str, path: &str| {
        path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    for resource in report.resources() {
        let Some(Some(show)) = all.get(&(resource.source, resource.name.clone())) else { continue };
        let Some(text) = &resource.attributes else {
            // What changed outside is shown in part, but where it is the plan.
            if resource.source == Source::Plan {
                return Err(format!("{}: no attributes instead of {show:?}", resource.name));
            }
            continue;
        };
        let block = |path: &str| path.split(['.', '[']).next().map(str::to_owned);
        let missing = show.iter().any(|path| !text.iter().any(|above| covers(above, path)));
        let more = text.iter().any(|path| !show.iter().any(|s| covers(path, s) || block(s) == block(path)));
        if missing || more {
            return Err(format!("{}: attributes {text:?} instead of {show:?}", resource.name));
        }
    }
    Ok(())
}

fn check_with_attributes(
    form: Form,
    old_text: bool,
    truth: &Rc<BTreeSet<Row>>,
    shown: &Rc<Attributes>,
) -> Check {
    let check = check(form, old_text && form == Form::Text, Rc::clone(truth));
    let shown = Rc::clone(shown);
    Box::new(move |report| {
        check(report)?;
        if form == Form::Text { compare_attributes(report, &shown) } else { Ok(()) }
    })
}

/// One recorded run in all its forms.
fn recorded(root: &Path, run: &Path, cases: &mut Vec<Case>) {
    let meta = json(&run.join("meta.json")).unwrap();
    let version = meta["terraform_version"].as_str().unwrap();
    let modern = !version.starts_with("0.");
    let old_text = version.starts_with("0.11") || version.starts_with("0.12") || version.starts_with("0.13");
    let flags = meta.get("flags").unwrap_or(&Value::Null);
    let only = flags.to_string().contains("-refresh-only");
    let show = json(&run.join("show.json"));
    let oldest = version.starts_with("0.11");
    let next = || json(&run.parent().unwrap().join("0.12.29/show.json"));
    let truth =
        Rc::new(show.clone().or_else(|| next().filter(|_| oldest)).as_ref().map(truth).unwrap_or_default());
    let drifts = |source: Source| {
        truth
            .iter()
            .any(|r| r.0 == source && r.4 != Action::Read && r.2 != driftrun_parsers::report::OUTPUT_KIND)
    };
    let drifted = drifts(Source::Plan) || (only && drifts(Source::Refresh));
    let exit = |key: &str| meta["exit"][key].as_i64().map(|code| i32::try_from(code).unwrap());
    let detailed = exit("text_detailed").unwrap();
    let verdicts = |code: Option<i32>| match (code, show.is_some()) {
        (Some(1), _) => vec![Verdict::Failed],
        (_, true) if drifted => vec![Verdict::Drifted],
        (_, true) => vec![Verdict::Clean],
        (_, false) if detailed == 0 => vec![Verdict::Clean],
        (_, false) => vec![Verdict::Drifted],
    };
    let path = run.strip_prefix(root).unwrap().display().to_string();
    let shown = Rc::new(bytes(&run.join("show.json")).as_deref().map(attributes).unwrap_or_default());
    let mut add = |form: Form, file: &str, argv: Vec<String>, code: Option<i32>, verdicts: Vec<Verdict>| {
        let Some(stdout) = bytes(&run.join(file)) else { return };
        let parser = PARSERS.iter().find(|(f, _)| *f == form).unwrap().1;
        let stem = file.rsplit_once('.').unwrap().0;
        cases.push(Case {
            path: format!("{path}/{file}"),
            parser,
            argv,
            exit: code,
            stderr: bytes(&run.join(format!("{stem}.stderr.txt"))).unwrap_or_default(),
            promised: show.is_some() || modern || oldest,
            check: check_with_attributes(form, old_text, &truth, &shown),
            verdicts,
            stdout,
        });
    };
    let plain = exit("text_plain_exit").or(exit("plain"));
    let no_color = exit("no_color_detailed").unwrap_or(detailed);
    let color = exit("color_detailed");
    let json_code = exit("json_detailed");
    add(
        Form::Text,
        "plan.txt",
        argv(&["-detailed-exitcode", "-no-color"], flags),
        Some(no_color),
        verdicts(Some(no_color)),
    );
    add(
        Form::Text,
        "plan.saved.txt",
        argv(&["-detailed-exitcode", "-out=p"], flags),
        Some(detailed),
        verdicts(Some(detailed)),
    );
    add(Form::Text, "plan.saved.txt", argv(&["-out=p"], flags), plain, verdicts(plain.or(Some(detailed))));
    add(Form::Text, "plan.ansi.txt", argv(&["-detailed-exitcode"], flags), color, verdicts(color));
    add(Form::Text, "plan.ansi.txt", Vec::new(), color, verdicts(color));
    add(Form::Text, "plan.automation.txt", argv(&["-no-color"], flags), plain, verdicts(plain));
    // The plan's code and the text of the report command, then that command alone.
    add(
        Form::Text,
        "show.txt",
        argv(&["-detailed-exitcode", "-out=p"], flags),
        Some(detailed),
        verdicts(Some(detailed)),
    );
    let show_argv = |json: &[&str]| {
        ["terraform", "show"].iter().chain(json).chain(&["p"]).map(|s| (*s).to_owned()).collect::<Vec<_>>()
    };
    add(Form::Text, "show.txt", show_argv(&[]), Some(0), verdicts(Some(detailed)));
    add(
        Form::Stream,
        "plan.jsonl",
        argv(&["-json", "-detailed-exitcode"], flags),
        json_code,
        verdicts(json_code),
    );
    // Drift beside changed outputs, and nothing known of the command: it could be refresh-only, so it isn't called clean.
    let outputs = truth.iter().any(|r| r.2 == driftrun_parsers::report::OUTPUT_KIND);
    let either = json_code == Some(2) && !drifts(Source::Plan) && drifts(Source::Refresh) && outputs;
    let careful = if either { vec![Verdict::Drifted] } else { verdicts(json_code) };
    add(Form::Stream, "plan.jsonl", Vec::new(), json_code, careful);
    add(
        Form::Show,
        "show.json",
        argv(&["-detailed-exitcode", "-out=p"], flags),
        Some(detailed),
        verdicts(Some(detailed)),
    );
    // Terraform marks errored plans since 1.6: before, only the plan's own exit code tells.
    if detailed != 1 || modern {
        add(Form::Show, "show.json", Vec::new(), None, verdicts(Some(detailed)));
        add(Form::Show, "show.json", show_argv(&["-json"]), Some(0), verdicts(Some(detailed)));
    }
}

/// Plans that a signal ended.
fn signals(root: &Path, cases: &mut Vec<Case>) {
    for (name, code) in [("sigint_text", 1), ("sigterm_text", 1), ("sigint_json", 1), ("sigkill_json", 137)] {
        let file = |stream: &str| bytes(&root.join(format!("generated/signals/{name}.{stream}"))).unwrap();
        let json = name.ends_with("json");
        let mut flags = vec!["-detailed-exitcode"];
        flags.extend(json.then_some("-json"));
        for (argv, exit) in
            [(argv(&flags, &Value::Null), Some(code)), (Vec::new(), None), (Vec::new(), Some(2))]
        {
            cases.push(Case {
                path: format!("generated/signals/{name} {exit:?}"),
                parser: if json { "terraform-json" } else { "terraform" },
                argv,
                exit,
                stdout: file("stdout"),
                stderr: file("stderr"),
                promised: exit == Some(code),
                check: Box::new(|_| Err("a plan that was interrupted".to_owned())),
                verdicts: vec![Verdict::Failed, Verdict::Unreadable],
            });
        }
    }
}

/// What others recorded, without exit codes: compared where `index.tsv` knows what is in it.
fn public(root: &Path, cases: &mut Vec<Case>) {
    let root = root.join("public");
    let index = fs::read_to_string(root.join("index.tsv")).unwrap();
    for line in index.lines().skip(1) {
        let mut columns = line.split('\t');
        let mut column = || columns.next().unwrap_or_default();
        let (file, _, _, _, kind) = (column(), column(), column(), column(), column());
        let (_, expected, note) = (column(), column(), column());
        let parser = match kind {
            "text" => "terraform",
            "jsonstream" => "terraform-json",
            "showjson" => "terraform-show",
            other => panic!("{other}"),
        };
        let expected: Option<Value> = (!expected.is_empty()).then(|| serde_json::from_str(expected).unwrap());
        let counts = expected.as_ref().map(|value| {
            let value = value.get("planned_change").unwrap_or(value);
            let counts: BTreeMap<String, u64> = value
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, n)| (key.clone(), n.as_u64().unwrap()))
                .collect();
            counts
        });
        let drifts = counts.as_ref().is_none_or(|counts| {
            counts.iter().any(|(action, n)| *n > 0 && !matches!(action.as_str(), "noop" | "read"))
        });
        let errors = expected.as_ref().and_then(|value| value["errors"].as_u64()).unwrap_or_default();
        let mut verdicts = vec![Verdict::Unreadable, Verdict::Failed];
        if errors == 0 {
            // Changes of outputs alone, and what changed outside, are no drift of an ordinary plan.
            let outputs_only = note == "ANSI; outputs; drift section; drift entries 1";
            verdicts.push(if drifts && !outputs_only { Verdict::Drifted } else { Verdict::Clean });
            if note.contains("drift entries") && !outputs_only {
                // A refresh-only plan.
                verdicts.push(Verdict::Drifted);
            }
        }
        cases.push(Case {
            path: format!("public/{file}"),
            parser,
            argv: Vec::new(),
            exit: None,
            stdout: bytes(&root.join(file)).unwrap_or_else(|| panic!("{file}")),
            stderr: Vec::new(),
            promised: false,
            check: counts.map_or_else(|| Box::new(|_: &DriftReport| Ok(())) as Check, totals),
            verdicts,
        });
    }
}

/// Recorded runs as units of one run of Terragrunt, in each format of its log: what is read of a unit must be what is read of its
/// own output, and no unit's lines may be taken for another's.
pub fn units(root: &Path) -> Vec<Case> {
    let alone: Vec<Case> = cases(root)
        .into_iter()
        .filter(|case| case.path.starts_with("generated/scenarios") && case.path.ends_with("/plan.txt"))
        .filter(|case| case.exit != Some(1) && !case.argv.iter().any(|arg| arg == "-refresh-only"))
        .collect();
    let mut found = Vec::new();
    for (format, neighbours) in
        FORMATS.iter().flat_map(|format| alone.windows(3).map(move |three| (format, three)))
    {
        let plans: Vec<DriftReport> = neighbours
            .iter()
            .filter_map(|case| match case.read() {
                Reading::Read(report) => Some(report),
                Reading::Failed { .. } | Reading::Unreadable(_) => None,
            })
            .collect();
        if plans.len() < neighbours.len() {
            continue;
        }
        let mut want = BTreeSet::new();
        for (unit, plan) in plans.iter().enumerate() {
            let unit = format!("live/u{unit}");
            want.extend(rows(plan).into_iter().map(|mut row| {
                row.1 = if row.1.is_empty() { unit.clone() } else { format!("{unit}//{}", row.1) };
                row
            }));
        }
        let drifted = plans.iter().any(|plan| plan.verdict() == Verdict::Drifted);
        let code = neighbours.iter().filter_map(|case| case.exit).max();
        let flags = ["terragrunt", "run", "--all", "--", "plan", "-detailed-exitcode"];
        found.push(Case {
            path: format!("{} and two more, {format:?}", neighbours[0].path),
            parser: "terraform",
            argv: flags.map(str::to_owned).to_vec(),
            exit: code,
            stdout: interleaved(neighbours, *format),
            stderr: Vec::new(),
            promised: true,
            check: Box::new(move |report| {
                let got = rows(report);
                if got == want {
                    Ok(())
                } else {
                    Err(format!("more {:?}; less {:?}", &got - &want, &want - &got))
                }
            }),
            verdicts: vec![if drifted { Verdict::Drifted } else { Verdict::Clean }],
        });
    }
    found
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Pretty,
    KeyValue,
    Json,
    Brackets,
}

const FORMATS: [Format; 4] = [Format::Pretty, Format::KeyValue, Format::Json, Format::Brackets];

/// A few lines of each in turn, as units that run at once write them.
fn interleaved(cases: &[Case], format: Format) -> Vec<u8> {
    let texts: Vec<Vec<&[u8]>> =
        cases.iter().map(|case| case.stdout.split_inclusive(|b| *b == b'\n').collect()).collect();
    let longest = texts.iter().map(Vec::len).max().unwrap();
    let mut out = Vec::new();
    for at in (0..longest).step_by(3) {
        for (unit, lines) in texts.iter().enumerate() {
            let lines = &lines[at.min(lines.len())..(at + 3).min(lines.len())];
            if let Format::Json = format {
                let text = String::from_utf8_lossy(&lines.concat()).into_owned();
                if !text.is_empty() {
                    let message = serde_json::json!({"level": "stdout", "working-dir": format!("live/u{unit}"), "tf-path": "tofu", "msg": text});
                    out.extend(format!("{message}\n").bytes());
                }
                continue;
            }
            for line in lines {
                let empty = *line == b"\n";
                match format {
                    Format::Pretty if !empty => {
                        out.extend(format!("10:00:00.000 STDOUT [live/u{unit}] tofu: ").bytes());
                    }
                    Format::KeyValue if !empty => {
                        out.extend(
                            format!(
                                "time=2026-05-01T10:00:00Z level=stdout prefix=live/u{unit} tf-path=tofu msg="
                            )
                            .bytes(),
                        );
                    }
                    Format::Brackets => out.extend(format!("[live/u{unit}] ").bytes()),
                    Format::Pretty | Format::KeyValue | Format::Json => continue,
                }
                out.extend(*line);
            }
        }
    }
    out
}

/// Compares the number of planned resources by action.
fn totals(want: BTreeMap<String, u64>) -> Check {
    Box::new(move |report| {
        let mut got: BTreeMap<String, u64> = BTreeMap::new();
        for resource in report.resources() {
            if resource.source == Source::Plan && resource.kind != driftrun_parsers::report::OUTPUT_KIND {
                *got.entry(resource.action.as_str().to_owned()).or_default() += u64::from(resource.count);
            }
        }
        let mut want = want.clone();
        want.remove("noop");
        want.retain(|_, n| *n > 0);
        if got == want { Ok(()) } else { Err(format!("{got:?} instead of {want:?}")) }
    })
}

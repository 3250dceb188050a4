use super::*;

fn parsed(resources: Vec<Resource>) -> Parsed {
    Parsed { resources, said: Said::Changes, ..Parsed::new("test") }
}

fn plan(name: &str, action: Action) -> Resource {
    Resource::new(Source::Plan, "", "t", name, action)
}

#[test]
fn numbers_sort_as_identities_do() {
    let names = [
        "same",
        "same ",
        "same\0",
        "same 1",
        "same 10",
        "same 2 and longer than that",
        "same 2 and longer",
        "sam",
        "\u{e9}",
    ];
    let mut resources = Vec::new();
    for (at, name) in names.iter().chain(names.iter().rev()).enumerate() {
        for (scope, kind) in [("b", ""), ("", "b"), ("a", "x"), ("b", "a")] {
            let source = if at % 4 == 0 { Source::Refresh } else { Source::Plan };
            let action = if at < names.len() { Action::Update } else { Action::Delete };
            resources.push(Resource::new(source, scope, kind, *name, action));
        }
    }
    let mut plain = resources.clone();
    plain.sort_by(|a, b| a.identity().cmp(&b.identity()));
    let mut expected: Vec<Resource> = Vec::new();
    for mut resource in plain {
        match expected.last_mut() {
            Some(last) if last.identity() == resource.identity() => last.merge(&mut resource),
            _ => expected.push(resource),
        }
    }
    // From every beginning, and already sorted.
    for _ in 0..resources.len() {
        resources.rotate_left(1);
        assert_eq!(merged(resources.clone()), expected);
    }
    assert_eq!(merged(expected.clone()), expected);
}

#[test]
fn equal_identities_merge_and_the_gravest_action_stays() {
    let report = DriftReport::new(parsed(vec![
        plan("b", Action::Create),
        plan("a", Action::Update).with_span(3, 4),
        plan("a", Action::Delete).with_span(7, 8),
    ]))
    .unwrap();
    let merged = Resource { count: 2, drift: true, span: None, ..plan("a", Action::Delete) };
    let single = Resource { drift: true, ..plan("b", Action::Create) };
    assert_eq!(report.resources(), [merged, single]);
}

#[test]
fn places_that_adjoin_merge_as_well() {
    let spans = |spans: &[(u32, u32)]| {
        let found =
            spans.iter().map(|(first, last)| plan("a", Action::Update).with_span(*first, *last)).collect();
        DriftReport::new(parsed(found)).unwrap().resources()[0].span
    };
    assert_eq!(spans(&[(3, 4), (5, 8), (9, 9)]), Some(Span(3, 9)));
    assert_eq!(spans(&[(5, 8), (1, 4)]), Some(Span(1, 8)));
    assert_eq!(spans(&[(3, 4), (4, 6)]), Some(Span(3, 6)));
    assert_eq!(spans(&[(3, 4), (6, 8)]), None);
}

#[test]
fn a_nameless_resource_is_refused_with_its_line() {
    let error = DriftReport::new(parsed(vec![plan("", Action::Create).with_span(9, 9)])).unwrap_err();
    assert_eq!((error.class, error.line), (Class::UnreadableFormat, Some(9)));
}

#[test]
fn reads_and_outputs_are_never_drift() {
    let report = DriftReport::new(parsed(vec![
        plan("data.x.y", Action::Read),
        Resource::new(Source::Plan, "", OUTPUT_KIND, "o", Action::Update),
    ]))
    .unwrap();
    assert_eq!(report.verdict(), Verdict::Clean);
}

#[test]
fn only_the_drift_that_is_meant_is_ignored() {
    let mut report = DriftReport::new(parsed(vec![
        Resource::new(Source::Plan, "", OUTPUT_KIND, "o", Action::Update),
        plan("a", Action::Update),
        plan("b", Action::Update),
        plan("c", Action::Read),
    ]))
    .unwrap();
    let mut asked = Vec::new();
    report.ignore(|resource| {
        asked.push(resource.name.clone());
        resource.name == "a"
    });
    assert_eq!(asked, ["a", "b"]);
    let ignored: Vec<&str> =
        report.resources().iter().filter(|r| r.ignored).map(|r| r.name.as_str()).collect();
    assert_eq!(ignored, ["a"]);
}

#[test]
fn what_changed_outside_is_drift_only_when_planned_or_refresh_only() {
    let refresh = |name: &str| Resource::new(Source::Refresh, "", "t", name, Action::Update);
    let both = parsed(vec![plan("a", Action::Update), refresh("a"), refresh("b")]);
    let view = |report: &DriftReport| {
        report.resources().iter().map(|r| (r.source, r.name.clone(), r.drift, r.outside)).collect::<Vec<_>>()
    };
    let mut report = DriftReport::new(both.clone()).unwrap();
    assert_eq!(
        view(&report),
        [
            (Source::Plan, "a".to_owned(), true, true),
            (Source::Refresh, "a".to_owned(), false, false),
            (Source::Refresh, "b".to_owned(), false, false),
        ]
    );
    report.count_refresh();
    assert_eq!(
        view(&report),
        [
            (Source::Plan, "a".to_owned(), true, true),
            (Source::Refresh, "a".to_owned(), false, false),
            (Source::Refresh, "b".to_owned(), true, true),
        ]
    );
    let only = DriftReport::new(Parsed { refresh_only: true, ..parsed(vec![refresh("b")]) }).unwrap();
    assert_eq!(only.verdict(), Verdict::Drifted);
}

#[test]
fn a_refresh_only_plan_counts_each_resource_once_and_no_output() {
    let refresh = |name: &str, kind: &str, action| Resource::new(Source::Refresh, "", kind, name, action);
    let resources = vec![
        plan("a", Action::Update),
        refresh("a", "t", Action::Update),
        refresh("b", "t", Action::Delete),
        refresh("c", "t", Action::Read),
        refresh("o", OUTPUT_KIND, Action::Update),
    ];
    let report = DriftReport::new(Parsed { refresh_only: true, ..parsed(resources) }).unwrap();
    let drifted: Vec<_> = report.drifted().map(|r| (r.source, &*r.name, r.outside)).collect();
    assert_eq!(drifted, [(Source::Plan, "a", true), (Source::Refresh, "b", true)]);
}

//! What the parsers' own tests share.

use crate::{Action, Class, Input, Parser, Reading, Resource, Source, Stream, Verdict, read};

/// Reads a run by `parser`.
pub(crate) fn run(parser: &Parser, argv: &[&str], exit: Option<i32>, stdout: &str, stderr: &str) -> Reading {
    let (stdout, stderr) = (Stream::whole(stdout.as_bytes()), Stream::whole(stderr.as_bytes()));
    read(parser, None, &Input { argv, exit, stdout, stderr, files: &[] })
}

/// Verdict and class of a reading.
pub(crate) fn judged(reading: &Reading) -> (Verdict, Option<Class>) {
    (reading.verdict(), reading.class())
}

/// The resources of what was read to its end.
pub(crate) fn resources(reading: &Reading) -> Vec<Resource> {
    match reading {
        Reading::Read(report) => report.resources().to_vec(),
        other => panic!("{other:?}"),
    }
}

/// A planned resource that counts as drift.
pub(crate) fn drifting(
    scope: &str,
    kind: &str,
    name: &str,
    action: Action,
    (first, last): (u32, u32),
) -> Resource {
    let mut resource = Resource::new(Source::Plan, scope, kind, name, action).with_span(first, last);
    resource.drift = true;
    resource
}

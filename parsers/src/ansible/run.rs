//! What a reader has found when it comes to the end of the output.

use super::lines::inventory_name;
use super::reader::{Reader, Task};
use super::results::Found;
use crate::ParseError;
use crate::ansible_playbook::{Finding, Recap, Run};
use crate::text;
use std::collections::{HashMap, HashSet};

impl Reader<'_> {
    pub(super) fn run(self) -> Result<Run, ParseError> {
        let Self { hosts, tasks, plays, play_hosts, found, recaps, no_more_hosts, diagnostics, .. } = self;
        let empty = Recap::new();
        let last = recaps.last().unwrap_or(&empty);
        let names: Vec<String> = hosts.iter().map(|host| inventory_name(&host.written, last)).collect();
        let mut run = Run { no_more_hosts, diagnostics, ..Run::default() };
        for (host, name) in hosts.iter().zip(&names) {
            if host.unreachable {
                run.unreachable.insert(name.clone());
            }
            if host.succeeded > 0 {
                let succeeded = run.succeeded.entry(name.clone()).or_default();
                *succeeded = succeeded.saturating_add(host.succeeded);
            }
            if let Some(line) = host.answered {
                run.answered.entry(name.clone()).or_insert(Some(line));
            }
            if host.play == plays {
                run.in_last_play.insert(name.clone());
            }
        }
        let of_last_task = found.iter().rev().take_while(|found| found.task.saturating_add(1) == tasks.len());
        for found in
            of_last_task.filter(|found| found.failed && tasks.last().is_some_and(|t| t.play == plays))
        {
            run.failed_last.extend(names.get(found.host).cloned());
        }
        let found = one_per_host(found, &names);
        count_failures(&found, &names, &tasks, &mut run);
        run.findings.reserve(found.len());
        run.tasks = vec![String::new(); tasks.len()];
        for found in found.into_iter().filter(|found| found.shown || found.after_failure) {
            let Some(task) = tasks.get(found.task) else { continue };
            let play = usize::try_from(task.play).ok().and_then(|play| play_hosts.get(play));
            let several = play.is_some_and(|(_, several)| *several);
            if task.name.is_empty() {
                return Err(ParseError::format("a task without a name").at(found.first.0));
            }
            if let Some(name) = run.tasks.get_mut(found.task).filter(|name| name.is_empty()) {
                *name = text::string(&task.name);
            }
            run.findings.push(Finding {
                host: found.host,
                task: found.task,
                kind: String::new(),
                span: Some(found.span(several)),
                failed: found.failed,
                ignored: found.ignored,
                shown: found.shown,
                play: found.items.then_some(task.play),
                // The diff of an item can be another host's.
                attributes: found.attributes.filter(|_| !(found.failed || found.items && several)),
            });
        }
        run.hosts = names;
        run.recaps = recaps;
        Ok(run)
    }
}

/// A failed task of a host counts once, however many of its items failed, and strategy `free` may show those under several banners.
fn count_failures(found: &[Found], names: &[String], tasks: &[Task], run: &mut Run) {
    let mut loops: HashSet<(usize, u32, &[u8])> = HashSet::new();
    for found in found.iter().filter(|found| found.failed) {
        let (Some(host), Some(task)) = (names.get(found.host), tasks.get(found.task)) else { continue };
        if !found.items || loops.insert((found.host, task.play, &*task.name)) {
            let failures = run.failures.entry(host.clone()).or_default();
            *failures = failures.saturating_add(1);
        }
    }
}

/// Merges what one task did on one host where the result lines name the host in several ways, with and without delegates.
fn one_per_host(found: Vec<Found>, names: &[String]) -> Vec<Found> {
    let mut first_of: HashMap<&str, usize> = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        first_of.entry(name).or_insert(at);
    }
    if first_of.len() == names.len() {
        return found;
    }
    let mut last_of: Vec<Option<usize>> = vec![None; names.len()];
    let mut merged: Vec<Found> = Vec::with_capacity(found.len());
    for mut one in found {
        let Some(host) = names.get(one.host).and_then(|name| first_of.get(name.as_str())) else { continue };
        one.host = *host;
        let Some(last) = last_of.get_mut(one.host) else { continue };
        let same = last.and_then(|at| merged.get_mut(at)).filter(|before| before.task == one.task);
        if let Some(before) = same {
            before.absorb(&one);
        } else {
            *last = Some(merged.len());
            merged.push(one);
        }
    }
    merged
}

//! The text of `ansible-playbook --check --diff` as callback `default` prints it, ansible-core 2.13 and newer; older text
//! where it reads the same.
//!
//! ```text
//! PLAY [web] *********************************************************************
//!
//! TASK [nginx : Install nginx.conf] **********************************************
//! --- before: /etc/nginx/nginx.conf
//! +++ after: /root/.ansible/tmp/ansible-local-22646pokxzp32/tmpu0b50_y4/nginx.conf.j2
//! @@ -1 +1 @@
//! -worker_processes 1;
//! +worker_processes 4;
//!
//! changed: [web1]
//! changed: [web2 -> proxy] => (item=a)
//! fatal: [web3]: UNREACHABLE! => {"changed": false, "msg": "…", "unreachable": true}
//!
//! PLAY RECAP *********************************************************************
//! web1                       : ok=4    changed=1    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0
//! ```
//!
//! The recap decides what changed, the lines name it. Lines of a diff begin with one of ` +-@\`, so none of them can pass for
//! anything else; what can are loop labels, task names and prepared diffs, which print raw text: labels and names are read to
//! their end, and nothing counts for more than the recap says. The text doesn't name modules, and it doesn't say which of
//! several hosts a diff in a looped task belongs to: there only the result lines are a resource's part of the output.

pub(crate) mod attributes;
mod callbacks;
pub(crate) mod lines;
mod reader;
mod results;
mod run;
#[cfg(test)]
mod tests;

use crate::ansible_playbook as playbook;
use crate::report::Parsed;
use crate::text::{self, Line, Lines};
use crate::{Input, ParseError, Parser};
use lines::after_colour;
pub(crate) use lines::{bracketed, inventory_name};
use reader::Reader;

/// The parser.
pub static PARSER: Parser = Parser {
    name: "ansible",
    about: "ansible-playbook --check --diff, callback default",
    recommended: "ansible-playbook site.yml --check --diff",
    actions: playbook::ACTIONS,
    drift_codes: &[],
    runs: playbook::runs,
    recognise,
    claim: playbook::claim,
    parse,
};

/// Text that can belong to the next result.
pub(crate) struct Pending<'a> {
    pub(crate) first: Line<'a>,
    /// From the line after it.
    pub(crate) after: Lines<'a>,
}

fn recognise(input: &Input<'_>) -> Option<&'static str> {
    const BEGINNINGS: [(&[u8], &str); 8] = [
        (b"PLAY [", "a line that begins with PLAY ["),
        (b"PLAY RECAP", "a line that begins with PLAY RECAP"),
        (b"TASK [", "a line that begins with TASK ["),
        (b"TASK: [", "a line that begins with TASK: ["),
        (b"< PLAY [", "a cow that says PLAY ["),
        (b"PLAYBOOK: ", "a line that begins with PLAYBOOK:"),
        (b"- Play recap -", "a recap of ansible's callback unixy"),
        (b"# STATS ***", "statistics of ansible's callback selective"),
    ];
    text::lines(input.stdout.bytes()).find_map(|line| {
        let bytes = after_colour(line.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line.bytes));
        let first = bytes.first()?;
        matches!(first, b'P' | b'T' | b'<' | b'-' | b'#')
            .then(|| BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning)))?
            .map(|(_, evidence)| *evidence)
    })
}

fn parse(input: &Input<'_>) -> Result<Parsed, ParseError> {
    let stdout = playbook::output(input.stdout)?;
    match Reader::new(stdout, input.exit.is_some()).read() {
        Ok(run) => playbook::settle(input, run),
        Err(error) => playbook::failed_or(input, callbacks::named(stdout, error)),
    }
}

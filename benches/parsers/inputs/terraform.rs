//! Plans of any size in Terraform's three forms: resource number n is `module.m[n / 1000].toy_file.rN`, and every so manieth changes.

use super::Output;
use super::pieces::{Piece, between, line, object, real};
use std::fmt::Write as _;

/// Of how many resources one changes.
type Every = usize;

/// The names of resource `n` in the buffers of the last one.
#[derive(Default)]
struct Names {
    address: String,
    module: String,
    name: String,
}

impl Names {
    fn of(&mut self, n: usize) {
        self.name.clear();
        self.module.clear();
        self.address.clear();
        let _ = write!(self.name, "r{n}");
        let _ = write!(self.module, "module.m[{}]", n / 1000);
    }

    fn address(&mut self, kind: &str) {
        for part in [&*self.module, ".", kind, ".", &self.name] {
            self.address.push_str(part);
        }
    }
}

/// `terraform plan`: a line for each resource that is refreshed, a block for each that changes.
pub fn text(size: usize, every: Every) -> Output {
    let real = real("terraform/drift_and_plan");
    let refreshing = Piece::new(line(&real, "toy_file.a: Refreshing"), &["toy_file.a"]);
    let preamble = between(&real, "Terraform used the selected providers", "  # toy_file.b will be");
    let block = between(&real, "  # toy_file.b will be", "Plan: ");
    let block = Piece::new(block, &["toy_file.b", "\"b\" {"]);
    let resources = size.div_ceil(every);
    let mut text = String::with_capacity(size * refreshing.len() + resources * block.len() + 4096);
    let mut names = Names::default();
    for n in 0..size {
        names.of(n);
        names.address("toy_file");
        refreshing.put(&mut text, &[&names.address]);
    }
    text.push('\n');
    text += preamble;
    for n in (0..size).step_by(every) {
        names.of(n);
        names.address("toy_file");
        let opening = ["\"", &names.name, "\" {"].concat();
        block.put(&mut text, &[&names.address, &opening]);
    }
    let _ = writeln!(text, "Plan: 0 to add, {resources} to change, 0 to destroy.");
    Output { text, resources }
}

/// `terraform plan -json`: two messages for each resource that is refreshed, one more for each that changes.
pub fn stream(size: usize, every: Every) -> Output {
    let real = real("terraform-json/everything");
    let words = ["terraform_data.upd", "\"module\":\"\"", "\"upd\""];
    let refreshed = line(&real, "\"@message\":\"terraform_data.upd: Refreshing").to_owned()
        + line(&real, "\"@message\":\"terraform_data.upd: Refresh complete");
    let refreshed = Piece::new(&refreshed, &words);
    let planned = Piece::new(line(&real, "\"@message\":\"terraform_data.upd: Plan to update"), &words);
    let resources = size.div_ceil(every);
    let mut text = String::with_capacity(size * refreshed.len() + resources * planned.len() + 4096);
    text += line(&real, "\"type\":\"version\"");
    let mut names = Names::default();
    let mut put = |text: &mut String, piece: &Piece, n: usize| {
        names.of(n);
        names.address("terraform_data");
        let module = ["\"module\":\"", &names.module, "\""].concat();
        let name = ["\"", &names.name, "\""].concat();
        piece.put(text, &[&names.address, &module, &name]);
    };
    for n in 0..size {
        put(&mut text, &refreshed, n);
    }
    for n in (0..size).step_by(every) {
        put(&mut text, &planned, n);
    }
    let counts = [
        "\"add\":3,\"change\":2,\"import\":1,\"remove\":3",
        "Plan: 1 to import, 3 to add, 2 to change, 3 to destroy.",
    ];
    let summary = Piece::new(line(&real, "\"type\":\"change_summary\""), &counts);
    let counts = format!("\"add\":0,\"change\":{resources},\"import\":0,\"remove\":0");
    summary.put(&mut text, &[&counts, &format!("Plan: 0 to add, {resources} to change, 0 to destroy.")]);
    Output { text, resources }
}

/// `terraform show -json`: each resource four times: its planned values, its change, its prior state and its configuration.
pub fn show(size: usize, every: Every) -> Output {
    let quiet = real("terraform-show/clean").replace("\"applyable\":false", "\"applyable\":true");
    let changed = real("terraform-show/everything");
    let sections = ["\"planned_values\":", "\"resource_changes\":", "\"prior_state\":", "\"configuration\":"];
    let pieces = sections.map(|section| {
        let quiet = object(&quiet, section, "{\"address\":\"terraform_data.a\"");
        let changed = object(&changed, section, "{\"address\":\"terraform_data.upd\"");
        // A configuration stands in its module, under the name that it has there.
        let plain = section == "\"configuration\":";
        let piece = |text: &str, name: &str| {
            let address = format!("\"address\":\"terraform_data.{name}\"");
            Piece::new(text, &[&address, &format!("\"name\":\"{name}\"")])
        };
        (quiet, piece(quiet, "a"), piece(changed, "upd"), plain)
    });
    let resources = size.div_ceil(every);
    let quiet_length: usize = pieces.iter().map(|(_, quiet, ..)| quiet.len() + 64).sum();
    let changed_length: usize = pieces.iter().map(|(_, _, changed, _)| changed.len() + 64).sum();
    let mut text = String::with_capacity(size * quiet_length + resources * changed_length + 4096);
    text += between(&quiet, "{\"format_version\"", "{\"address\"");
    let mut rest = &quiet[text.len()..];
    let mut names = Names::default();
    for (at, (alone, quiet, changed, plain)) in pieces.iter().enumerate() {
        for n in 0..size {
            if n > 0 {
                text.push(',');
            }
            names.of(n);
            names.address("terraform_data");
            let address = if *plain {
                ["\"address\":\"terraform_data.", &names.name, "\""].concat()
            } else {
                let module = ["\",\"module_address\":\"", &names.module, "\""].concat();
                ["\"address\":\"", &names.address, &module].concat()
            };
            let name = ["\"name\":\"", &names.name, "\""].concat();
            let piece = if n % every == 0 { changed } else { quiet };
            piece.put(&mut text, &[&address, &name]);
        }
        rest = rest.strip_prefix(*alone).unwrap();
        let next = if at + 1 < pieces.len() { rest.find("{\"address\"").unwrap() } else { rest.len() };
        text += &rest[..next];
        rest = &rest[next..];
    }
    Output { text, resources }
}

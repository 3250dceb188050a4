//! `basic_auth_users`: names and bcrypt hashes. Whether somebody is let in is `web::users`' business.

use super::super::yaml::{Entry, Node, Value};
use super::Decoder;
use bcrypt::HashParts;
use std::collections::BTreeMap;

const HOW: &str = "make one with: htpasswd -nBC 10 \"\" | tr -d ':\\n'";

impl Decoder<'_> {
    pub(super) fn users(&mut self, node: &Node) -> BTreeMap<String, String> {
        let mut users = BTreeMap::new();
        let Value::Map(entries) = &node.value else {
            self.problem(
                node.place,
                format!(
                    "`basic_auth_users` must be a mapping of user names to bcrypt hashes, not {}",
                    node.kind()
                ),
            );
            return users;
        };
        for Entry { key, place, value } in entries {
            if key.is_empty() {
                self.problem(*place, "a user name is empty");
            } else if key.contains(':') {
                self.problem(
                    *place,
                    format!(
                        "user name {key:?} has a ':', which ends the name where browsers and scrapers send it"
                    ),
                );
            } else if key.contains(char::is_control) {
                self.problem(*place, format!("user name {key:?} has a control character"));
            }
            if value.is_null() {
                self.problem(*place, format!("user {key:?} has no hash; {HOW}"));
                continue;
            }
            let Some(hash) = self.text(value) else { continue };
            match wrong(&hash) {
                Some(wrong) => self.problem(value.place, format!("the hash of user {key:?} {wrong}")),
                None => {
                    users.insert(key.clone(), hash);
                }
            }
        }
        users
    }
}

/// What is wrong with a hash, without a word of it: it may well be the password itself.
fn wrong(hash: &str) -> Option<String> {
    let of_a_known_version = ["$2a$", "$2b$", "$2y$"].iter().any(|version| hash.starts_with(version));
    let parts = hash.parse::<HashParts>().ok().filter(|_| of_a_known_version);
    match parts {
        None => Some(format!("is no bcrypt hash ($2a$, $2b$ or $2y$, 60 characters); {HOW}")),
        Some(parts) if !(4..=31).contains(&parts.get_cost()) => {
            Some(format!("has the cost {}; bcrypt has 4 to 31, and 10 is usual", parts.get_cost()))
        }
        Some(_) => None,
    }
}

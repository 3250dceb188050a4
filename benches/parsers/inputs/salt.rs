//! `salt-call state.apply test=True --out json` of any number of states, of which every so manieth would change.

use super::Output;
use super::pieces::{Piece, between, real};
use std::fmt::Write as _;

/// All states of one minion.
pub fn json(size: usize, every: usize) -> Output {
    let (drifted, clean) = (real("salt/drifted"), real("salt/clean"));
    let words = ["motd_|-/srv/x/motd", "\"__id__\": \"motd\"", "\"__run_num__\": 0", "/srv/x/motd"];
    let state = "        \"file_|-motd";
    let piece = |text: &str| Piece::new(between(text, state, ",\n        \"file_|-www"), &words);
    let (changed, quiet) = (piece(&drifted), piece(&clean));
    let resources = size.div_ceil(every);
    let mut text = String::with_capacity(size * quiet.len() + resources * changed.len() + 4096);
    text += between(&drifted, "{", state);
    let mut values: [String; 4] = Default::default();
    for n in 0..size {
        text += if n > 0 { ",\n" } else { "" };
        values.iter_mut().for_each(String::clear);
        let [key, id, number, path] = &mut values;
        let _ = write!(key, "motd{n}_|-/srv/x/motd{n}");
        let _ = write!(id, "\"__id__\": \"motd{n}\"");
        let _ = write!(number, "\"__run_num__\": {n}");
        let _ = write!(path, "/srv/x/motd{n}");
        let piece = if n % every == 0 { &changed } else { &quiet };
        piece.put(&mut text, &[key, id, number, path]);
    }
    text += "\n    }\n}\n";
    Output { text, resources }
}

//! The environment of a run's processes: what driftrun sets, what the check sets, and what stands in files.

use std::path::PathBuf;

/// Passed on where a check wants nothing else of driftrun's own environment.
pub(super) const ALWAYS: [&str; 2] = ["HOME", "PATH"];

/// What a file with variables may hold.
const LARGEST: u64 = 1 << 20;

/// The variables that `files` hold, in their order: a line each, `NAME=VALUE`, the value as it stands, blank lines and those that begin with `#` left out, as
/// `docker run --env-file` reads them. Only names are quoted in an error: values are secrets.
///
/// # Errors
/// A file that can't be read, or a line that is none of these.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<(String, String)>, String> {
    let mut variables = Vec::new();
    for file in files {
        let wrong = |what: String| format!("env_file {}: {what}", file.display());
        let meta = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
        // A pipe may never say anything, and a device never end.
        if !meta.is_file() || meta.len() > LARGEST {
            return Err(wrong(format!("not a file of at most {LARGEST} bytes")));
        }
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        for (n, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line
                .split_once('=')
                .ok_or_else(|| wrong(format!("line {} has no '='; write NAME=VALUE", n + 1)))?;
            let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if name.is_empty() || !is_name || value.contains('\0') {
                return Err(wrong(format!(
                    "line {} has no variable's name before its '=': letters, digits and '_' only",
                    n + 1
                )));
            }
            variables.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_as_they_stand_and_never_quoted() {
        let folder = std::env::temp_dir();
        let file = |name: &str, text: &str| {
            let path = folder.join(format!("driftrun-env-{}-{name}", std::process::id()));
            std::fs::write(&path, text).unwrap();
            path
        };
        let good = file("good", "# secrets\nTOKEN=a=b \"c\" # d\n\nEMPTY=\n");
        let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read(&[good.clone(), good.clone()]).unwrap()[..2],
            [of("TOKEN", "a=b \"c\" # d"), of("EMPTY", "")]
        );
        for (name, text, says) in [
            ("bare", "A=1\nhunter2\n", "line 2 has no '='; write NAME=VALUE"),
            ("export", "export A=hunter2\n", "line 1 has no variable's name before its '='"),
        ] {
            let path = file(name, text);
            let error = read(std::slice::from_ref(&path)).unwrap_err();
            assert!(error.contains(says) && !error.contains("hunter2"), "{error}");
            std::fs::remove_file(path).unwrap();
        }
        std::fs::remove_file(&good).unwrap();
        assert!(read(std::slice::from_ref(&good)).unwrap_err().contains("No such file"));
    }
}

//! Arguments in, exit code out.

use clap::Parser as _;
use driftrun::{app, cli::Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Whatever the caller left open is not for our children.
    close_fds::set_fds_cloexec(3, &[]);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own code for a usage error is 2, which says "drifted" here.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    app::run(cli).unwrap_or_else(|error| {
        eprintln!("driftrun: {error}");
        ExitCode::FAILURE
    })
}

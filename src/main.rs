//! Arguments in, exit code out.

use driftrun::cli::{self, Cli};
use driftrun::{app, promrun};
use std::process::ExitCode;

fn main() -> ExitCode {
    driftrun_heap::give_large_blocks_back();
    // Whatever the caller left open is not for our children.
    close_fds::set_fds_cloexec(3, &[]);
    let (ours, prom_run) = promrun::split(std::env::args_os().collect());
    let cli = match cli::parse(&ours) {
        Ok(cli) => Cli { prom_run, ..cli },
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

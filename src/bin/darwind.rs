//! The daemon.

fn main() -> std::process::ExitCode {
    darwin::daemon::main(std::env::args_os())
}

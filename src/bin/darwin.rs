//! The command line.

fn main() -> std::process::ExitCode {
    darwin::commands::main()
}

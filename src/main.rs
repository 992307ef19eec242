//! Parses arguments, runs one command, returns its exit code.

fn main() -> std::process::ExitCode {
    voorrang::cli::main()
}

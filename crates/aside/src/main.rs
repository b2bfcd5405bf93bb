//! The Aside server and its command line.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    aside::cli::main()
}

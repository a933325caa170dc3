//! The binary `kv`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kv_native::cli::main()
}

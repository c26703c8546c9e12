//! `heliosdb start`, `heliosdb check`, `heliosdb version`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    heliosdb::command_line::run()
}

//! The daemon: command line, configuration, wiring.
//!
//! * [`command_line`]: commands and flags, one-line errors, exit codes.
//! * [`config`]: one schema from files, environment and flags.
//! * `start`: opens the engine, binds every listener, serves until a signal, drains.
//! * `front_end`: how each protocol is given its listener.
//! * `banner`, `metrics`, `logging`, `check`: what their names say.

mod banner;
mod check;
pub mod command_line;
pub mod config;
mod front_end;
mod logging;
mod metrics;
mod start;

use helios_types::Error;

/// An error as one line for a person at a terminal.
pub fn one_line(error: &Error) -> String {
    let fields = error.fields();
    let mut line = error.message().to_owned();
    if let Some(cause) = &fields.cause {
        line.push_str(&format!(": {cause}"));
    }
    if let Some(detail) = &fields.detail {
        line.push_str(&format!(": {detail}"));
    }
    if let Some(hint) = &fields.hint {
        line.push_str(&format!(" ({hint})"));
    }
    line.replace('\n', " ")
}

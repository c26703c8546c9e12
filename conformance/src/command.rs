//! Running a client program to its end.

use std::process::{Command, Output, Stdio};

/// What a program printed and whether it went well.
#[derive(Debug)]
pub struct Finished {
    pub stdout: String,
    pub stderr: String,
    pub success: bool,
}

impl Finished {
    /// Panics with everything that was printed unless the program succeeded.
    pub fn expect_success(self, what: &str) -> Self {
        assert!(
            self.success,
            "{what} failed\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }
}

/// Runs a program; one that is not installed is an error that names it.
pub fn run(command: &mut Command) -> Finished {
    let name = command.get_program().to_string_lossy().into_owned();
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("could not run {name}: {e}"));
    Finished {
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        success: status.success(),
    }
}

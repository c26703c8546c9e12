//! `heliosdb check`: the integrity of a data directory, offline.

use helios_engine::{Engine, EngineOptions};
use helios_types::{Result, bail};
use std::path::Path;
use std::process::ExitCode;

/// Prints what was found; fails when anything is wrong.
pub fn run(data_dir: &Path) -> Result<ExitCode> {
    if !data_dir.is_dir() {
        bail!(
            Io,
            "data directory \"{}\" does not exist",
            data_dir.display()
        );
    }
    let engine = Engine::open(EngineOptions {
        data_dir: data_dir.to_owned(),
        ..EngineOptions::default()
    })?;
    let report = engine.check()?;
    for problem in &report.problems {
        println!("{problem}");
    }
    println!(
        "{} rows, {} index entries, {} catalog records, {} old versions, {} change records: {} problems",
        report.rows,
        report.index_entries,
        report.catalog_records,
        report.history_versions,
        report.change_records,
        report.problem_count
    );
    engine.shutdown()?;
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

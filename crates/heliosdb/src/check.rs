//! `heliosdb check`: the integrity of a data directory, offline.

use helios_engine::{Engine, EngineOptions};
use helios_types::{Result, bail};
use std::path::Path;
use std::process::ExitCode;

/// Prints what was found; fails when anything is wrong.
pub fn run(data_dir: &Path) -> Result<ExitCode> {
    // Opening makes a directory that is not there, which would then be found in perfect order.
    if !data_dir.join("FORMAT").is_file() {
        bail!(
            Io,
            "\"{}\" is not a HeliosDB data directory",
            data_dir.display()
        );
    }
    let engine = Engine::open(EngineOptions {
        data_dir: data_dir.to_owned(),
        ..EngineOptions::default()
    })?;
    let found = engine.check()?;
    let report = found.report;
    for problem in &report.problems {
        println!("{problem}");
    }
    if report.problem_count > report.problems.len() as u64 {
        println!("… and more");
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
    if found.left_over > 0 {
        println!(
            "{} entries are left over from dropped tables; nothing reads them",
            found.left_over
        );
    }
    engine.shutdown()?;
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

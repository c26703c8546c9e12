//! pgbench, unmodified: its tables, its three scripts, its three protocols.

use conformance::command::{Finished, run};
use conformance::daemon::Daemon;

/// Branches of the bank; pgbench makes ten tellers and 100,000 accounts of each.
const SCALE: &str = "10";
const ACCOUNTS: i64 = 1_000_000;

fn pgbench(daemon: &Daemon, arguments: &[&str]) -> Finished {
    run(daemon.client("pgbench", "heliosdb").args(arguments))
        .expect_success(&format!("pgbench {}", arguments.join(" ")))
}

fn number(daemon: &Daemon, query: &str) -> i64 {
    let mut psql = daemon.psql("heliosdb");
    let finished = run(psql.args(["-A", "-t", "-c", query])).expect_success(query);
    finished
        .stdout
        .trim()
        .parse()
        .unwrap_or_else(|e| panic!("{query}: {e}: {}", finished.stdout))
}

#[test]
fn pgbench_runs_its_scripts_in_every_protocol_and_the_books_balance() {
    let daemon = Daemon::start();
    pgbench(&daemon, &["-i", "-q", "-s", SCALE]);
    assert_eq!(
        number(&daemon, "SELECT count(*) FROM pgbench_accounts"),
        ACCOUNTS
    );

    for protocol in ["simple", "extended", "prepared"] {
        for script in [&["-S"][..], &[][..], &["-N"][..]] {
            let mut arguments = vec!["-n", "-M", protocol, "-c", "8", "-j", "2", "-T", "3"];
            arguments.extend(script);
            let finished = pgbench(&daemon, &arguments);
            assert!(
                finished.stdout.contains("number of failed transactions: 0"),
                "{protocol} {script:?}:\n{}",
                finished.stdout
            );
        }
    }

    // Every transaction of the default script adds its delta to an account, a teller and a
    // branch; -N adds it to the account alone. All write it into the history.
    let history = number(
        &daemon,
        "SELECT coalesce(sum(delta), 0) FROM pgbench_history",
    );
    assert_eq!(
        number(&daemon, "SELECT sum(abalance) FROM pgbench_accounts"),
        history
    );
    let tellers = number(&daemon, "SELECT sum(tbalance) FROM pgbench_tellers");
    assert_eq!(
        number(&daemon, "SELECT sum(bbalance) FROM pgbench_branches"),
        tellers
    );
}

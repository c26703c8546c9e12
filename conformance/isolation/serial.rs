//! Whether committed transactions have a serial order: found by running them one after the other,
//! in every order that keeps the order within each session.

use crate::runner::{self, Target, at_level, set_up};
use crate::script::{Level, Outcome, Script};
use conformance::pg_client::Reply;
use std::collections::BTreeMap;

/// A statement and its answer.
#[derive(Clone, Debug)]
pub struct Done {
    pub session: String,
    pub sql: String,
    pub reply: Reply,
}

/// The statements of a transaction that committed.
#[derive(Clone, Debug)]
pub struct Transaction {
    session: String,
    statements: Vec<Done>,
}

fn is_begin(sql: &str) -> bool {
    sql.starts_with("BEGIN")
}

/// Cuts a history into the transactions that committed.
pub fn committed(history: &[Done]) -> Vec<Transaction> {
    let mut open: BTreeMap<&str, Vec<Done>> = BTreeMap::new();
    let mut out = Vec::new();
    for done in history {
        let session = done.session.as_str();
        if is_begin(&done.sql) {
            open.insert(session, vec![done.clone()]);
            continue;
        }
        let Some(statements) = open.get_mut(session) else {
            // A statement outside of a transaction is one; a failed one or a setting is nothing.
            if done.reply.is_done() && !done.sql.starts_with("SET ") {
                out.push(Transaction {
                    session: session.to_owned(),
                    statements: vec![done.clone()],
                });
            }
            continue;
        };
        statements.push(done.clone());
        if matches!(done.sql.as_str(), "COMMIT" | "ROLLBACK") {
            let statements = open.remove(session).unwrap_or_default();
            let tag = match &done.reply {
                Reply::Done { tag, .. } => tag.as_str(),
                Reply::Error { .. } => "",
            };
            if tag == "COMMIT" {
                out.push(Transaction {
                    session: session.to_owned(),
                    statements,
                });
            }
        }
    }
    out
}

/// Every order of the numbers below `n` in which no transaction passes an earlier one of its
/// session.
fn orders(transactions: &[Transaction]) -> Vec<Vec<usize>> {
    fn extend(all: &[Transaction], so_far: &mut Vec<usize>, out: &mut Vec<Vec<usize>>) {
        if so_far.len() == all.len() {
            return out.push(so_far.clone());
        }
        for next in 0..all.len() {
            let free = |at: usize| !so_far.contains(&at);
            let first_of_session =
                (0..next).all(|at| !free(at) || all[at].session != all[next].session);
            if free(next) && first_of_session {
                so_far.push(next);
                extend(all, so_far, out);
                so_far.pop();
            }
        }
    }
    let mut out = Vec::new();
    extend(transactions, &mut Vec::new(), &mut out);
    out
}

/// The first order that explains every answer and the final state, named by its sessions.
pub fn find_order(
    target: &Target,
    script: &Script,
    transactions: &[Transaction],
    state: &Outcome,
) -> Result<String, String> {
    let mut differences = Vec::new();
    for order in orders(transactions) {
        let names: Vec<&str> = order
            .iter()
            .map(|&at| transactions[at].session.as_str())
            .collect();
        let names = names.join(", ");
        match differs(target, script, transactions, &order, state) {
            None => return Ok(names),
            Some(difference) => differences.push(format!("  {names}: {difference}")),
        }
    }
    Err(format!(
        "no serial order explains the answers:\n{}",
        differences.join("\n")
    ))
}

/// Where running the transactions in this order gives something else.
fn differs(
    target: &Target,
    script: &Script,
    transactions: &[Transaction],
    order: &[usize],
    state: &Outcome,
) -> Option<String> {
    let mut client = set_up(target, script, "iso_serial");
    for &at in order {
        for done in &transactions[at].statements {
            let sql = if is_begin(&done.sql) {
                at_level("BEGIN", Level::Serializable)
            } else {
                done.sql.clone()
            };
            let reply = client.query(&sql).expect("the server answers");
            if !same(&reply, &done.reply) {
                return Some(format!("{sql}: {reply:?} and not {:?}", done.reply));
            }
        }
    }
    let query = script.state.as_deref()?;
    let end = runner::state(&mut client, query);
    (end != *state).then(|| format!("ends in {end} and not {state}"))
}

/// Messages of errors may name what was in the way at the time.
fn same(a: &Reply, b: &Reply) -> bool {
    match (a, b) {
        (Reply::Error { sqlstate: a, .. }, Reply::Error { sqlstate: b, .. }) => a == b,
        _ => a == b,
    }
}

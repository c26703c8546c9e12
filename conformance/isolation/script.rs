//! The files: what sessions say to a server, and what PostgreSQL 15 answers.
//!
//! ```text
//! setup
//!   CREATE TABLE test (id int PRIMARY KEY, value int)
//! state SELECT * FROM test ORDER BY id
//!
//! case lost update (P4)
//!   levels rc rr ser
//!   T1: BEGIN
//!   T2: BEGIN
//!   T1: UPDATE test SET value = 11 WHERE id = 1      -> UPDATE 1
//!   T2: UPDATE test SET value = 12 WHERE id = 1      -> blocks
//!   T1: COMMIT
//!     [rc] T2 -> UPDATE 1
//!     [rr ser] T2 -> ERROR 40001
//!   T2: COMMIT                                       -> COMMIT or ROLLBACK
//!   final -> (1, 12) (2, 20)
//! ```
//!
//! `BEGIN` alone begins a transaction at the level that the case runs at. A step without an
//! expectation must succeed. Words in brackets say when a line holds: at which level (`rc`, `rr`,
//! `ser`), on which server (`pg`, `helios`); expectations with brackets go before those without.
//! `T2 -> …` under a step is what T2, which has been waiting, gets by that step; a session that
//! waits and is not named must go on waiting. `final` compares what `state` gives at the end.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Level {
    pub const ALL: [Level; 3] = [
        Level::ReadCommitted,
        Level::RepeatableRead,
        Level::Serializable,
    ];

    pub fn sql(self) -> &'static str {
        match self {
            Level::ReadCommitted => "READ COMMITTED",
            Level::RepeatableRead => "REPEATABLE READ",
            Level::Serializable => "SERIALIZABLE",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Level::ReadCommitted => "rc",
            Level::RepeatableRead => "rr",
            Level::Serializable => "ser",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    PostgreSql,
    HeliosDb,
}

impl Server {
    fn word(self) -> &'static str {
        match self {
            Server::PostgreSql => "pg",
            Server::HeliosDb => "helios",
        }
    }
}

/// When a line holds; an empty list is everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    levels: Vec<Level>,
    servers: Vec<Server>,
}

impl When {
    pub fn holds(&self, level: Level, server: Server) -> bool {
        (self.levels.is_empty() || self.levels.contains(&level))
            && (self.servers.is_empty() || self.servers.contains(&server))
    }

    fn is_always(&self) -> bool {
        self.levels.is_empty() && self.servers.is_empty()
    }
}

/// One answer, as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Tag(String),
    Rows(Vec<Vec<Option<String>>>),
    Error(String),
    Blocks,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Tag(tag) => f.write_str(tag),
            Outcome::Error(sqlstate) => write!(f, "ERROR {sqlstate}"),
            Outcome::Blocks => f.write_str("blocks"),
            Outcome::Rows(rows) if rows.is_empty() => f.write_str("no rows"),
            Outcome::Rows(rows) => {
                for (at, row) in rows.iter().enumerate() {
                    let values: Vec<&str> =
                        row.iter().map(|v| v.as_deref().unwrap_or("null")).collect();
                    let space = if at == 0 { "" } else { " " };
                    write!(f, "{space}({})", values.join(", "))?;
                }
                Ok(())
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    when: When,
    /// Whose answer; `None` is the step's own session.
    session: Option<String>,
    /// Any of these.
    outcomes: Vec<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub line: usize,
    pub when: When,
    pub session: String,
    pub sql: String,
    expectations: Vec<Expectation>,
}

impl Step {
    /// What may happen to a session by this step; `None` when nothing is said about it.
    pub fn expected(&self, session: &str, level: Level, server: Server) -> Option<&[Outcome]> {
        choose(&self.expectations, level, server, |e| match &e.session {
            Some(name) => name == session,
            None => self.session == session,
        })
    }
}

fn choose(
    all: &[Expectation],
    level: Level,
    server: Server,
    of_session: impl Fn(&Expectation) -> bool,
) -> Option<&[Outcome]> {
    let holding = |special: bool| {
        all.iter()
            .find(|e| of_session(e) && e.when.is_always() != special && e.when.holds(level, server))
    };
    holding(true)
        .or_else(|| holding(false))
        .map(|e| e.outcomes.as_slice())
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    pub name: String,
    pub levels: Vec<Level>,
    pub steps: Vec<Step>,
    last: Vec<Expectation>,
}

impl Case {
    pub fn expected_state(&self, level: Level, server: Server) -> Option<&[Outcome]> {
        choose(&self.last, level, server, |_| true)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    pub file: String,
    pub setup: Vec<String>,
    pub state: Option<String>,
    pub cases: Vec<Case>,
}

impl Script {
    pub fn parse(file: &str, text: &str) -> Result<Script, String> {
        let mut script = Script {
            file: file.to_owned(),
            ..Script::default()
        };
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            script
                .line(line, at + 1)
                .map_err(|e| format!("{file}:{}: {e}: {line}", at + 1))?;
        }
        if script.cases.iter().all(|case| case.steps.is_empty()) {
            return Err(format!("{file}: no case has a step"));
        }
        Ok(script)
    }

    fn line(&mut self, line: &str, number: usize) -> Result<(), String> {
        if let Some(name) = line.strip_prefix("case ") {
            self.cases.push(Case {
                name: name.to_owned(),
                levels: Level::ALL.to_vec(),
                ..Case::default()
            });
            return Ok(());
        }
        let Some(case) = self.cases.last_mut() else {
            if let Some(query) = line.strip_prefix("state ") {
                self.state = Some(query.to_owned());
            } else if line != "setup" {
                self.setup.push(line.to_owned());
            }
            return Ok(());
        };
        if let Some(words) = line.strip_prefix("levels ") {
            let when = parse_when(words)?;
            case.levels = when.levels;
            return Ok(());
        }
        let (when, line) = split_when(line)?;
        let (left, outcomes) = match line.split_once("->") {
            Some((left, right)) => (left.trim(), parse_outcomes(right)?),
            None => (line, Vec::new()),
        };
        let expectation = |session: Option<&str>, when: When| Expectation {
            when,
            session: session.map(str::to_owned),
            outcomes: outcomes.clone(),
        };
        if left == "final" {
            case.last.push(expectation(None, when));
            return Ok(());
        }
        if let Some((session, sql)) = left.split_once(": ") {
            let mut expectations = Vec::new();
            if !outcomes.is_empty() {
                expectations.push(expectation(None, When::default()));
            }
            case.steps.push(Step {
                line: number,
                when,
                session: session.to_owned(),
                sql: sql.trim().to_owned(),
                expectations,
            });
            return Ok(());
        }
        let step = case.steps.last_mut().ok_or("no step before it")?;
        if outcomes.is_empty() {
            return Err("neither a step nor an expectation".into());
        }
        let session = (!left.is_empty()).then_some(left);
        step.expectations.push(expectation(session, when));
        Ok(())
    }
}

fn split_when(line: &str) -> Result<(When, &str), String> {
    match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((words, rest)) => Ok((parse_when(words)?, rest.trim())),
        None => Ok((When::default(), line)),
    }
}

fn parse_when(words: &str) -> Result<When, String> {
    let mut when = When::default();
    for word in words.split_whitespace() {
        if let Some(level) = Level::ALL.into_iter().find(|l| l.word() == word) {
            when.levels.push(level);
        } else if let Some(server) = [Server::PostgreSql, Server::HeliosDb]
            .into_iter()
            .find(|s| s.word() == word)
        {
            when.servers.push(server);
        } else {
            return Err(format!("\"{word}\" is neither a level nor a server"));
        }
    }
    Ok(when)
}

fn parse_outcomes(text: &str) -> Result<Vec<Outcome>, String> {
    text.split(" or ")
        .map(|one| parse_outcome(one.trim()))
        .collect()
}

fn parse_outcome(text: &str) -> Result<Outcome, String> {
    if text == "blocks" {
        return Ok(Outcome::Blocks);
    }
    if text == "no rows" {
        return Ok(Outcome::Rows(Vec::new()));
    }
    if let Some(sqlstate) = text.strip_prefix("ERROR ") {
        return Ok(Outcome::Error(sqlstate.to_owned()));
    }
    if text.starts_with('(') {
        let inner = text
            .strip_prefix('(')
            .and_then(|t| t.strip_suffix(')'))
            .ok_or("rows end with a bracket")?;
        let rows = inner.split(") (").map(|row| {
            row.split(", ")
                .map(|value| (value != "null").then(|| value.to_owned()))
                .collect()
        });
        return Ok(Outcome::Rows(rows.collect()));
    }
    if text.is_empty() {
        return Err("an arrow without an answer".into());
    }
    Ok(Outcome::Tag(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        setup
          CREATE TABLE t (a int)
        state SELECT 1

        case one
          levels rc ser
          T1: SELECT a FROM t   -> (1, null) (2, x)
          [pg] T2: SELECT 2     -> ERROR 40001 or no rows
            [ser] T1 -> UPDATE 1
            [rc] -> blocks
          final -> (3)
    ";

    #[test]
    fn a_file_has_setup_state_and_cases_with_steps() {
        let script = Script::parse("x", TEXT).unwrap();
        assert_eq!(script.setup, ["CREATE TABLE t (a int)"]);
        assert_eq!(script.state.as_deref(), Some("SELECT 1"));
        let case = &script.cases[0];
        assert_eq!(case.levels, [Level::ReadCommitted, Level::Serializable]);
        let row = |values: &[Option<&str>]| values.iter().map(|v| v.map(str::to_owned)).collect();
        let rows = vec![row(&[Some("1"), None]), row(&[Some("2"), Some("x")])];
        let (rc, pg) = (Level::ReadCommitted, Server::PostgreSql);
        assert_eq!(
            case.steps[0].expected("T1", rc, pg),
            Some([Outcome::Rows(rows)].as_slice())
        );
        assert_eq!(case.steps[0].expected("T2", rc, pg), None);
        assert!(!case.steps[1].when.holds(rc, Server::HeliosDb));
        assert!(case.expected_state(rc, pg).is_some());
    }

    #[test]
    fn an_expectation_with_a_condition_goes_before_one_without() {
        let script = Script::parse("x", TEXT).unwrap();
        let step = &script.cases[0].steps[1];
        let blocks = [Outcome::Blocks];
        let either = [Outcome::Error("40001".into()), Outcome::Rows(Vec::new())];
        let pg = Server::PostgreSql;
        let at = |session, level| step.expected(session, level, pg);
        assert_eq!(at("T2", Level::ReadCommitted), Some(blocks.as_slice()));
        assert_eq!(at("T2", Level::Serializable), Some(either.as_slice()));
        let tag = [Outcome::Tag("UPDATE 1".into())];
        assert_eq!(at("T1", Level::Serializable), Some(tag.as_slice()));
        assert_eq!(at("T1", Level::ReadCommitted), None);
    }

    #[test]
    fn a_line_that_says_nothing_is_refused_with_its_number() {
        let error = Script::parse("x.iso", "case a\n  T1: SELECT 1\n  nonsense").unwrap_err();
        assert!(error.starts_with("x.iso:3:"), "{error}");
        assert!(Script::parse("x.iso", "case a\n  [xx] T1: SELECT 1").is_err());
        assert!(Script::parse("x.iso", "setup\n  SELECT 1").is_err());
    }
}

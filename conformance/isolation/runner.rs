//! Runs a case on a server and says where it did not go as the file has it.
//!
//! Each session is a connection with a thread of its own. A step is over when its session has
//! answered, or when the server itself says that the session waits for a lock of another one
//! (`pg_blocking_pids`, which both servers have): no time limit stands for "it blocks", so that
//! neither a slow machine nor a fast one changes the outcome.

use crate::script::{Case, Level, Outcome, Script, Server};
use crate::serial::{self, Done};
use conformance::pg_client::{PgClient, Reply};
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A session that neither answers nor waits for a lock for so long is stuck.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a wait for a lock lasts that the file does not have: PostgreSQL looks for deadlocks
/// only when one has lasted for a while.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(1);

/// A server to run on.
#[derive(Clone, Debug)]
pub struct Target {
    pub server: Server,
    pub port: u16,
    pub database: String,
    /// HeliosDB's executor that every statement must use.
    pub executor: Option<&'static str>,
}

impl Target {
    pub fn connect(&self) -> PgClient {
        let mut client = PgClient::open(self.port, &self.database)
            .unwrap_or_else(|e| panic!("{:?}: no connection: {e}", self.server));
        if let Some(executor) = self.executor {
            client.run(&format!("SET helios.executor = {executor}"));
        }
        client
    }
}

/// How a case is run, and by which level's expectations it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub level: Level,
    pub judged_as: Level,
}

impl Run {
    pub fn at(level: Level) -> Run {
        Run {
            level,
            judged_as: level,
        }
    }
}

struct Session {
    statements: Option<Sender<String>>,
    replies: Receiver<io::Result<Reply>>,
    thread: Option<JoinHandle<()>>,
    pid: i32,
    /// The statement that has not been answered.
    waiting: Option<String>,
}

impl Session {
    fn start(mut client: PgClient) -> Session {
        let pid = client.pid();
        let (statements, todo) = channel::<String>();
        let (done, replies) = channel();
        let thread = std::thread::spawn(move || {
            for sql in todo {
                if done.send(client.query(&sql)).is_err() {
                    return;
                }
            }
        });
        Session {
            statements: Some(statements),
            replies,
            thread: Some(thread),
            pid,
            waiting: None,
        }
    }

    fn say(&mut self, sql: &str) {
        self.waiting = Some(sql.to_owned());
        if let Some(statements) = &self.statements {
            // A thread that has ended shows when its answer is asked for.
            let _ = statements.send(sql.to_owned());
        }
    }

    /// The answer, or `Blocks` once the server says that the session waits for another; at once
    /// when that is expected.
    fn settle(
        &mut self,
        control: &mut PgClient,
        may_block: bool,
    ) -> Result<(Outcome, Option<Reply>), String> {
        let start = Instant::now();
        let deadline = start + SETTLE_TIMEOUT;
        loop {
            match self.replies.try_recv() {
                Ok(Ok(reply)) => {
                    self.waiting = None;
                    return Ok((outcome(&reply), Some(reply)));
                }
                Ok(Err(e)) => return Err(format!("connection lost: {e}")),
                Err(TryRecvError::Disconnected) => return Err("connection lost".into()),
                Err(TryRecvError::Empty) => {}
            }
            if (may_block || start.elapsed() > PATIENCE) && is_blocked(control, self.pid) {
                return Ok((Outcome::Blocks, None));
            }
            if Instant::now() > deadline {
                return Err("neither an answer nor a wait for a lock".into());
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.statements = None;
        // A thread whose statement still waits ends when its connection does.
        if self.waiting.is_none()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn is_blocked(control: &mut PgClient, pid: i32) -> bool {
    let rows = control.run(&format!("SELECT pg_blocking_pids({pid})"));
    rows[0][0].as_deref() != Some("{}")
}

/// What a file's `state` gives.
pub fn state(client: &mut PgClient, query: &str) -> Outcome {
    outcome(&client.query(query).expect("the server answers"))
}

fn outcome(reply: &Reply) -> Outcome {
    match reply {
        Reply::Error { sqlstate, .. } => Outcome::Error(sqlstate.clone()),
        Reply::Done {
            rows: Some(rows), ..
        } => Outcome::Rows(rows.clone()),
        Reply::Done { tag, rows: None } => Outcome::Tag(tag.clone()),
    }
}

/// The case's tables, in a schema of their own.
pub fn set_up(target: &Target, script: &Script, schema: &str) -> PgClient {
    let mut client = target.connect();
    client.run(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE"));
    client.run(&format!("CREATE SCHEMA {schema}"));
    client.run(&format!("SET search_path TO {schema}"));
    for statement in &script.setup {
        client.run(statement);
    }
    client
}

/// What a statement of a file is at a level.
pub fn at_level(sql: &str, level: Level) -> String {
    if sql == "BEGIN" {
        format!("BEGIN ISOLATION LEVEL {}", level.sql())
    } else {
        sql.to_owned()
    }
}

struct Running<'a> {
    target: &'a Target,
    script: &'a Script,
    case: &'a Case,
    run: Run,
    schema: String,
    control: PgClient,
    sessions: BTreeMap<String, Session>,
    /// What was said and answered, for the search for a serial order.
    history: Vec<Done>,
    transcript: Vec<String>,
    problems: Vec<String>,
}

/// Runs a case; what did not go as the file says.
pub fn run_case(target: &Target, script: &Script, case: &Case, run: Run) -> Vec<String> {
    let schema = "iso".to_owned();
    let control = set_up(target, script, &schema);
    let mut running = Running {
        target,
        script,
        case,
        run,
        schema,
        control,
        sessions: BTreeMap::new(),
        history: Vec::new(),
        transcript: Vec::new(),
        problems: Vec::new(),
    };
    for at in 0..case.steps.len() {
        if !running.step(at) {
            break;
        }
    }
    running.finish()
}

impl Running<'_> {
    fn session(&mut self, name: &str) -> &mut Session {
        let (target, schema) = (self.target, &self.schema);
        self.sessions.entry(name.to_owned()).or_insert_with(|| {
            let mut client = target.connect();
            client.run(&format!("SET search_path TO {schema}"));
            Session::start(client)
        })
    }

    fn problem(&mut self, line: usize, text: String) {
        let Running {
            target,
            script,
            case,
            run,
            ..
        } = self;
        self.problems.push(format!(
            "{}:{line}: {} at {} on {:?}: {text}",
            script.file,
            case.name,
            run.level.sql(),
            target.server
        ));
    }

    /// Runs one step; false when there is no going on after it.
    fn step(&mut self, at: usize) -> bool {
        let step = &self.case.steps[at];
        let (judged_as, server) = (self.run.judged_as, self.target.server);
        if !step.when.holds(judged_as, server) {
            return true;
        }
        let sql = at_level(&step.sql, self.run.level);
        let session = self.session(&step.session);
        if let Some(before) = &session.waiting {
            let text = format!("{} still waits with: {before}", step.session);
            self.problem(step.line, text);
            return false;
        }
        session.say(&sql);
        // Who waited may have been let go by this step; the one that made it comes first.
        let mut names = vec![step.session.clone()];
        names.extend(
            self.sessions
                .iter()
                .filter(|(name, s)| s.waiting.is_some() && **name != step.session)
                .map(|(name, _)| name.clone()),
        );
        for name in names {
            let may_block = match step.expected(&name, judged_as, server) {
                Some(outcomes) => outcomes.contains(&Outcome::Blocks),
                None => name != step.session,
            };
            let Some(session) = self.sessions.get_mut(&name) else {
                continue;
            };
            let said = session.waiting.clone().unwrap_or_default();
            let (got, reply) = match session.settle(&mut self.control, may_block) {
                Ok(settled) => settled,
                Err(error) => {
                    self.problem(step.line, format!("{name}: {error}"));
                    return false;
                }
            };
            self.transcript.push(format!("{name}: {said} -> {got}"));
            if let Some(reply) = reply {
                self.history.push(Done {
                    session: name.clone(),
                    sql: said,
                    reply,
                });
            }
            self.judge(at, &name, &got);
        }
        true
    }

    fn judge(&mut self, at: usize, name: &str, got: &Outcome) {
        let step = &self.case.steps[at];
        let expected = step.expected(name, self.run.judged_as, self.target.server);
        let own = step.session == name;
        let fine = match expected {
            Some(outcomes) => outcomes.contains(got),
            None if own => matches!(got, Outcome::Tag(_) | Outcome::Rows(_)),
            None => *got == Outcome::Blocks,
        };
        if fine {
            return;
        }
        let wanted = match expected {
            Some(outcomes) => {
                let all: Vec<String> = outcomes.iter().map(Outcome::to_string).collect();
                all.join(" or ")
            }
            None if own => "success".into(),
            None => "blocks".into(),
        };
        self.problem(step.line, format!("{name} -> {got}, expected {wanted}"));
    }

    fn finish(mut self) -> Vec<String> {
        let stuck: Vec<String> = self
            .sessions
            .iter()
            .filter_map(|(name, s)| s.waiting.as_ref().map(|sql| format!("{name}: {sql}")))
            .collect();
        let line = self.case.steps.last().map_or(0, |s| s.line);
        for text in stuck {
            self.problem(line, format!("still waits at the end: {text}"));
        }
        if self.problems.is_empty() {
            self.compare_state(line);
        }
        if self.problems.is_empty() && self.run.judged_as == Level::Serializable {
            self.find_serial_order(line);
        }
        if !self.problems.is_empty() || std::env::var_os("ISOLATION_TRACE").is_some() {
            let title = format!(
                "{} at {} on {:?}",
                self.case.name,
                self.run.level.sql(),
                self.target.server
            );
            eprintln!("--- {title}\n{}", self.transcript.join("\n"));
        }
        for session in self.sessions.values() {
            if session.waiting.is_some() {
                // Frees the connection; what it waited for is gone with the others.
                let sql = format!("SELECT pg_terminate_backend({})", session.pid);
                let _ = self.control.query(&sql);
            }
        }
        self.problems
    }

    fn compare_state(&mut self, line: usize) {
        let (level, server) = (self.run.judged_as, self.target.server);
        let Some(expected) = self.case.expected_state(level, server) else {
            return;
        };
        let Some(query) = &self.script.state else {
            return self.problem(line, "`final` in a file without `state`".into());
        };
        let got = state(&mut self.control, query);
        self.transcript.push(format!("final -> {got}"));
        if !expected.contains(&got) {
            let all: Vec<String> = expected.iter().map(Outcome::to_string).collect();
            self.problem(
                line,
                format!("final -> {got}, expected {}", all.join(" or ")),
            );
        }
    }

    /// What SERIALIZABLE promises: the committed transactions, one after the other in some order,
    /// give the same answers and leave the same state.
    fn find_serial_order(&mut self, line: usize) {
        let Some(query) = &self.script.state else {
            return;
        };
        let state = state(&mut self.control, query);
        let transactions = serial::committed(&self.history);
        match serial::find_order(self.target, self.script, &transactions, &state) {
            Ok(order) => self.transcript.push(format!("serial order: {order}")),
            Err(text) => self.problem(line, text),
        }
    }
}

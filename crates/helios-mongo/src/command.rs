//! Commands: finding them, what they share, and the frame of their replies.

mod admin;
mod aggregate;
pub(crate) mod auth;
mod count;
mod cursor;
mod delete;
mod diagnostic;
mod find;
mod find_and_modify;
mod hello;
mod index;
mod insert;
mod list;
mod modify;
mod namespace;
pub(crate) mod options;
mod output;
mod transaction;
mod update;

pub(crate) use namespace::Namespace;

use crate::codec::Request;
use crate::error::{MongoError, Result, fail};
use crate::session::{Client, Retry, logical_id};
use helios_engine::Session;
use helios_planner::document::error::code;
use helios_planner::document::number::Number;
use helios_planner::document::raw::*;
use std::time::Duration;

/// A command while it runs.
pub(crate) struct Context<'a> {
    pub client: &'a mut Client,
    pub request: &'a Request<'a>,
    pub name: &'a str,
    pub database: &'a str,
    /// The engine session it runs in; taken away by a cursor that stays open.
    pub session: Option<Session>,
    /// Whether the session has a transaction of the client's open.
    pub in_transaction: bool,
    /// Set for a write that the client may send once more.
    pub retry: Option<Retry>,
    /// Where the database is, once it was asked for.
    pub namespace: Option<std::sync::Arc<Namespace>>,
    pub out: Writer,
}

impl<'a> Context<'a> {
    pub fn body(&self) -> Bson<'a> {
        self.request.body
    }

    pub fn get(&self, field: &str) -> Bson<'a> {
        self.request.get(field)
    }

    pub fn session(&mut self) -> Result<&mut Session> {
        self.session
            .as_mut()
            .ok_or_else(|| MongoError::new(code::INTERNAL_ERROR, "no session"))
    }

    /// Has the reply to a retryable write recorded with the commit that comes next: a statement
    /// outside of a transaction, or the end of the command's own one.
    pub fn record_reply(&mut self, fields: impl FnOnce(&mut Writer)) -> Result<()> {
        let Some(retry) = self.retry else {
            return Ok(());
        };
        let mut out = Writer::new();
        fields(&mut out);
        let (key, value) = retry.record(&out.finish());
        self.session()?.record_commit(key, value);
        Ok(())
    }

    /// Refuses fields that the command does not know, by name.
    pub fn check_fields(&self, known: &[&str]) -> Result<()> {
        for (field, _) in self.request.fields().skip(1) {
            if !COMMON.contains(&field) && !known.contains(&field) {
                fail!(
                    40415,
                    "BSON field '{}.{field}' is an unknown field.",
                    self.name
                );
            }
        }
        Ok(())
    }

    /// Refuses known options that ask for something this server does not do.
    pub fn refuse_options(&self, refused: &[&str]) -> Result<()> {
        for option in refused {
            let value = self.get(option);
            if *option == "collation" {
                options::collation(self.name, value)?;
                continue;
            }
            let empty =
                value.is_missing() || !value.truthy() || (value.is_document() && value.is_empty());
            if !empty {
                fail!(
                    code::COMMAND_NOT_SUPPORTED,
                    "option '{option}' of {} is not supported",
                    self.name
                );
            }
        }
        Ok(())
    }

    pub fn integer(&self, field: &str) -> Result<Option<i64>> {
        let value = self.get(field);
        if value.is_nullish() {
            return Ok(None);
        }
        match Number::of(value).and_then(Number::to_truncated_i64) {
            Some(v) => Ok(Some(v)),
            None => fail!(
                code::TYPE_MISMATCH,
                "BSON field '{}.{field}' is the wrong type '{}', expected types '[long, int, decimal, double]'",
                self.name,
                value.type_name()
            ),
        }
    }

    pub fn document(&self, field: &str) -> Result<Bson<'a>> {
        let value = self.get(field);
        match value.tag {
            DOCUMENT | MISSING => Ok(value),
            NULL => Ok(Bson::MISSING),
            _ => fail!(
                code::TYPE_MISMATCH,
                "BSON field '{}.{field}' is the wrong type '{}', expected type 'object'",
                self.name,
                value.type_name()
            ),
        }
    }
}

/// Fields that every command may carry.
const COMMON: &[&str] = &[
    "$db",
    "lsid",
    "$clusterTime",
    "$readPreference",
    "txnNumber",
    "autocommit",
    "startTransaction",
    "readConcern",
    "writeConcern",
    "maxTimeMS",
    "comment",
    "apiVersion",
    "apiStrict",
    "apiDeprecationErrors",
    "$client",
    "$configServerState",
    "$audit",
];

/// What a command needs before it may run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Nothing: part of connecting.
    Nothing,
    /// An identity.
    Identity,
    /// A session in the engine.
    Data,
    /// The same, and its reply is kept for a retry.
    Write,
}

fn needs(name: &str) -> Option<Needs> {
    Some(match name {
        "hello" | "isMaster" | "ismaster" | "saslStart" | "saslContinue" | "logout" | "ping"
        | "buildInfo" | "buildinfo" | "whatsmyuri" | "connectionStatus" => Needs::Nothing,
        "hostInfo"
        | "getParameter"
        | "getLog"
        | "serverStatus"
        | "getCmdLineOpts"
        | "listCommands"
        | "startSession"
        | "endSessions"
        | "refreshSessions"
        | "killSessions"
        | "killAllSessions"
        | "killCursors"
        | "getMore"
        | "features"
        | "replSetGetStatus"
        | "getDefaultRWConcern"
        | "commitTransaction"
        | "abortTransaction"
        | "currentOp" => Needs::Identity,
        "find" | "aggregate" | "count" | "distinct" | "listCollections" | "listDatabases"
        | "listIndexes" | "create" | "drop" | "dropDatabase" | "createIndexes" | "dropIndexes"
        | "collStats" | "collstats" | "dbStats" | "dbstats" | "explain" | "validate"
        | "renameCollection" => Needs::Data,
        "insert" | "update" | "delete" | "findAndModify" | "findandmodify" => Needs::Write,
        _ => return None,
    })
}

/// Runs one request. The second part, when set, asks for another reply after that wait.
pub(crate) async fn run(
    client: &mut Client,
    request: &Request<'_>,
    wait: Option<Duration>,
) -> (Vec<u8>, Option<Duration>) {
    let (name, _) = request.command();
    if let Some(wait) = wait {
        // An awaited hello: nothing about this server changes while it runs.
        crate::session::wait(client.shutdown(), wait).await;
    }
    let more = hello::awaits(name, request);
    if wait.is_none()
        && let Some(Some(first)) = more.map(|m| hello::first_wait(client, request, m))
    {
        crate::session::wait(client.shutdown(), first).await;
    }
    match execute(client, request, name).await {
        Ok(reply) => (reply, more),
        Err(error) => {
            let mut out = Writer::new();
            error.write(&mut out);
            cluster_time(client, &mut out);
            (out.finish(), None)
        }
    }
}

async fn execute(client: &mut Client, request: &Request<'_>, name: &str) -> Result<Vec<u8>> {
    let Some(needs) = needs(name) else {
        match name {
            "collMod"
            | "convertToCapped"
            | "createUser"
            | "updateUser"
            | "dropUser"
            | "usersInfo"
            | "grantRolesToUser"
            | "revokeRolesFromUser"
            | "mapReduce"
            | "bulkWrite"
            | "compact"
            | "reIndex"
            | "top"
            | "killOp"
            | "profile"
            | "setParameter"
            | "configureFailPoint" => {
                fail!(
                    code::COMMAND_NOT_SUPPORTED,
                    "command {name} is not supported"
                )
            }
            _ => fail!(code::COMMAND_NOT_FOUND, "no such command: '{name}'"),
        }
    };
    let database = match request.legacy {
        Some(database) if needs == Needs::Nothing => database,
        Some(_) => fail!(
            code::UNSUPPORTED_OP_QUERY_COMMAND,
            "Unsupported OP_QUERY command: {name}. The client driver may require an upgrade."
        ),
        None => crate::error::string(name, "$db", request.get("$db"))?,
    };
    if needs != Needs::Nothing && !client.trusted && client.user.is_none() {
        fail!(code::UNAUTHORIZED, "Command {name} requires authentication");
    }
    options::check(request, name)?;
    let context = Context {
        client,
        request,
        name,
        database,
        session: None,
        in_transaction: false,
        retry: None,
        namespace: None,
        out: Writer::with_capacity(512),
    };
    match needs {
        Needs::Nothing | Needs::Identity => finish(plain(context).await?),
        Needs::Data | Needs::Write => transaction::run(context, needs == Needs::Write).await,
    }
}

/// Commands without a session in the engine.
async fn plain(mut context: Context<'_>) -> Result<Context<'_>> {
    match context.name {
        "hello" | "isMaster" | "ismaster" => hello::hello(&mut context)?,
        "saslStart" => auth::start(&mut context)?,
        "saslContinue" => auth::proceed(&mut context)?,
        "logout" => auth::logout(&mut context)?,
        "getMore" => cursor::get_more(&mut context).await?,
        "killCursors" => cursor::kill(&mut context).await?,
        "commitTransaction" | "abortTransaction" => transaction::end(&mut context).await?,
        "startSession" | "endSessions" | "refreshSessions" | "killSessions" | "killAllSessions" => {
            transaction::sessions(&mut context)?;
        }
        _ => diagnostic::run(&mut context)?,
    }
    Ok(context)
}

/// Commands in a session of the engine.
async fn data(context: &mut Context<'_>) -> Result<()> {
    match context.name {
        "find" => find::find(context).await,
        "aggregate" => aggregate::aggregate(context).await,
        "count" => count::count(context).await,
        "distinct" => count::distinct(context).await,
        "insert" => insert::insert(context).await,
        "update" => update::update(context).await,
        "delete" => delete::delete(context).await,
        "findAndModify" | "findandmodify" => find_and_modify::find_and_modify(context).await,
        "listCollections" => list::collections(context),
        "listDatabases" => list::databases(context).await,
        "listIndexes" => index::list(context),
        "createIndexes" => index::create(context).await,
        "dropIndexes" => index::drop(context).await,
        "create" => admin::create(context).await,
        "drop" => admin::drop(context).await,
        "dropDatabase" => admin::drop_database(context).await,
        "renameCollection" => admin::rename(context).await,
        "collStats" | "collstats" => admin::collection_stats(context).await,
        "dbStats" | "dbstats" => admin::database_stats(context).await,
        "validate" => admin::validate(context).await,
        "explain" => aggregate::explain(context).await,
        other => fail!(code::COMMAND_NOT_FOUND, "no such command: '{other}'"),
    }
}

/// Closes a reply.
fn finish(mut context: Context<'_>) -> Result<Vec<u8>> {
    context.out.put_f64("ok", 1.0);
    cluster_time(context.client, &mut context.out);
    Ok(context.out.finish())
}

/// The times that members of a replica set tell: milliseconds and a counter of the last commit.
fn cluster_time(client: &Client, out: &mut Writer) {
    let now = crate::session::Server::cluster_time(&client.server);
    out.put("operationTime", BsonBuf::timestamp(now).as_bson());
    out.start_document("$clusterTime");
    out.put("clusterTime", BsonBuf::timestamp(now).as_bson());
    out.start_document("signature");
    out.put("hash", BsonBuf::binary(0, &[0; 20]).as_bson());
    out.put_i64("keyId", 0);
    out.end().end();
}

impl crate::session::Server {
    /// Seconds in the upper half; in the lower half a part of the second that only grows.
    pub(crate) fn cluster_time(&self) -> u64 {
        let ms = crate::session::now_ms() as u64;
        (ms / 1000) << 32 | ((ms % 1000) << 10) | 1
    }
}

/// The logical session that the request names.
pub(crate) fn session_id(request: &Request<'_>) -> Option<[u8; 16]> {
    logical_id(request)
}

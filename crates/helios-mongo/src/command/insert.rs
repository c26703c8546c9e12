//! insert, and what all writes of several documents share.

use super::{Context, modify, options};
use crate::codec::WRITE_BATCH_MAX;
use crate::error::{MongoError, Result, fail};
use helios_engine::TransactionMode;
use helios_planner::document::error::code;
use helios_planner::document::raw::*;

pub(crate) async fn insert(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["documents", "ordered", "bypassDocumentValidation"])?;
    let name = context.collection_name()?;
    let documents = context.request.documents("documents");
    check_batch("insert", "documents", documents.len())?;
    if let Some(other) = documents.iter().find(|d| !d.is_document()) {
        fail!(
            code::TYPE_MISMATCH,
            "BSON field 'insert.documents' contains a value of type '{}', expected type 'object'",
            other.type_name()
        );
    }
    let collection = context.make_collection(name).await?;
    let mut writes = Writes::begin(context, documents.len())?;
    let mut n = 0;
    for (at, document) in documents.iter().enumerate() {
        writes.next(context)?;
        if !writes.own {
            context.record_reply(|out| {
                out.put_i32("n", 1);
            })?;
        }
        let result = modify::insert_row(context, &collection, *document).await;
        if writes.done(context, at, result)?.is_some() {
            n += 1;
        } else if writes.stops() {
            break;
        }
    }
    writes
        .finish(context, |out| {
            out.put_i32("n", n);
        })
        .await
}

pub(crate) fn check_batch(command: &str, field: &str, len: usize) -> Result<()> {
    if len == 0 || len > WRITE_BATCH_MAX {
        fail!(
            code::INVALID_LENGTH,
            "Write batch sizes must be between 1 and {WRITE_BATCH_MAX}. Got {len} operations in '{command}.{field}'."
        );
    }
    Ok(())
}

/// The writes of one command: one transaction with a savepoint for each, so that those before a
/// failed one stay.
pub(crate) struct Writes {
    ordered: bool,
    /// Whether this command opened the transaction.
    own: bool,
    in_transaction: bool,
    errors: Vec<BsonBuf>,
}

const SAVEPOINT: &str = "write";

impl Writes {
    /// A single write needs no transaction around it unless it reads first.
    pub fn begin(context: &mut Context<'_>, n: usize) -> Result<Writes> {
        let ordered = context.get("ordered");
        let named = options::flag("ordered", ordered, false)?;
        let own = n > 1 && !context.in_transaction;
        if own {
            context.session()?.begin(TransactionMode::default())?;
        }
        Ok(Writes {
            ordered: ordered.is_missing() || named,
            own,
            in_transaction: context.in_transaction,
            errors: Vec::new(),
        })
    }

    pub fn next(&mut self, context: &mut Context<'_>) -> Result<()> {
        if self.own {
            context.session()?.savepoint(SAVEPOINT)?;
        }
        Ok(())
    }

    /// Takes note of how a write ended.
    pub fn done<T>(
        &mut self,
        context: &mut Context<'_>,
        index: usize,
        result: Result<T>,
    ) -> Result<Option<T>> {
        match result {
            Ok(value) => {
                if self.own {
                    context.session()?.release(SAVEPOINT)?;
                }
                Ok(Some(value))
            }
            // Inside the client's transaction an error ends it.
            Err(error) if self.in_transaction => Err(error),
            Err(error) if is_fatal(&error) => Err(error),
            Err(error) => {
                if self.own {
                    let session = context.session()?;
                    session.rollback_to(SAVEPOINT)?;
                    session.release(SAVEPOINT)?;
                }
                self.errors.push(error.to_write_error(index));
                Ok(None)
            }
        }
    }

    pub fn stops(&self) -> bool {
        self.ordered && !self.errors.is_empty()
    }

    /// Ends the command's own transaction and writes the reply, of which `fields` are a part.
    pub async fn finish(
        &mut self,
        context: &mut Context<'_>,
        fields: impl Fn(&mut Writer),
    ) -> Result<()> {
        if self.own {
            context.record_reply(|out| {
                fields(out);
                self.write(out);
            })?;
            context.session()?.commit().await?;
        }
        fields(&mut context.out);
        self.write(&mut context.out);
        Ok(())
    }

    fn write(&self, out: &mut Writer) {
        if !self.errors.is_empty() {
            out.put(
                "writeErrors",
                array_of(self.errors.iter().map(BsonBuf::as_bson)).as_bson(),
            );
        }
    }
}

/// Errors that concern the whole command.
fn is_fatal(error: &MongoError) -> bool {
    matches!(
        error.code,
        code::UNAUTHORIZED
            | code::INTERRUPTED
            | code::INTERRUPTED_AT_SHUTDOWN
            | code::MAX_TIME_MS_EXPIRED
            | code::NAMESPACE_NOT_FOUND
            | code::COMMAND_NOT_SUPPORTED_ON_VIEW
    )
}

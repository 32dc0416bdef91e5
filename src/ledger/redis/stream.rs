//! The stream of revocations: one entry each, `r` and its 32 bytes.

use std::time::Duration;

use redis::{Pipeline, Value};

use super::{Connection, Trouble};
use crate::ledger::Revocation;

/// The most entries of an answer.
pub(super) const CHUNK: usize = 10_000;

/// How long so many may take.
const READ: Duration = Duration::from_secs(3);

/// An entry, and what it says if it is one of ours.
pub(super) struct Entry {
    pub id: String,
    pub revocation: Option<Revocation>,
}

pub(super) fn add(pipeline: &mut Pipeline, stream: &str, bytes: &[u8]) {
    pipeline.cmd("XADD").arg(stream).arg("*").arg("r").arg(bytes);
}

/// Asks for what comes after an entry, or for all.
pub(super) fn read_on(pipeline: &mut Pipeline, stream: &str, after: Option<&str>) {
    let from = after.map_or_else(|| "-".into(), |id| format!("({id}"));
    pipeline.cmd("XRANGE").arg(stream).arg(from).arg("+").arg("COUNT").arg(CHUNK);
}

pub(super) async fn read(connection: &Connection, stream: &str, after: Option<&str>) -> Result<Vec<Entry>, Trouble> {
    let mut pipeline = Pipeline::new();
    read_on(&mut pipeline, stream, after);
    let answers = connection.ask(&pipeline, READ).await?;
    answers.first().map_or_else(|| Err(Trouble::nonsense()), entries)
}

pub(super) fn entries(answer: &Value) -> Result<Vec<Entry>, Trouble> {
    match answer {
        Value::Array(items) => items.iter().map(|item| entry(item).ok_or_else(Trouble::nonsense)).collect(),
        Value::ServerError(e) => Err(Trouble::refused(e)),
        _ => Err(Trouble::nonsense()),
    }
}

fn entry(item: &Value) -> Option<Entry> {
    let Value::Array(parts) = item else { return None };
    let [Value::BulkString(id), Value::Array(fields)] = parts.as_slice() else { return None };
    let revocation = match fields.as_slice() {
        [Value::BulkString(name), Value::BulkString(bytes)] if name == b"r" => Revocation::of_bytes(bytes),
        _ => None,
    };
    Some(Entry { id: String::from_utf8(id.clone()).ok()?, revocation })
}

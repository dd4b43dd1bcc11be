//! The tables that a copy holds, in the order in which they are restored.

use crate::error::Fault;
use crate::sql::{Cell, Row, Sql, Value};
use serde_json::{Map, json};

/// See the module. What leases are at this moment is left out: nobody holds anything in a copy.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [&'static str],
    /// What its rows are read by, a part at a time; absent: all at once.
    pub(super) keys: Option<&'static str>,
    pub(super) select: &'static str,
    pub(super) insert: &'static str,
}

const DEPLOYMENTS: &str = "SELECT id FROM deployments ORDER BY created_seq";
const SCOPES: &str = "SELECT service, environment FROM environments ORDER BY service, environment";

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "meta",
        columns: &["name", "value"],
        keys: None,
        select: "SELECT name, value FROM meta WHERE name IN ('identity', 'key_check') ORDER BY name",
        insert: "INSERT INTO meta (name, value) VALUES ($1, $2)",
    },
    Table {
        name: "environments",
        columns: &["service", "environment", "head_seq", "head_hash", "epoch"],
        keys: None,
        select: "SELECT service, environment, head_seq, head_hash, epoch FROM environments
                 ORDER BY service, environment",
        insert: "INSERT INTO environments (service, environment, head_seq, head_hash, epoch)
                 VALUES ($1, $2, $3, $4, $5)",
    },
    Table {
        name: "deployments",
        columns: &[
            "id",
            "service",
            "environment",
            "phase",
            "ended",
            "owner",
            "epoch",
            "summary",
            "head_seq",
            "head_hash",
            "host",
        ],
        keys: None,
        // In the order of their creation: they are numbered anew.
        select: "SELECT id, service, environment, phase, ended, owner, epoch, summary, head_seq,
                 head_hash, host FROM deployments ORDER BY created_seq",
        insert: "INSERT INTO deployments (id, service, environment, phase, ended, owner, epoch,
                 summary, head_seq, head_hash, host)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    },
    Table {
        name: "events",
        columns: &["deployment", "seq", "at_us", "format", "body", "hash"],
        keys: Some(DEPLOYMENTS),
        select: "SELECT deployment, seq, at_us, format, body, hash FROM events
                 WHERE deployment = $1 ORDER BY seq",
        insert: "INSERT INTO events (deployment, seq, at_us, format, body, hash)
                 VALUES ($1, $2, $3, $4, $5, $6)",
    },
    Table {
        name: "archived_events",
        columns: &["deployment", "seq", "at_us", "format", "body", "hash"],
        keys: Some(DEPLOYMENTS),
        select: "SELECT deployment, seq, at_us, format, body, hash FROM archived_events
                 WHERE deployment = $1 ORDER BY seq",
        insert: "INSERT INTO archived_events (deployment, seq, at_us, format, body, hash)
                 VALUES ($1, $2, $3, $4, $5, $6)",
    },
    Table {
        name: "environment_events",
        columns: &[
            "service",
            "environment",
            "seq",
            "at_us",
            "format",
            "body",
            "hash",
        ],
        keys: Some(SCOPES),
        select: "SELECT service, environment, seq, at_us, format, body, hash
                 FROM environment_events WHERE service = $1 AND environment = $2 ORDER BY seq",
        insert: "INSERT INTO environment_events
                 (service, environment, seq, at_us, format, body, hash)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
    },
    Table {
        name: "cleanups",
        columns: &["service", "environment", "record", "deployment", "due_ms"],
        keys: None,
        select: "SELECT service, environment, record, deployment, due_ms FROM cleanups
                 ORDER BY service, environment, record",
        insert: "INSERT INTO cleanups (service, environment, record, deployment, due_ms)
                 VALUES ($1, $2, $3, $4, $5)",
    },
    Table {
        name: "releases",
        columns: &["service", "number", "content", "body"],
        keys: None,
        select: "SELECT service, number, content, body FROM releases ORDER BY service, number",
        insert: "INSERT INTO releases (service, number, content, body) VALUES ($1, $2, $3, $4)",
    },
    Table {
        name: "evidence",
        columns: &["deployment", "seq", "step", "at_us", "cursor", "counts"],
        keys: Some(DEPLOYMENTS),
        select: "SELECT deployment, seq, step, at_us, cursor, counts FROM evidence
                 WHERE deployment = $1 ORDER BY seq",
        insert: "INSERT INTO evidence (deployment, seq, step, at_us, cursor, counts)
                 VALUES ($1, $2, $3, $4, $5, $6)",
    },
    Table {
        name: "blobs",
        columns: &["id", "digest", "sealed", "created_at_us"],
        keys: Some("SELECT id FROM blobs ORDER BY id"),
        select: "SELECT id, digest, sealed, created_at_us FROM blobs WHERE id = $1",
        insert: "INSERT INTO blobs (id, digest, sealed, created_at_us) VALUES ($1, $2, $3, $4)",
    },
];

/// Columns that hold JSON as text.
pub(super) const JSON: &[&str] = &["body", "summary", "counts"];

impl Table {
    /// Rows by part.
    pub(super) async fn parts(&self, tx: &mut dyn Sql) -> Result<Vec<Row>, Fault> {
        match self.keys {
            Some(keys) => tx.rows(keys, &[]).await,
            None => Ok(vec![Vec::new()]),
        }
    }

    /// The rows of a part.
    pub(super) async fn rows(&self, tx: &mut dyn Sql, part: &Row) -> Result<Vec<Row>, Fault> {
        let keys: Vec<_> = part.iter().map(value).collect();
        tx.rows(self.select, &keys).await
    }

    /// A row as a line of a file. Bytes are hex.
    pub(super) fn line(&self, row: Row) -> Map<String, serde_json::Value> {
        let mut line = Map::new();
        line.insert("table".to_owned(), json!(self.name));
        for (column, cell) in self.columns.iter().zip(row) {
            let value = match cell {
                Cell::Null => json!(null),
                Cell::Int(value) => json!(value),
                Cell::Text(text) => json!(text),
                Cell::Bytes(bytes) => json!({ "hex": hex::encode(bytes) }),
            };
            line.insert((*column).to_owned(), value);
        }
        line
    }

    /// The row of a line; `None`: it is not of this table.
    pub(super) fn row(&self, line: &Map<String, serde_json::Value>) -> Option<Row> {
        if line.len() != self.columns.len() + 1 {
            return None;
        }
        let cell = |column: &&str| {
            Some(match line.get(*column)? {
                serde_json::Value::Null => Cell::Null,
                serde_json::Value::Number(number) => Cell::Int(number.as_i64()?),
                serde_json::Value::String(text) => Cell::Text(text.clone()),
                serde_json::Value::Object(object) => {
                    Cell::Bytes(hex::decode(object.get("hex")?.as_str()?).ok()?)
                }
                _ => return None,
            })
        };
        self.columns.iter().map(cell).collect()
    }
}

pub(super) fn value(cell: &Cell) -> Value<'_> {
    match cell {
        Cell::Null => Value::Maybe(None),
        Cell::Int(value) => Value::Int(*value),
        Cell::Text(text) => Value::Text(text),
        Cell::Bytes(bytes) => Value::Bytes(bytes),
    }
}

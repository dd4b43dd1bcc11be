//! The table on disk. A file is whole or is not there: it is written beside, synced and renamed,
//! and carries a checksum over the table's bytes as they stand in it.
//!
//! What is on disk can lag behind what was served by one change (see the crate's page), never the
//! other way round. When `table.json` is damaged, `table.previous.json` is used, as a *fallback*:
//! its number is older than what clients may have seen, so it gets a number above all that can
//! have been given out, and it waits for a controller (or a grace period) before it serves.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use belay_proxy_api::Table;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::table::validate;

pub(crate) const CURRENT: &str = "table.json";
pub(crate) const PREVIOUS: &str = "table.previous.json";
const DAMAGED: &str = "table.damaged.json";

const ENVELOPE_FORMAT: u16 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    format: u16,
    /// Hexadecimal SHA-256 of `table`.
    sha256: String,
    table: Box<RawValue>,
}

#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) table: Table,
    /// The table is not the last one that served, or may not be.
    pub(crate) fallback: bool,
    pub(crate) warnings: Vec<String>,
}

pub(crate) fn save(dir: &Path, table: &Table) -> io::Result<()> {
    let table = serde_json::value::to_raw_value(table)?;
    let sha256 = hex::encode(Sha256::digest(table.get()));
    let bytes = serde_json::to_vec(&Envelope {
        format: ENVELOPE_FORMAT,
        sha256,
        table,
    })?;
    let current = dir.join(CURRENT);
    match fs::read(&current) {
        // Damaged bytes never replace a good previous table.
        Ok(kept) if read(&kept).is_ok() => replace(dir, PREVIOUS, &kept)?,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    replace(dir, CURRENT, &bytes)
}

fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = dir.join(format!("{name}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// # Errors
/// When a file is there but cannot be read; a damaged one is no error.
pub(crate) fn load(dir: &Path) -> io::Result<Loaded> {
    let current = read_if_there(&dir.join(CURRENT))?;
    let previous = read_if_there(&dir.join(PREVIOUS))?;
    let why = match (&current, &previous) {
        (None, None) => {
            return Ok(Loaded {
                table: Table::default(),
                fallback: false,
                warnings: Vec::new(),
            });
        }
        (None, Some(_)) => format!("{CURRENT} is missing"),
        (Some(bytes), _) => match read(bytes) {
            Ok(table) => {
                return Ok(Loaded {
                    table,
                    fallback: false,
                    warnings: Vec::new(),
                });
            }
            Err(why) => {
                // For whoever wants to know how it came to that.
                let _ = replace(dir, DAMAGED, bytes);
                format!("{CURRENT} is damaged ({why}; kept as {DAMAGED})")
            }
        },
    };
    Ok(fall_back(why, current.as_deref(), previous.as_deref()))
}

fn fall_back(why: String, current: Option<&[u8]>, previous: Option<&[u8]>) -> Loaded {
    let seen = current.and_then(number_in).unwrap_or(0);
    let table = previous.map_or_else(|| Err(format!("{PREVIOUS} is missing")), read);
    match table {
        Ok(mut table) => {
            // Lost are at least the table after the previous one, and one that was swapped in
            // but not written.
            let older = table.number;
            table.number = seen.max(older.saturating_add(2)).saturating_add(1);
            let warning = format!(
                "{why}: the table before it, number {older}, is used and is number {} now",
                table.number
            );
            Loaded {
                table,
                fallback: true,
                warnings: vec![warning],
            }
        }
        Err(no_previous) => {
            // Nothing says which numbers were given out. Unix time in seconds is above any.
            let now = crate::clock::wall_us() / 1_000_000;
            let number = seen.saturating_add(1).max(now);
            let table = Table {
                number,
                ..Table::default()
            };
            let warning = format!("{why} and {no_previous}: no route is known, number {number}");
            Loaded {
                table,
                fallback: true,
                warnings: vec![warning],
            }
        }
    }
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(bytes: &[u8]) -> Result<Table, String> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if envelope.format != ENVELOPE_FORMAT {
        return Err(format!("format {} is not known", envelope.format));
    }
    if hex::encode(Sha256::digest(envelope.table.get())) != envelope.sha256 {
        return Err("the checksum differs".to_owned());
    }
    let table: Table =
        serde_json::from_str(envelope.table.get()).map_err(|error| error.to_string())?;
    validate(&table).map_err(|refusal| refusal.to_string())?;
    Ok(table)
}

/// The number in damaged bytes, if it still stands there.
fn number_in(bytes: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once("\"number\":")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: u64) -> Table {
        Table {
            number,
            ..Table::default()
        }
    }

    #[test]
    fn what_was_saved_last_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap().table, numbered(0));
        save(dir.path(), &numbered(7)).unwrap();
        save(dir.path(), &numbered(8)).unwrap();
        let loaded = load(dir.path()).unwrap();
        assert_eq!((loaded.table.number, loaded.fallback), (8, false));
        assert_eq!(
            read(&fs::read(dir.path().join(PREVIOUS)).unwrap()).unwrap(),
            numbered(7)
        );
    }

    /// Every way to cut or flip the file is noticed, and no number comes twice.
    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), &numbered(7)).unwrap();
        save(dir.path(), &numbered(8)).unwrap();
        let good = fs::read(dir.path().join(CURRENT)).unwrap();
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            for bytes in [&flipped[..], &good[..at]] {
                fs::write(dir.path().join(CURRENT), bytes).unwrap();
                let loaded = load(dir.path()).unwrap();
                assert!(loaded.fallback, "byte {at}");
                assert!(
                    loaded.table.number > 9,
                    "byte {at}: {}",
                    loaded.table.number
                );
                assert_eq!(loaded.warnings.len(), 1);
            }
        }
    }

    #[test]
    fn a_damaged_table_does_not_become_the_previous_one() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), &numbered(7)).unwrap();
        save(dir.path(), &numbered(8)).unwrap();
        fs::write(dir.path().join(CURRENT), "{").unwrap();
        save(dir.path(), &numbered(10)).unwrap();
        assert_eq!(
            read(&fs::read(dir.path().join(PREVIOUS)).unwrap()).unwrap(),
            numbered(7)
        );
    }

    #[test]
    fn both_damaged_leaves_no_route_and_a_number_above_all() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(CURRENT), "x").unwrap();
        fs::write(dir.path().join(PREVIOUS), "x").unwrap();
        let loaded = load(dir.path()).unwrap();
        assert!(loaded.fallback && loaded.table.routes.is_empty());
        assert!(loaded.table.number > 1_600_000_000);
    }
}

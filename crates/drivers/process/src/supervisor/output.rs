//! The output of the command: bounded, and its end for people.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The end of a file that is looked at for its last lines.
const TAIL_BYTES: u64 = 64 << 10;

/// Moves what is in `path` to `path.1` (and that to `path.2`, up to `keep`) if it is larger than `max_bytes`. Copies and
/// truncates, as the command holds the file open; it writes with O_APPEND, so it goes on at the new end.
pub(crate) fn rotate(path: &Path, max_bytes: u64, keep: u32) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > max_bytes => {}
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => return Ok(false),
    }
    for n in (1..keep).rev() {
        match fs::rename(numbered(path, n), numbered(path, n + 1)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    if keep > 0 {
        // A command that wrote more than the limit since the last look must not make the kept file as large: its end is kept.
        let surplus = file
            .metadata()?
            .len()
            .saturating_sub(max_bytes.saturating_mul(2));
        file.seek(SeekFrom::Start(surplus))?;
        let mut old = File::create(numbered(path, 1))?;
        old.set_permissions(file.metadata()?.permissions())?;
        io::copy(&mut file, &mut old)?;
    }
    file.set_len(0)?;
    Ok(true)
}

/// The last lines, read as UTF-8 as far as it is.
pub(crate) fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn keeps_so_many_files_and_the_writer_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        assert!(!rotate(&path, 10, 2).unwrap(), "nothing there yet");
        let mut writer = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .unwrap();
        for n in 0..5 {
            writeln!(writer, "line number {n}").unwrap();
            assert!(rotate(&path, 10, 2).unwrap());
        }
        assert!(!rotate(&path, 10, 2).unwrap());
        writeln!(writer, "last").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "last\n");
        assert_eq!(last_lines(&numbered(&path, 1), 5), ["line number 4"]);
        assert_eq!(last_lines(&numbered(&path, 2), 5), ["line number 3"]);
        assert!(!numbered(&path, 3).exists());
        assert!(last_lines(&dir.path().join("none"), 5).is_empty());
    }
}

//! From a path to a configuration. The only place here that reads the file.

use std::io::Read;
use std::path::{Path, PathBuf};

use belay_model::config::Config;

use super::diagnostic::{Code, Diagnostic};
use super::recover;
use super::source::{Source, Spans};
use super::tree::{self, FaultKind};

/// The largest file that is read. One that is larger is something else under this name.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// A configuration that parsed, with what is needed to point into its text. It may still be impossible: see
/// [`Loaded::check`].
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Where it says that.
    pub spans: Spans,
    /// The text without byte order mark and with `\n` as line end, which the spans count in.
    pub text: String,
    /// The file, as it was named.
    pub path: PathBuf,
    pub(super) source: Source,
}

/// Reads `belay.yaml`.
///
/// # Errors
/// Everything that is wrong with the file as far as it can be told in one go, in the order of the text.
pub fn load(path: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    let unreadable = |message: String| {
        vec![Source::new(path.display().to_string(), "").whole(Code::Unreadable, message)]
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        // One byte more than allowed, to notice; a pipe or a device has no length to ask for.
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(format!("cannot read the file: {error}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable("the file is larger than 1 MiB".to_owned()));
    }
    parse(path, &bytes)
}

/// [`load`] for bytes that were read already; `path` is for messages and for what is relative to the file.
///
/// # Errors
/// As [`load`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Loaded, Vec<Diagnostic>> {
    let file = path.display().to_string();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(vec![not_utf8(file, bytes, error.valid_up_to())]),
    };
    let text = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let mut source = Source::new(file, &text);
    let complain = |source: &Source, fault: &tree::Fault| {
        let complaint = source.at(code(&fault.kind), "", fault.span, fault.kind.to_string());
        complaint.suggest(advice(&fault.kind))
    };

    let (mut root, faults) = tree::parse(&text).map_err(|fault| vec![complain(&source, &fault)])?;
    source.mask_secrets("", &root);
    tree::drop_duplicates(&mut root);
    let spans = Spans::of(&root);
    let mut complaints: Vec<_> = faults
        .iter()
        .map(|fault| complain(&source, fault))
        .collect();
    match recover::config(&source, &spans, &root) {
        Ok(config) if complaints.is_empty() => Ok(Loaded {
            config,
            spans,
            text,
            path: path.to_owned(),
            source,
        }),
        Ok(_) => Err(complaints),
        Err(more) => {
            complaints.extend(more);
            complaints.sort_by_key(|complaint| (complaint.line, complaint.column));
            Err(complaints)
        }
    }
}

fn not_utf8(file: String, bytes: &[u8], valid: usize) -> Diagnostic {
    let text = String::from_utf8_lossy(bytes);
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    let span = super::Span {
        line,
        column,
        start: 0,
        end: 1,
    };
    Source::new(file, &text)
        .at(Code::Unreadable, "", span, "the file is not UTF-8 text")
        .suggest("save it as UTF-8".to_owned())
}

fn code(kind: &FaultKind) -> Code {
    match kind {
        FaultKind::DuplicateKey { .. } => Code::DuplicateKey,
        _ => Code::Syntax,
    }
}

fn advice(kind: &FaultKind) -> Option<String> {
    let advice = match kind {
        FaultKind::Empty => "start with `service: NAME`",
        FaultKind::Tab => "use spaces",
        FaultKind::SecondDocument => "write one file for each service",
        FaultKind::Tag => "leave the tag out",
        FaultKind::MergeKey => "write the keys out, or name a whole value with `&name` and `*name`",
        FaultKind::DuplicateKey { .. } => "remove one of the two",
        FaultKind::TooDeep | FaultKind::TooMany => "make the file smaller",
        FaultKind::Syntax(_) | FaultKind::KeyNotScalar | FaultKind::Cycle => return None,
    };
    Some(advice.to_owned())
}

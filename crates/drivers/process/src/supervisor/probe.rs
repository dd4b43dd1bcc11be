//! One question to the command: are you ready? The rhythm and the consequences are the lifecycle's.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Readiness, Spec};

/// How much of an answer is looked at, and how much of it is shown.
const READ_BYTES: usize = 4096;
const SHOWN_CHARS: usize = 200;

/// What was answered, in words: `Ok` if that is ready.
pub(crate) async fn ask(spec: &Spec) -> Result<String, String> {
    let limit = Duration::from_millis(spec.timing.probe_timeout_ms);
    let port = spec.port.unwrap_or_default();
    match &spec.ready {
        Readiness::Started => {
            tokio::time::sleep(Duration::from_millis(spec.timing.started_ms)).await;
            Ok("it runs".to_owned())
        }
        Readiness::Tcp => {
            match timeout(limit, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await {
                Ok(Ok(_)) => Ok(format!("port {port} accepts connections")),
                Ok(Err(e)) => Err(format!("connect to port {port}: {}", words(&e))),
                Err(_) => Err(format!(
                    "connect to port {port}: no answer within {} ms",
                    limit.as_millis()
                )),
            }
        }
        Readiness::Http { path, from, to } => {
            let asked = format!("GET {path} on port {port}");
            match timeout(limit, get(port, path)).await {
                Ok(Ok(Response { status, body })) if (*from..=*to).contains(&status) => {
                    drop(body);
                    Ok(format!("{asked} answered {status}"))
                }
                Ok(Ok(Response { status, body })) if body.is_empty() => {
                    Err(format!("{asked} answered {status}"))
                }
                Ok(Ok(Response { status, body })) => {
                    Err(format!("{asked} answered {status}: {body}"))
                }
                Ok(Err(e)) => Err(format!("{asked}: {}", words(&e))),
                Err(_) => Err(format!(
                    "{asked}: no answer within {} ms",
                    limit.as_millis()
                )),
            }
        }
    }
}

struct Response {
    status: u16,
    /// Its first line, for people.
    body: String,
}

/// HTTP/1.0 (RFC 1945): the shortest thing every server answers, and it closes the connection when done.
async fn get(port: u16, path: &str) -> io::Result<Response> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: belay\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut stream = stream.take(READ_BYTES as u64);
    // A server that keeps the connection open all the same is not waited for: what has come by then is the answer.
    let patience = Duration::from_millis(200);
    while answer.len() < READ_BYTES {
        let has_status = parse(&answer).is_some();
        let read = stream.read_buf(&mut answer);
        let count = if has_status {
            timeout(patience, read).await.unwrap_or(Ok(0))
        } else {
            read.await
        };
        match count {
            Ok(0) => break,
            Ok(_) if parse(&answer).is_some_and(|response| response.status < 400) => break,
            Ok(_) => {}
            Err(_) if parse(&answer).is_some() => break,
            Err(e) => return Err(e),
        }
    }
    parse(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn parse(answer: &[u8]) -> Option<Response> {
    let text = String::from_utf8_lossy(answer);
    let (first, rest) = text.split_once('\n')?;
    let mut words = first.split_whitespace();
    words
        .next()
        .filter(|version| version.starts_with("HTTP/"))?;
    let status = words.next()?.parse().ok()?;
    let body = rest
        .split_once("\r\n\r\n")
        .or_else(|| rest.split_once("\n\n"))
        .map_or("", |(_, body)| body);
    let line = body
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    Some(Response {
        status,
        body: line
            .chars()
            .filter(|c| !c.is_control())
            .take(SHOWN_CHARS)
            .collect(),
    })
}

/// Without the operating system's number.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_the_first_line_of_its_body() {
        let check = |answer: &str, expect: Option<(u16, &str)>| {
            let found = parse(answer.as_bytes());
            assert_eq!(
                found.as_ref().map(|r| (r.status, r.body.as_str())),
                expect,
                "{answer:?}"
            );
        };
        check(
            "HTTP/1.1 200 OK\r\nA: b\r\n\r\nfine\nmore",
            Some((200, "fine")),
        );
        check("HTTP/1.0 503\r\n\r\n", Some((503, "")));
        check(
            "HTTP/1.0 500 Oops\n\n\n  no\x07 database \n",
            Some((500, "no database")),
        );
        check("HTTP/1.1 20", None);
        check("SSH-2.0-OpenSSH_9.2\r\n", None);
        check("", None);
    }
}

//! What stands between a store and its server: seen by who asks how the store is.

use crate::support::postgres::Database;
use belay_store::{PostgresOptions, PostgresStore, Tables};
use belay_testbed::Version;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// A pooler in transaction mode, as PgBouncer is one: each transaction of a client is made on the next of its connections,
/// which all clients share, and what a client prepared is prepared again where it is missing.
struct Pooler {
    server: u16,
    backends: Vec<Mutex<Option<Backend>>>,
    clients: AtomicU64,
}

/// A connection of the pooler's own.
struct Backend {
    stream: TcpStream,
    /// What the server said at its beginning.
    greeting: Vec<u8>,
    /// Whose statements are prepared on it, and how many bytes of them.
    prepared: (u64, usize),
}

/// Answers the port of one with so many connections.
async fn pooler(server: u16, backends: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let pooler = Arc::new(Pooler {
        server,
        backends: (0..backends).map(|_| Mutex::new(None)).collect(),
        clients: AtomicU64::new(1),
    });
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let pooler = pooler.clone();
            tokio::spawn(async move {
                // Ends with its client, or with the server.
                let _ = serve(client, &pooler).await;
            });
        }
    });
    port
}

async fn serve(mut client: TcpStream, pooler: &Pooler) -> io::Result<()> {
    let mut startup = startup_of(&mut client).await?;
    if startup[4..8] == 80_877_103_u32.to_be_bytes() {
        client.write_all(b"N").await?;
        startup = startup_of(&mut client).await?;
    }
    let mut greeting = Vec::new();
    for backend in &pooler.backends {
        let mut backend = backend.lock().await;
        if backend.is_none() {
            let mut stream = TcpStream::connect(("127.0.0.1", pooler.server)).await?;
            stream.write_all(&startup).await?;
            let (greeting, _) = until_ready(&mut stream).await?;
            *backend = Some(Backend {
                stream,
                greeting,
                prepared: (0, 0),
            });
        }
        greeting = backend.as_ref().expect("there").greeting.clone();
    }
    client.write_all(&greeting).await?;
    let id = pooler.clients.fetch_add(1, Ordering::SeqCst);
    let mut statements = Vec::new();
    for backend in pooler.backends.iter().cycle() {
        let Some(mut asked) = batch(&mut client).await? else {
            return Ok(());
        };
        let mut backend = backend.lock().await;
        let backend = backend.as_mut().expect("there");
        loop {
            backend.prepare(id, &statements).await?;
            backend.stream.write_all(&asked.bytes).await?;
            statements.extend_from_slice(&asked.statements);
            backend.prepared = (id, statements.len());
            let (answer, state) = until_ready(&mut backend.stream).await?;
            client.write_all(&answer).await?;
            if state == b'I' {
                break;
            }
            let Some(next) = batch(&mut client).await? else {
                return Ok(());
            };
            asked = next;
        }
    }
    Ok(())
}

impl Backend {
    async fn prepare(&mut self, id: u64, statements: &[u8]) -> io::Result<()> {
        if self.prepared == (id, statements.len()) {
            return Ok(());
        }
        self.stream
            .write_all(b"Q\0\0\0\x13DEALLOCATE ALL\0")
            .await?;
        until_ready(&mut self.stream).await?;
        self.stream.write_all(statements).await?;
        self.stream.write_all(b"S\0\0\0\x04").await?;
        until_ready(&mut self.stream).await.map(drop)
    }
}

/// What a client asks in one go, and the statements that it prepares with it.
struct Asked {
    bytes: Vec<u8>,
    statements: Vec<u8>,
}

/// `None`: it takes its leave.
async fn batch(client: &mut TcpStream) -> io::Result<Option<Asked>> {
    let mut asked = Asked {
        bytes: Vec::new(),
        statements: Vec::new(),
    };
    loop {
        let message = message(client).await?;
        if message[0] == b'P' {
            asked.statements.extend_from_slice(&message);
        }
        asked.bytes.extend_from_slice(&message);
        match message[0] {
            b'X' => return Ok(None),
            b'S' | b'Q' => return Ok(Some(asked)),
            _ => {}
        }
    }
}

/// The first message of a connection: it has a length and no kind.
async fn startup_of(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    client.read_exact(&mut bytes).await?;
    rest(client, bytes).await
}

async fn message(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 5];
    from.read_exact(&mut bytes).await?;
    rest(from, bytes).await
}

/// What follows a length that counts itself.
async fn rest(from: &mut TcpStream, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let at = bytes.len() - 4;
    let length = u32::from_be_bytes(bytes[at..].try_into().expect("four bytes"));
    bytes.resize(at + usize::try_from(length).expect("it fits"), 0);
    from.read_exact(&mut bytes[at + 4..]).await?;
    Ok(bytes)
}

/// Everything up to the server's readiness for more, and whether it is in a transaction then.
async fn until_ready(server: &mut TcpStream) -> io::Result<(Vec<u8>, u8)> {
    let mut answer = Vec::new();
    loop {
        let message = message(server).await?;
        answer.extend_from_slice(&message);
        if message[0] == b'Z' {
            return Ok((answer, message[5]));
        }
    }
}

/// What is said of the connection.
async fn connection(url: &str) -> (bool, String) {
    let options = PostgresOptions::new(url);
    let store = PostgresStore::connect(options, Tables::Found)
        .await
        .unwrap();
    let health = store.health().await.unwrap();
    let about = health.into_iter().find(|one| one.about == "connection");
    let about = about.expect("it was looked at");
    (about.ok, about.text)
}

#[tokio::test]
async fn a_pooler_that_changes_the_session_is_named() {
    let database = Database::new(Version::V15).await;
    database.open().await.close().await;
    let (ok, text) = connection(&database.url).await;
    assert!(ok, "{text}");
    let (rest, name) = database.url.rsplit_once('/').unwrap();
    let (_, port) = rest.rsplit_once(':').unwrap();
    // One that changes it between two statements, and one that nobody else uses: then it is always the same.
    for backends in [2, 1] {
        let pooler = pooler(port.parse().unwrap(), backends).await;
        let (ok, text) = connection(&format!("postgres://belay@127.0.0.1:{pooler}/{name}")).await;
        assert!(!ok && text.contains("session mode"), "{backends}: {text}");
    }
}

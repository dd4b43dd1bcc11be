//! What stands between a store and its server: seen by who asks how the store is.

use crate::support::postgres::Database;
use belay_store::{PostgresOptions, PostgresStore, Tables};
use belay_testbed::Version;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A pooler in transaction mode, as PgBouncer is one: each transaction of a client is made on another connection, and
/// prepared statements are prepared on all of them. Answers its port.
async fn pooler(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                // Ends with its client, or with the server.
                let _ = serve(client, server).await;
            });
        }
    });
    port
}

async fn serve(mut client: TcpStream, server: u16) -> io::Result<()> {
    let mut startup = startup_of(&mut client).await?;
    if startup[4..8] == 80_877_103_u32.to_be_bytes() {
        client.write_all(b"N").await?;
        startup = startup_of(&mut client).await?;
    }
    let mut servers = Vec::new();
    let mut greeting = Vec::new();
    for _ in 0..2 {
        let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
        server.write_all(&startup).await?;
        (greeting, _) = until_ready(&mut server).await?;
        servers.push(server);
    }
    client.write_all(&greeting).await?;
    let mut turn = 0;
    loop {
        let (mut asked, mut prepared) = (Vec::new(), Vec::new());
        loop {
            let message = message(&mut client).await?;
            if message[0] == b'P' {
                prepared.extend_from_slice(&message);
            }
            asked.extend_from_slice(&message);
            match message[0] {
                b'X' => return Ok(()),
                b'S' | b'Q' => break,
                _ => {}
            }
        }
        if !prepared.is_empty() {
            let other = &mut servers[1 - turn];
            prepared.extend_from_slice(b"S\0\0\0\x04");
            other.write_all(&prepared).await?;
            until_ready(other).await?;
        }
        servers[turn].write_all(&asked).await?;
        let (answer, state) = until_ready(&mut servers[turn]).await?;
        client.write_all(&answer).await?;
        if state == b'I' {
            turn = 1 - turn;
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
    let pooler = pooler(port.parse().unwrap()).await;
    let (ok, text) = connection(&format!("postgres://belay@127.0.0.1:{pooler}/{name}")).await;
    assert!(!ok && text.contains("session mode"), "{text}");
}

//! A small book shop over HTTP, to try Belay with: it serves well, or badly on purpose (`ERROR_RATE`, `LATENCY_MS`,
//! `START_DELAY_MS`), the same way every time. It must not know that Belay exists: it is what anyone's service is.

mod books;
mod settings;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::{Value, json};
use settings::Settings;
use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The settings, and how many requests to `/api` were answered.
struct Shop {
    settings: Settings,
    served: AtomicU64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(why) => {
            eprintln!("bookstore: {why}");
            return ExitCode::from(2);
        }
    };
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bookstore: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until SIGTERM or SIGINT, then finishes what is in flight.
async fn run(settings: Settings) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let start_delay = Duration::from_millis(settings.start_delay_ms);
    tokio::select! {
        () = tokio::time::sleep(start_delay) => {}
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    let listener = TcpListener::bind(("127.0.0.1", settings.port)).await?;
    eprintln!(
        "bookstore: release {} listens on {}",
        settings.release,
        listener.local_addr()?
    );
    let shop = Arc::new(Shop {
        settings,
        served: AtomicU64::new(0),
    });
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    stream.set_nodelay(true).ok();
                    let shop = Arc::clone(&shop);
                    let answer = service_fn(move |request| {
                        let shop = Arc::clone(&shop);
                        async move { Ok::<_, Infallible>(shop.answer(request).await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer);
                    // A connection that breaks is its client's affair.
                    tokio::spawn(graceful.watch(connection));
                }
                Err(why) => {
                    // Out of file descriptors, as a rule: trying again at once would only burn the processor.
                    eprintln!("bookstore: cannot accept: {why}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

impl Shop {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let is_api = path == "/api" || path.starts_with("/api/");
        if !is_api {
            return match path {
                "/health" => self.json(StatusCode::OK, &json!({ "status": "ok" })),
                _ => self.not_found(path),
            };
        }
        if self.settings.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.settings.latency_ms)).await;
        }
        let number = self.served.fetch_add(1, Ordering::Relaxed);
        if self.settings.is_error(number) {
            eprintln!(
                "bookstore: release {}: 500 on {path}",
                self.settings.release
            );
            let body = json!({ "error": "the shelf fell over", "release": self.settings.release });
            return self.json(StatusCode::INTERNAL_SERVER_ERROR, &body);
        }
        if request.method() != Method::GET {
            let body = json!({ "error": "only GET is known here" });
            let mut response = self.json(StatusCode::METHOD_NOT_ALLOWED, &body);
            let allow = hyper::header::HeaderValue::from_static("GET");
            response.headers_mut().insert(ALLOW, allow);
            return response;
        }
        match books::find(path) {
            Some((name, found)) => {
                let body = json!({ "release": self.settings.release, name: found });
                self.json(StatusCode::OK, &body)
            }
            None => self.not_found(path),
        }
    }

    fn not_found(&self, path: &str) -> Response<Full<Bytes>> {
        let body = json!({ "error": format!("there is no {path}") });
        self.json(StatusCode::NOT_FOUND, &body)
    }

    fn json(&self, status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
        *response.status_mut() = status;
        let kind = hyper::header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

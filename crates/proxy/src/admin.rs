//! The admin API: JSON over a Unix socket, shapes in `belay-proxy-api`. It parses, calls
//! [`Control`] and writes the answer; it decides nothing.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use belay_proxy_api::{
    Code, Cursor, GroupStats, Refusal, RouteStats, SocketPath, Stats, StatsRequest, UpstreamStats,
    path,
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixListener;

use crate::clock::wall_us;
use crate::control::Control;
use crate::error::Error;
use crate::live::RouteState;

const BODY_MOST: usize = 16 << 20;

/// Listens at `admin.sock`, for the owner only. A socket that is already there is a dead proxy's:
/// the caller holds the directory's lock. Never half made: bound beside and renamed.
pub(crate) fn bind(dir: &Path) -> Result<UnixListener, Error> {
    let socket = dir.join(path::SOCKET);
    let beside = dir.join("admin.new");
    let _ = std::fs::remove_file(&beside);
    let short = SocketPath::new(&beside).map_err(Error::file("open", dir))?;
    let listener =
        UnixListener::bind(short.as_path()).map_err(Error::file("listen at", &beside))?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))
        .map_err(Error::file("set the permissions of", &beside))?;
    std::fs::rename(&beside, &socket).map_err(Error::file("make", &socket))?;
    Ok(listener)
}

pub(crate) async fn serve(listener: UnixListener, control: Arc<Control>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept at the admin socket");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            }
        };
        let control = control.clone();
        tokio::spawn(async move {
            let mut kill = control.forward.kill.clone();
            let service = service_fn(move |request| handle(control.clone(), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                _ = kill.changed() => {}
            }
        });
    }
}

async fn handle(
    control: Arc<Control>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // In a task: a change goes through to its end even if whoever asked hangs up.
    let answered = tokio::spawn(answer(control, request))
        .await
        .unwrap_or_else(|error| {
            Err(Refusal::new(
                Code::Internal,
                format!("the request failed: {error}"),
            ))
        });
    let (status, body) = match answered {
        Ok(body) => (StatusCode::OK, body),
        Err(refusal) => {
            let body = serde_json::to_vec(&refusal).unwrap_or_default();
            (status_of(refusal.code), body)
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}

fn status_of(code: Code) -> StatusCode {
    match code {
        Code::Invalid => StatusCode::BAD_REQUEST,
        Code::Conflict => StatusCode::CONFLICT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::NotBound => StatusCode::UNPROCESSABLE_ENTITY,
        Code::NotPersisted => StatusCode::INSUFFICIENT_STORAGE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn answer(control: Arc<Control>, request: Request<Incoming>) -> Result<Vec<u8>, Refusal> {
    if request.method() != Method::POST {
        let message = format!("{} is not taken, POST is", request.method());
        return Err(Refusal::new(Code::Invalid, message));
    }
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_MOST)
        .collect()
        .await
        .map_err(|error| {
            Refusal::new(
                Code::Invalid,
                format!("the request's body cannot be read: {error}"),
            )
        })?;
    let body = body.to_bytes();
    match head.uri.path() {
        path::TABLE => written(&*control.table.load_full()),
        path::PUT_ROUTE => written(&control.put(read(&body)?).await?),
        path::DELETE_ROUTE => written(&control.delete(read(&body)?).await?),
        path::STATS => written(&stats(&control, &read(&body)?)),
        path::DRAIN => written(&control.drain(&read(&body)?).await?),
        path::STATUS => written(&control.status().await),
        path::CONFIRM => {
            let confirm: belay_proxy_api::Confirm = read(&body)?;
            control.confirm(Some(confirm.number)).await?;
            written(&control.status().await)
        }
        other => Err(Refusal::new(
            Code::NotFound,
            format!("there is no operation {other}"),
        )),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::new(Code::Invalid, error.to_string()))
}

fn written(answer: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(answer).map_err(|error| Refusal::new(Code::Internal, error.to_string()))
}

fn stats(control: &Control, request: &StatsRequest) -> Stats {
    let cursor = Cursor {
        boot: control.boot,
        // Read first: what changes from here on is told again next time rather than never.
        sequence: control.sequence.load(Ordering::SeqCst),
    };
    let since = request.since.filter(|since| since.boot == control.boot);
    let since = since.map_or(0, |since| since.sequence);
    let wanted = |name: &str| request.route.as_deref().is_none_or(|only| only == name);
    let routes = control.lock_routes();
    let routes = routes.iter().filter(|(name, _)| wanted(name));
    Stats {
        number: control.table.load().number,
        now_us: wall_us(),
        cursor,
        routes: routes
            .map(|(name, state)| (name.clone(), route_stats(state, since)))
            .collect(),
    }
}

fn route_stats(route: &RouteState, since: u64) -> RouteStats {
    let groups = route.groups.lock().unwrap_or_else(PoisonError::into_inner);
    let mut told = BTreeMap::new();
    for (name, state) in groups.iter() {
        let (times, seconds) = state.counters.read(since);
        let upstreams = state
            .upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of_upstream = |((id, address), upstream): (&(String, _), &Arc<_>)| {
            let upstream: &crate::upstream::Upstream = upstream;
            let in_flight = upstream.in_flight.load(Ordering::SeqCst);
            let healthy = upstream.healthy.load(Ordering::Relaxed);
            (
                id.clone(),
                UpstreamStats {
                    address: *address,
                    in_flight,
                    healthy,
                },
            )
        };
        let in_table = state
            .left_us
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none();
        told.insert(
            name.clone(),
            GroupStats {
                in_table,
                in_flight: state.in_flight(),
                upstreams: upstreams.iter().map(of_upstream).collect(),
                times,
                seconds,
            },
        );
    }
    RouteStats {
        refused: route.refused.load(Ordering::Relaxed),
        groups: told,
    }
}

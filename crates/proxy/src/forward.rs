//! One request, from its head to its answer: choose a group, choose an upstream in it, send, pass
//! the answer on. A request never goes to another group than the one chosen: a canary's failures
//! must be the canary's.
//!
//! The hard part is reuse of connections. An idle connection may be closed by the upstream in the
//! moment we write to it, and then nobody knows whether the request was read. So:
//! - what was never written is sent again, on a new connection;
//! - a request without a body and with an idempotent method (RFC 9110, 9.2.2) whose connection
//!   was a reused one is sent once more, on a new connection;
//! - any other request only goes over a connection that was in use a moment ago.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, uri};
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::body::{RequestBody, ResponseBody};
use crate::clock::{monotonic_ms, wall_us};
use crate::counters::ErrorClass;
use crate::headers;
use crate::inflight::Flight;
use crate::live::{LiveRoute, Slot};
use crate::options::Options;
use crate::upgrade;
use crate::upstream::{Sender, Upstream};

/// What every request needs besides its route.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) options: Options,
    pub(crate) kill: watch::Receiver<()>,
}

/// Why there is no answer of an upstream.
enum Failure {
    Connect,
    Timeout,
    SlowClient,
    Broken,
}

impl Forward {
    pub(crate) async fn request(
        &self,
        slot: &Slot,
        client: SocketAddr,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        let Some((route, index, flight)) = choose(slot, &request) else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "no group takes requests\n");
        };
        if request.method() == Method::CONNECT {
            flight.done();
            return text(StatusCode::NOT_IMPLEMENTED, "CONNECT is not supported\n");
        }
        let group = &route.groups[index];
        let sticks = route.cookie.as_deref().filter(|name| {
            headers::cookie(request.headers(), name) != Some(group.cookie_value.as_str())
        });
        let first = group.state.turn.fetch_add(1, Ordering::Relaxed);
        let order = in_turn(&group.upstreams, first);
        let mut answer = match self.exchange(&order, client, request, &flight).await {
            Ok(answer) => answer,
            Err(failure) => fail(&failure, &flight),
        };
        if let Some(name) = sticks {
            headers::set_cookie(answer.headers_mut(), name, &group.cookie_value);
        }
        answer
    }

    async fn exchange(
        &self,
        order: &[&Arc<Upstream>],
        client: SocketAddr,
        mut request: Request<Incoming>,
        flight: &Arc<Flight>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let wants = headers::upgrade_of(request.headers());
        let client_side = wants.is_some().then(|| hyper::upgrade::on(&mut request));
        let (mut head, body) = request.into_parts();
        prepare(&mut head, client, order);
        if let Some(to) = wants.clone() {
            headers::set_upgrade(&mut head.headers, to);
        }
        let request = Request::from_parts(head, RequestBody::new(body, flight));
        let (answer, upstream, sender) = self.send(order, request, flight).await?;
        let (mut head, mut body) = answer.into_parts();
        flight.head(head.status.as_u16());
        let switched = headers::upgrade_of(&head.headers).or(wants);
        headers::strip_hop_by_hop(&mut head.headers);
        head.version = Version::HTTP_11;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let (Some(client_side), Some(to)) = (client_side, switched) else {
                return Err(Failure::Broken);
            };
            headers::set_upgrade(&mut head.headers, to);
            let mut answer = Response::from_parts(head, body);
            let upstream_side = hyper::upgrade::on(&mut answer);
            (head, body) = answer.into_parts();
            drop(body);
            upgrade::tunnel(
                client_side,
                upstream_side,
                flight.clone(),
                self.kill.clone(),
            );
            return Ok(Response::from_parts(head, ResponseBody::empty()));
        }
        let body = ResponseBody::download(body, flight.clone(), upstream, sender);
        Ok(Response::from_parts(head, body))
    }

    async fn send(
        &self,
        order: &[&Arc<Upstream>],
        mut request: Request<RequestBody>,
        flight: &Arc<Flight>,
    ) -> Result<(Response<Incoming>, Arc<Upstream>, Sender), Failure> {
        let upgrades = request.headers().contains_key(header::UPGRADE);
        let again = matches!(request.body(), RequestBody::Empty)
            && request.method().is_idempotent()
            && !upgrades;
        let longest = if upgrades {
            Duration::ZERO
        } else if again {
            self.options.pool_idle
        } else {
            self.options.pool_idle_unsafe
        };
        let mut may_reuse = !upgrades;
        let mut next = order.iter();
        let mut upstream: &Arc<Upstream> = next.next().ok_or(Failure::Connect)?;
        loop {
            let idle = if may_reuse {
                upstream.take_idle(longest)
            } else {
                None
            };
            let reused = idle.is_some();
            let mut sender = match idle {
                Some(sender) => sender,
                None => match upstream.connect(self.options.connect_timeout).await {
                    Ok(sender) => sender,
                    Err(error) => {
                        tracing::debug!(address = %upstream.address, %error, "no connection");
                        upstream.suspect();
                        upstream = next.next().ok_or(Failure::Connect)?;
                        continue;
                    }
                },
            };
            flight.use_upstream(upstream);
            let copy = (reused && again).then(|| copy_of(&request));
            match self.answer(&mut sender, request, flight).await {
                Ok(answer) => return Ok((answer, upstream.clone(), sender)),
                Err((failure, unsent)) => {
                    // A reused connection says nothing about the upstream: ask it again, anew.
                    // A new one that took nothing is as good as none.
                    request = unsent.or(copy.flatten()).ok_or(failure)?;
                    may_reuse = false;
                    if !reused {
                        upstream.suspect();
                        upstream = next.next().ok_or(Failure::Broken)?;
                    }
                }
            }
        }
    }

    /// Sends and waits for the head of the answer. A request that was never written comes back.
    async fn answer(
        &self,
        sender: &mut Sender,
        request: Request<RequestBody>,
        flight: &Flight,
    ) -> Result<Response<Incoming>, (Failure, Option<Request<RequestBody>>)> {
        let timeout = self.options.response_timeout;
        let mut answering = pin!(sender.try_send_request(request));
        loop {
            // The clock starts anew with every piece of the upload.
            let idle =
                Duration::from_millis(monotonic_ms().saturating_sub(flight.last_progress_ms()));
            if idle >= timeout {
                let ended = flight.has_upload_ended();
                return Err((
                    if ended {
                        Failure::Timeout
                    } else {
                        Failure::SlowClient
                    },
                    None,
                ));
            }
            match tokio::time::timeout(timeout - idle, answering.as_mut()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(mut error)) => {
                    tracing::debug!(error = %error.error(), "no answer");
                    return Err((Failure::Broken, error.take_message()));
                }
                Err(_) => {}
            }
        }
    }
}

/// The group for this request, with the request counted in it. None when no group has weight.
fn choose<B>(slot: &Slot, request: &Request<B>) -> Option<(Arc<LiveRoute>, usize, Arc<Flight>)> {
    // Before the route is read: whatever starts after a swap was done follows the new route.
    let (start_us, started) = (wall_us(), Instant::now());
    let mut route = slot.load_full();
    let mut number = None;
    loop {
        let kept = route.cookie.as_deref().and_then(|name| {
            let value = headers::cookie(request.headers(), name)?;
            let index = route
                .groups
                .iter()
                .position(|group| group.cookie_value == value)?;
            route.split.has_weight(index).then_some(index)
        });
        let picked = kept.or_else(|| {
            let number =
                *number.get_or_insert_with(|| route.state.requests.fetch_add(1, Ordering::Relaxed));
            route.split.pick(number)
        });
        let Some(index) = picked else {
            route.state.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let group = route.groups[index].state.clone();
        group.enter();
        let now = slot.load_full();
        if Arc::ptr_eq(&route, &now) {
            let flight = Arc::new(Flight::new(group, start_us, started));
            return Some((route, index, flight));
        }
        group.leave();
        route = now;
    }
}

/// All upstreams, those that seem well first, beginning with another one each time.
fn in_turn(upstreams: &[Arc<Upstream>], first: usize) -> Vec<&Arc<Upstream>> {
    let (before, from) = upstreams.split_at(first % upstreams.len().max(1));
    let turned = from.iter().chain(before);
    let (mut good, bad): (Vec<_>, Vec<_>) = turned.partition(|upstream| upstream.is_good());
    good.extend(bad);
    good
}

fn prepare(head: &mut http::request::Parts, client: SocketAddr, order: &[&Arc<Upstream>]) {
    headers::strip_hop_by_hop(&mut head.headers);
    // Answered here, by reading the body when the upstream takes it.
    head.headers.remove(header::EXPECT);
    if let Some(authority) = head.uri.authority() {
        // Absolute form: its authority wins (RFC 9112, 3.2.2).
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            head.headers.insert(header::HOST, host);
        }
    } else if let (None, Some(upstream)) = (head.headers.get(header::HOST), order.first())
        && let Ok(host) = HeaderValue::from_str(&upstream.address.to_string())
    {
        head.headers.insert(header::HOST, host);
    }
    headers::add_forwarded(&mut head.headers, client);
    let mut parts = uri::Parts::default();
    parts.path_and_query = head.uri.path_and_query().cloned();
    head.uri = Uri::from_parts(parts).unwrap_or_default();
    head.version = Version::HTTP_11;
}

fn copy_of(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    matches!(request.body(), RequestBody::Empty).then_some(copy)
}

fn fail(failure: &Failure, flight: &Flight) -> Response<ResponseBody> {
    if flight.has_client_failed() {
        return text(StatusCode::BAD_REQUEST, "the request's body broke off\n");
    }
    match failure {
        Failure::Connect => {
            flight.fail(ErrorClass::Connect);
            text(StatusCode::BAD_GATEWAY, "no upstream takes connections\n")
        }
        Failure::Timeout => {
            flight.fail(ErrorClass::Timeout);
            text(
                StatusCode::GATEWAY_TIMEOUT,
                "the upstream did not answer in time\n",
            )
        }
        // Counted as the client's when the flight ends.
        Failure::SlowClient => text(StatusCode::REQUEST_TIMEOUT, "the request's body stalled\n"),
        Failure::Broken => {
            flight.fail(ErrorClass::Aborted);
            text(StatusCode::BAD_GATEWAY, "the upstream broke off\n")
        }
    }
}

pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<ResponseBody> {
    let mut answer = Response::new(ResponseBody::Text(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64};

    use belay_proxy_api::{Group, Route, SplitBy};

    use super::*;
    use crate::live::RouteState;

    /// Once a swap is done and the count was 0, no request is found in the group that was left:
    /// between choosing and being counted there is no gap.
    #[test]
    fn a_drained_group_stays_empty() {
        let state = Arc::new(RouteState::default());
        let sequence = Arc::new(AtomicU64::new(0));
        let all_to = |index: usize| {
            let group = |weight| Group {
                weight,
                upstreams: Vec::new(),
                health: None,
            };
            let weights = if index == 0 { [1000, 0] } else { [0, 1000] };
            let groups = ["a", "b"].into_iter().zip(weights);
            let groups = groups.map(|(name, weight)| (name.to_owned(), group(weight)));
            let route = Route {
                listen: SocketAddr::from(([127, 0, 0, 1], 1)),
                split_by: SplitBy::Request,
                groups: groups.collect(),
                owner: None,
            };
            Arc::new(LiveRoute::new("route", &route, &state, &sequence))
        };
        let routes = [all_to(0), all_to(1)];
        let slot = Slot::new(routes[0].clone());
        let drained = [AtomicBool::new(false), AtomicBool::new(false)];
        let (over, found) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let request = Request::new(());
                    while !over.load(Ordering::SeqCst) {
                        let (_, index, flight) = choose(&slot, &request).expect("a group");
                        found.fetch_add(
                            u64::from(drained[index].load(Ordering::SeqCst)),
                            Ordering::SeqCst,
                        );
                        drop(flight);
                    }
                });
            }
            for turn in 0..20_000 {
                let (left, next) = (turn % 2, (turn + 1) % 2);
                drained[next].store(false, Ordering::SeqCst);
                slot.store(routes[next].clone());
                while routes[0].groups[left].state.in_flight() > 0 {
                    std::hint::spin_loop();
                }
                drained[left].store(true, Ordering::SeqCst);
                // Time for a request that chose before the swap to show up.
                for _ in 0..500 {
                    std::hint::spin_loop();
                }
            }
            over.store(true, Ordering::SeqCst);
        });
        assert_eq!(found.load(Ordering::SeqCst), 0);
    }
}

//! Headers on their way through (RFC 9110, 7.6.1): hop-by-hop fields end here, the forwarded
//! fields and the sticky cookie are added.

use std::net::SocketAddr;

use http::header::{self, Entry, HeaderMap, HeaderName, HeaderValue};

const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What the sender wants to upgrade to, if it does: `Upgrade` counts only when `Connection`
/// names it.
pub(crate) fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    if asked {
        headers.get(header::UPGRADE).cloned()
    } else {
        None
    }
}

pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|token| token.trim().parse().ok())
        .collect();
    for name in named
        .iter()
        .chain(&HOP_BY_HOP)
        .chain([&KEEP_ALIVE, &PROXY_CONNECTION])
    {
        headers.remove(name);
    }
}

pub(crate) fn set_upgrade(headers: &mut HeaderMap, to: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, to);
}

/// `X-Forwarded-For` is appended to. Protocol and host are set only when nobody in front did:
/// that may be what ends TLS.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, client: SocketAddr) {
    let mut chain = String::new();
    for value in headers.get_all(&FORWARDED_FOR) {
        if let Ok(value) = value.to_str() {
            chain.push_str(value);
            chain.push_str(", ");
        }
    }
    chain.push_str(&client.ip().to_canonical().to_string());
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
    if let Entry::Vacant(proto) = headers.entry(FORWARDED_PROTO) {
        proto.insert(HeaderValue::from_static("http"));
    }
    if let Some(host) = headers.get(header::HOST).cloned()
        && let Entry::Vacant(forwarded) = headers.entry(FORWARDED_HOST)
    {
        forwarded.insert(host);
    }
}

/// The value of the cookie of this name, if the client sent it.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

pub(crate) fn set_cookie(headers: &mut HeaderMap, name: &str, value: &str) {
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        let mut map = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn hop_by_hop_and_what_connection_names_end_here() {
        let mut headers = map(&[
            ("connection", "keep-alive, X-Mine"),
            ("keep-alive", "timeout=5"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("x-yours", "2"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("x-yours", "2")]));
    }

    #[test]
    fn forwarded_for_is_appended_to() {
        let mut headers = map(&[("x-forwarded-for", "1.2.3.4"), ("host", "shop.example")]);
        add_forwarded(&mut headers, "[::ffff:10.0.0.1]:99".parse().unwrap());
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 10.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "shop.example");
    }

    #[test]
    fn upgrade_counts_only_when_connection_names_it() {
        assert!(upgrade_of(&map(&[("upgrade", "websocket")])).is_none());
        let headers = map(&[
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
        ]);
        assert_eq!(upgrade_of(&headers).unwrap(), "websocket");
    }

    #[test]
    fn one_cookie_of_several() {
        let headers = map(&[("cookie", "a=1; group=abc"), ("cookie", "b=2")]);
        assert_eq!(cookie(&headers, "group"), Some("abc"));
        assert_eq!(cookie(&headers, "roup"), None);
    }
}

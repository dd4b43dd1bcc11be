//! `http: /path`: one GET, no redirects, and what the answer must look like. TLS only where the place says so; at most 1 MiB of
//! the body is read.

use crate::dial::{self, Unanswered};
use crate::json_path::{JsonPath, same};
use crate::place::Place;
use crate::probe::Sight;
use belay_model::config::HttpCheck;
use belay_model::verdict::Outcome;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, USER_AGENT};
use hyper::{Request, Response};
use serde_json::{Map, Value, json};
use std::error::Error;

const LONGEST_BODY: usize = 1024 * 1024;
/// How much of a refused body goes into the evidence, in characters.
const EXCERPT: usize = 200;

/// An HTTP check, ready to ask.
pub(crate) struct HttpProbe {
    check: HttpCheck,
    json: Vec<(String, JsonPath, Value)>,
}

impl HttpProbe {
    /// The error is what is wrong with the check, for people.
    pub(crate) fn new(check: HttpCheck) -> Result<Self, String> {
        let json = check.json.iter().map(|(text, expect)| {
            let path = JsonPath::parse(text);
            let path = path.ok_or_else(|| format!("`{text}` is no place in a JSON document"))?;
            Ok((text.clone(), path, expect.clone()))
        });
        let json = json.collect::<Result<Vec<_>, String>>()?;
        Ok(Self { check, json })
    }

    /// One try.
    pub(crate) async fn get(&self, place: &Place) -> Sight {
        let mut seen = Map::new();
        let (outcome, said) = match self.asked(place, &mut seen).await {
            Ok(()) => (Outcome::Pass, "it answered as expected".to_owned()),
            Err(refusal) => refusal,
        };
        Sight {
            outcome,
            said,
            seen,
        }
    }

    /// The error: what it means that it is not as expected, and what is not.
    async fn asked(
        &self,
        place: &Place,
        seen: &mut Map<String, Value>,
    ) -> Result<(), (Outcome, String)> {
        let failed = |why: String| (Outcome::Fail, why);
        let request = Request::get(dial::url(place, &self.check.path))
            .header(USER_AGENT, "belay")
            .body(Empty::new())
            .map_err(|why| failed(format!("it cannot be asked ({why})")))?;
        let response = dial::send(place, request).await.map_err(|why| match why {
            // Nothing was seen of the release.
            Unanswered::Unasked(why) => (
                Outcome::Inconclusive,
                format!("it could not be asked ({why})"),
            ),
            Unanswered::Silent(why) => failed(format!("it did not answer ({why})")),
        })?;
        let status = response.status().as_u16();
        seen.insert("status".to_owned(), json!(status));
        let headers = response.headers().clone();
        let body = read(response).await;
        let body = body.map_err(|why| failed(format!("its answer broke off ({why})")))?;
        let refusal = self
            .refused_status(status)
            .or_else(|| self.refused_header(&headers))
            .or_else(|| self.refused_body(&body));
        let Some(refusal) = refusal else {
            return Ok(());
        };
        let excerpt: String = String::from_utf8_lossy(&body.bytes)
            .chars()
            .take(EXCERPT)
            .collect();
        seen.insert("body".to_owned(), json!(excerpt));
        Err(failed(refusal))
    }

    fn refused_status(&self, status: u16) -> Option<String> {
        let expect = self.check.status;
        (status != expect).then(|| format!("it answered with status {status} instead of {expect}"))
    }

    fn refused_header(&self, headers: &HeaderMap) -> Option<String> {
        let missing = |(name, expect): &(&String, &String)| {
            let mut values = headers.get_all(name.as_str()).iter();
            !values.any(|value| value.as_bytes() == expect.as_bytes())
        };
        let (name, expect) = self.check.header.iter().find(missing)?;
        let have = headers
            .get(name.as_str())
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        Some(match have {
            None => format!("its answer has no header `{name}`"),
            Some(have) => format!("the header `{name}` is `{have}` instead of `{expect}`"),
        })
    }

    fn refused_body(&self, body: &Body) -> Option<String> {
        if self.check.contains.is_none() && self.json.is_empty() {
            return None;
        }
        if !body.is_whole {
            return Some("its answer is larger than 1 MiB".to_owned());
        }
        if let Some(text) = &self.check.contains {
            // Bytes, not characters: an answer need not be valid UTF-8 to contain a text.
            let found = text.is_empty()
                || body
                    .bytes
                    .windows(text.len())
                    .any(|window| window == text.as_bytes());
            if !found {
                return Some(format!("its answer does not contain `{text}`"));
            }
        }
        if self.json.is_empty() {
            return None;
        }
        let Ok(document) = serde_json::from_slice::<Value>(&body.bytes) else {
            return Some("its answer is not JSON".to_owned());
        };
        self.json.iter().find_map(|(text, path, expect)| {
            let Some(have) = path.find(&document) else {
                return Some(format!("its answer has no `{text}`"));
            };
            let have_text: String = have.to_string().chars().take(EXCERPT).collect();
            (!same(have, expect)).then(|| format!("`{text}` is {have_text} instead of {expect}"))
        })
    }
}

struct Body {
    bytes: Bytes,
    is_whole: bool,
}

async fn read(mut response: Response<Incoming>) -> Result<Body, String> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.map_err(|why| root(&why))?;
        if let Some(data) = frame.data_ref() {
            let room = LONGEST_BODY - bytes.len();
            if data.len() > room {
                return Ok(Body {
                    bytes: bytes.freeze(),
                    is_whole: false,
                });
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(Body {
        bytes: bytes.freeze(),
        is_whole: true,
    })
}

/// The innermost reason: the outer ones say "client error" and the like.
pub(crate) fn root(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

//! Somebody who is asked by an API server whether an object may be written: an admission webhook, of a test's own.

use crate::certificates::{Authority, base64};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What it says to what it is asked.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It has nothing against it.
    Allowed,
    /// It refuses, and says why.
    Denied(String),
    /// It takes the connection and says nothing.
    None,
}

/// See the module. It goes with the process.
#[derive(Debug)]
pub struct Webhook {
    address: SocketAddr,
    authority: String,
    answer: Arc<Mutex<Answer>>,
}

impl Webhook {
    /// One that answers so, until it is told otherwise.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn start(answer: Answer) -> Result<Self, String> {
        let authority = Authority::new()?;
        let identity = authority.server("IP:127.0.0.1")?;
        let config = identity.serving()?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(text)?;
        let address = listener.local_addr().map_err(text)?;
        let answer = Arc::new(Mutex::new(answer));
        let answers = answer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, answers) = (config.clone(), answers.clone());
                std::thread::spawn(move || serve(config, stream, &answers));
            }
        });
        Ok(Self {
            address,
            authority: base64(&authority.certificate())?,
            answer,
        })
    }

    /// What it says from now on.
    pub fn says(&self, answer: Answer) {
        *lock(&self.answer) = answer;
    }

    /// The object that makes an API server ask it about what is written in a namespace. Without an answer nothing is written,
    /// after a second. `name`: of the object, and of the webhook, which has at least three parts. `of`: group and resource, as
    /// `apps` and `deployments`.
    pub fn configuration(&self, name: &str, namespace: &str, of: (&str, &str)) -> Value {
        let (group, resource) = of;
        let rule = json!({
            "apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [resource],
        });
        let webhook = json!({
            "name": name,
            "clientConfig": { "url": format!("https://{}/", self.address), "caBundle": self.authority },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
            "rules": [rule],
            "failurePolicy": "Fail",
            "timeoutSeconds": 1,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        });
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": name },
            "webhooks": [webhook],
        })
    }
}

fn serve(config: Arc<ServerConfig>, stream: TcpStream, answer: &Mutex<Answer>) -> Option<()> {
    let connection = ServerConnection::new(config).ok()?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(number) = line.strip_prefix("content-length:") {
                length = number.trim().parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        let asked: Value = serde_json::from_slice(&body).ok()?;
        let uid = &asked["request"]["uid"];
        let answer = lock(answer).clone();
        let response = match answer {
            Answer::Allowed => json!({ "uid": uid, "allowed": true }),
            Answer::Denied(why) => {
                json!({ "uid": uid, "allowed": false, "status": { "message": why } })
            }
            // Until whoever asks goes.
            Answer::None => return stream.read_to_end(&mut Vec::new()).ok().map(drop),
        };
        let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
        let review = review.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            review.len()
        );
        let stream = stream.get_mut();
        stream.write_all((head + &review).as_bytes()).ok()?;
        stream.flush().ok()?;
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn lock(answer: &Mutex<Answer>) -> MutexGuard<'_, Answer> {
    answer.lock().unwrap_or_else(PoisonError::into_inner)
}

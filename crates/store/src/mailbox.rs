//! The way to a task that writes, whatever database it writes to.

use crate::change::{Answer, Change};
use crate::error::closed;
use belay_engine::ports::StoreError;
use tokio::sync::{mpsc, oneshot};

/// Who asked, and waits.
pub(crate) type Reply = oneshot::Sender<Result<Answer, StoreError>>;

pub(crate) enum Message {
    /// Something to write.
    Change(Box<Change>, Reply),
    /// See whether others have committed. Only where nobody else tells.
    Look,
    /// Make sure that writing is possible.
    Require(oneshot::Sender<Result<(), StoreError>>),
    /// Close the connection; answered when it is.
    Close(oneshot::Sender<()>),
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Mailbox(pub(crate) mpsc::Sender<Message>);

impl Mailbox {
    pub(crate) async fn change(&self, change: Change) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Change(Box::new(change), reply);
        self.0.send(message).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    pub(crate) async fn require(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(Message::Require(reply)).await;
        sent.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.0.send(Message::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

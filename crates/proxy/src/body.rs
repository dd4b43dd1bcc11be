//! Bodies on their way through. They stream, and they hold the request's [`Flight`]: a request is
//! in flight until both its bodies have ended or were dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::inflight::Flight;
use crate::upstream::{Sender, Upstream};

#[derive(Debug)]
pub(crate) enum RequestBody {
    Empty,
    Upload {
        incoming: Incoming,
        flight: Arc<Flight>,
    },
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, flight: &Arc<Flight>) -> Self {
        if incoming.is_end_stream() {
            flight.upload_ended();
            return Self::Empty;
        }
        Self::Upload {
            incoming,
            flight: flight.clone(),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self::Upload { incoming, flight } = &mut *self else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
        match &frame {
            Some(Ok(_)) if incoming.is_end_stream() => flight.upload_ended(),
            Some(Ok(_)) => flight.upload_progress(),
            Some(Err(_)) => flight.client_failed(),
            None => flight.upload_ended(),
        }
        if frame.is_none() {
            *self = Self::Empty;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Upload { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Upload { incoming, .. } => incoming.size_hint(),
        }
    }
}

#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// The proxy's own words.
    Text(Bytes),
    Download(Download),
}

#[derive(Debug)]
pub(crate) struct Download {
    incoming: Incoming,
    flight: Arc<Flight>,
    /// The connection goes back to its pool when the body is through.
    connection: Option<(Arc<Upstream>, Sender)>,
}

impl ResponseBody {
    pub(crate) fn empty() -> Self {
        Self::Text(Bytes::new())
    }

    pub(crate) fn download(
        incoming: Incoming,
        flight: Arc<Flight>,
        upstream: Arc<Upstream>,
        sender: Sender,
    ) -> Self {
        let mut download = Download {
            incoming,
            flight,
            connection: Some((upstream, sender)),
        };
        if download.incoming.is_end_stream() {
            download.finish();
        }
        Self::Download(download)
    }
}

impl Download {
    fn finish(&mut self) {
        self.flight.done();
        if let Some((upstream, sender)) = self.connection.take() {
            upstream.give_back(sender);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Download(download) => {
                let frame = ready!(Pin::new(&mut download.incoming).poll_frame(cx));
                match &frame {
                    // A body of known length is not polled again after its last byte.
                    Some(Ok(_)) if download.incoming.is_end_stream() => download.finish(),
                    Some(Ok(_)) => {}
                    Some(Err(_)) => download.flight.broken(),
                    None => download.finish(),
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Download(download) => download.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Download(download) => download.incoming.size_hint(),
        }
    }
}

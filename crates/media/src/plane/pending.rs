//! An answer that is on its way.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::MediaError;
use crate::shard::command::Reply;

/// The answer to a request that has been sent already: a future, and droppable without effect on the request.
#[derive(Debug)]
#[must_use = "the request is sent, but whether it worked is told here"]
pub struct Pending<T> {
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Failed(Option<MediaError>),
    Waiting(oneshot::Receiver<Result<T, MediaError>>),
}

impl<T> Pending<T> {
    pub(crate) fn new() -> (Reply<T>, Self) {
        let (reply, receiver) = oneshot::channel();
        (reply, Self { state: State::Waiting(receiver) })
    }

    pub(crate) fn failed(error: MediaError) -> Self {
        Self { state: State::Failed(Some(error)) }
    }

    /// The answer if it is here, without waiting; after it was taken, [`MediaError::Stopped`].
    pub fn try_now(&mut self) -> Option<Result<T, MediaError>> {
        match &mut self.state {
            State::Failed(error) => Some(Err(error.take().unwrap_or(MediaError::Stopped))),
            State::Waiting(receiver) => match receiver.try_recv() {
                Ok(answer) => {
                    self.state = State::Failed(None);
                    Some(answer)
                }
                Err(oneshot::error::TryRecvError::Empty) => None,
                Err(oneshot::error::TryRecvError::Closed) => Some(Err(MediaError::Stopped)),
            },
        }
    }
}

impl<T> Unpin for Pending<T> {}

impl<T> Future for Pending<T> {
    type Output = Result<T, MediaError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Failed(error) => Poll::Ready(Err(error.take().unwrap_or(MediaError::Stopped))),
            State::Waiting(receiver) => {
                Pin::new(receiver).poll(cx).map(|answer| answer.unwrap_or(Err(MediaError::Stopped)))
            }
        }
    }
}

//! What becomes of answers on their way out. hyper does not tell when it has written one, so the stream under it does: an answer is handed
//! over when all of it was flushed while the client was there.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::rest::Handover;

/// The answers that a connection owes its client. Goes into the extensions of every request of that connection.
#[derive(Clone, Default)]
pub struct Connection(Arc<Mutex<Owed>>);

#[derive(Default)]
struct Owed {
    answers: Vec<(Handover, Stage)>,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// hyper has it.
    Given,
    /// Some of it has been written.
    Written,
}

impl Connection {
    /// hyper is about to write the answer of this duty. On a connection that is closed, it is lost.
    pub(crate) fn give(&self, handover: Handover) {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !owed.closed {
            owed.answers.push((handover, Stage::Given));
        }
    }

    fn owes(&self, stage: Stage) -> bool {
        let owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        owed.answers.iter().any(|(_, at)| *at == stage)
    }

    /// hyper writes what it was given.
    fn writing(&self) {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        owed.answers.iter_mut().for_each(|(_, stage)| *stage = Stage::Written);
    }

    /// All that was written has left, and the client was there.
    fn flushed(&self) {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (handover, stage) in std::mem::take(&mut owed.answers) {
            if stage == Stage::Written { handover.done() } else { owed.answers.push((handover, stage)) }
        }
    }

    /// The client is gone: what it has not been given is lost.
    fn over(&self) {
        let mut owed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        owed.closed = true;
        owed.answers.clear();
    }
}

/// A stream that tells its [`Connection`] what was written and read.
pub struct Watched<S> {
    stream: S,
    connection: Connection,
    /// What a look for the client brought, to be read next.
    ahead: Option<io::Result<Option<u8>>>,
}

impl<S> Watched<S> {
    /// Watches `stream`.
    pub fn new(stream: S) -> (Self, Connection) {
        let connection = Connection::default();
        (Self { stream, connection: connection.clone(), ahead: None }, connection)
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        self.connection.over();
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Whether the client is there, as far as can be seen without waiting.
    fn look(&mut self, cx: &mut Context<'_>) {
        if self.ahead.is_none() {
            let mut byte = [0u8];
            let mut buffer = ReadBuf::new(&mut byte);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.ahead = Some(Ok(buffer.filled().first().copied())),
                Poll::Ready(Err(error)) => self.ahead = Some(Err(error)),
            }
        }
        match &self.ahead {
            None | Some(Ok(Some(_))) => self.connection.flushed(),
            Some(Ok(None) | Err(_)) => self.connection.over(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = match self.ahead.take() {
            Some(Ok(byte)) => {
                byte.into_iter().for_each(|byte| buffer.put_slice(&[byte]));
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buffer)),
        };
        if read.is_err() || buffer.filled().len() == before {
            self.connection.over();
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.connection.writing();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.connection.writing();
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when nothing is left for it to write.
        let flushed = std::task::ready!(Pin::new(&mut self.stream).poll_flush(cx));
        match &flushed {
            Ok(()) if self.connection.owes(Stage::Written) => self.look(cx),
            Ok(()) => {}
            Err(_) => self.connection.over(),
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

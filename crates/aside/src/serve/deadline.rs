//! A stream whose reader must read: what cannot be written for too long ends the connection. Without it, a client that asks for much
//! and reads nothing holds its connection, and what is in memory for it, for ever.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream with a limit on how long writing may stand still.
pub struct WriteDeadline<S> {
    stream: S,
    limit: Duration,
    /// Runs while a write stands still.
    over: Option<Pin<Box<Sleep>>>,
    missed: Arc<AtomicU64>,
}

impl<S> WriteDeadline<S> {
    /// Limits `stream`; each connection that is ended is counted in `missed`.
    pub fn new(stream: S, limit: Duration, missed: Arc<AtomicU64>) -> Self {
        Self { stream, limit, over: None, missed }
    }

    /// What a write came to: the time runs while it stands still.
    fn judge<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.over = None;
            return written;
        }
        let limit = self.limit;
        let over = self.over.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(over.as_mut().poll(context));
        self.missed.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read what it is sent")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteDeadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(400);

    fn limited() -> (WriteDeadline<tokio::io::DuplexStream>, tokio::io::DuplexStream, Arc<AtomicU64>) {
        let (ours, theirs) = tokio::io::duplex(1_000);
        let missed = Arc::default();
        (WriteDeadline::new(ours, LIMIT, Arc::clone(&missed)), theirs, missed)
    }

    #[tokio::test]
    async fn who_reads_nothing_is_cut_off_after_the_limit_and_counted() {
        let (mut stream, _silent, missed) = limited();
        let begun = tokio::time::Instant::now();
        let error = stream.write_all(&[0; 5_000]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= LIMIT);
        assert_eq!(missed.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn who_reads_slowly_but_reads_gets_all() {
        let (mut stream, mut reader, missed) = limited();
        let begun = tokio::time::Instant::now();
        let reading = tokio::spawn(async move {
            let mut got = 0;
            while got < 10_000 {
                tokio::time::sleep(LIMIT / 4).await;
                let mut chunk = [0; 1_000];
                got += reader.read(&mut chunk).await.expect("it is sent");
            }
        });
        stream.write_all(&[0; 10_000]).await.expect("it is read");
        reading.await.expect("all was read");
        assert!(begun.elapsed() > LIMIT, "it took longer than one write may stand still");
        assert_eq!(missed.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_is_written_has_no_deadline() {
        let (mut stream, mut writer, _) = limited();
        let read = tokio::spawn(async move { stream.read_u8().await });
        tokio::time::sleep(LIMIT * 2).await;
        writer.write_u8(7).await.expect("it is open");
        assert_eq!(read.await.expect("it ends").expect("it is open"), 7);
    }
}

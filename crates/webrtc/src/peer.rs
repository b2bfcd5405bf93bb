//! The control side's handle of a leg.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::error::WebRtcError;
use crate::format::Agreed;
use crate::port::{Command, Key, PortHandle};
use crate::session::{Session, candidate};

struct Inner {
    port: Arc<PortHandle>,
    key: Key,
    hang_up: Arc<AtomicBool>,
    session: Mutex<Session>,
}

/// A leg: its negotiation and its end. The leg is closed when the last clone is dropped.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

/// The answer to an offer within a session.
#[derive(Clone, Debug)]
pub struct Renegotiated {
    /// Our answer.
    pub sdp: String,
    /// What counts from now on.
    pub agreed: Agreed,
}

/// Sends a command and waits until it is done.
pub(crate) async fn ask<T>(
    port: &PortHandle,
    command: impl FnOnce(oneshot::Sender<Result<T, WebRtcError>>) -> Command,
) -> Result<T, WebRtcError> {
    let (done, result) = oneshot::channel();
    tell(port, command(done))?;
    result.await.map_err(|_| WebRtcError::Gone)?
}

fn tell(port: &PortHandle, command: Command) -> Result<(), WebRtcError> {
    port.commands.try_send(command).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => WebRtcError::Busy,
        mpsc::error::TrySendError::Closed(_) => WebRtcError::Gone,
    })?;
    port.ready.wake();
    Ok(())
}

impl Peer {
    pub(crate) fn new(port: Arc<PortHandle>, key: Key, hang_up: Arc<AtomicBool>, session: Session) -> Self {
        Self(Arc::new(Inner { port, key, hang_up, session: Mutex::new(session) }))
    }

    /// Takes the answer to [`crate::WebRtc::offer`] or [`Peer::reoffer`].
    pub async fn accept(&self, answer: &str) -> Result<Agreed, WebRtcError> {
        let key = self.0.key;
        let mut session = self.0.session.lock().await;
        let mut step = session.read_answer(answer)?;
        let (candidates, gate) = (std::mem::take(&mut step.candidates), step.agreed.gate());
        if session.is_new() {
            let remote = Box::new(step.remote.clone());
            ask(&self.0.port, |done| Command::Answer { key, remote, candidates, gate, done }).await?;
        } else {
            ask(&self.0.port, |done| Command::Change { key, candidates, gate, done }).await?;
        }
        Ok(session.commit(step))
    }

    /// Answers an offer within the session: hold, resumption, ICE restart, further media (refused). An open offer of ours is
    /// given up for it.
    pub async fn renegotiate(&self, offer: &str) -> Result<Renegotiated, WebRtcError> {
        let key = self.0.key;
        let mut session = self.0.session.lock().await;
        let mut step = session.read_offer(offer)?;
        let (candidates, gate) = (std::mem::take(&mut step.candidates), step.agreed.gate());
        if let Some(credentials) = step.restart.clone() {
            let remote = Box::new(step.remote.clone());
            ask(&self.0.port, |done| Command::Restart { key, remote, credentials, candidates, gate, done }).await?;
        } else {
            ask(&self.0.port, |done| Command::Change { key, candidates, gate, done }).await?;
        }
        let agreed = session.commit(step);
        Ok(Renegotiated { sdp: session.text(), agreed })
    }

    /// Makes an offer within the session, which says what the session is, to be answered by [`Peer::accept`]. Nothing changes before
    /// the answer; the next offer, theirs or ours, takes the place of one that was never answered.
    pub async fn reoffer(&self) -> Result<String, WebRtcError> {
        let mut session = self.0.session.lock().await;
        session.open()?;
        Ok(session.text())
    }

    /// Takes a candidate that came later (`candidate:…`, with or without `a=`). False if it is none that can be checked: not UDP,
    /// an mDNS name, or malformed; that is no error, browsers send such.
    pub async fn add_candidate(&self, line: &str) -> Result<bool, WebRtcError> {
        let address = self.0.session.lock().await.address();
        let Some(candidate) = Some(line).filter(|line| line.len() <= 512).and_then(|line| candidate(line, address))
        else {
            return Ok(false);
        };
        tell(&self.0.port, Command::Candidate { key: self.0.key, candidate: Box::new(candidate) })?;
        Ok(true)
    }

    /// Hangs up: the browser is told by DTLS and RTCP.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Inner {
    fn close(&self) {
        self.hang_up.store(true, Ordering::SeqCst);
        self.port.ready.mark(self.key.slot as usize);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("key", &self.0.key).finish_non_exhaustive()
    }
}

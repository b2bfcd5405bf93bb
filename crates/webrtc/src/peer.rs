//! The control side's handle of a leg.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::agent::Credentials;
use crate::error::WebRtcError;
use crate::event::{PeerStats, Shared};
use crate::format::{Agreed, Direction};
use crate::port::{Command, Key, PortHandle};
use crate::session::{Session, candidate};

struct Inner {
    port: Arc<PortHandle>,
    key: Key,
    shared: Arc<Shared>,
    session: Mutex<Session>,
}

/// A leg: its negotiation, its figures, its end. The leg is closed when the last clone is dropped.
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

/// What an offer of ours is to change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reoffer {
    /// Hold, or its end. `None`: as before.
    pub direction: Option<Direction>,
    /// Whether ICE starts again with new credentials (RFC 8445 §9).
    pub restart: bool,
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
    pub(crate) fn new(port: Arc<PortHandle>, key: Key, shared: Arc<Shared>, session: Session) -> Self {
        Self(Arc::new(Inner { port, key, shared, session: Mutex::new(session) }))
    }

    /// Takes the answer to [`crate::WebRtc::offer`] or [`Peer::reoffer`].
    pub async fn accept(&self, answer: &str) -> Result<Agreed, WebRtcError> {
        let key = self.0.key;
        let mut session = self.0.session.lock().await;
        let mut step = session.read_answer(answer)?;
        let (candidates, gate) = (std::mem::take(&mut step.candidates), step.agreed.gate());
        if session.is_new() || step.restart.is_some() {
            let (remote, restarted) = (Box::new(step.remote.clone()), step.restart.clone());
            ask(&self.0.port, |done| Command::Answer { key, remote, restarted, candidates, gate, done }).await?;
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

    /// Makes an offer within the session, to be answered by [`Peer::accept`] or given up by [`Peer::withdraw`]. Nothing changes
    /// before the answer.
    pub async fn reoffer(&self, change: Reoffer) -> Result<String, WebRtcError> {
        let key = self.0.key;
        let mut session = self.0.session.lock().await;
        let restart = change.restart.then(Credentials::new);
        session.open(change.direction, restart)?;
        if change.restart
            && let Err(error) = ask(&self.0.port, |done| Command::PrepareRestart { key, done }).await
        {
            session.withdraw();
            return Err(error);
        }
        Ok(session.text())
    }

    /// Our offer within the session was refused: everything stays as it was.
    pub async fn withdraw(&self) {
        self.0.session.lock().await.withdraw();
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

    /// Our description as it stands, as the last answer or offer said it.
    pub async fn description(&self) -> String {
        self.0.session.lock().await.text()
    }

    /// Figures, at most two seconds old.
    pub fn stats(&self) -> PeerStats {
        self.0.shared.stats()
    }

    /// Hangs up: the browser is told by DTLS and RTCP.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Inner {
    fn close(&self) {
        self.shared.hang_up.store(true, Ordering::SeqCst);
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

//! What the engine holds: one leg per dialog.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use crate::registrar::Contact;
use crate::roster::{Identity, Party};
use crate::sdp::Session;
use crate::transport::Transport;

/// Why signalling could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SipError {
    /// A configured address cannot be listened on.
    #[error("cannot listen for SIP: {0}; check the addresses and ports in the configuration")]
    Listen(String),
    /// Not a SIP URI we can call.
    #[error("cannot call {uri}: {why}")]
    Uri {
        /// The URI given.
        uri: String,
        /// What is wrong with it.
        why: String,
    },
    /// A local domain was given as an outward target.
    #[error("{0} is a local domain and is never dialled outward; call the registered contact instead")]
    LocalDomain(String),
    /// The host has no address.
    #[error("cannot find an address for {host}: {why}")]
    Resolve {
        /// Host looked up.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// No socket of ours can reach the target.
    #[error("no listening socket can reach {0}; add a listener of its transport and address family")]
    NoTransport(String),
    /// A header that would break or forge the message.
    #[error("header {name} cannot be sent: {why}")]
    Header {
        /// Its name.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// The call is over.
    #[error("the call is over")]
    Gone,
    /// The dialog is not in the state this needs.
    #[error("the call cannot do this now: {0}")]
    State(&'static str),
    /// The peer refused a re-INVITE.
    #[error("the peer refused: {code} {reason}")]
    Refused {
        /// SIP status code.
        code: u16,
        /// Its phrase.
        reason: String,
    },
    /// A limit is reached.
    #[error("too many calls; try again later")]
    Overloaded,
    /// The signalling plane has stopped or is stopping.
    #[error("signalling is stopping and takes no new calls")]
    Stopped,
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The peer.
    Remote,
    /// We.
    Local,
    /// Something that should have come never did.
    Timeout,
    /// The connection broke.
    Transport,
}

/// What happens to a leg, in order. Exactly one of `Refused`, `Cancelled` and `Ended` comes, last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegEvent {
    /// Outgoing: 180, 181, 182 or 183, each code once.
    Ringing {
        /// The code.
        code: u16,
    },
    /// Outgoing: a provisional answer with a (new) SDP.
    EarlyMedia(Session),
    /// Outgoing: the call was answered; the ACK is sent.
    Answered(Session),
    /// Incoming: the ACK of our (re-)answer came, with the peer's SDP if ours was the offer.
    Acked {
        /// The answer to our offer.
        answer: Option<Session>,
    },
    /// The peer wants other media; `None`: it wants our offer. Answer with `answer_reinvite` or `reject_reinvite`.
    Reoffer(Option<Session>),
    /// DTMF by INFO: `0-9 * # A-D`.
    InfoDigit(char),
    /// Outgoing: a final refusal (3xx to 6xx; 408 and 503 also locally).
    Refused {
        /// SIP status code.
        code: u16,
        /// The peer's phrase.
        reason: String,
    },
    /// Incoming: the caller gave up before the answer.
    Cancelled,
    /// The call ended.
    Ended {
        /// Who did it.
        by: By,
        /// Why, for a human.
        cause: String,
    },
}

/// Extra header lines.
pub type HeaderList = [(String, String)];

/// Whom to call.
#[derive(Debug, Clone)]
pub enum Target {
    /// A registered phone: sent the way its REGISTER came.
    Contact(Box<Contact>),
    /// A `sip:` URI, escaped as it shall go out.
    Uri(String),
}

/// A call to place.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Whom to call.
    pub target: Target,
    /// From.
    pub from: Party,
    /// To; `None`: the target.
    pub to: Option<Party>,
    /// Extra headers (`X-…`).
    pub headers: Vec<(String, String)>,
    /// Our offer.
    pub offer: Session,
    /// User name and password for the peer's challenge.
    pub auth: Option<(String, String)>,
    /// Where to send it instead of the target's host: `host`, `host:port`, or an address.
    pub route: Option<String>,
    /// Transport; `None`: as the target says, else UDP.
    pub transport: Option<Transport>,
}

/// A call that comes in, authenticated, its 100 already sent.
#[derive(Debug)]
pub struct Incoming {
    /// The dialog. Dropping it refuses the call with 480.
    pub leg: Leg,
    /// From.
    pub from: Party,
    /// To.
    pub to: Party,
    /// Request-URI: whom the caller wants.
    pub request_uri: Party,
    /// Request-URI as received.
    pub request_uri_text: String,
    /// Every header, names in long form, in order.
    pub headers: Vec<(String, String)>,
    /// True source.
    pub source: std::net::SocketAddr,
    /// How it came.
    pub transport: Transport,
    /// Who the caller proved to be.
    pub identity: Identity,
    /// The caller's offer; `None`: the answer must hold ours.
    pub offer: Option<Session>,
    /// Call-ID.
    pub call_id: String,
}

impl Incoming {
    /// First header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

pub(crate) type Done<T> = oneshot::Sender<Result<T, SipError>>;

#[derive(Debug)]
pub(crate) enum Action {
    Ring(Vec<(String, String)>),
    Early(Session, Vec<(String, String)>),
    Answer(Session, Vec<(String, String)>),
    Reject(u16, Option<String>, Vec<(String, String)>),
    Hangup(Option<String>),
    AnswerReinvite(Session),
    RejectReinvite(u16),
    Info(char),
}

#[derive(Debug)]
pub(crate) enum Command {
    Invite(Box<crate::core::Placement>, Done<Leg>),
    Act(u64, Action, Done<()>),
    Reinvite(u64, Session, Done<Session>),
    /// The engine let go of the leg.
    Abandon(u64),
    /// A registration was decided.
    Reply(u64, crate::access::Reply),
    /// A call's caller is known, or refused.
    Admit(u64, Result<Identity, crate::access::Reply>),
    Drain,
    HangupAll,
    /// Answered when no dialog is left.
    Idle(oneshot::Sender<()>),
}

/// The commanding end of a leg; any number of clones. It does not keep the call alive: [`Leg`] does.
#[derive(Debug, Clone)]
pub struct LegControl {
    pub(crate) id: u64,
    pub(crate) call_id: Arc<str>,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl LegControl {
    /// Number of the dialog, unique in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Call-ID.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    async fn act(&self, action: Action) -> Result<(), SipError> {
        let (done, answer) = oneshot::channel();
        self.commands.send(Command::Act(self.id, action, done)).await.map_err(|_| SipError::Stopped)?;
        answer.await.map_err(|_| SipError::Stopped)?
    }

    /// 180 Ringing.
    pub async fn ring(&self, headers: &HeaderList) -> Result<(), SipError> {
        self.act(Action::Ring(headers.to_vec())).await
    }

    /// 183 Session Progress with SDP. The later [`LegControl::answer`] must hold the same SDP.
    pub async fn early_media(&self, sdp: &Session, headers: &HeaderList) -> Result<(), SipError> {
        self.act(Action::Early(sdp.clone(), headers.to_vec())).await
    }

    /// 200 OK with SDP, repeated until the ACK comes; without ACK for 64 × T1 the call ends by timeout.
    pub async fn answer(&self, sdp: &Session, headers: &HeaderList) -> Result<(), SipError> {
        self.act(Action::Answer(sdp.clone(), headers.to_vec())).await
    }

    /// Refuses an incoming call with 300 to 699; `reason` replaces the usual phrase.
    pub async fn reject(&self, code: u16, reason: Option<&str>, headers: &HeaderList) -> Result<(), SipError> {
        self.act(Action::Reject(code, reason.map(str::to_owned), headers.to_vec())).await
    }

    /// Ends the call the way its state asks for: BYE, CANCEL, or 480. `reason` becomes a Reason header's text.
    pub async fn hangup(&self, reason: Option<&str>) -> Result<(), SipError> {
        self.act(Action::Hangup(reason.map(str::to_owned))).await
    }

    /// Offers other media; returns the peer's answer. Glare (491) is retried up to three times.
    pub async fn reinvite(&self, sdp: &Session) -> Result<Session, SipError> {
        let (done, answer) = oneshot::channel();
        let command = Command::Reinvite(self.id, sdp.clone(), done);
        self.commands.send(command).await.map_err(|_| SipError::Stopped)?;
        answer.await.map_err(|_| SipError::Gone)?
    }

    /// Accepts a [`LegEvent::Reoffer`].
    pub async fn answer_reinvite(&self, sdp: &Session) -> Result<(), SipError> {
        self.act(Action::AnswerReinvite(sdp.clone())).await
    }

    /// Refuses a [`LegEvent::Reoffer`], usually with 488; the call goes on as before.
    pub async fn reject_reinvite(&self, code: u16) -> Result<(), SipError> {
        self.act(Action::RejectReinvite(code)).await
    }

    /// Sends a digit by INFO (`application/dtmf-relay`).
    pub async fn info(&self, digit: char) -> Result<(), SipError> {
        self.act(Action::Info(digit)).await
    }
}

/// One dialog. Dropping it ends the call.
#[derive(Debug)]
pub struct Leg {
    pub(crate) control: LegControl,
    pub(crate) events: mpsc::Receiver<LegEvent>,
    pub(crate) last: Arc<OnceLock<LegEvent>>,
    pub(crate) over: bool,
}

impl Leg {
    /// A commanding end for somebody else.
    pub fn control(&self) -> LegControl {
        self.control.clone()
    }

    /// The next event; `None` after the last one. Cancel-safe.
    pub async fn next(&mut self) -> Option<LegEvent> {
        if let Some(event) = self.events.recv().await {
            return Some(event);
        }
        if self.over {
            return None;
        }
        self.over = true;
        let stopped = || LegEvent::Ended { by: By::Local, cause: "signalling stopped".to_owned() };
        Some(self.last.get().cloned().unwrap_or_else(stopped))
    }
}

impl Deref for Leg {
    type Target = LegControl;

    fn deref(&self) -> &LegControl {
        &self.control
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        // A full queue is no loss: the core looks for closed receivers once a second.
        if self.last.get().is_none() {
            let _ = self.control.commands.try_send(Command::Abandon(self.control.id));
        }
    }
}

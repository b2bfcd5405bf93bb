//! What the engine holds: one leg per dialog.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use crate::core::Report;
use crate::given::{Asking, Parting};
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
    /// A method that is not sent on request.
    #[error("a {method} request cannot be sent: {why}")]
    Method {
        /// As given.
        method: String,
        /// Why not.
        why: &'static str,
    },
    /// A body that cannot be sent.
    #[error("the body cannot be sent: {0}")]
    Body(&'static str),
    /// A reason phrase that would break the message.
    #[error("the reason phrase cannot be sent: {0}")]
    Phrase(&'static str),
    /// A status code that says something else.
    #[error("status code {code} cannot be sent; give one from {wanted}")]
    Code {
        /// As given.
        code: u16,
        /// What fits.
        wanted: &'static str,
    },
    /// A request inside the call had no answer. The call itself goes on.
    #[error("the peer did not answer {method}: {why}")]
    Unanswered {
        /// Method of the request.
        method: String,
        /// What happened instead.
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
    /// ICE candidates of the peer (RFC 8840), the `application/trickle-ice-sdpfrag` as received; before the answer too. Whether it
    /// fits the session is for the media engine to judge.
    IceCandidates(String),
    /// INFO of another kind, or MESSAGE; answered with 200 already.
    Request {
        /// Method.
        method: String,
        /// Content-Type as written.
        content_type: Option<String>,
        /// Body, at most `Limits::message_bytes`.
        body: Vec<u8>,
        /// Every header, names in long form, in order.
        headers: Vec<(String, String)>,
    },
    /// A report on a transfer that [`LegControl::refer`] asked for (RFC 3515 §2.4.4). Exactly one with `over` follows each
    /// REFER that was accepted, unless the call ends before: where the peer makes no reports (`Refer-Sub: false`), a 408.
    ReferProgress {
        /// SIP status code of the call the peer made; 408 also locally, when the peer stops reporting.
        status: u16,
        /// Its phrase.
        reason: String,
        /// No further report comes.
        over: bool,
    },
    /// The peer wants to be transferred: decide within 20 s (5/8 of 64 × T1) with `accept_refer` or `reject_refer`, else it is
    /// declined with 603.
    Referred {
        /// Refer-To as written, a Replaces in it included.
        refer_to: String,
        /// Referred-By as written.
        referred_by: Option<String>,
        /// User-Agent of the REFER.
        user_agent: Option<String>,
        /// Every header of the REFER, names in long form, in order.
        headers: Vec<(String, String)>,
        /// What `accept_refer`, `notify_refer` and `reject_refer` call it.
        id: u64,
    },
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
        /// By the peer's BYE: its headers that begin with `X-`, in order.
        headers: Vec<(String, String)>,
    },
}

/// How freely a peer can cause an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtWill {
    /// Only as often as the dialog's rules allow.
    Never,
    /// At will, and small.
    Small,
    /// At will, and as large as a message.
    Large,
}

impl LegEvent {
    pub(crate) fn ended(by: By, cause: impl Into<String>) -> LegEvent {
        LegEvent::Ended { by, cause: cause.into(), headers: Vec::new() }
    }

    pub(crate) fn at_will(&self) -> AtWill {
        match self {
            LegEvent::InfoDigit(_) | LegEvent::ReferProgress { over: false, .. } => AtWill::Small,
            LegEvent::Request { .. } | LegEvent::Referred { .. } | LegEvent::IceCandidates(_) => AtWill::Large,
            _ => AtWill::Never,
        }
    }
}

/// Extra header lines.
pub type HeaderList = [(String, String)];

/// Whom to call.
#[derive(Debug, Clone)]
pub enum Target {
    /// A registered phone: sent the way its REGISTER came. A browser whose connection is gone is refused with 480 at once.
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
    /// The INVITE's body as received; empty without one.
    pub body: String,
    /// Call-ID.
    pub call_id: String,
}

impl Incoming {
    /// First header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// Status code and reason phrase of an answer.
pub(crate) type Said = (u16, String);

pub(crate) type Done<T> = oneshot::Sender<Result<T, SipError>>;

#[derive(Debug)]
pub(crate) enum Action {
    Ring(Vec<(String, String)>),
    Progress(Vec<(String, String)>),
    Early(Session, Vec<(String, String)>),
    Answer(Session, Vec<(String, String)>),
    Reject(u16, Option<String>, Vec<(String, String)>),
    Hangup(Parting),
    AnswerReinvite(Session),
    RejectReinvite(u16),
    Info(char),
    AcceptRefer(u64),
    NotifyRefer(u64, Report),
    RejectRefer(u64, u16),
}

#[derive(Debug)]
pub(crate) enum Command {
    Invite(Box<crate::core::Placement>, Done<Leg>),
    Act(u64, Action, Done<()>),
    Reinvite(u64, Session, Done<Session>),
    Ask(u64, Box<Asking>, Done<Said>),
    /// The engine let go of the leg.
    Abandon(u64),
    /// A registration was decided.
    Reply(u64, crate::access::Reply),
    /// A call's caller is known, or refused.
    Admit(u64, Result<Identity, crate::access::Reply>),
    /// Who sent a request inside a call from another connection is known, or refused.
    Rejoin(u64, u64, Result<crate::connections::Owner, crate::access::Reply>),
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

    /// 183 Session Progress without SDP.
    pub async fn progress(&self, headers: &HeaderList) -> Result<(), SipError> {
        self.act(Action::Progress(headers.to_vec())).await
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
    ///
    /// # Errors
    /// [`SipError::Code`], [`SipError::Phrase`] (a control character, or more than 200 bytes) or [`SipError::Header`]: nothing
    /// was sent, the call still waits.
    pub async fn reject(&self, code: u16, reason: Option<&str>, headers: &HeaderList) -> Result<(), SipError> {
        self.act(Action::Reject(code, reason.map(str::to_owned), headers.to_vec())).await
    }

    /// Ends the call the way its state asks for: BYE, CANCEL, or 480. `reason` becomes a Reason header's text.
    pub async fn hangup(&self, reason: Option<&str>) -> Result<(), SipError> {
        self.hangup_with(reason, &[]).await
    }

    /// As [`LegControl::hangup`], with extra headers in the BYE, CANCEL or 480. A Reason among them takes the place of `reason`.
    ///
    /// # Errors
    /// [`SipError::Header`]: nothing was sent, the call goes on.
    pub async fn hangup_with(&self, reason: Option<&str>, headers: &HeaderList) -> Result<(), SipError> {
        let parting = Parting { headers: headers.to_vec(), ..Parting::because(reason) };
        self.act(Action::Hangup(parting)).await
    }

    /// Sends a request inside the answered call and returns status code and phrase of its final answer, whatever they are. Any
    /// method but those that change the call (INVITE, BYE, ACK, CANCEL, PRACK, UPDATE, REFER) or begin something of their own
    /// (SUBSCRIBE, REGISTER). A challenge is answered if the call was placed with credentials. At most 16 may wait at once, and
    /// the body may have 65,536 bytes, over UDP 61,411 with its headers. An INFO or OPTIONS answered with 481 ends the call.
    ///
    /// # Errors
    /// [`SipError::Method`], [`SipError::Body`], [`SipError::Header`], [`SipError::State`]: nothing was sent.
    /// [`SipError::Unanswered`] after 64 × T1 or a broken connection; [`SipError::Gone`] when the call ends before the answer.
    pub async fn request(
        &self,
        method: &str,
        content_type: Option<&str>,
        body: &[u8],
        headers: &HeaderList,
    ) -> Result<(u16, String), SipError> {
        self.ask(Asking::request(method, content_type, body, headers)?).await
    }

    /// Asks the peer to call somebody else (RFC 3515); returns status code and phrase of its answer. After any 2xx,
    /// [`LegEvent::ReferProgress`] tells how that goes, the first one perhaps before this returns. Both addresses are a URI or a
    /// name with a URI in brackets; what follows a `?` in the URI, a Replaces for one, goes out as written.
    ///
    /// # Errors
    /// [`SipError::Uri`] for an address that cannot be written, and those of [`LegControl::request`].
    pub async fn refer(
        &self,
        refer_to: &str,
        referred_by: Option<&str>,
        headers: &HeaderList,
    ) -> Result<(u16, String), SipError> {
        self.ask(Asking::refer(refer_to, referred_by, headers)?).await
    }

    async fn ask(&self, asking: Asking) -> Result<(u16, String), SipError> {
        let (done, answer) = oneshot::channel();
        let command = Command::Ask(self.id, Box::new(asking), done);
        self.commands.send(command).await.map_err(|_| SipError::Stopped)?;
        answer.await.map_err(|_| SipError::Stopped)?
    }

    /// Accepts a [`LegEvent::Referred`]: 202, and at once the report that it is being tried (100). The reports that follow are the
    /// caller's, the last one included; without it, 408 is reported after 300 s.
    pub async fn accept_refer(&self, id: u64) -> Result<(), SipError> {
        self.act(Action::AcceptRefer(id)).await
    }

    /// Reports how an accepted transfer stands, for the usual phrase with `reason` `None`; `over` with the last report, whose
    /// status must be final. Returns when it is handed to its transaction; while an earlier report waits for its answer, the
    /// latest one waits for that.
    ///
    /// # Errors
    /// [`SipError::State`] once the referral is over, also because the peer refused a report or left it unanswered;
    /// [`SipError::Gone`] when the call is.
    pub async fn notify_refer(&self, id: u64, status: u16, reason: Option<&str>, over: bool) -> Result<(), SipError> {
        let report = Report { status, reason: reason.map(str::to_owned), over };
        self.act(Action::NotifyRefer(id, report)).await
    }

    /// Refuses a [`LegEvent::Referred`] with 300 to 699.
    pub async fn reject_refer(&self, id: u64, code: u16) -> Result<(), SipError> {
        self.act(Action::RejectRefer(id, code)).await
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
        let stopped = || LegEvent::ended(By::Local, "signalling stopped");
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

//! The engine: holds the parts together, takes calls in, and carries out what programs ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use media::{Fact, LegId, MediaPlane};
use store::Store;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::cause::HangupCause;
use crate::clock::Clock;
use crate::command::{
    AccountRef, AddMember, Added, AddedCall, Asker, CallChanged, CallCommand, CallSnapshot, CommandError, Newcomer,
    RoomRef,
};
use crate::counter::Counters;
use crate::dialect::{Dialect, Direction, Kind, MemberView};
use crate::hooks::Hooks;
use crate::http::{Http, HttpPolicy};
use crate::numbers::MemberNumbers;
use crate::outbox::{self, OutboxConfig};
use crate::queues::Queues;
use crate::recogniser::{Recogniser, RecogniserConfig};
use crate::records::Records;
use crate::registry::{Calls, Ceilings, Full, Links, Rooms};
use crate::room::{self, MediaFact, Opening, RoomHandle};
use crate::routing::Routing;
use crate::session::{self, CallMessage, DialledMember, LegFact};
use crate::sound::{SoundConfig, Sounds};
use crate::verb::Join;

/// What the engine is told at its start.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Which servers programs may name.
    pub http: HttpPolicy,
    /// Limits of sounds.
    pub sounds: SoundConfig,
    /// Calls at once.
    pub max_calls: usize,
    /// Rooms at once.
    pub max_rooms: usize,
    /// Calls of one account at once.
    pub max_calls_per_account: usize,
    /// Rooms of one account at once.
    pub max_rooms_per_account: usize,
    /// Which hosts trunks may lead to.
    pub trunks: HttpPolicy,
    /// Longest call.
    pub max_call: Duration,
    /// Domains that every account's endpoints may register and be called at, besides their own realm.
    pub shared_domains: Vec<String>,
    /// Delivery of callbacks.
    pub outbox: OutboxConfig,
    /// Who understands speech, if anybody does.
    pub recogniser: Option<RecogniserConfig>,
    /// The address written into session descriptions; else the one that leads to the peer.
    pub advertised: Option<std::net::IpAddr>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            http: HttpPolicy::default(),
            sounds: SoundConfig::default(),
            max_calls: 10_000,
            max_rooms: 10_000,
            max_calls_per_account: 10_000,
            max_rooms_per_account: 10_000,
            trunks: HttpPolicy::default(),
            max_call: Duration::from_secs(8 * 3600),
            shared_domains: store::SHARED_REALMS.map(str::to_owned).to_vec(),
            outbox: OutboxConfig::default(),
            recogniser: None,
            advertised: None,
        }
    }
}

impl EngineConfig {
    pub(crate) fn call_ceilings(&self) -> Ceilings {
        Ceilings { server: self.max_calls, account: self.max_calls_per_account }
    }

    fn room_ceilings(&self) -> Ceilings {
        Ceilings { server: self.max_rooms, account: self.max_rooms_per_account }
    }
}

/// What the engine is made of.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The media plane.
    pub media: MediaPlane,
    /// What the media plane tells.
    pub facts: mpsc::Receiver<Fact>,
    /// Signalling.
    pub sip: sip::Sip,
    /// Calls that come in.
    pub incoming: mpsc::Receiver<sip::Incoming>,
    /// The dialects.
    pub dialects: Vec<Arc<dyn Dialect>>,
}

pub(crate) struct Inner {
    pub config: EngineConfig,
    pub clock: Clock,
    pub store: Store,
    pub http: Http,
    pub recogniser: Option<Recogniser>,
    pub links: Links,
    pub hooks: Hooks,
    pub sounds: Sounds,
    pub media: MediaPlane,
    pub sip: sip::Sip,
    pub records: Records,
    pub rooms: Rooms,
    pub calls: Calls,
    pub queues: Queues,
    pub routing: Routing,
    pub numbers: MemberNumbers,
    pub counters: Arc<Counters>,
    pub tasks: TaskTracker,
    dials: AtomicU64,
    draining: AtomicBool,
    stop_outbox: CancellationToken,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

impl Engine {
    /// Starts the engine: closes what a crash left open, then takes calls and delivers callbacks.
    ///
    /// # Errors
    /// When the records of the last run cannot be closed.
    pub async fn start(config: EngineConfig, parts: Parts) -> Result<Self, store::StoreError> {
        let Parts { store, media, facts, sip, incoming, dialects } = parts;
        let clock = Clock::default();
        let http = Http::new(config.http.clone());
        let hooks = Hooks::new(clock, http.clone(), store.clone(), dialects.clone());
        let domains = config.shared_domains.clone();
        let links = Links::default();
        let counters = Arc::new(Counters::default());
        let records = Records::new(store.clone(), hooks.clone(), links.clone());
        let closed = crate::recovery::close_interrupted(&store, &records, clock.utc()).await?;
        if closed.calls + closed.rooms > 0 {
            tracing::warn!(calls = closed.calls, rooms = closed.rooms, "closed what the last run left open");
        }
        let inner = Arc::new(Inner {
            sounds: Sounds::new(hooks.clone(), config.sounds, &counters),
            routing: Routing::new(store.clone(), sip.clone(), domains, config.trunks.clone(), dialects),
            numbers: MemberNumbers::new(store.clone()),
            recogniser: config.recogniser.clone().map(Recogniser::new),
            config,
            clock,
            store,
            http,
            links,
            hooks,
            media,
            sip,
            records,
            rooms: Rooms::default(),
            calls: Calls::default(),
            queues: Queues::default(),
            counters,
            tasks: TaskTracker::new(),
            dials: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            stop_outbox: CancellationToken::new(),
        });
        inner.tasks.spawn(outbox::run(
            inner.store.clone(),
            inner.hooks.clone(),
            inner.clock,
            inner.config.outbox,
            Arc::clone(&inner.counters),
            inner.stop_outbox.clone(),
        ));
        tokio::spawn(pass_facts(Arc::clone(&inner), facts));
        tokio::spawn(take_calls(Arc::clone(&inner), incoming));
        Ok(Self { inner })
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// What the engine counts.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// How many calls are live.
    pub fn live_calls(&self) -> usize {
        self.inner.calls.len()
    }

    /// How many rooms are live.
    pub fn live_rooms(&self) -> usize {
        self.inner.rooms.len()
    }

    /// A live room of the account.
    pub fn room(&self, account: &AccountRef, which: &RoomRef) -> Option<RoomHandle> {
        self.inner.rooms.get(&account.id, which)
    }

    /// The live rooms of the account.
    pub fn rooms(&self, account: &AccountRef) -> Vec<RoomHandle> {
        self.inner.rooms.all().into_iter().filter(|room| room.account() == account.id).collect()
    }

    /// The UUIDs of the account's live calls.
    pub fn calls(&self, account: &AccountRef) -> Vec<String> {
        self.inner.calls.of_account(&account.id)
    }

    /// A live call of the account.
    pub async fn call(&self, account: &AccountRef, uuid: &str) -> Option<CallSnapshot> {
        let (reply, answer) = oneshot::channel();
        let mailbox = self.inner.calls.get(&account.id, uuid)?;
        mailbox.send(CallMessage::Snapshot(reply)).await.then_some(())?;
        answer.await.ok().filter(|snapshot| account.sees(&snapshot.call.auth_id))
    }

    /// Changes a live call. Returns when it is done.
    pub async fn command_call(
        &self,
        account: &AccountRef,
        uuid: &str,
        command: CallCommand,
        by: Asker,
    ) -> Result<CallChanged, CommandError> {
        let gone = || CommandError::NotFound { what: "call", id: uuid.to_owned() };
        self.call(account, uuid).await.ok_or_else(gone)?;
        let mailbox = self.inner.calls.get(&account.id, uuid).ok_or_else(gone)?;
        tracing::info!(
            account = account.id,
            call = uuid,
            by = by.id,
            command = command.name(),
            "a program changes a call"
        );
        let (reply, answer) = oneshot::channel();
        if !mailbox.offer(CallMessage::Command(command, by, reply)) {
            return Err(CommandError::Busy("messages waiting for one call"));
        }
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Adds a member: dials somebody, or moves a live call. A dial is answered as soon as it is under way; a move when the
    /// call is in the room.
    pub async fn add_member(&self, account: &AccountRef, add: AddMember, by: Asker) -> Result<Added, CommandError> {
        let inner = &self.inner;
        if inner.draining.load(Ordering::Relaxed) {
            return Err(CommandError::Busy("it is being stopped"));
        }
        inner.store.ready()?;
        let AddMember { room: which, who, mut join, dialect } = add;
        tracing::info!(account = account.id, by = by.id, room = ?which, "a program adds a member");
        let known = inner.rooms.get(&account.id, &which);
        if let Some(room) = known.as_ref().filter(|room| !account.sees(room.auth_id())) {
            return match which {
                RoomRef::Uuid(id) => Err(CommandError::NotFound { what: "room", id }),
                RoomRef::Name(_) => Err(taken(room.name())),
            };
        }
        match (&which, &known) {
            (RoomRef::Uuid(uuid), None) => return Err(CommandError::NotFound { what: "room", id: uuid.clone() }),
            (RoomRef::Name(name), _) => join.room.clone_from(name),
            (RoomRef::Uuid(_), Some(room)) => join.room = room.name().to_owned(),
        }
        match who {
            Newcomer::Call(uuid) => self.move_call(account, uuid, join, known, dialect).await,
            Newcomer::Dialled(dial) => {
                let legs = inner.routing.resolve_all(account, &dial).await?;
                // A call that has no place later, because others were quicker, fails like one that nobody answers.
                let ceilings = inner.config.call_ceilings();
                inner.calls.check(&account.id, dial.destinations.len(), ceilings).map_err(|full| {
                    inner.count_refused_call(full);
                    full.error("calls", ceilings)
                })?;
                let main_auth_id = inner.main_auth_id(account).await;
                let request_uuid = Uuid::new_v4().to_string();
                let calls: Vec<AddedCall> = dial
                    .destinations
                    .iter()
                    .enumerate()
                    .map(|(index, destination)| AddedCall {
                        to: destination.to.clone(),
                        from: dial.from.clone(),
                        call_uuid: if index == 0 { request_uuid.clone() } else { Uuid::new_v4().to_string() },
                        member: None,
                    })
                    .collect();
                let first = calls.first().ok_or_else(|| CommandError::Invalid("nobody to dial was named".into()))?;
                let absent = MemberView::expected(&join, &first.call_uuid, &dial.from, &first.to);
                let dial_id = inner.dials.fetch_add(1, Ordering::Relaxed);
                let room =
                    self.expect(account, dialect, &join, known, dial_id, &dial.dial_music, absent.clone()).await?;
                room.tell(Kind::AddInitiated, Some(absent), None).await;
                let added = Added { request_uuid, calls, room_uuid: room.uuid().to_owned() };
                let member = DialledMember {
                    account: account.clone(),
                    main_auth_id,
                    dial: *dial,
                    join,
                    dialect,
                    dial_id,
                    request_uuid: added.request_uuid.clone(),
                };
                session::dial_member(inner, room, member, added.calls.clone(), legs);
                Ok(added)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a dial brings with it")]
    async fn expect(
        &self,
        account: &AccountRef,
        dialect: &'static str,
        join: &Join,
        mut known: Option<RoomHandle>,
        dial_id: u64,
        music: &crate::command::DialMusic,
        absent: MemberView,
    ) -> Result<RoomHandle, CommandError> {
        loop {
            let room = match known.take() {
                Some(room) => room,
                None => {
                    let opener = Some(absent.clone());
                    self.inner.find_or_open(&account.id, &account.auth_id, dialect, join, opener)?
                }
            };
            match room.expect(dial_id, music.clone(), absent.clone()).await {
                Ok(()) => return Ok(room),
                Err(CommandError::NotFound { what: "room", .. }) => room.gone().await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn move_call(
        &self,
        account: &AccountRef,
        uuid: String,
        join: Join,
        known: Option<RoomHandle>,
        dialect: &'static str,
    ) -> Result<Added, CommandError> {
        let gone = || CommandError::NotFound { what: "call", id: uuid.clone() };
        let mailbox = self.inner.calls.get(&account.id, &uuid).ok_or_else(gone)?;
        let snapshot = self.call(account, &uuid).await.ok_or_else(gone)?;
        // The place is kept first: a call that cannot enter stays where it is.
        let dial = self.inner.dials.fetch_add(1, Ordering::Relaxed);
        let newcomer = match snapshot.call.direction {
            Direction::Outbound => MemberView::expected(&join, &uuid, &snapshot.call.from, &snapshot.call.to),
            Direction::Inbound => MemberView {
                address: snapshot.call.from.clone(),
                direction: Direction::Inbound,
                ..MemberView::expected(&join, &uuid, &snapshot.call.from, &snapshot.call.to)
            },
        };
        let silent = crate::command::DialMusic::Silent;
        let room = self.expect(account, dialect, &join, known, dial, &silent, newcomer.clone()).await?;
        room.tell(Kind::AddInitiated, Some(newcomer.clone()), Some(snapshot.call.clone())).await;
        let (reply, answer) = oneshot::channel();
        let message = CallMessage::Move { join: Box::new(join), room: room.clone(), dialect, reply };
        let answer =
            if mailbox.send(message).await { answer.await.unwrap_or_else(|_| Err(gone())) } else { Err(gone()) };
        let outcome = if answer.is_ok() { session::ENTERED } else { session::NOT_ENTERED };
        room.added(outcome, &snapshot.call, newcomer).await;
        room.expectation_over(dial).await;
        let joined = answer?;
        let call = AddedCall {
            to: snapshot.call.to,
            from: snapshot.call.from,
            call_uuid: uuid.clone(),
            member: Some(joined.number),
        };
        Ok(Added { request_uuid: uuid, calls: vec![call], room_uuid: room.uuid().to_owned() })
    }

    /// Makes a call that runs instructions of its own once it is answered. Returns when its INVITE is sent, or could not be:
    /// what becomes of it then is told.
    pub async fn place_call(
        &self,
        account: &AccountRef,
        call: crate::command::PlaceCall,
        by: Asker,
    ) -> Result<crate::command::Placed, CommandError> {
        tracing::info!(account = account.id, by = by.id, "a program makes a call");
        session::place(&self.inner, account, call).await
    }

    /// The account's queues by name, and how many calls wait in each.
    pub fn queues(&self, account: &AccountRef) -> Vec<(String, usize)> {
        let (sub, own) = (account.auth_id.starts_with("SA"), queue_owner(&account.id, &account.auth_id));
        let under = format!("{}/", account.id);
        self.inner.queues.of(|owner| owner == own || !sub && owner.starts_with(&under))
    }

    /// Stops: takes no new calls, waits up to `wait` for the live ones to end, hangs up the rest, and delivers the callbacks
    /// that are due, for as long as [`OutboxConfig::drain`].
    pub async fn shutdown(&self, wait: Duration) {
        let inner = &self.inner;
        inner.draining.store(true, Ordering::Relaxed);
        let sip = inner.sip.clone();
        // It returns when the last dialog has ended, which the rest of this function sees to.
        tokio::spawn(async move { sip.drain().await });
        let emptied = async {
            while inner.calls.len() > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(wait, emptied).await.is_err() {
            for mailbox in inner.calls.all() {
                mailbox.owe(CallMessage::End(HangupCause::Shutdown));
            }
        }
        for room in inner.rooms.all() {
            // A room that has ended meanwhile is what is wanted.
            let _ = room.end_because(conference::EndCause::Restart, Asker::server()).await;
        }
        let settled = async {
            for room in inner.rooms.all() {
                room.gone().await;
            }
            while inner.calls.len() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(5), settled).await.is_err() {
            tracing::warn!(
                calls = inner.calls.len(),
                rooms = inner.rooms.len(),
                "calls would not end; they are cut off"
            );
        }
        inner.stop_outbox.cancel();
        inner.tasks.close();
        // The last requests begin just before the time is up, and have a limit of their own.
        if tokio::time::timeout(inner.config.outbox.drain + outbox::LAST_REQUESTS, inner.tasks.wait()).await.is_err() {
            tracing::warn!("callbacks under way were cut off; they are delivered after the next start");
        }
    }
}

impl Inner {
    /// The live room that `join` names, or a new one under its settings.
    pub fn find_or_open(
        self: &Arc<Self>,
        account: &str,
        auth_id: &str,
        dialect: &'static str,
        join: &Join,
        opener: Option<MemberView>,
    ) -> Result<RoomHandle, CommandError> {
        let open = || {
            let opening = Opening {
                uuid: Uuid::new_v4().to_string(),
                name: join.room.clone(),
                unnamed: false,
                account: account.to_owned(),
                auth_id: auth_id.to_owned(),
                dialect,
                settings: join.room_settings.clone(),
                opener,
            };
            room::open(self, opening)
        };
        let opened = self.rooms.get_or_open(account, &join.room, self.config.room_ceilings(), open);
        if let Err(CommandError::OverLimit { .. }) = &opened {
            self.counters.rooms_over_account_limit.add(1);
        }
        let (room, new) = opened?;
        if new {
            self.counters.rooms_opened.add(1);
        }
        // Sub-accounts share no rooms: whoever opens a name first must not get the others' callers.
        if room.auth_id() == auth_id { Ok(room) } else { Err(taken(room.name())) }
    }

    /// A new room without a name, in which calls are connected. It ends when one of those leaves whose departure ends it.
    pub fn open_unnamed(
        self: &Arc<Self>,
        account: &str,
        auth_id: &str,
        dialect: &'static str,
        opener: MemberView,
    ) -> Result<RoomHandle, CommandError> {
        let uuid = Uuid::new_v4().to_string();
        let opening = Opening {
            name: uuid.clone(),
            uuid,
            unnamed: true,
            account: account.to_owned(),
            auth_id: auth_id.to_owned(),
            dialect,
            settings: crate::verb::RoomSettings::default(),
            opener: Some(opener),
        };
        let opened = self.rooms.open_unnamed(account, self.config.room_ceilings(), || room::open(self, opening));
        if let Err(CommandError::OverLimit { .. }) = &opened {
            self.counters.rooms_over_account_limit.add(1);
        }
        self.counters.rooms_opened.add(u64::from(opened.is_ok()));
        opened
    }

    /// A number for a dial, unlike that of any other.
    pub fn next_dial(&self) -> u64 {
        self.dials.fetch_add(1, Ordering::Relaxed)
    }

    /// The auth id of the main account; the asking one's if it cannot be read.
    pub async fn main_auth_id(&self, account: &AccountRef) -> String {
        let main = match account.id.parse() {
            Ok(id) => self.store.account(id).await.ok().flatten(),
            Err(_) => None,
        };
        main.map_or_else(|| account.auth_id.clone(), |main| main.auth_id)
    }

    /// Counts a call out that had no place.
    pub fn count_refused_call(&self, full: Full) {
        self.counters.calls_refused.add(1);
        if full == Full::Account {
            self.counters.calls_over_account_limit.add(1);
        }
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Removes a leg; one that cannot be removed at once is tried again, so that neither it nor its ports leak.
    pub async fn remove_leg(&self, leg: LegId) {
        match tokio::time::timeout(Duration::from_secs(1), self.media.remove_leg(leg)).await {
            Ok(Ok(_) | Err(media::MediaError::NoLeg(_) | media::MediaError::Stopped)) => {}
            Err(_) => tracing::warn!(%leg, "a leg's removal was not confirmed within 1 s"),
            Ok(Err(error)) => {
                tracing::warn!(%leg, %error, "a leg is removed later");
                let media = self.media.clone();
                tokio::spawn(async move {
                    while let Err(media::MediaError::Busy(_)) = media.remove_leg(leg).await {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                });
            }
        }
    }
}

/// Whose a queue is: sub-accounts share none.
pub(crate) fn queue_owner(account: &str, auth_id: &str) -> String {
    if auth_id.starts_with("SA") { format!("{account}/{auth_id}") } else { account.to_owned() }
}

fn taken(name: &str) -> CommandError {
    CommandError::Conflict(format!("another account has a room named {name:?}; choose another name"))
}

/// Passes the media plane's facts on to those they concern.
async fn pass_facts(inner: Arc<Inner>, mut facts: mpsc::Receiver<Fact>) {
    while let Some(fact) = facts.recv().await {
        let (leg, told) = match fact {
            Fact::Digit { leg, digit, duration_ms } => {
                (leg, LegFact::Digit(digit, Duration::from_millis(duration_ms.into())))
            }
            Fact::PlayEnded { leg, play, .. } => (leg, LegFact::PlayEnded(play)),
            Fact::Speaking { leg, speaking, .. } => (leg, LegFact::Speaking(speaking)),
            Fact::MediaTimeout { leg } => (leg, LegFact::Timeout),
            Fact::LegFailed { leg, message } => (leg, LegFact::Failed(message)),
            Fact::PlayerEnded { room, player, .. } => {
                tell_room(&inner, room, MediaFact::PlayerEnded(player));
                continue;
            }
            Fact::RoomFailed { room, message } => {
                tell_room(&inner, room, MediaFact::Failed(message));
                continue;
            }
            Fact::FirstPacket { .. } | Fact::RemoteChanged { .. } | Fact::DigitsSent { .. } => continue,
        };
        let owed = matches!(told, LegFact::PlayEnded(_) | LegFact::Timeout | LegFact::Failed(_));
        match inner.calls.by_leg(leg) {
            Some(mailbox) if owed => mailbox.owe(CallMessage::Media(told)),
            Some(mailbox) if mailbox.spare(CallMessage::Media(told)) => {}
            Some(_) => inner.counters.mailbox_overflows.add(1),
            None => inner.counters.stray_facts.add(1),
        }
    }
}

fn tell_room(inner: &Inner, room: media::RoomId, fact: MediaFact) {
    match inner.rooms.by_media(room) {
        // The media plane tells it once.
        Some(room) => room.owe_fact(fact),
        None => inner.counters.stray_facts.add(1),
    }
}

async fn take_calls(inner: Arc<Inner>, mut incoming: mpsc::Receiver<sip::Incoming>) {
    while let Some(call) = incoming.recv().await {
        inner.counters.calls_in.add(1);
        tokio::spawn(session::take(Arc::clone(&inner), call));
    }
}

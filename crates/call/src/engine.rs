//! The engine: holds the parts together, takes calls in, and carries out what programs ask.

mod config;
mod facts;
mod look;
mod members;
mod people;
mod rooms;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use media::{Fact, LegId, MediaPlane};
use store::Store;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::EngineConfig;

use crate::cause::HangupCause;
use crate::clock::Clock;
use crate::command::{
    AccountRef, Asker, CallChanged, CallCommand, CallSnapshot, CommandError, PlaceCall, Placed, RoomRef,
};
use crate::counter::Counters;
use crate::dialect::Dialect;
use crate::hooks::Hooks;
use crate::http::Http;
use crate::keyholder;
use crate::numbers::MemberNumbers;
use crate::outbox;
use crate::queues::Queues;
use crate::recogniser::Recogniser;
use crate::records::Records;
use crate::registry::{Calls, Full, Links, Rooms};
use crate::room::RoomHandle;
use crate::routing::Routing;
use crate::session::{self, CallMessage};
use crate::sound::Sounds;
use crate::ticket::Tickets;

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
    /// Browsers' media, where it is served.
    pub webrtc: Option<webrtc::WebRtc>,
    /// Tickets, as the roster of `sip` knows them.
    pub tickets: Tickets,
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
    pub webrtc: Option<webrtc::WebRtc>,
    pub tickets: Tickets,
    pub sip: sip::Sip,
    pub records: Records,
    pub rooms: Rooms,
    pub calls: Calls,
    pub queues: Queues,
    pub routing: Routing,
    pub numbers: MemberNumbers,
    pub counters: Arc<Counters>,
    /// What a stopping server waits for: the outbox, and what programs are still told. Each ends by itself.
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
        let Parts { store, media, facts, sip, incoming, dialects, webrtc, tickets } = parts;
        let clock = Clock::default();
        let http = Http::new(config.http.clone());
        let hooks = Hooks::new(clock, http.clone(), store.clone(), dialects.clone());
        let domains = config.shared_domains.clone();
        let links = Links::default();
        let counters = tickets.counters();
        let records = Records::new(clock, store.clone(), hooks.clone(), links.clone());
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
            webrtc,
            tickets,
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
        tokio::spawn(facts::pass_facts(Arc::clone(&inner), facts));
        tokio::spawn(take_calls(Arc::clone(&inner), incoming));
        keyholder::start(&inner);
        Ok(Self { inner })
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Where the carriers of its trunks are.
    pub fn carriers(&self) -> &crate::carriers::Carriers {
        self.inner.routing.carriers()
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

    /// A live call of the account; as it was last recorded, if it is too busy to say.
    pub async fn call(&self, account: &AccountRef, uuid: &str) -> Option<CallSnapshot> {
        let mailbox = self.inner.calls.get(&account.id, uuid)?;
        let snapshot = match look::at(&mailbox, look::LONGEST).await {
            Ok(snapshot) => snapshot?,
            Err(look::Busy) => look::recorded(&self.inner.store, &account.id, uuid).await?,
        };
        Some(snapshot).filter(|snapshot| account.sees(&snapshot.call.auth_id))
    }

    /// The account's live calls. One that is busy holds none of the others up.
    pub async fn live(&self, account: &AccountRef) -> Vec<CallSnapshot> {
        let uuids = self.calls(account);
        let looks = uuids.iter().map(|uuid| self.call(account, uuid));
        futures_util::future::join_all(looks).await.into_iter().flatten().collect()
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

    /// Makes a call that runs instructions of its own once it is answered. Returns when its INVITE is sent, or could not be:
    /// what becomes of it then is told.
    pub async fn place_call(&self, account: &AccountRef, call: PlaceCall, by: Asker) -> Result<Placed, CommandError> {
        tracing::info!(account = account.id, by = by.id, "a program makes a call");
        session::place(&self.inner, account, call).await
    }

    /// The account's queues by name, and how many calls wait in each.
    pub fn queues(&self, account: &AccountRef) -> Vec<(String, usize)> {
        let (sub, own) = (account.auth_id.starts_with("SA"), queue_owner(&account.id, &account.auth_id));
        let under = format!("{}/", account.id);
        self.inner.queues.of(|owner| owner == own || !sub && owner.starts_with(&under))
    }

    /// Stops: takes no new calls, waits up to `wait` for the live ones to end, hangs up the rest, tells their programs the
    /// last that there is to tell, and delivers the callbacks that are due, for as long as [`outbox::OutboxConfig::drain`].
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
            tracing::warn!(
                links = inner.counters.links_live.get(),
                "requests under way were cut off; callbacks among them are delivered after the next start"
            );
        }
    }
}

impl Inner {
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

async fn take_calls(inner: Arc<Inner>, mut incoming: mpsc::Receiver<sip::Incoming>) {
    while let Some(call) = incoming.recv().await {
        inner.counters.calls_in.add(1);
        tokio::spawn(session::take(Arc::clone(&inner), call));
    }
}

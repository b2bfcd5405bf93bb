//! Rooms over a media plane that runs only when it is told.

mod announcements;
mod hardship;
mod holding;
mod taking_part;
mod unnamed;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use conference::{EndCause, Entry, LeaveCause, Policy, Role};
use media::sim::Stepped;
use media::{Carrier, Codec, LegSetup, MediaConfig, MediaPlane};
use store::{Account, EventId, Store, StoreConfig, Timestamp};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

use super::{JoinRequest, Joined, Opening, RoomHandle, open};
use crate::command::{Asker, CommandError, MemberChange, Whom};
use crate::dialect::{
    Body, CallState, CallView, Callback, DeliveryOptions, Dialect, Direction, DocumentError, Happening, Purpose,
    SigningKeys,
};
use crate::link::Tell;
use crate::session::{CallMailbox, CallMessage};
use crate::verb::{Fetch, Instruction, Join, JoinHooks, MemberSettings, Method, Prompt, RoomSettings};
use crate::{Engine, EngineConfig, Parts};

/// Far more than anything here should take.
const SOON: Duration = Duration::from_secs(20);

/// A dialect that asks for nothing. `plivo` tells nobody anything, `jambonz` tells everything to a call that is over.
struct Terse(&'static str);

impl Dialect for Terse {
    fn name(&self) -> &'static str {
        self.0
    }

    fn request(&self, _: &CallView, _: &Purpose) -> Body {
        Body::Nothing
    }

    fn document(&self, _: &Fetch, _: &Purpose, _: &str, _: &[u8]) -> Result<Option<Vec<Instruction>>, DocumentError> {
        Ok(None)
    }

    fn prompts(&self, _: &str, _: &[u8]) -> Result<Vec<Prompt>, DocumentError> {
        Ok(Vec::new())
    }

    fn sign(&self, _: &SigningKeys, _: Method, _: &str, _: &Body, _: i64) -> Vec<(String, String)> {
        Vec::new()
    }

    fn callbacks(&self, _: &Happening<'_>) -> Vec<Callback> {
        if self.0 == "plivo" {
            return Vec::new();
        }
        let tell = Tell { message: "told", call: String::new(), hook: None, body: String::new() };
        vec![Callback::Message { call: String::new(), tell }]
    }

    fn delivery(&self, _: &str) -> DeliveryOptions {
        DeliveryOptions {
            connect: Duration::from_secs(1),
            total: Duration::from_secs(1),
            retries: 0,
            retry_connect: false,
            retry_timeout: false,
            retry_4xx: false,
            retry_5xx: false,
        }
    }
}

/// An engine whose media thread can be made to stand still.
struct House {
    engine: Engine,
    media: MediaPlane,
    store: Store,
    account: Account,
    /// The media thread holds this for as long as a step takes.
    still: Arc<Mutex<bool>>,
    /// How often the media thread has run.
    steps: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl House {
    async fn open(config: MediaConfig) -> Self {
        let (still, over) = (Arc::new(Mutex::new(false)), Arc::new(AtomicBool::new(false)));
        let (halted, stop) = (Arc::clone(&still), Arc::clone(&over));
        let steps = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&steps);
        let (made, parts) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let (plane, facts, mut stepped) = Stepped::new(config).unwrap();
            made.send((plane, facts)).unwrap();
            while !stop.load(Ordering::Acquire) {
                let halted = halted.lock().unwrap();
                if !*halted {
                    stepped.step(|_| {});
                    counted.fetch_add(1, Ordering::AcqRel);
                }
                drop(halted);
                // The pace of the media, not a wait for anything.
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let (media, facts) = parts.recv().unwrap();
        let store_config = StoreConfig { write_queue: 64, ..StoreConfig::default() };
        let store = Store::open_temporary(store_config).unwrap();
        let account = Account::new("main", None, Timestamp::from_micros(1_700_000_000_000_000));
        store.batch().put_account(account.clone()).commit().await.unwrap();
        let sip_config = sip::SipConfig { udp: vec![([127, 0, 0, 1], 0).into()], ..sip::SipConfig::default() };
        let roster = crate::roster::StoredRoster::new(store.clone(), Vec::new(), crate::ticket::Tickets::default());
        let (sip, incoming) = sip::Sip::start(sip_config, Arc::new(roster)).await.unwrap();
        let dialects: Vec<Arc<dyn Dialect>> = vec![Arc::new(Terse("plivo")), Arc::new(Terse("jambonz"))];
        let (webrtc, tickets) = (None, crate::ticket::Tickets::default());
        let parts =
            Parts { store: store.clone(), media: media.clone(), facts, sip, incoming, dialects, webrtc, tickets };
        let engine = Engine::start(EngineConfig::default(), parts).await.unwrap();
        Self { engine, media, store, account, still, steps, over, thread: Some(thread) }
    }

    /// From here on the media thread does nothing: a step that had begun is over.
    fn stands_still(&self) {
        *self.still.lock().unwrap() = true;
    }

    fn goes_on(&self) {
        *self.still.lock().unwrap() = false;
    }

    /// Until the media thread has run for a while.
    async fn some_ticks(&self) {
        let (from, begun) = (self.steps.load(Ordering::Acquire), Instant::now());
        while self.steps.load(Ordering::Acquire) < from + 50 {
            assert!(begun.elapsed() < SOON, "the media thread does not run");
            tokio::task::yield_now().await;
        }
    }

    fn room(&self, policy: Policy) -> RoomHandle {
        self.room_of("plivo", policy)
    }

    fn room_of(&self, dialect: &'static str, policy: Policy) -> RoomHandle {
        let opening = Opening {
            uuid: uuid::Uuid::new_v4().to_string(),
            name: "support".to_owned(),
            unnamed: false,
            account: self.account.id.to_string(),
            auth_id: self.account.auth_id.clone(),
            dialect,
            settings: RoomSettings { policy, ..RoomSettings::default() },
            opener: None,
        };
        let inner = self.engine.inner();
        let (account, ceilings) =
            (self.account.id.to_string(), crate::registry::Ceilings { server: 100, account: 100 });
        // Whatever the media plane tells finds the room by this.
        inner.rooms.open_unnamed(&account, ceilings, || open(inner, opening)).unwrap()
    }

    async fn enters(&self, room: &RoomHandle, role: Role) -> (Joined, mpsc::Receiver<CallMessage>) {
        let entry = Entry { role: Some(role), ..Entry::default() };
        let (joined, messages) = self.enters_as(room, entry, MemberSettings::default()).await;
        (joined.unwrap(), messages)
    }

    async fn enters_as(
        &self,
        room: &RoomHandle,
        entry: Entry,
        member_settings: MemberSettings,
    ) -> (Result<Joined, CommandError>, mpsc::Receiver<CallMessage>) {
        let leg = self.media.add_leg(LegSetup { telephone_event: Some(101), ..plain_leg(&self.media) }).unwrap();
        let (mailbox, messages) = CallMailbox::new();
        let request = JoinRequest {
            join: Join {
                room: "support".to_owned(),
                entry,
                room_settings: RoomSettings::default(),
                member_settings,
                hooks: JoinHooks::default(),
            },
            call: self.call(),
            leg,
            mailbox,
            dialect: "plivo",
            by: Asker::server(),
            speaking: false,
            taps: Vec::new(),
        };
        (room.join(request).await, messages)
    }

    fn call(&self) -> CallView {
        CallView {
            auth_id: self.account.auth_id.clone(),
            main_auth_id: self.account.auth_id.clone(),
            from: "4930".to_owned(),
            to: "4940".to_owned(),
            state: CallState::InProgress,
            answered_at: Some(0),
            ..CallView::new(uuid::Uuid::new_v4().to_string(), self.account.id.to_string(), Direction::Inbound, 0)
        }
    }

    /// The kinds of a room's events, in order.
    async fn events(&self, room: &RoomHandle) -> Vec<String> {
        self.log(room).await.into_iter().map(|event| event.kind).collect()
    }

    /// A room's events, in order.
    async fn log(&self, room: &RoomHandle) -> Vec<store::Event> {
        let id = room.uuid().parse().unwrap();
        self.store.events_after(self.account.id, Some(id), EventId(0), 1000).await.unwrap().events
    }
}

/// A leg without a far side.
fn plain_leg(media: &MediaPlane) -> LegSetup {
    let ports = media.reserve_ports().unwrap();
    let signalling_source = [127, 0, 0, 1].into();
    LegSetup::new(Carrier::Rtp { ports, remote: None, remote_rtcp: None, signalling_source }, Codec::Pcmu.into(), 0)
}

fn config(first_port: u16) -> MediaConfig {
    MediaConfig {
        bind: [127, 0, 0, 1].into(),
        ports: first_port..=first_port + 99,
        command_capacity: 16,
        ..MediaConfig::default()
    }
}

fn mute(muted: bool) -> MemberChange {
    MemberChange { mute: Some(muted), ..MemberChange::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_shard_does_not_confirm_within_a_second_is_answered_as_pending_and_shown_so_until_it_is_applied() {
    let house = House::open(config(40_100)).await;
    let room = house.room(Policy::default());
    let (customer, _customers) = house.enters(&room, Role::Customer).await;
    let (agent, _agents) = house.enters(&room, Role::Agent).await;
    assert!(customer.applied.confirmed && agent.applied.confirmed);
    let whom = |joined: &Joined| Whom::Members(vec![joined.number]);
    assert!(room.change(whom(&agent), mute(true), Asker::server()).await.unwrap().confirmed);
    assert!(!room.snapshot().await.unwrap().pending);
    let last = room.change(whom(&agent), mute(false), Asker::server()).await.unwrap();

    house.stands_still();
    let began = Instant::now();
    // Ten at once: each has its own second, they do not wait for one another's, which would take ten.
    let hold = |held| MemberChange { hold: Some(held), ..MemberChange::default() };
    let mut changes: Vec<_> = [&customer, &agent].map(|joined| (whom(joined), mute(true))).into();
    changes.extend((0..8).map(|n| (whom(&customer), hold(n % 2 == 0))));
    let (one_thread, mut answers) = (LocalSet::new(), JoinSet::new());
    for (whom, change) in changes {
        let room = room.clone();
        answers.spawn_local_on(async move { room.change(whom, change, Asker::server()).await }, &one_thread);
    }
    let (answers, started) = tokio::join!(one_thread.run_until(answers.join_all()), room.start(Asker::server()));
    let took = began.elapsed();
    for answer in answers {
        let applied = answer.unwrap();
        assert!(!applied.confirmed, "confirmed by a shard that stands still: {applied:?}");
        assert_eq!(applied.tick, last.tick, "a tick that nobody has told");
    }
    assert!(started.is_ok());
    // The promise is a second; the rest is for a busy machine.
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "it took {took:?}");
    let shown = room.snapshot().await.unwrap();
    assert!(shown.pending, "the state says nothing of it");
    assert!(shown.members.iter().all(|member| member.muted), "what was asked for is what is shown");
    // Its events are committed with the answer, and not a second time with the confirmation.
    let muted = async || house.events(&room).await.iter().filter(|kind| *kind == "member.muted").count();
    assert_eq!(muted().await, 3);

    house.goes_on();
    let begun = Instant::now();
    while room.snapshot().await.unwrap().pending {
        assert!(begun.elapsed() < SOON, "it stays pending");
        tokio::task::yield_now().await;
    }
    let applied = room.change(whom(&customer), mute(false), Asker::server()).await.unwrap();
    assert!(applied.confirmed && applied.tick >= last.tick, "{applied:?}");
    // What changes nothing has nothing to wait for.
    assert!(room.change(whom(&customer), mute(false), Asker::server()).await.unwrap().confirmed);
    assert_eq!(muted().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_a_command_before_it_does_anything() {
    let house = House::open(config(40_300)).await;
    let room = house.room(Policy::default());
    let (_customer, _customers) = house.enters(&room, Role::Customer).await;
    let (agent, _agents) = house.enters(&room, Role::Agent).await;
    let before = house.events(&room).await.len();
    house.stands_still();
    // Asked for in this order, each changes something, so each is a command for the shard; far more than its queue holds.
    let (one_thread, mut answers) = (LocalSet::new(), JoinSet::new());
    for n in 0..64 {
        let (room, number) = (room.clone(), agent.number);
        let change = async move { room.change(Whom::Members(vec![number]), mute(n % 2 == 0), Asker::server()).await };
        answers.spawn_local_on(change, &one_thread);
    }
    let (mut pending, mut busy) = (0, 0);
    for answer in one_thread.run_until(answers.join_all()).await {
        match answer {
            Ok(applied) => {
                assert!(!applied.confirmed, "confirmed by a shard that stands still: {applied:?}");
                pending += 1;
            }
            Err(CommandError::Busy(_)) => busy += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(busy > 0 && pending > 0, "{pending} pending, {busy} refused");
    let told = house.events(&room).await.len() - before;
    assert!(told <= pending, "{told} events of {pending} changes: a refused one was told");
    house.goes_on();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_longest_duration_has_passed_ends_for_all_with_that_cause() {
    let house = House::open(config(40_500)).await;
    // Long enough for both to enter, however busy the machine is.
    let length = Duration::from_secs(4);
    let began = Instant::now();
    let room = house.room(Policy { max_duration: Some(length), ..Policy::default() });
    let (customer, mut customers) = house.enters(&room, Role::Customer).await;
    let (agent, mut agents) = house.enters(&room, Role::Agent).await;
    tokio::time::timeout(SOON, room.gone()).await.expect("the room does not end");
    assert!(began.elapsed() >= length, "it ended after {:?}", began.elapsed());
    for (joined, messages) in [(&customer, &mut customers), (&agent, &mut agents)] {
        match tokio::time::timeout(SOON, messages.recv()).await {
            Ok(Some(CallMessage::LeftRoom(departure, LeaveCause::RoomEnded))) => {
                assert_eq!(departure.member.number, joined.number);
            }
            _ => panic!("a call was not told that its room has ended"),
        }
    }
    let row = house.store.room(house.account.id, room.uuid().parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(row.termination_cause, crate::stored::word(&EndCause::MaxDuration));
    let events = house.events(&room).await;
    let last = events.iter().rev().take(3).map(String::as_str).collect::<Vec<_>>();
    assert_eq!(last, ["room.ended", "member.left", "member.left"], "{events:?}");
    assert!(matches!(room.snapshot().await, Err(CommandError::NotFound { .. })), "an ended room answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hears_whom_is_told_with_the_tick_from_which_it_holds_after_the_changes_before_it() {
    let house = House::open(config(40_700)).await;
    let room = house.room(Policy::default());
    let (customer, _customers) = house.enters(&room, Role::Customer).await;
    let (agent, _agents) = house.enters(&room, Role::Agent).await;
    let whom = || Whom::Members(vec![agent.number]);
    let heard = |matrix: &crate::command::HearingMatrix| {
        matrix.rows.iter().any(|row| row.listener == customer.number && row.hears == [agent.number])
    };
    let muted = room.change(whom(), mute(true), Asker::server()).await.unwrap();
    let shown = room.hearing().await.unwrap();
    assert_eq!((shown.tick, shown.at, shown.pending, heard(&shown)), (muted.tick, muted.at, false, false));
    // What changes nobody's hearing holds from no other tick.
    let tagged = MemberChange { tag: Some(Some(conference::Tag::new("vip"))), ..MemberChange::default() };
    room.change(whom(), tagged, Asker::server()).await.unwrap();
    assert_eq!(room.hearing().await.unwrap(), shown);
    house.some_ticks().await;
    assert_eq!(room.hearing().await.unwrap(), shown, "time alone changes nothing");
    // Asked right behind a change, it is answered after that.
    let (unmuted, shown) = tokio::join!(room.change(whom(), mute(false), Asker::server()), room.hearing());
    let (unmuted, shown) = (unmuted.unwrap(), shown.unwrap());
    assert!(unmuted.tick > muted.tick);
    assert_eq!((shown.tick, shown.at, heard(&shown)), (unmuted.tick, unmuted.at, true));

    house.some_ticks().await;
    house.stands_still();
    assert!(!room.change(whom(), mute(true), Asker::server()).await.unwrap().confirmed);
    let shown = room.hearing().await.unwrap();
    assert_eq!((shown.tick, shown.at, shown.pending), (unmuted.tick, unmuted.at, true), "a tick that nobody has told");
    house.goes_on();
    let begun = Instant::now();
    let shown = loop {
        let shown = room.hearing().await.unwrap();
        if !shown.pending {
            break shown;
        }
        assert!(begun.elapsed() < SOON, "it stays pending");
    };
    assert!(shown.tick > unmuted.tick && !heard(&shown), "the late confirmation counts: {shown:?}");
}

//! Members that programs add to rooms: somebody who is dialled, or a live call.

use std::sync::atomic::Ordering;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::Engine;
use super::rooms::taken;
use crate::command::{AccountRef, AddMember, Added, AddedCall, Asker, CommandError, DialMusic, Newcomer, RoomRef};
use crate::dialect::{Direction, Kind, MemberView};
use crate::room::RoomHandle;
use crate::session::{self, CallMessage, DialledMember};
use crate::verb::Join;

impl Engine {
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
        music: &DialMusic,
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
        let silent = DialMusic::Silent;
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
}

//! Calls and rooms that exist on paper.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use call::command::{
    AccountRef, Asker, CallChanged, CallCommand, CommandError, PlaceCall, Placed, RoomSnapshot, TapRoom, Tapped,
};
use call::dialect::{CallState, CallView, Direction, MemberView, RoomView, SipView};
use conference::{MemberId, Role, Tag};
use jambonz::rest::Control;

/// What was asked of it, and what it answers next.
#[derive(Default)]
pub struct Paper {
    pub calls: Mutex<Vec<CallView>>,
    pub rooms: Mutex<Vec<RoomSnapshot>>,
    pub did: Mutex<Vec<(String, CallCommand, Asker)>>,
    pub placed: Mutex<Vec<PlaceCall>>,
    pub taps: Mutex<HashMap<(String, bool), TapRoom>>,
    pub queues: Mutex<Vec<(String, usize)>>,
    pub refuse: Mutex<Option<CommandError>>,
    pub sip: Mutex<Option<(u16, String)>>,
}

pub fn call(account: &store::Account, uuid: &str, direction: Direction) -> CallView {
    CallView {
        uuid: uuid.to_owned(),
        auth_id: account.auth_id.clone(),
        main_auth_id: account.auth_id.clone(),
        account: account.id.to_string(),
        direction,
        from: "15083084809".to_owned(),
        to: "16173333456".to_owned(),
        caller_name: "Zoë".to_owned(),
        state: CallState::InProgress,
        request_uuid: None,
        sip: SipView { call_id: format!("{uuid}@sip"), status: 200, reason: "OK".to_owned(), ..SipView::default() },
        parent: None,
        app_sid: Some("0e0681b0-d49f-4fb8-b973-b5a3c6758de1".to_owned()),
        attached: Some(r#"{"orderId":7}"#.to_owned()),
        room: None,
        origin: None,
        application: None,
        headers: Vec::new(),
        began_at: 0,
        answered_at: Some(crate::desk::now().micros() - 61_500_000),
        ended_at: None,
        cause: None,
        state_callback: None,
        hangup_callback: None,
        webrtc: false,
        endpoint: None,
        ticket: None,
    }
}

pub fn member(call: &CallView, number: i64, tag: Option<&str>, role: Option<Role>) -> MemberView {
    MemberView {
        number,
        id: MemberId(u32::try_from(number).unwrap()),
        role,
        tag: tag.map(Tag::new),
        call_uuid: call.uuid.clone(),
        address: if call.direction == Direction::Inbound { call.from.clone() } else { call.to.clone() },
        from: call.from.clone(),
        to: call.to.clone(),
        direction: call.direction,
        coaching: false,
        muted: false,
        held: false,
        joined_at: Some(1),
        left_at: None,
        leave_cause: None,
        start_on_enter: true,
        end_on_exit: false,
        admitted: true,
        callbacks: None,
    }
}

pub fn room(account: &store::Account, name: &str, started: bool, members: Vec<MemberView>) -> RoomSnapshot {
    let opened_at = crate::desk::now().micros() - 61_500_000;
    let room = RoomView {
        uuid: format!("room-{name}"),
        name: name.to_owned(),
        auth_id: account.auth_id.clone(),
        started,
        opened_at,
        started_at: started.then_some(opened_at),
        ended_at: None,
        end_cause: None,
        callbacks: None,
        stay_alone: false,
        members: u32::try_from(members.len()).unwrap(),
        unnamed: false,
        max_members: 10,
        max_duration_s: None,
    };
    RoomSnapshot { room, members, expected: 0, pending: false }
}

#[async_trait]
impl Control for Paper {
    async fn calls(&self, account: &AccountRef) -> Vec<CallView> {
        self.calls.lock().unwrap().iter().filter(|call| call.account == account.id).cloned().collect()
    }

    async fn call(&self, account: &AccountRef, uuid: &str) -> Option<CallView> {
        Control::calls(self, account).await.into_iter().find(|call| call.uuid == uuid)
    }

    async fn command(
        &self,
        account: &AccountRef,
        uuid: &str,
        command: CallCommand,
        by: Asker,
    ) -> Result<CallChanged, CommandError> {
        if let Some(error) = self.refuse.lock().unwrap().take() {
            return Err(error);
        }
        let gone = CommandError::NotFound { what: "call", id: uuid.to_owned() };
        self.call(account, uuid).await.ok_or(gone)?;
        self.did.lock().unwrap().push((uuid.to_owned(), command, by));
        Ok(CallChanged { sip: self.sip.lock().unwrap().take() })
    }

    async fn place(&self, _: &AccountRef, call: PlaceCall, _: Asker) -> Result<Placed, CommandError> {
        if let Some(error) = self.refuse.lock().unwrap().take() {
            return Err(error);
        }
        self.placed.lock().unwrap().push(call);
        Ok(Placed { call: "7d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c01".to_owned(), call_id: "a84b@aside".to_owned() })
    }

    async fn rooms(&self, account: &AccountRef) -> Vec<RoomSnapshot> {
        let rooms = self.rooms.lock().unwrap();
        rooms.iter().filter(|room| room.room.auth_id == account.auth_id).cloned().collect()
    }

    async fn queues(&self, _: &AccountRef) -> Vec<(String, usize)> {
        self.queues.lock().unwrap().clone()
    }

    async fn tap(
        &self,
        account: &AccountRef,
        room: &str,
        tap: TapRoom,
        _: Asker,
    ) -> Result<Option<Tapped>, CommandError> {
        if let Some(error) = self.refuse.lock().unwrap().take() {
            return Err(error);
        }
        if !Control::rooms(self, account).await.iter().any(|there| there.room.name == room) {
            return Ok(None);
        }
        let key = (room.to_owned(), tap.members);
        let known = self.taps.lock().unwrap().insert(key, tap).is_some();
        Ok(Some(Tapped { id: format!("tap-{room}"), known }))
    }

    async fn untap(&self, _: &AccountRef, room: &str, members: bool) -> Result<bool, CommandError> {
        Ok(self.taps.lock().unwrap().remove(&(room.to_owned(), members)).is_some())
    }
}

//! What a room looks like from outside: views, rows, the hearing matrix.

use conference::{MemberId, Room};

use super::actor::Actor;
use super::seats::Seat;
use crate::command::{HearingMatrix, HearingRow, RoomSnapshot};
use crate::dialect::{MemberView, RoomView};
use crate::records::RoomRows;

impl Actor {
    pub(super) fn view_of(&self, id: MemberId) -> Option<MemberView> {
        self.seats.get(&id).map(|seat| self.view(&self.room, id, seat))
    }

    pub(super) fn view(&self, room: &Room, id: MemberId, seat: &Seat) -> MemberView {
        let member = room.member(id);
        let address = match seat.call.direction {
            crate::dialect::Direction::Inbound => &seat.call.from,
            crate::dialect::Direction::Outbound => &seat.call.to,
        };
        MemberView {
            number: seat.number,
            id,
            role: member.and_then(|m| m.role),
            tag: member.and_then(|m| m.tag.clone()),
            call_uuid: seat.call.uuid.clone(),
            address: address.clone(),
            from: seat.call.from.clone(),
            to: seat.call.to.clone(),
            direction: seat.call.direction,
            coaching: member.is_some_and(|m| m.coaching),
            muted: member.is_some_and(|m| m.muted),
            held: member.is_some_and(|m| room.is_held(m)),
            joined_at: Some(seat.joined_at),
            left_at: None,
            leave_cause: None,
            start_on_enter: member.is_some_and(|m| m.start_on_enter),
            end_on_exit: member.is_some_and(|m| m.end_on_exit),
            admitted: room.has_started() && member.is_some_and(|m| !m.preparing),
            callbacks: seat.settings.callbacks.clone(),
        }
    }

    pub(super) fn room_view(&self, room: &Room) -> RoomView {
        RoomView {
            uuid: self.me.uuid().to_owned(),
            name: self.me.name().to_owned(),
            auth_id: self.auth_id.clone(),
            started: room.has_started(),
            opened_at: self.opened_at,
            started_at: self.started_at,
            ended_at: self.ended.map(|(at, _)| at),
            end_cause: self.ended.map(|(_, cause)| cause),
            callbacks: self.settings.callbacks.clone(),
            members: self.taking_part,
            unnamed: self.me.is_unnamed(),
            stay_alone: room.policy().stay_alone,
            max_members: room.policy().max_members,
            max_duration_s: room.policy().max_duration.map(|d| d.as_secs()),
        }
    }

    pub(super) fn snapshot(&self) -> RoomSnapshot {
        let members = self.seats.iter().map(|(id, seat)| self.view(&self.room, *id, seat)).collect();
        let pending = self.me.identity.pending.load(std::sync::atomic::Ordering::Relaxed) > 0;
        RoomSnapshot { room: self.room_view(&self.room), members, expected: self.room.expected(), pending }
    }

    pub(super) fn rows(&self, room: &Room, members: Vec<MemberView>) -> RoomRows {
        let own = |seat: &Seat| Some((seat.number, seat.settings.callbacks.clone()?));
        RoomRows {
            room: self.room_view(room),
            dialect: self.dialect,
            sequence: self.sequence,
            members,
            callbacks: self.seats.values().filter_map(own).collect(),
        }
    }

    /// Without its tick and time, which the publisher knows.
    pub(super) fn matrix(&self, room: &Room) -> HearingMatrix {
        let hearing = room.hearing();
        let rows = self
            .seats
            .iter()
            .map(|(id, seat)| {
                let ear = conference::Listener::Ear(*id);
                let heard = |other: &MemberId| hearing.allows(ear, conference::Source::Microphone(*other));
                HearingRow {
                    listener: seat.number,
                    role: room.member(*id).and_then(|m| m.role).map(|r| r.as_str().to_owned()),
                    call_uuid: seat.call.uuid.clone(),
                    hears: self.seats.iter().filter(|(other, _)| heard(other)).map(|(_, s)| s.number).collect(),
                }
            })
            .collect();
        HearingMatrix { tick: 0, at: 0, pending: false, rows }
    }
}

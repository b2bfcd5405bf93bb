//! What is told of a room: each change with its events, in its order.

use std::sync::Arc;

use conference::{LeaveCause, MemberId, Room};

use super::actor::Actor;
use super::change::Extras;
use super::publish::{After, Change, Publication, letting_go};
use crate::command::Asker;
use crate::dialect::{CallView, Departure, Kind, MemberView};
use crate::records::Happened;
use crate::session::CallMessage;

impl Actor {
    /// Publishes something that changes nothing. What may come without end is left out while far too much waits to be recorded.
    pub(super) async fn tell(&mut self, kind: Kind, member: Option<MemberView>, call: Option<CallView>) {
        use Kind as K;
        let small = matches!(kind, K::Digit(_) | K::Speaking(_) | K::Warning(_) | K::Fault(..) | K::RoomSound { .. });
        if small && self.me.identity.backlog.is_long() {
            self.inner.counters.records_dropped.add(1);
            return;
        }
        let happened = self.happened(&self.room.clone(), kind, member, call);
        self.publish_nothing(vec![happened], Vec::new()).await;
    }

    /// Has this recorded and done in its place among the changes.
    pub(super) async fn publish_nothing(&self, records: Vec<Happened>, after: Vec<After>) {
        self.send(unchanged(records, after)).await;
    }

    /// The same, of what those see who watch the room.
    pub(super) async fn publish_seen(&self, records: Vec<Happened>, after: Vec<After>, by: Asker) {
        let live = Some(Box::new(self.live(&self.room)));
        self.send(Publication { by, live, ..unchanged(records, after) }).await;
    }

    pub(super) async fn publish_change(
        &mut self,
        old: &Room,
        events: Vec<conference::Event>,
        heard_differently: bool,
        change: Option<Change>,
        by: Asker,
        mut extras: Extras,
    ) {
        let now = self.inner.clock.utc();
        let room = self.room.clone();
        let mut records = Vec::new();
        let mut after = Vec::new();
        let mut changed = Vec::new();
        let mut entered = Vec::new();
        for event in events {
            use conference::Event as E;
            let (kind, member) = match event {
                E::Opened => (Kind::RoomOpened, None),
                E::Started => {
                    self.started_at = Some(now);
                    for (_, seat) in self.seats.iter().filter(|(id, _)| !entered.contains(*id)) {
                        let started = CallMessage::RoomStarted(self.me.uuid().to_owned());
                        after.push(After::Notify(seat.mailbox.clone(), Box::new(started)));
                    }
                    (Kind::RoomStarted, None)
                }
                E::Ended(cause) => {
                    self.ended = Some((now, cause));
                    (Kind::RoomEnded, None)
                }
                E::Joined(id) => {
                    entered.push(id);
                    (Kind::Joined, Some(id))
                }
                E::Admitted(id) => {
                    self.taking_part += 1;
                    (Kind::Admitted, Some(id))
                }
                E::Left(id, cause) => {
                    if let Some(view) = self.depart(old, id, cause, now, &mut after) {
                        if self.help.remove(&id) {
                            records.push(self.happened(&room, Kind::Help(false), Some(view.clone()), None));
                        }
                        changed.push(view.clone());
                        records.push(self.happened(&room, Kind::Left, Some(view), None));
                    }
                    continue;
                }
                E::Muted(id, muted) => (Kind::Muted(muted), Some(id)),
                E::Held(id, held) => (Kind::Held(held), Some(id)),
                E::Coaching(id, coaching) => (Kind::Coaching(coaching), Some(id)),
                E::Tagged(id, _) => (Kind::Tagged, Some(id)),
                E::Takeover(id, on) => (Kind::Takeover(on), Some(id)),
                E::CoachAudience(id) => (Kind::CoachAudience, Some(id)),
                E::PlayerRemoved(_) => continue,
            };
            let view = member.and_then(|id| self.view_of(id));
            changed.extend(view.clone());
            records.push(self.happened(&room, kind, view, None));
        }
        for view in self.helped_by(&room, &entered) {
            records.push(self.happened(&room, Kind::Help(false), Some(view), None));
        }
        for (kind, member, call) in extras.events {
            records.push(self.happened(&room, kind, member, call));
        }
        let worth_recording = !records.is_empty();
        for (id, speaking) in self.speech_changes() {
            let view = self.view_of(id);
            records.push(self.happened(&room, Kind::Speaking(speaking), view, None));
        }
        after.extend(self.tell_unheld(old));
        // A departure is told to the call after whoever caused it has his answer.
        let mut steps = extras.after;
        steps.append(&mut after);
        let (sent, mut left) = (tokio::time::Instant::now(), std::mem::take(&mut extras.left));
        let change = match change {
            Some(change) if !left.is_empty() => Some(letting_go(change, sent, std::mem::take(&mut left))),
            change => change,
        };
        let hearing = heard_differently.then(|| self.matrix(&room));
        if let Some(matrix) = &hearing {
            self.heard = Arc::new(matrix.rows.clone());
        }
        let live = Some(Box::new(self.live(&room)));
        self.send(Publication {
            change,
            sent,
            left,
            live,
            rows: worth_recording.then(|| self.rows(&room, changed)),
            records,
            hearing,
            by,
            command_id: extras.command_id,
            after: steps,
            last: self.ended.is_some(),
        })
        .await;
    }

    /// Who has begun or ceased to be heard speaking, to be told now: speech of those who wait, are muted or on hold is
    /// nobody's business.
    pub(super) fn speech_changes(&mut self) -> Vec<(MemberId, bool)> {
        let room = &self.room;
        let mut changes = Vec::new();
        for (id, seat) in &mut self.seats {
            let heard = seat.speaking && conference::hearing::sounds(room, *id);
            if std::mem::replace(&mut seat.speech_told, heard) != heard {
                changes.push((*id, heard));
            }
        }
        changes
    }

    async fn send(&self, publication: Publication) {
        if self.publications.send(publication).await.is_err() {
            tracing::error!(room = self.me.uuid(), "the room's publisher is gone");
        }
    }

    /// Frees a member's seat; the view is the member as it left.
    fn depart(
        &mut self,
        old: &Room,
        id: MemberId,
        cause: LeaveCause,
        now: i64,
        after: &mut Vec<After>,
    ) -> Option<MemberView> {
        let seat = self.seats.remove(&id)?;
        let mut view = self.view(old, id, &seat);
        if view.admitted {
            self.taking_part = self.taking_part.saturating_sub(1);
        }
        view.left_at = Some(now);
        view.leave_cause = Some(cause);
        self.last_member = Some(view.clone());
        self.last_call = Some((seat.call.clone(), seat.dialect));
        let departure =
            Departure { room: self.me.uuid().to_owned(), room_name: self.me.name().to_owned(), member: view.clone() };
        if cause == LeaveCause::Kicked || cause == LeaveCause::RoomEnded {
            after.push(After::Notify(seat.mailbox, Box::new(CallMessage::LeftRoom(Box::new(departure), cause))));
        }
        Some(view)
    }

    pub(super) fn happened(
        &mut self,
        room: &Room,
        kind: Kind,
        member: Option<MemberView>,
        call: Option<CallView>,
    ) -> Happened {
        self.sequence += u64::from(kind.is_counted());
        let member = match &kind {
            Kind::RoomOpened => self.opener.clone().or_else(|| self.newest()),
            Kind::RoomStarted => member.or_else(|| self.newest()).or_else(|| self.opener.clone()),
            Kind::RoomEnded => member.or_else(|| self.last_member.clone()).or_else(|| self.opener.clone()),
            // Whoever was added and is in.
            Kind::AddCompleted(_) => member.or_else(|| {
                let added = self.seats.iter().find(|(_, seat)| call.as_ref().is_some_and(|c| c.uuid == seat.call.uuid));
                added.and_then(|(id, _)| self.view_of(*id))
            }),
            _ => member,
        };
        // Whoever has left has no seat any more.
        let last =
            self.last_call.as_ref().filter(|(last, _)| member.as_ref().is_some_and(|m| m.call_uuid == last.uuid));
        let seat = member.as_ref().and_then(|m| self.seats.values().find(|seat| seat.call.uuid == m.call_uuid));
        let own = seat.map(|seat| (&seat.call, seat.dialect)).or(last.map(|(call, dialect)| (call, *dialect)));
        let call = call.or_else(|| own.map(|(call, _)| call.clone()));
        let mut dialects = vec![self.dialect];
        dialects.extend(own.map(|(_, dialect)| dialect).filter(|dialect| *dialect != self.dialect));
        Happened { kind, sequence: self.sequence, room: Some(self.room_view(room)), member, call, dialects }
    }

    fn newest(&self) -> Option<MemberView> {
        self.seats.keys().next_back().and_then(|id| self.view_of(*id))
    }
}

/// What changes nothing, to be recorded and done.
fn unchanged(records: Vec<Happened>, after: Vec<After>) -> Publication {
    Publication {
        change: None,
        sent: tokio::time::Instant::now(),
        records,
        rows: None,
        hearing: None,
        by: Asker::server(),
        command_id: None,
        after,
        left: Vec::new(),
        live: None,
        last: false,
    }
}

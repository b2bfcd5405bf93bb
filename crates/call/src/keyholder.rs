//! People who are in rooms by a key of the native API, their own or that of whoever invited them: they stay for as long as the
//! key is good for what they do there.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use conference::Role;
use store::{AccountId, ActorKind, ApiKey, Scope, Timestamp};

use crate::cause::HangupCause;
use crate::command::{Asker, ModeName, Whom};
use crate::engine::Inner;
use crate::room::{LiveMember, LiveRoom, RoomHandle};
use crate::session::CallMessage;

/// How often keys are looked at; what they expire at is known, and waited for.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why a key lets its holder be in a room no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// It is deleted or has expired, or its account is disabled.
    #[error("its key is deleted or has expired, or the account is disabled")]
    Gone,
    /// It has not the scope for what its holder does there.
    #[error("its key has not the scope for this any more")]
    Scope,
    /// It is for other rooms.
    #[error("its key is not for this room any more")]
    Room,
}

/// What somebody does in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// He hears, and nobody hears him: `monitor`, or `coach`.
    Listens,
    /// He is heard, or invites others who are: `coach`.
    Speaks,
}

impl Part {
    /// That of a member who enters in this role and, as a supervisor, in this mode. One without a mode is invited.
    pub(crate) fn at_entry(role: Role, mode: Option<ModeName>) -> Self {
        match (role, mode) {
            (Role::Supervisor, Some(ModeName::Monitor | ModeName::Stop)) => Self::Listens,
            _ => Self::Speaks,
        }
    }

    fn is_granted(self, key: &ApiKey) -> bool {
        key.scopes.contains(Scope::Coach) || (self == Self::Listens && key.scopes.contains(Scope::Monitor))
    }
}

/// Whether a key lets its holder do this in the room as it is; no key lets nobody do anything.
///
/// # Errors
/// Why it does not.
pub fn check(key: Option<&ApiKey>, room: &LiveRoom, part: Part) -> Result<(), Barred> {
    let key = key.ok_or(Barred::Gone)?;
    let tags = room.members.iter().filter_map(|member| member.view.tag.as_ref().map(|tag| tag.as_str()));
    if !key.sees(&room.room.name, tags) {
        return Err(Barred::Room);
    }
    if part.is_granted(key) { Ok(()) } else { Err(Barred::Scope) }
}

/// Looks after those who came by a key, for as long as the engine lives.
pub(crate) fn start(inner: &Arc<Inner>) {
    tokio::spawn(watch(Arc::downgrade(inner)));
}

async fn watch(engine: Weak<Inner>) {
    let mut watch = Watch::default();
    let mut wait = LOOK_EVERY;
    loop {
        tokio::time::sleep(wait).await;
        let Some(inner) = engine.upgrade() else { return };
        wait = watch.look(&inner).await;
    }
}

#[derive(Default)]
struct Watch {
    /// Calls whose keys could coach when last looked at.
    coaches: HashSet<String>,
}

/// A key as it was read; `Err`: it could not be.
type Read = Result<Option<ApiKey>, ()>;

impl Watch {
    /// Removes whoever must go; how long until the next look.
    async fn look(&mut self, inner: &Inner) -> Duration {
        let now = Timestamp::from_micros(inner.clock.utc());
        let mut keys: HashMap<(String, String), Read> = HashMap::new();
        let coached = std::mem::take(&mut self.coaches);
        for room in inner.rooms.all() {
            let live = room.live();
            for member in live.members.iter().filter(|member| is_keyholder(member)) {
                let Some(holder) = &member.holder else { continue };
                let named = (room.account().to_owned(), holder.by.id.clone());
                let key = match keys.get(&named) {
                    Some(known) => known.clone(),
                    None => {
                        let read = read(inner, &named, now).await;
                        keys.insert(named, read.clone());
                        read
                    }
                };
                let call = &member.view.call_uuid;
                let coached = holder.coaches || coached.contains(call);
                // A database that cannot be read takes nobody's call; it is asked again.
                let Ok(key) = key else {
                    self.coaches.extend(coached.then(|| call.clone()));
                    continue;
                };
                if let Err(why) = check(key.as_ref(), &live, part_of(member, coached)) {
                    remove(inner, &room, member, why);
                    continue;
                }
                if coached || key.is_some_and(|key| key.scopes.contains(Scope::Coach)) {
                    self.coaches.insert(call.clone());
                }
            }
        }
        let expiries = keys.values().filter_map(|key| key.as_ref().ok()?.as_ref()?.expires_at);
        let left = expiries.map(|expiry| expiry.since(now)).min();
        left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY))
    }
}

fn is_keyholder(member: &LiveMember) -> bool {
    member.holder.as_ref().is_some_and(|holder| holder.by.kind == ActorKind::Key)
}

async fn read(inner: &Inner, (account, key): &(String, String), now: Timestamp) -> Read {
    let Ok(account) = account.parse::<AccountId>() else { return Ok(None) };
    let read = inner.store.good_api_key(account, key, now).await;
    read.map_err(|error| tracing::warn!(key, %error, "the key of somebody in a room could not be read"))
}

/// What a member does. Whose key never could coach is heard because somebody with such a key wanted it.
fn part_of(member: &LiveMember, coached: bool) -> Part {
    match member.mode {
        Some(ModeName::Monitor | ModeName::Stop) => Part::Listens,
        _ if !coached => Part::Listens,
        _ => Part::Speaks,
    }
}

fn remove(inner: &Inner, room: &RoomHandle, member: &LiveMember, why: Barred) {
    let view = &member.view;
    let key = member.holder.as_ref().map(|holder| holder.by.id.as_str());
    tracing::info!(account = room.account(), room = room.uuid(), call = view.call_uuid, key, %why, "a member is removed");
    // Out of the sound at once, however busy the call is; a room that refuses that now is asked by the call itself.
    drop(room.enqueue_kick(Whom::Members(vec![view.number]), Asker::server()));
    if let Some(call) = inner.calls.get(room.account(), &view.call_uuid) {
        call.owe(CallMessage::End(HangupCause::KeyLost));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::RoomView;

    fn key(scopes: &[Scope], limit: impl FnOnce(&mut ApiKey)) -> ApiKey {
        let scopes = scopes.iter().copied().collect();
        let (mut key, _) = ApiKey::generate(AccountId::generate(), "desk", scopes, Timestamp::from_micros(0));
        limit(&mut key);
        key
    }

    #[test]
    fn a_key_lets_its_holder_do_what_it_is_for_where_it_is_for() {
        let room = LiveRoom::opening(RoomView::opened("u", "support-1", "MA1", false, 0), 0);
        let monitor = key(&[Scope::Read, Scope::Monitor], |_| {});
        let coach = key(&[Scope::Coach], |_| {});
        assert_eq!(check(None, &room, Part::Listens), Err(Barred::Gone));
        assert_eq!(check(Some(&monitor), &room, Part::Listens), Ok(()));
        assert_eq!(check(Some(&monitor), &room, Part::Speaks), Err(Barred::Scope));
        assert_eq!(check(Some(&key(&[Scope::Read, Scope::Admin], |_| {})), &room, Part::Listens), Err(Barred::Scope));
        for part in [Part::Listens, Part::Speaks] {
            assert_eq!(check(Some(&coach), &room, part), Ok(()), "who may speak may listen");
            let elsewhere = key(&[Scope::Coach], |key| key.room_pattern = Some("sales-*".to_owned()));
            assert_eq!(check(Some(&elsewhere), &room, part), Err(Barred::Room));
            let tagged = key(&[Scope::Coach], |key| key.tag = Some("team-a".to_owned()));
            assert_eq!(check(Some(&tagged), &room, part), Err(Barred::Room));
        }
    }
}

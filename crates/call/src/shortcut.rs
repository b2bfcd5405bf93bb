//! What an endpoint may dial by name, without an application that says so: `app-<sid>`, `queue-<name>`,
//! `conference-<name>`, another endpoint, or whatever stands in `X-Application-Sid`.
//!
//! An endpoint whose own application speaks Plivo's dialect has none of this: whatever it dials is that application's.

use std::time::Duration;

use conference::Entry;
use sip::Incoming;
use store::{Application, Dialect, Endpoint, StoreError, Timestamp};

use crate::routing::{NoApplication, Reached, Routing};
use crate::verb::{
    Connect, Dequeue, Instruction, Join, JoinHooks, MemberSettings, RoomSettings, Target, TargetKind, Verb,
};

/// How long another endpoint rings.
const RING: Duration = Duration::from_secs(60);
/// The header that names an application.
const HEADER: &str = "X-Application-Sid";

/// What a user part stands for.
#[derive(Debug, PartialEq, Eq)]
enum Shortcut<'a> {
    Application(&'a str),
    Queue(&'a str),
    Room(&'a str),
}

impl<'a> Shortcut<'a> {
    fn parse(user: &'a str) -> Option<Self> {
        let made = |prefix: &str| user.strip_prefix(prefix).filter(|name| !name.is_empty());
        made("app-")
            .map(Self::Application)
            .or_else(|| made("queue-").map(Self::Queue))
            .or_else(|| made("conference-").map(Self::Room))
    }
}

impl Routing {
    /// What `caller` has dialled, if that is one of these; `own` is the application for its other calls.
    pub(crate) async fn shortcut(
        &self,
        call: &Incoming,
        caller: &Endpoint,
        own: Option<&Application>,
    ) -> Result<Option<Reached>, NoApplication> {
        if own.is_some_and(|own| own.dialect != Dialect::Jambonz) {
            return Ok(None);
        }
        let user = call.request_uri.user.as_str();
        let refused = |what| NoApplication::Forbidden {
            endpoint: caller.username.clone(),
            dialled: call.request_uri_text.clone(),
            what,
        };
        if let Some(sid) = call.header(HEADER) {
            return if caller.calls_apps { self.named(caller, sid, call).await } else { Err(refused("applications")) };
        }
        let run = match Shortcut::parse(user) {
            Some(Shortcut::Application(_) | Shortcut::Room(_)) if !caller.calls_apps => {
                return Err(refused("applications"));
            }
            Some(Shortcut::Queue(_)) if !caller.calls_queues => return Err(refused("queues")),
            Some(Shortcut::Application(sid)) => return self.named(caller, sid, call).await,
            Some(Shortcut::Queue(name)) => take_from(name),
            Some(Shortcut::Room(name)) => enter(name),
            None if !self.is_endpoint(caller, user).await? => return Ok(None),
            None if !caller.calls_users => return Err(refused("other endpoints")),
            None => ring(user),
        };
        Ok(Some(Reached { application: of_nobody(caller), run: Some(vec![run]) }))
    }

    /// The account's application of this UUID.
    async fn named(&self, caller: &Endpoint, sid: &str, call: &Incoming) -> Result<Option<Reached>, NoApplication> {
        let unknown = || NoApplication::Unknown { dialled: call.request_uri_text.clone() };
        let sid = sid.trim().parse().map_err(|_| unknown())?;
        let found = self.store().application_by_sid(caller.account, sid).await?;
        let usable =
            |app: &Application| app.enabled && (app.sub_account.is_none() || app.sub_account == caller.sub_account);
        found.filter(usable).map(|app| Some(app.into())).ok_or_else(unknown)
    }

    /// Whether this is the name of another endpoint that the caller may know of.
    async fn is_endpoint(&self, caller: &Endpoint, user: &str) -> Result<bool, StoreError> {
        let found = self.store().endpoint_by_username(caller.account, user).await?;
        let known = |found: &Endpoint| {
            caller.sub_account.is_none() || found.sub_account.is_none() || found.sub_account == caller.sub_account
        };
        Ok(found.is_some_and(|found| found.enabled && found.endpoint_id != caller.endpoint_id && known(&found)))
    }
}

/// An application that nobody has made: it is asked for nothing.
fn of_nobody(caller: &Endpoint) -> Application {
    let at = Timestamp::from_system(std::time::SystemTime::now());
    let application = Application::new(caller.account, "shortcut", Dialect::Jambonz, "", at);
    Application { sub_account: caller.sub_account, ..application }
}

fn take_from(queue: &str) -> Instruction {
    Verb::Dequeue(Box::new(Dequeue { name: queue.to_owned(), call: None, timeout: None, beep: false, action: None }))
        .into()
}

fn enter(room: &str) -> Instruction {
    let join = Join {
        room: room.to_owned(),
        entry: Entry { start_on_enter: true, ..Entry::default() },
        room_settings: RoomSettings::default(),
        member_settings: MemberSettings { moderator: true, ..MemberSettings::default() },
        hooks: JoinHooks::default(),
    };
    Verb::Join(Box::new(join)).into()
}

fn ring(endpoint: &str) -> Instruction {
    let kind = TargetKind::Endpoint(endpoint.to_owned());
    let target = Target { kind, headers: Vec::new(), confirm: None, auth: None };
    let connect = Connect {
        targets: vec![target],
        answer_on_bridge: true,
        caller_id: None,
        caller_name: None,
        ring_timeout: RING,
        limit: None,
        music: None,
        headers: Vec::new(),
        confirm: None,
        action: None,
        keys: Vec::new(),
        refer_hook: None,
        stream: None,
        attached: None,
    };
    Verb::Connect(Box::new(connect)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_name_applications_queues_and_rooms_and_nothing_else_does() {
        assert_eq!(Shortcut::parse("queue-support"), Some(Shortcut::Queue("support")));
        assert_eq!(Shortcut::parse("conference-a-b"), Some(Shortcut::Room("a-b")));
        assert_eq!(Shortcut::parse("app-1"), Some(Shortcut::Application("1")));
        for user in ["queue-", "queue", "conferences-a", "Queue-a", "alice", ""] {
            assert_eq!(Shortcut::parse(user), None, "{user}");
        }
    }
}

//! Acts on what an endpoint has dialled by name, without an application that says so: an application, a queue, a room or
//! another endpoint. The names are a dialect's: that of the endpoint's own application; without one, of whichever dialect has
//! such names.

use std::sync::Arc;
use std::time::Duration;

use conference::Entry;
use sip::Incoming;
use store::{AccountId, Application, Endpoint, StoreError, Timestamp};

use super::{NoApplication, Reached, Routing};
use crate::dialect::{Dialect, Shortcut};
use crate::records::{dialect_name, stored_dialect};
use crate::verb::{
    Connect, Dequeue, Instruction, Join, JoinHooks, MemberSettings, RoomSettings, Target, TargetKind, Verb,
};

/// How long another endpoint rings.
const RING: Duration = Duration::from_secs(60);

impl Routing {
    /// What `caller` has dialled, if that is one of these; `own` is the application for its other calls.
    pub(super) async fn shortcut(
        &self,
        call: &Incoming,
        caller: &Endpoint,
        own: Option<&Application>,
    ) -> Result<Option<Reached>, NoApplication> {
        let own = own.map(|own| dialect_name(own.dialect));
        let speakers = self.dialects.iter().filter(|dialect| own.is_none_or(|own| own == dialect.name()));
        let understood = |dialect: &Arc<dyn Dialect>| {
            let shortcut = dialect.shortcut(&call.request_uri.user, &|name| call.header(name))?;
            Some((dialect.name(), shortcut))
        };
        let Some((dialect, shortcut)) = speakers.into_iter().find_map(understood) else { return Ok(None) };
        let refused = |what| NoApplication::Forbidden {
            endpoint: caller.username.clone(),
            dialled: call.request_uri_text.clone(),
            what,
        };
        let run = match &shortcut {
            Shortcut::Application(_) | Shortcut::Room(_) if !caller.calls_apps => return Err(refused("applications")),
            Shortcut::Queue(_) if !caller.calls_queues => return Err(refused("queues")),
            Shortcut::Application(sid) => return self.named(caller, sid, call).await,
            Shortcut::Queue(name) => take_from(name),
            Shortcut::Room(name) => enter(name),
            Shortcut::Endpoint(user) if !self.is_endpoint(caller, user).await? => return Ok(None),
            Shortcut::Endpoint(_) if !caller.calls_users => return Err(refused("other endpoints")),
            Shortcut::Endpoint(user) => ring(user),
        };
        let application = of_nobody(caller.account, caller.sub_account, dialect)?;
        Ok(Some(Reached { run: Some(vec![run]), ..application.into() }))
    }

    /// The account's application of this UUID.
    async fn named(&self, caller: &Endpoint, sid: &str, call: &Incoming) -> Result<Option<Reached>, NoApplication> {
        let unknown = || NoApplication::Unknown { dialled: call.request_uri_text.clone() };
        let sid = sid.trim().parse().map_err(|_| unknown())?;
        let found = self.store.application_by_sid(caller.account, sid).await?;
        let usable =
            |app: &Application| app.enabled && (app.sub_account.is_none() || app.sub_account == caller.sub_account);
        found.filter(usable).map(|app| Some(app.into())).ok_or_else(unknown)
    }

    /// Whether this is the name of another endpoint that the caller may know of.
    async fn is_endpoint(&self, caller: &Endpoint, user: &str) -> Result<bool, StoreError> {
        let found = self.store.endpoint_by_username(caller.account, user).await?;
        let known = |found: &Endpoint| {
            caller.sub_account.is_none() || found.sub_account.is_none() || found.sub_account == caller.sub_account
        };
        Ok(found.is_some_and(|found| found.enabled && found.endpoint_id != caller.endpoint_id && known(&found)))
    }
}

/// An application that nobody has made: it is asked for nothing.
pub(super) fn of_nobody(
    account: AccountId,
    sub_account: Option<AccountId>,
    dialect: &str,
) -> Result<Application, StoreError> {
    let at = Timestamp::from_system(std::time::SystemTime::now());
    let application = Application::new(account, "shortcut", stored_dialect(dialect)?, "", at);
    Ok(Application { sub_account, ..application })
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

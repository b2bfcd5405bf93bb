//! Calls that a program makes and that run instructions of their own once they are answered.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::asked::Asked;
use super::attached::attached;
use super::race::{Calling, Errand, Race};
use super::targets::address_of;
use super::{Control, Session};
use crate::command::{AccountRef, CommandError, PlaceCall, Placed};
use crate::dialect::{AtEnd, CallView, Direction, Origin, Purpose};
use crate::engine::Inner;
use crate::verb::{Fetch, Instruction, Settings};

/// What the call does when it is answered.
pub(super) struct Placing {
    application: Fetch,
    run: Option<Vec<Instruction>>,
    settings: Option<Box<Settings>>,
}

/// Makes the call. Returns when its INVITE is sent, or could not be: what becomes of it then is told.
///
/// # Errors
/// The server takes no calls now, the account has as many as it may have, or nothing leads to the target.
pub(crate) async fn place(inner: &Arc<Inner>, account: &AccountRef, call: PlaceCall) -> Result<Placed, CommandError> {
    if inner.is_draining() {
        return Err(CommandError::Busy("it is being stopped"));
    }
    inner.store.ready()?;
    let data = call.attached.map(attached).transpose()?;
    let route = inner.routing.route(account, &call.target.kind, &call.from).await?;
    let ceilings = inner.config.call_ceilings();
    inner.calls.check(&account.id, 1, ceilings).map_err(|full| {
        inner.count_refused_call(full);
        full.error("calls", ceilings)
    })?;
    let main_auth_id = inner.main_auth_id(account).await;
    let uuid = uuid::Uuid::new_v4().to_string();
    let voice = inner.hooks.dialect(call.dialect).ok().and_then(|dialect| dialect.profile(&call.settings).voice);
    let view = CallView {
        auth_id: account.auth_id.clone(),
        main_auth_id,
        from: call.from,
        to: address_of(&call.target.kind),
        caller_name: call.caller_name,
        request_uuid: Some(uuid.clone()),
        app_sid: call.app_sid,
        attached: data,
        origin: Some(Arc::new(Origin { invite: None, settings: call.settings })),
        hangup_callback: call.status,
        ..CallView::new(uuid.clone(), account.id.clone(), Direction::Outbound, inner.clock.utc())
    };
    let control =
        Control { app_id: call.app_id, application: call.application.clone(), voice, ..Control::of(call.dialect) };
    let (sent, call_id) = oneshot::channel();
    let calling = Calling {
        view,
        control,
        route: Ok(route),
        headers: call.target.headers,
        auth: call.target.auth,
        ring_timeout: call.ring_timeout,
        delay: Duration::ZERO,
        confirm: call.target.confirm.map(crate::command::Confirm::Program),
        limit: call.limit,
        sent: Some(sent),
    };
    let placing = Placing { application: call.application, run: call.run, settings: call.settings_of_call };
    Race::start(inner, Errand::Instructions(Box::new(placing)), vec![calling]);
    // A call that came to nothing before its INVITE has no Call-ID.
    let call_id = call_id.await.unwrap_or_else(|_| uuid.clone());
    Ok(Placed { call: uuid, call_id })
}

impl Placing {
    pub(super) async fn won_by(&self, mut session: Session) {
        session.follow_application();
        if let Some(settings) = &self.settings {
            session.programs.own.configure(settings, None);
            session.configure(Settings::clone(settings), None).await;
        }
        match self.run.clone() {
            Some(run) => {
                // Nobody is connected who could say what comes after it.
                session.programs.own.set_at_end(AtEnd::Hangup);
                session.programs.own.document(run, session.inner.clock.monotonic());
            }
            None => session.fetch(Asked::own(0), self.application.clone(), Purpose::Answer),
        }
        session.run().await;
    }
}

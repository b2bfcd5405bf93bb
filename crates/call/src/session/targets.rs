//! Whom a connection calls.

use std::time::Duration;

use super::race::Calling;
use super::{Control, Session};
use crate::cause::HangupCause;
use crate::command::{AccountRef, CommandError, Confirm};
use crate::dialect::{CallView, Direction};
use crate::routing::Route;
use crate::verb::{Connect, Target, TargetKind};

impl Session {
    /// The calls to be made, each with its way or why there is none.
    pub(super) async fn callings(&mut self, connect: &Connect) -> Vec<Calling> {
        let asking = AccountRef { id: self.view.account.clone(), auth_id: self.view.auth_id.clone() };
        let from = connect.caller_id.clone().unwrap_or_else(|| self.view.from.clone());
        let mut callings = Vec::with_capacity(connect.targets.len());
        for target in &connect.targets {
            let route = self.inner.routing.route(&asking, &target.kind, &from).await;
            if let Err(error) = &route {
                self.warn(format!("a target cannot be called: {error}")).await;
            }
            let route = route.map_err(|error| unreachable_because(&error));
            callings.push(self.calling(connect, target, from.clone(), route));
        }
        callings
    }

    fn calling(&self, connect: &Connect, target: &Target, from: String, route: Result<Route, HangupCause>) -> Calling {
        let call = uuid::Uuid::new_v4().to_string();
        let mut headers = connect.headers.clone();
        headers.extend(target.headers.iter().cloned());
        let began_at = self.inner.clock.utc();
        Calling {
            view: CallView {
                auth_id: self.view.auth_id.clone(),
                main_auth_id: self.view.main_auth_id.clone(),
                from,
                to: address_of(&target.kind),
                caller_name: connect.caller_name.clone().unwrap_or_else(|| self.view.caller_name.clone()),
                parent: Some(self.view.uuid.clone()),
                app_sid: self.view.app_sid.clone(),
                attached: connect.attached.clone(),
                state_callback: self.view.hangup_callback.clone().or_else(|| self.view.state_callback.clone()),
                ..CallView::new(call, self.view.account.clone(), Direction::Outbound, began_at)
            },
            control: Control {
                // The link is made the call's own when it begins.
                shares_link: self.control.link.is_some(),
                fallback: None,
                placed: true,
                ..self.control.clone()
            },
            route,
            headers,
            auth: target.auth.clone(),
            ring_timeout: connect.ring_timeout,
            delay: Duration::ZERO,
            confirm: target.confirm.clone().or_else(|| connect.confirm.clone()).map(Confirm::Program),
            limit: None,
            sent: None,
        }
    }
}

/// Whom a target names, as records show him.
pub(super) fn address_of(kind: &TargetKind) -> String {
    match kind {
        TargetKind::Number { number, .. } => number.trim_start_matches('+').to_owned(),
        TargetKind::Uri(uri) => uri.clone(),
        TargetKind::Endpoint(name) => name.clone(),
    }
}

fn unreachable_because(error: &CommandError) -> HangupCause {
    match error {
        CommandError::Failed(_) | CommandError::Unavailable(_) | CommandError::Busy(_) => HangupCause::NetworkFailure,
        _ => HangupCause::NoRoute,
    }
}

//! Calls and accounts in the engine's words and in this interface's.

use axum::http::StatusCode;
use call::command::{AccountRef, Asker, CommandError};
use call::dialect::CallView;
use store::{Account, ActorKind};

use super::answer::Answer;
use super::asked::Asked;
use super::call_record;
use crate::call_info::{call_info, terminated_by};
use crate::hooks::TerminatedBy;
use crate::json::Object;

/// The account as the engine names it.
pub(super) fn account_ref(account: &Account) -> AccountRef {
    AccountRef { id: account.id.to_string(), auth_id: account.auth_id.clone() }
}

/// Who asks, for the ledger.
pub(super) fn asker(asked: &Asked) -> Asker {
    Asker { kind: ActorKind::Key, id: asked.key.sid.to_string() }
}

impl From<CommandError> for Answer {
    fn from(error: CommandError) -> Self {
        let words = error.to_string();
        match error {
            CommandError::NotFound { .. } => Self::not_found(),
            CommandError::Conflict(_) => Self::unprocessable_words(words),
            CommandError::Invalid(_) => Self::bad(words),
            CommandError::Forbidden(_) => Self::refused(StatusCode::FORBIDDEN, words),
            CommandError::OverLimit { .. } => Self::refused(StatusCode::TOO_MANY_REQUESTS, words),
            CommandError::Busy(_) | CommandError::Unavailable(_) => {
                Self::refused(StatusCode::SERVICE_UNAVAILABLE, words)
            }
            CommandError::Failed(_) => Self::refused(StatusCode::INTERNAL_SERVER_ERROR, words),
        }
    }
}

/// A call as it is listed.
pub(super) fn record(asked: &Asked, call: &CallView) -> Object {
    let info = call_info(call);
    let ended_by = terminated_by(call).map(|by| match by {
        TerminatedBy::Caller => "caller",
        TerminatedBy::Server => "jambonz",
    });
    call_record(&info, seconds(call), ended_by, &format!("http://{}/v1", asked.host))
}

/// Seconds since the answer, or from it to the end.
pub(super) fn seconds(call: &CallView) -> u64 {
    let end = call.ended_at.unwrap_or_else(|| super::server::now().micros());
    let micros = call.answered_at.map_or(0, |answered| end.saturating_sub(answered));
    u64::try_from(micros).unwrap_or(0) / 1_000_000
}

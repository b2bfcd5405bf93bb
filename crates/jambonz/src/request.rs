//! What programs are asked with.

use call::dialect::{CallView, Outcome as Went, Purpose, Referred};
use call::verb::CallStatus as Status;

use crate::call_info::{object, session_start, uri_of, user};
use crate::hooks::{self, CallInfo, CallStatus, Outcome, QueuePosition, ReferDetails, Speech};
use crate::json::Object;

/// The body of a request about `call`; `info` is the call as programs see it, `parent` makes the same of another.
pub(crate) fn body(
    call: &CallView,
    info: &CallInfo,
    purpose: &Purpose,
    parent: impl Fn(&CallView) -> CallInfo,
) -> Option<Object> {
    Some(match purpose {
        Purpose::Answer | Purpose::Fallback => hooks::session_new(info, &session_start(call)),
        Purpose::Sound => return None,
        Purpose::Action(outcome, id) => action(info, outcome, id.as_deref()),
        Purpose::QueueWait(place) => hooks::queue_wait(
            info,
            &QueuePosition {
                queue_sid: &place.queue,
                waited: place.waited_s,
                size: small(place.size),
                position: small(place.position),
            },
        ),
        Purpose::Keys(keys) => hooks::dial_dtmf(info, keys),
        Purpose::ReferredTo(referred) => hooks::dial_refer(info, &refer_details(call, referred)),
        Purpose::InDialog(further) => in_dialog(info, further),
        Purpose::Transferred(status) => hooks::refer_event(info, *status),
        Purpose::Adulting(dialled_by) => hooks::adulting(info, &parent(dialled_by)),
        // Digits and departures are told by actions in this dialect.
        Purpose::Redirect
        | Purpose::Transfer
        | Purpose::Wait
        | Purpose::Enter
        | Purpose::Confirm
        | Purpose::Digits(_)
        | Purpose::LeftRoom(_) => info.body(),
    })
}

/// The call and what came.
fn in_dialog(info: &CallInfo, further: &str) -> Object {
    let mut body = info.body();
    body.extend(object(further).unwrap_or_default());
    body
}

fn refer_details(call: &CallView, referred: &Referred) -> ReferDetails {
    let user_of = |header: &str| user(uri_of(header).unwrap_or(header)).to_owned();
    ReferDetails {
        refer_to: referred.to.clone(),
        refer_to_user: user_of(&referred.to),
        referred_by_user: referred.by.as_deref().map(user_of),
        referred_by: referred.by.clone(),
        user_agent: referred.agent.clone(),
        referring_call_sid: call.uuid.clone(),
        referred_call_sid: call.parent.clone(),
    }
}

fn action(info: &CallInfo, outcome: &Went, id: Option<&str>) -> Object {
    let went = match outcome {
        Went::Done => Outcome::Done,
        Went::Dialled(dialled) => Outcome::Dialled {
            status: call_status(dialled.status),
            sip_status: dialled.sip_status,
            call_sid: dialled.call.as_deref(),
            sbc_callid: dialled.call_id.as_deref(),
            duration: dialled.seconds,
        },
        Went::Gathered(gathered) => Outcome::Gathered {
            end: gathered.end,
            digits: gathered.digits.as_deref(),
            speech: gathered.speech.as_ref().map(|heard| Speech {
                language: &heard.language,
                channel: 1,
                is_final: true,
                alternatives: &heard.alternatives,
            }),
            error: gathered.error.as_deref(),
        },
        // Eight samples are a millisecond.
        Went::Played { completed, heard_ms } => {
            Outcome::Played { completed: *completed, milliseconds: *heard_ms, offset: heard_ms.saturating_mul(8) }
        }
        Went::Streamed { seconds, key } => {
            let key = key.map(String::from);
            return hooks::action(info, id, &Outcome::Listened { duration: *seconds, digits: key.as_deref() });
        }
        Went::Enqueued { queue, waited_s, end } => Outcome::Enqueued { queue_sid: queue, waited: *waited_s, end: *end },
        Went::Dequeued(end) => Outcome::Dequeued(*end),
        Went::Referred { status, last } => Outcome::Referred { status: *status, last: *last },
        Went::Unsent(message, reason) => {
            let message = Some(message.clone()).filter(|id| !id.is_empty());
            let message = message.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
            return hooks::action(info, id, &Outcome::Unsent { message_sid: &message, reason });
        }
    };
    hooks::action(info, id, &went)
}

fn call_status(status: Status) -> CallStatus {
    match status {
        Status::Trying => CallStatus::Trying,
        Status::Ringing => CallStatus::Ringing,
        Status::InProgress => CallStatus::InProgress,
        Status::Completed => CallStatus::Completed,
        Status::Failed => CallStatus::Failed,
        Status::Busy => CallStatus::Busy,
        Status::NoAnswer => CallStatus::NoAnswer,
    }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

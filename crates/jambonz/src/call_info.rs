//! A call in the words of this dialect.

use call::cause::{HangupCause, HangupSource};
use call::dialect::{CallState, CallView, Direction};

use crate::hooks::{CallDirection, CallInfo, CallStatus, Defaults, SessionStart, SipRequest, TerminatedBy};
use crate::json::{Object, parse};
use crate::rest::ApplicationSettings;

/// What programs are told of a call, apart from addresses of this server, which a call does not know.
pub fn call_info(call: &CallView) -> CallInfo {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let (sip_status, sip_reason) = sip(call);
    let from = user(&call.from);
    CallInfo {
        call_sid: call.uuid.clone(),
        direction: match call.direction {
            Direction::Inbound => CallDirection::Inbound,
            Direction::Outbound => CallDirection::Outbound,
        },
        from: from.to_owned(),
        to: user(&call.to).to_owned(),
        call_id: call.sip.call_id.clone(),
        sbc_callid: call.sip.call_id.clone(),
        sip_status,
        sip_reason,
        status: status(call, sip_status),
        account_sid: call.account.clone(),
        trace_id: trace_id(&call.uuid),
        application_sid: call.app_sid.clone(),
        fs_sip_address: None,
        caller_id: text(from),
        caller_name: text(&call.caller_name),
        parent_call_sid: call.parent.clone(),
        originating_sip_ip: call.sip.source.map(|source| source.ip().to_string()),
        originating_sip_trunk_name: call.sip.trunk.clone(),
        headers: call.sip.bye.clone(),
        customer_data: call.attached.as_deref().and_then(object),
    }
}

/// The object in a text, if there is one.
pub(crate) fn object(text: &str) -> Option<Object> {
    parse(text.as_bytes()).ok().and_then(|value| value.as_object().cloned())
}

/// Who ended a call that is over.
pub fn terminated_by(call: &CallView) -> Option<TerminatedBy> {
    call.cause.as_ref().map(|cause| match cause {
        HangupCause::Normal(HangupSource::Caller | HangupSource::Callee)
        | HangupCause::Cancelled
        | HangupCause::Busy
        | HangupCause::Rejected
        | HangupCause::NoAnswer => TerminatedBy::Caller,
        _ => TerminatedBy::Server,
    })
}

/// Seconds from the answer to the end; 0 for a call that was never answered or lives.
pub fn connected_seconds(call: &CallView) -> u64 {
    let micros = call.answered_at.zip(call.ended_at).map_or(0, |(from, to)| to.saturating_sub(from));
    u64::try_from(micros).unwrap_or(0) / 1_000_000
}

/// What a call's first request says beside the call.
pub(crate) fn session_start(call: &CallView) -> SessionStart {
    let Some(origin) = &call.origin else { return SessionStart::default() };
    let settings: ApplicationSettings = serde_json::from_value(origin.settings.clone()).unwrap_or_default();
    let speech = settings.speech;
    SessionStart {
        defaults: Defaults {
            synthesizer_vendor: speech.synthesis_vendor,
            synthesizer_language: speech.synthesis_language,
            synthesizer_voice: speech.synthesis_voice,
            recognizer_vendor: speech.recognizer_vendor,
            recognizer_language: speech.recognizer_language,
        },
        env_vars: settings.env_vars,
        sip: origin.invite.as_ref().map(|invite| sip_request(call, invite)),
    }
}

fn sip_request(call: &CallView, invite: &call::dialect::Invite) -> SipRequest {
    let header = |name: &str, short: &str| {
        let named = |(written, _): &&(String, String)| {
            written.eq_ignore_ascii_case(name) || (!short.is_empty() && written.eq_ignore_ascii_case(short))
        };
        invite.headers.iter().find(named).map(|(_, value)| value.as_str())
    };
    let asserted = header("P-Asserted-Identity", "").or_else(|| header("From", "f")).and_then(uri_of);
    SipRequest {
        headers: invite.headers.clone(),
        body: invite.body.clone(),
        content_type: header("Content-Type", "c").map(str::to_owned),
        uri: invite.uri.clone(),
        source_address: call.sip.source.map(|source| source.ip().to_string()).unwrap_or_default(),
        source_port: call.sip.source.map_or(0, |source| source.port()),
        protocol: invite.transport.clone(),
        called_number: user(&invite.uri).to_owned(),
        calling_number: asserted.map_or_else(|| user(&call.from), user).to_owned(),
    }
}

/// The URI in a header of the name-addr form (RFC 3261, section 25.1), or one without brackets.
pub(crate) fn uri_of(header: &str) -> Option<&str> {
    let uri = match header.split_once('<') {
        Some((_, rest)) => rest.split('>').next()?,
        None => header.split(';').next()?,
    };
    Some(uri.trim()).filter(|uri| !uri.is_empty())
}

/// The user part of a SIP or tel URI; anything else as it is. An address without a user is known by its host.
pub(crate) fn user(address: &str) -> &str {
    let schemes = ["sips:", "sip:", "tel:"];
    let is = |scheme: &&str| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let Some(rest) = schemes.iter().find(|scheme| is(scheme)).and_then(|scheme| address.get(scheme.len()..)) else {
        return address;
    };
    let before = |text: &'static str| move |c: char| text.contains(c);
    match rest.split_once('@') {
        Some((user, _)) => user.split(before(";:")).next().unwrap_or(user),
        None => rest.split(before(";?")).next().unwrap_or(rest),
    }
}

/// As wide as a trace's id, and the same in all that is told of the call.
fn trace_id(uuid: &str) -> String {
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).take(32).collect();
    format!("{:0>32}", digits.to_ascii_lowercase())
}

/// The last status; what it must have been where signalling has told none.
fn sip(call: &CallView) -> (u16, String) {
    let told = call.sip.status;
    match call.state {
        CallState::Ringing if told == 0 => (100, "Trying".to_owned()),
        CallState::InProgress if told < 200 => (200, "OK".to_owned()),
        CallState::Ended if told < 200 && call.answered_at.is_some() => (200, "OK".to_owned()),
        CallState::Ended if told < 200 => unanswered(call.cause.as_ref()),
        _ => (told, call.sip.reason.clone()),
    }
}

/// What the end of a call says that had no final status.
fn unanswered(cause: Option<&HangupCause>) -> (u16, String) {
    let (status, reason) = match cause {
        Some(HangupCause::Busy) => (486, "Busy Here"),
        Some(HangupCause::Rejected) => (603, "Decline"),
        Some(HangupCause::NoRoute | HangupCause::NotRegistered) => (404, "Not Found"),
        Some(HangupCause::Incompatible) => (488, "Not Acceptable Here"),
        Some(HangupCause::NetworkFailure | HangupCause::Overloaded) => (503, "Service Unavailable"),
        Some(HangupCause::Instructions(_)) => (480, "Temporarily Unavailable"),
        _ => (487, "Request Terminated"),
    };
    (status, reason.to_owned())
}

fn status(call: &CallView, sip_status: u16) -> CallStatus {
    match call.state {
        CallState::Ended if call.answered_at.is_some() => CallStatus::Completed,
        CallState::Ended => match call.cause {
            Some(HangupCause::Busy) => CallStatus::Busy,
            Some(HangupCause::Cancelled | HangupCause::RingTimeout | HangupCause::NoAnswer | HangupCause::LostRace) => {
                CallStatus::NoAnswer
            }
            _ => CallStatus::of_refusal(sip_status),
        },
        CallState::InProgress => CallStatus::InProgress,
        CallState::Ringing => match sip_status {
            183 => CallStatus::EarlyMedia,
            180..=182 => CallStatus::Ringing,
            _ => CallStatus::Trying,
        },
    }
}

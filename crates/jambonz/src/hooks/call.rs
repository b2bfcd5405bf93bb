//! The block that every body has, and the states of a call.

use serde::{Deserialize, Serialize};

use crate::json::Object;

/// Which way a call was set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallDirection {
    /// The other side called.
    Inbound,
    /// This server called.
    Outbound,
}

/// What a call is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallStatus {
    /// 100.
    Trying,
    /// 180.
    Ringing,
    /// 183 with sound.
    EarlyMedia,
    /// 200.
    InProgress,
    /// It was answered and is over.
    Completed,
    /// It could not be made.
    Failed,
    /// 486, 600, 603.
    Busy,
    /// 487: nobody answered in time, or the caller gave up.
    NoAnswer,
    /// Not yet begun.
    Queued,
}

impl CallStatus {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Ringing => "ringing",
            Self::EarlyMedia => "early-media",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Queued => "queued",
        }
    }

    /// How a call that was never answered ended, by the final status.
    pub const fn of_refusal(sip_status: u16) -> Self {
        match sip_status {
            486 | 600 | 603 => Self::Busy,
            487 => Self::NoAnswer,
            _ => Self::Failed,
        }
    }
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminatedBy {
    /// The other side.
    Caller,
    /// This server.
    Server,
}

/// A call as programs see it: the block of every body.
#[derive(Clone, Debug, PartialEq)]
pub struct CallInfo {
    /// The call's UUID.
    pub call_sid: String,
    /// Which way.
    pub direction: CallDirection,
    /// Caller: digits, or a SIP user.
    pub from: String,
    /// Callee: the same.
    pub to: String,
    /// SIP Call-ID.
    pub call_id: String,
    /// SIP Call-ID on the side of the carrier; this server has no second side, so it is the same.
    pub sbc_callid: String,
    /// Last SIP status.
    pub sip_status: u16,
    /// Its reason phrase.
    pub sip_reason: String,
    /// What it is doing.
    pub status: CallStatus,
    /// The account's UUID.
    pub account_sid: String,
    /// 32 hexadecimal digits, the same in all of a call's hooks.
    pub trace_id: String,
    /// The application's UUID.
    pub application_sid: Option<String>,
    /// This server's address for signalling.
    pub fs_sip_address: Option<String>,
    /// The number shown for the caller.
    pub caller_id: Option<String>,
    /// The display name of the caller.
    pub caller_name: Option<String>,
    /// The call that dialled this one.
    pub parent_call_sid: Option<String>,
    /// Where the carrier's INVITE came from.
    pub originating_sip_ip: Option<String>,
    /// The trunk's name.
    pub originating_sip_trunk_name: Option<String>,
    /// `X-` headers of a BYE.
    pub headers: Vec<(String, String)>,
    /// What the verb `tag` or the REST request attached.
    pub customer_data: Option<Object>,
}

impl CallInfo {
    /// The block. It is also the whole body of wait, enter, confirm and redirect hooks, and of a conference's action hook
    /// without an id.
    pub fn body(&self) -> Object {
        let mut body = Object::new();
        body.set("call_sid", self.call_sid.as_str());
        body.set(
            "direction",
            match self.direction {
                CallDirection::Inbound => "inbound",
                CallDirection::Outbound => "outbound",
            },
        );
        body.set("from", self.from.as_str());
        body.set("to", self.to.as_str());
        body.set("call_id", self.call_id.as_str());
        body.set("sbc_callid", self.sbc_callid.as_str());
        body.set("sip_status", self.sip_status);
        body.set("sip_reason", self.sip_reason.as_str());
        body.set("call_status", self.status.as_str());
        body.set("account_sid", self.account_sid.as_str());
        body.set("trace_id", self.trace_id.as_str());
        body.set_some("application_sid", self.application_sid.as_deref());
        body.set_some("fs_sip_address", self.fs_sip_address.as_deref());
        body.set_some("caller_id", self.caller_id.as_deref());
        body.set_some("caller_name", self.caller_name.as_deref());
        body.set_some("parent_call_sid", self.parent_call_sid.as_deref());
        body.set_some("originating_sip_ip", self.originating_sip_ip.as_deref());
        body.set_some("originating_sip_trunk_name", self.originating_sip_trunk_name.as_deref());
        if !self.headers.is_empty() {
            body.set("headers", headers(&self.headers));
        }
        body.set_some("customerData", self.customer_data.clone());
        body
    }
}

/// Headers as an object; those that repeat are joined as SIP allows.
pub(super) fn headers(headers: &[(String, String)]) -> Object {
    let mut object = Object::new();
    for (name, value) in headers {
        let joined = object.get(name).and_then(|there| there.as_str()).map(|there| format!("{there}, {value}"));
        object.set(name, joined.unwrap_or_else(|| value.clone()));
    }
    object
}

/// A change of a call's state. `ended` is, for a call that is over, its duration in seconds and who ended it.
pub fn call_status(call: &CallInfo, ended: Option<(u64, TerminatedBy)>) -> Object {
    let mut body = call.body();
    if let Some((duration, by)) = ended {
        body.set("duration", duration);
        body.set(
            "call_termination_by",
            match by {
                TerminatedBy::Caller => "caller",
                TerminatedBy::Server => "jambonz",
            },
        );
    }
    body
}

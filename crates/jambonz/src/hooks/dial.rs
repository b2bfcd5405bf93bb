//! Hooks while two calls are connected by `dial`.

use super::call::CallInfo;
use crate::json::Object;

/// A captured sequence of digits.
pub fn dial_dtmf(call: &CallInfo, digits: &str) -> Object {
    let mut body = call.body();
    body.set("dtmf", digits);
    body
}

/// A REFER that a party sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferDetails {
    /// The Refer-To header.
    pub refer_to: String,
    /// The user part of its URI.
    pub refer_to_user: String,
    /// The Referred-By header.
    pub referred_by: Option<String>,
    /// The user part of its URI.
    pub referred_by_user: Option<String>,
    /// The sender's User-Agent header.
    pub user_agent: Option<String>,
    /// Who sent it.
    pub referring_call_sid: String,
    /// Who shall go elsewhere.
    pub referred_call_sid: Option<String>,
}

/// The body of a `referHook`.
pub fn dial_refer(call: &CallInfo, refer: &ReferDetails) -> Object {
    let mut details = Object::new();
    details.set("sip_refer_to", refer.refer_to.as_str());
    details.set("refer_to_user", refer.refer_to_user.as_str());
    details.set_some("sip_referred_by", refer.referred_by.as_deref());
    details.set_some("referred_by_user", refer.referred_by_user.as_deref());
    details.set_some("sip_user_agent", refer.user_agent.as_deref());
    details.set("referring_call_sid", refer.referring_call_sid.as_str());
    details.set_some("referred_call_sid", refer.referred_call_sid.as_deref());
    let mut body = call.body();
    body.set("refer_details", details);
    body
}

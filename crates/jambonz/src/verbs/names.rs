//! The names of verbs.

/// The verbs that are read, by the names that [`super::Verb::name`] gives.
pub const READ: &[&str] = &[
    "answer",
    "alert",
    "say",
    "play",
    "pause",
    "gather",
    "dial",
    "conference",
    "enqueue",
    "dequeue",
    "leave",
    "listen",
    "dub",
    "dtmf",
    "tag",
    "config",
    "message",
    "sip:decline",
    "sip:refer",
    "redirect",
    "hangup",
];

/// The verbs that the vendor's schemas know besides. Names that end in `_s2s` (or `:s2s`, as one of the libraries
/// writes them) are of these too.
pub const UNSUPPORTED: &[&str] = &[
    "agent",
    "cognigy",
    "dialogflow",
    "lex",
    "llm",
    "pipeline",
    "rasa",
    "record",
    "rest:dial",
    "s2s",
    "sip:request",
    "transcribe",
    "transfer",
];

/// The name without synonyms.
pub(super) fn canonical(name: &str) -> &str {
    match name {
        "room" => "conference",
        "stream" => "listen",
        "sip_decline" => "sip:decline",
        "sip_refer" => "sip:refer",
        "sip_request" => "sip:request",
        "rest_dial" => "rest:dial",
        other => other,
    }
}

pub(super) fn is_unsupported(name: &str) -> bool {
    let vendor = name.strip_suffix("_s2s").or_else(|| name.strip_suffix(":s2s"));
    let is_vendor = vendor.is_some_and(|vendor| {
        !vendor.is_empty() && vendor.len() <= 32 && vendor.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    is_vendor || UNSUPPORTED.contains(&name)
}

//! Answers that leave nothing behind (RFC 3261 §8.2.7): whatever is said at once and finally to somebody who has not proven
//! who he is. A repetition is decided anew and gets the same answer with the same To tag; the ACK of such a refusal belongs to
//! nothing and is passed over.

use std::hash::BuildHasher;

use bytes::Bytes;

use super::Core;
use crate::access::Reply;
use crate::message::{ReplyHead, Request, reason};
use crate::transport::{Flow, Transport};

/// What a response needs of its request.
#[derive(Debug, Clone)]
pub(super) struct WayBack {
    pub flow: Flow,
    pub head: ReplyHead,
    /// Our To tag.
    pub tag: String,
}

/// A request that is no repetition.
pub(super) struct Arrived {
    pub request: Request,
    pub flow: Flow,
    /// Key of its transaction, whether it gets one or not.
    pub key: String,
    pub back: WayBack,
}

impl Core {
    pub(super) fn arrived(&self, request: Request, flow: Flow, key: String) -> Arrived {
        let head = ReplyHead::of(&request.headers, flow.remote);
        let mut back = flow;
        if flow.transport == Transport::Udp {
            back.remote.set_port(head.reply_port);
        }
        // The same for each repetition, and guessed by nobody else.
        let tag = self.tagger.hash_one((&key, flow.remote.ip(), &head.from, &head.call_id, &head.cseq));
        Arrived { back: WayBack { flow: back, head, tag: format!("{tag:016x}") }, request, flow, key }
    }

    /// Answers once and forgets.
    pub(super) fn say(&self, back: &WayBack, reply: &Reply) {
        self.wire.send(&back.flow, self.encode(back, reply.code, reply.reason, &reply.headers, None));
    }

    /// As [`Core::say`], with a body.
    pub(super) fn say_with(&self, back: &WayBack, reply: &Reply, body: (&str, &[u8])) {
        let mut lines = vec![self.server_header()];
        lines.extend(reply.headers.iter().cloned());
        let phrase = reply.reason.unwrap_or(reason(reply.code));
        self.wire.send(&back.flow, back.head.response(reply.code, phrase, &back.tag, &lines, Some(body)));
    }

    pub(super) fn encode(
        &self,
        back: &WayBack,
        code: u16,
        phrase: Option<&str>,
        headers: &[(String, String)],
        sdp: Option<&str>,
    ) -> Bytes {
        let mut lines = Vec::with_capacity(headers.len() + 1);
        lines.push(self.server_header());
        lines.extend(headers.iter().cloned());
        let body = sdp.map(|sdp| ("application/sdp", sdp.as_bytes()));
        back.head.response(code, phrase.unwrap_or(reason(code)), &back.tag, &lines, body)
    }
}

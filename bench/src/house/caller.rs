//! Somebody who places many calls over one UDP socket, with messages made by hand, so that the load costs little.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use super::{NUMBER, Purpose};
use crate::failure::{Failure, Result, Tried};
use crate::generator::PHONES;
use crate::histogram::{Histogram, Spread};
use crate::os;

/// A request without any answer is sent again after so long (RFC 3261 timer A), and given up after that many times.
const AGAIN: Duration = Duration::from_millis(500);
const TRIES: u32 = 7;
/// How long a batch of calls may take, and as much more for each.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is placed: whom he is, and where his sound goes.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// What his application does.
    pub purpose: Purpose,
    /// Port of his sound, on the phones' address.
    pub media: u16,
    /// Port of his reports.
    pub reports: u16,
}

/// What came of calls that were placed and ended, over and over.
#[derive(Clone, Debug)]
pub struct Life {
    /// Calls answered, acknowledged and ended while counting.
    pub ended: u64,
    /// From INVITE to 200, ms.
    pub setup: Spread,
    /// Requests sent again.
    pub repeated: u64,
    /// Calls refused or given up.
    pub failed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Inviting,
    Talking,
    Ending,
}

struct Call {
    step: Step,
    placed: Placed,
    began: u64,
    sent: Instant,
    tries: u32,
    provisional: bool,
    to: String,
    contact: String,
    media: Option<u16>,
}

/// The caller.
pub struct Caller {
    socket: UdpSocket,
    own: SocketAddr,
    server: SocketAddr,
    calls: HashMap<u64, Call>,
    next: u64,
    repeated: u64,
    failed: u64,
    refusal: Option<String>,
}

impl Caller {
    /// A caller of this server.
    ///
    /// # Errors
    /// No port.
    pub fn open(server: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(SocketAddrV4::new(PHONES, 0)).tried("binding the caller")?;
        os::stamp_arrivals(&socket, 4 << 20).tried("the caller's socket")?;
        socket.connect(server).tried("connecting the caller")?;
        socket.set_read_timeout(Some(Duration::from_millis(20))).tried("the caller's socket")?;
        let own = socket.local_addr().tried("the caller's address")?;
        Ok(Self { socket, own, server, calls: HashMap::new(), next: 1, repeated: 0, failed: 0, refusal: None })
    }

    /// Places calls, some at a time, and keeps them; answers the server's port for each one's sound.
    ///
    /// # Errors
    /// One was refused.
    pub fn keep(&mut self, placed: &[Placed], at_once: usize) -> Result<Vec<u16>> {
        let deadline = Instant::now() + PATIENCE + Duration::from_millis(20) * placed.len() as u32;
        let first = self.next;
        let last = first + placed.len() as u64;
        let mut waiting = placed.iter();
        loop {
            let inviting = self.calls.values().filter(|call| call.step == Step::Inviting).count();
            for placed in waiting.by_ref().take(at_once.saturating_sub(inviting)) {
                self.invite(*placed);
            }
            if self.failed > 0 {
                return Err(Failure::Server(format!(
                    "refused a call: {}",
                    self.refusal.as_deref().unwrap_or("no answer")
                )));
            }
            let talking =
                |n: u64| self.calls.get(&n).filter(|call| call.step == Step::Talking).and_then(|call| call.media);
            if waiting.len() == 0 && (first..last).all(|n| talking(n).is_some()) {
                return Ok((first..last).filter_map(talking).collect());
            }
            if Instant::now() > deadline {
                return Err(Failure::Server("did not answer all calls in time".to_owned()));
            }
            self.take_one(None);
        }
    }

    /// Places and ends calls without pause, so many at a time, and counts for `counted` after `warm`.
    pub fn churn(
        &mut self,
        at_once: usize,
        warm: Duration,
        counted: Duration,
        mut begin: impl FnMut(),
        mut end: impl FnMut(),
    ) -> Life {
        let placed = Placed { purpose: Purpose::Wait, media: 9, reports: 9 };
        let start = Instant::now();
        let (mut counting, mut ended) = (false, 0);
        let mut setup = Histogram::default();
        while start.elapsed() < warm + counted {
            if !counting && start.elapsed() >= warm {
                counting = true;
                (self.repeated, self.failed) = (0, 0);
                begin();
            }
            while self.calls.len() < at_once {
                self.invite(placed);
            }
            let over = self.take_one(counting.then_some(&mut setup));
            ended += u64::from(over && counting);
        }
        end();
        let life = Life { ended, setup: setup.spread(), repeated: self.repeated, failed: self.failed };
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.calls.is_empty() && Instant::now() < deadline {
            self.take_one(None);
        }
        life
    }

    /// Why calls failed, if any did.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    fn invite(&mut self, placed: Placed) {
        let number = self.next;
        self.next += 1;
        let call = Call {
            step: Step::Inviting,
            placed,
            began: os::monotonic(),
            sent: Instant::now(),
            tries: 1,
            provisional: false,
            to: format!("<sip:{NUMBER}@{}>", self.server),
            contact: format!("sip:{NUMBER}@{}", self.server),
            media: None,
        };
        self.send(number, &call, "INVITE");
        self.calls.insert(number, call);
    }

    fn send(&self, number: u64, call: &Call, method: &str) {
        let own = self.own;
        let (cseq, body) = match method {
            "INVITE" => (
                1,
                format!(
                    "v=0\r\no=- {number} 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {media} RTP/AVP 0 101\r\na=rtcp:{reports}\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n",
                    ip = own.ip(),
                    media = call.placed.media,
                    reports = call.placed.reports,
                ),
            ),
            "ACK" => (1, String::new()),
            _ => (2, String::new()),
        };
        let from = call.placed.purpose.number(number as usize % 10_000_000);
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let message = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKb{number}{method};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{from}@{ip}>;tag=f{number}\r\nTo: {to}\r\nCall-ID: {number}-{port}@bench\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:bench@{own}>\r\n{kind}Content-Length: {length}\r\n\r\n{body}",
            uri = call.contact,
            ip = own.ip(),
            to = call.to,
            port = own.port(),
            length = body.len(),
        );
        let _ = self.socket.send(message.as_bytes());
    }

    /// Takes one message, or looks after requests without answers; whether a call is over.
    fn take_one(&mut self, setup: Option<&mut Histogram>) -> bool {
        let mut buffer = [0u8; 8_192];
        let Ok(len) = self.socket.recv(&mut buffer) else {
            self.repeat();
            return false;
        };
        let text = String::from_utf8_lossy(buffer.get(..len).unwrap_or_default()).into_owned();
        if !text.starts_with("SIP/2.0 ") {
            self.answer(&text);
            return false;
        }
        let code: u16 = text.get(8..11).and_then(|code| code.parse().ok()).unwrap_or(0);
        let Some(number) = header(&text, "Call-ID").and_then(|id| id.split('-').next()?.parse::<u64>().ok()) else {
            return false;
        };
        let invite = header(&text, "CSeq").is_some_and(|cseq| cseq.ends_with("INVITE"));
        let Some(mut call) = self.calls.remove(&number) else { return false };
        if code < 200 {
            call.provisional = true;
        } else if invite && code < 300 {
            if call.step == Step::Inviting {
                call.step = Step::Talking;
                call.to = header(&text, "To").unwrap_or_default().to_owned();
                if let Some(contact) = header(&text, "Contact").and_then(|c| c.split(['<', '>']).nth(1)) {
                    call.contact = contact.to_owned();
                }
                call.media =
                    text.lines().find_map(|line| line.strip_prefix("m=audio ")?.split(' ').next()?.parse().ok());
                if let Some(setup) = setup {
                    setup.add((os::monotonic() - call.began).cast_signed());
                }
            }
            self.send(number, &call, "ACK");
            if call.placed.purpose == Purpose::Wait && call.placed.media == 9 && call.step == Step::Talking {
                self.send(number, &call, "BYE");
                (call.step, call.sent, call.tries) = (Step::Ending, Instant::now(), 1);
            }
        } else if invite {
            if let Some(to) = header(&text, "To") {
                call.to = to.to_owned();
            }
            self.send(number, &call, "ACK");
            self.failed += 1;
            self.refusal = text.lines().next().map(str::to_owned);
            return false;
        } else {
            return code < 300;
        }
        self.calls.insert(number, call);
        false
    }

    /// Says yes to whatever the server asks in a call.
    fn answer(&self, text: &str) {
        let mut answer = String::from("SIP/2.0 200 OK\r\n");
        for line in text.lines() {
            let name = line.split(':').next().unwrap_or_default();
            if ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name) {
                answer.push_str(line);
                answer.push_str("\r\n");
            }
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        let _ = self.socket.send(answer.as_bytes());
    }

    fn repeat(&mut self) {
        let mut given_up = Vec::new();
        let mut again = Vec::new();
        for (number, call) in &mut self.calls {
            let waits = match call.step {
                Step::Inviting => !call.provisional,
                Step::Talking => false,
                Step::Ending => true,
            };
            if waits && call.sent.elapsed() > AGAIN {
                if call.tries >= TRIES {
                    given_up.push(*number);
                    continue;
                }
                (call.sent, call.tries) = (Instant::now(), call.tries + 1);
                again.push(*number);
            }
        }
        for number in again {
            if let Some(call) = self.calls.get(&number) {
                self.send(number, call, if call.step == Step::Inviting { "INVITE" } else { "BYE" });
                self.repeated += 1;
            }
        }
        for number in given_up {
            self.calls.remove(&number);
            self.failed += 1;
        }
    }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().take_while(|line| !line.is_empty()).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

//! A browser's SIP client, as JsSIP writes it, over a WebSocket on a real TCP connection.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sip::SipError;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::bench::*;

pub const HOST: &str = "abc123.invalid";

/// What a browser offers; only `direction` and `version` differ between two of them.
pub fn webrtc(version: u32, direction: &str) -> String {
    format!(
        "v=0\r\no=- 4611 {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=msid-semantic: WMS\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 0 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:u{version}\r\n\
         a=ice-pwd:p\r\na=fingerprint:sha-256 AB:CD\r\na=setup:actpass\r\na=mid:0\r\na={direction}\r\na=rtcp-mux\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:126 telephone-event/8000\r\n"
    )
}

/// Both ends of a TCP connection on loopback: the browser's, and the server's with the browser's address.
pub async fn pair() -> (TcpStream, TcpStream, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (server, peer) = accepted.unwrap();
    (client.unwrap(), server, peer)
}

pub struct Browser {
    pub socket: WebSocketStream<TcpStream>,
    pub at: SocketAddr,
    pub user: String,
    /// The user of its Contact.
    pub contact: String,
    pub served: JoinHandle<Result<(), SipError>>,
    cseq: u32,
}

impl Browser {
    pub async fn open(bench: &Bench) -> Browser {
        let (client, server, at) = pair().await;
        client.set_nodelay(true).unwrap();
        let sip = bench.sip.clone();
        let served = tokio::spawn(async move { sip.serve_websocket(server, at, true).await });
        let socket = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        Browser { socket, at, user: "alice".to_owned(), contact: "k3jd8s".to_owned(), served, cseq: 0 }
    }

    /// One that is registered, as the device `instance`.
    pub async fn registered(bench: &Bench, user: &str, instance: &str) -> Browser {
        let mut browser = Browser::open(bench).await;
        browser.user = user.to_owned();
        let ok = browser.register(instance, "").await;
        assert_eq!(ok.code(), 200, "{ok:?}");
        browser
    }

    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::Text(text.into())).await.unwrap();
    }

    /// The next SIP message; pings are answered on the way, CRLF is passed over.
    pub async fn recv(&mut self) -> Got {
        self.try_recv(DEADLINE).await.expect("nothing received")
    }

    pub async fn try_recv(&mut self, wait: Duration) -> Option<Got> {
        let next = async {
            loop {
                match self.socket.next().await.expect("closed").expect("broken") {
                    Message::Text(text) if text.trim().is_empty() => {}
                    Message::Text(text) => return Got(text.as_str().to_owned()),
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        timeout(wait, next).await.ok()
    }

    /// The next final response.
    pub async fn last(&mut self) -> Got {
        loop {
            let got = self.recv().await;
            if got.code() >= 200 {
                return got;
            }
        }
    }

    /// The next request of that method; others are passed over.
    pub async fn request(&mut self, method: &str) -> Got {
        loop {
            let got = self.recv().await;
            if got.method() == method {
                return got;
            }
        }
    }

    /// Why the server closed; `None` without a close frame.
    pub async fn closed(&mut self) -> Option<CloseCode> {
        timeout(DEADLINE, async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|f| f.code),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        })
        .await
        .expect("still open")
    }

    pub fn message(&self, method: &str, call: &Call, cseq: u32, extra: &str, body: &str) -> String {
        let to_tag = if call.to_tag.is_empty() { String::new() } else { format!(";tag={}", call.to_tag) };
        let kind = if body.starts_with("v=0") { "Content-Type: application/sdp\r\n" } else { "" };
        let branch = if matches!(method, "INVITE" | "CANCEL") { "" } else { method };
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/WSS {HOST};branch=z9hG4bK{}{cseq}{branch}\r\nMax-Forwards: 69\r\n\
             To: <{}>{to_tag}\r\nFrom: <{}>;tag={}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{extra}{kind}\
             Supported: timer,ice,replaces,outbound\r\nUser-Agent: JsSIP 3.13.8\r\nContent-Length: {}\r\n\r\n{body}",
            call.uri,
            call.id,
            call.to,
            call.from,
            call.from_tag,
            call.id,
            body.len()
        )
    }

    pub fn contact_line(&self, instance: &str) -> String {
        format!(
            "Contact: <sip:{}@{HOST};transport=ws>;+sip.ice;reg-id=1;+sip.instance=\"<urn:uuid:{instance}>\";expires=600\r\n",
            self.contact
        )
    }

    /// Contact of a call.
    pub fn call_contact(&self) -> String {
        format!("Contact: <sip:{}@{HOST};transport=ws;ob>\r\n", self.contact)
    }

    /// Registers, answering the last challenge alone, as JsSIP and SIP.js do; what is answered in the end.
    pub async fn register(&mut self, instance: &str, extra: &str) -> Got {
        let mut line = Call::new(&format!("reg{}", self.at.port()), "", "");
        let aor = format!("sip:{}@phone.plivo.com", self.user);
        (line.from, line.to, line.uri) = (aor.clone(), aor, "sip:phone.plivo.com".to_owned());
        let lines = format!("{}Expires: 600\r\n{extra}", self.contact_line(instance));
        self.cseq += 1;
        let register = self.message("REGISTER", &line, self.cseq, &lines, "");
        self.send(&register).await;
        let challenge = self.last().await;
        if challenge.code() != 401 || challenge.all("WWW-Authenticate").is_empty() {
            return challenge;
        }
        let offered = challenge.all("WWW-Authenticate");
        assert!(offered.last().is_some_and(|c| c.contains("algorithm=MD5")), "{challenge:?}");
        let auth = credentials(&challenge, &self.user, "pw", "REGISTER", &line.uri, 1, false);
        self.cseq += 1;
        let register = self.message("REGISTER", &line, self.cseq, &format!("{lines}{auth}"), "");
        self.send(&register).await;
        self.last().await
    }

    /// An INVITE with credentials; its CSeq is 2.
    pub async fn invite(&mut self, call: &Call, extra: &str, body: &str) {
        let contact = self.call_contact();
        let invite = self.message("INVITE", call, 1, &format!("{contact}{extra}"), body);
        self.send(&invite).await;
        let challenge = self.last().await;
        assert_eq!(challenge.code(), 407, "{challenge:?}");
        let ack = self.message("ACK", call, 1, "", "");
        self.send(&ack).await;
        let auth = credentials(&challenge, &self.user, "pw", "INVITE", &call.uri, 1, false);
        let invite = self.message("INVITE", call, 2, &format!("{auth}{contact}{extra}"), body);
        self.send(&invite).await;
    }
}

/// A call from a browser, up: its last CSeq is 2.
pub async fn browser_up(bench: &mut Bench, browser: &mut Browser, id: &str) -> (sip::Leg, Call) {
    let mut call = Call::new(id, &format!("sip:{}@phone.plivo.com", browser.user), "sip:room@phone.plivo.com");
    browser.invite(&call, "", &webrtc(1, "sendrecv")).await;
    let mut leg = bench.call().await.leg;
    let answer = sip::sdp::Session::webrtc_of(&webrtc(7, "sendrecv")).unwrap();
    leg.answer(&answer, &[]).await.unwrap();
    let ok = browser.last().await;
    assert_eq!(ok.code(), 200, "{ok:?}");
    call.learn(&ok);
    let ack = browser.message("ACK", &call, 2, "", "");
    browser.send(&ack).await;
    assert_eq!(event(&mut leg).await, sip::LegEvent::Acked { answer: None });
    (leg, call)
}

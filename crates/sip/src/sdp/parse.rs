//! Reading: unknown lines and attributes are skipped, what matters must be right.

use std::net::IpAddr;

use super::{Direction, Fault, MAX_BYTES, MAX_LINES, Media, Origin, Payload, Rtcp, Session};

/// Media lines and payload types read from one description.
const MAX_MEDIA: usize = 32;
const MAX_PAYLOADS: usize = 128;

pub(super) fn session(body: &[u8]) -> Result<Session, Fault> {
    if body.len() > MAX_BYTES {
        return Err(Fault::TooLarge);
    }
    let text = std::str::from_utf8(body).map_err(|_| Fault::NotText)?;
    let mut origin = None;
    let mut connection = None;
    let mut direction = Direction::SendRecv;
    let mut media: Vec<Draft> = Vec::new();
    let mut version = false;
    let mut fingerprint = false;
    for (at, line) in text.split('\n').map(|l| l.trim_end_matches('\r')).enumerate() {
        if at >= MAX_LINES {
            return Err(Fault::TooManyLines);
        }
        let fault = |what| Fault::Line { line: at + 1, what };
        if line.trim().is_empty() {
            continue;
        }
        let (kind, value) = line.split_once('=').ok_or(fault("a letter and ="))?;
        let value = value.trim();
        if !version && (kind, value) != ("v", "0") {
            return Err(Fault::Version);
        }
        match (kind, media.last_mut()) {
            ("v", _) => version = true,
            ("o", None) => origin = Some(read_origin(value).ok_or(fault("user id version IN IP4 address"))?),
            ("c", None) => connection = Some(read_connection(value).ok_or(fault("IN IP4 or IP6 and an address"))?),
            ("c", Some(draft)) => {
                draft.media.connection = Some(read_connection(value).ok_or(fault("IN IP4 or IP6 and an address"))?);
            }
            ("m", _) => {
                if media.len() >= MAX_MEDIA {
                    return Err(fault("fewer media lines"));
                }
                media.push(read_media(value).ok_or(fault("media port protocol formats"))?);
            }
            ("a", _) if is_fingerprint(value) => fingerprint = true,
            ("a", None) => {
                if let Some(d) = read_direction(value) {
                    direction = d;
                }
            }
            ("a", Some(draft)) => draft.attribute(value).map_err(fault)?,
            _ => {}
        }
    }
    if !version {
        return Err(Fault::Version);
    }
    let media: Vec<Media> = media.into_iter().map(|d| d.finish(direction)).collect();
    let connection = connection
        .or_else(|| media.iter().find(|m| m.port != 0).and_then(|m| m.connection))
        .or_else(|| media.iter().find_map(|m| m.connection))
        .or(media.is_empty().then_some(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)))
        .ok_or(Fault::NoConnection)?;
    let origin = origin.ok_or(Fault::Line { line: 2, what: "o= with the session's origin" })?;
    let webrtc = fingerprint && media.iter().any(|m| is_webrtc(&m.protocol));
    Ok(Session { origin, connection, media, text: webrtc.then(|| text.into()) })
}

fn is_fingerprint(attribute: &str) -> bool {
    attribute.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("fingerprint"))
}

/// `UDP/TLS/RTP/SAVPF`, `TCP/TLS/RTP/SAVPF`, and `RTP/SAVPF` as older browsers write (RFC 8829 §5.1.2).
fn is_webrtc(protocol: &str) -> bool {
    let protocol = protocol.to_ascii_uppercase();
    protocol == "RTP/SAVPF" || protocol.ends_with("/TLS/RTP/SAVPF")
}

fn read_origin(value: &str) -> Option<Origin> {
    let mut words = value.split_whitespace();
    let (username, id, version) = (words.next()?, words.next()?, words.next()?);
    let (_, kind, host) = (words.next()?, words.next()?, words.next()?);
    // The origin's host is only a name; a domain there must not cost the call.
    let unspecified = match kind {
        "IP4" => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        "IP6" => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    Some(Origin {
        username: username.to_owned(),
        id: id.to_owned(),
        version: version.to_owned(),
        address: host.parse().unwrap_or(unspecified),
    })
}

fn read_connection(value: &str) -> Option<IpAddr> {
    let mut words = value.split_whitespace();
    let (net, kind, address) = (words.next()?, words.next()?, words.next()?);
    let address: IpAddr = address.split('/').next()?.parse().ok()?;
    let fits = matches!((kind, address), ("IP4", IpAddr::V4(_)) | ("IP6", IpAddr::V6(_)));
    (net == "IN" && fits).then_some(address)
}

fn read_direction(value: &str) -> Option<Direction> {
    Some(match value {
        "sendrecv" => Direction::SendRecv,
        "sendonly" => Direction::SendOnly,
        "recvonly" => Direction::RecvOnly,
        "inactive" => Direction::Inactive,
        _ => return None,
    })
}

struct Draft {
    media: Media,
    direction: Option<Direction>,
}

fn read_media(value: &str) -> Option<Draft> {
    let mut words = value.split_whitespace();
    let kind = words.next()?.to_ascii_lowercase();
    let port = words.next()?.split('/').next()?.parse().ok()?;
    let protocol = words.next()?.to_owned();
    let formats: Vec<String> = words.take(MAX_PAYLOADS).map(str::to_owned).collect();
    let mut payloads = Vec::new();
    if protocol.starts_with("RTP/") || protocol.contains("/RTP/") {
        for format in &formats {
            let number: u8 = format.parse().ok().filter(|n| *n < 128)?;
            payloads.push(fixed(number));
        }
    }
    let media = Media {
        kind,
        port,
        connection: None,
        rtcp: None,
        protocol,
        formats,
        payloads,
        direction: Direction::SendRecv,
        ptime: None,
    };
    Some(Draft { media, direction: None })
}

/// What a number means without `a=rtpmap` (RFC 3551 §6).
fn fixed(number: u8) -> Payload {
    let (name, rate) = match number {
        0 => ("PCMU", 8_000),
        3 => ("GSM", 8_000),
        4 => ("G723", 8_000),
        8 => ("PCMA", 8_000),
        9 => ("G722", 8_000),
        13 => ("CN", 8_000),
        18 => ("G729", 8_000),
        _ => ("", 0),
    };
    Payload { number, name: name.to_owned(), rate, channels: 1, fmtp: None }
}

impl Draft {
    fn attribute(&mut self, value: &str) -> Result<(), &'static str> {
        if let Some(direction) = read_direction(value) {
            self.direction = Some(direction);
            return Ok(());
        }
        let Some((name, value)) = value.split_once(':') else { return Ok(()) };
        let value = value.trim();
        match name {
            "rtpmap" => {
                let (number, map) = value.split_once(char::is_whitespace).ok_or("a=rtpmap:number name/rate")?;
                let mut parts = map.trim().split('/');
                let name = parts.next().unwrap_or("").to_owned();
                let rate = parts.next().and_then(|r| r.trim().parse().ok()).ok_or("a clock rate in a=rtpmap")?;
                let channels = parts.next().and_then(|c| c.trim().parse().ok()).unwrap_or(1);
                if let Some(payload) = self.payload(number) {
                    (payload.name, payload.rate, payload.channels) = (name, rate, channels);
                }
            }
            "fmtp" => {
                let (number, text) = value.split_once(char::is_whitespace).ok_or("a=fmtp:number parameters")?;
                if let Some(payload) = self.payload(number) {
                    payload.fmtp = Some(text.trim().to_owned());
                }
            }
            "rtcp" => {
                let (port, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
                let port = port.parse().map_err(|_| "a port in a=rtcp")?;
                let address = match rest.trim() {
                    "" => None,
                    rest => Some(read_connection(rest).ok_or("IN IP4 or IP6 and an address in a=rtcp")?),
                };
                self.media.rtcp = Some(Rtcp { port, address });
            }
            // A fractional or absurd packet time is only a wish that we do not grant.
            "ptime" => self.media.ptime = value.parse().ok(),
            _ => {}
        }
        Ok(())
    }

    fn payload(&mut self, number: &str) -> Option<&mut Payload> {
        let number: u8 = number.parse().ok()?;
        self.media.payloads.iter_mut().find(|p| p.number == number)
    }

    fn finish(mut self, session: Direction) -> Media {
        self.media.direction = self.direction.unwrap_or(session);
        self.media
    }
}

//! Writing a session description: one audio line of ours, everything else rejected.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::net::SocketAddr;

use audio::Format;

use super::Setup;
use crate::format::{Direction, mapping};

/// A media line of the session, in the order both sides keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Our audio.
    Audio {
        /// Its mid; empty if they gave none.
        mid: String,
        /// The protocol they wrote.
        protocol: String,
    },
    /// Whatever we refuse (RFC 3264 §6): it stays refused.
    Rejected {
        /// `video`, `application` …
        kind: String,
        /// The protocol they wrote.
        protocol: String,
        /// The format that a refused line repeats.
        format: String,
        /// Its mid.
        mid: String,
    },
}

/// All that a description of ours says.
pub(crate) struct Ours<'a> {
    pub session: u64,
    pub version: u64,
    pub lines: &'a [Line],
    /// Whether media lines are grouped into one transport.
    pub bundled: bool,
    pub direction: Direction,
    pub ufrag: &'a str,
    pub password: &'a str,
    pub fingerprint: &'a str,
    pub setup: Setup,
    pub lite: bool,
    /// `candidate:…`, all of them.
    pub candidates: &'a [String],
    /// Where media goes by default.
    pub address: SocketAddr,
    /// Formats with their payload types, best first.
    pub formats: &'a [(Format, u8)],
    /// Telephone events: payload type and clock rate.
    pub telephone_events: &'a [(u8, u32)],
    pub ssrc: u32,
    /// Canonical name and stream.
    pub name: &'a str,
    /// `maxaveragebitrate` of the Opus we want, bit/s.
    pub max_average_bitrate: u32,
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IP4" } else { "IP6" }
}

/// Writes a description.
pub(crate) fn write(ours: &Ours<'_>) -> String {
    let mut out = String::with_capacity(2_048);
    // Writing to a string cannot fail.
    let _ = write_into(&mut out, ours);
    out
}

fn write_into(out: &mut String, ours: &Ours<'_>) -> std::fmt::Result {
    write!(out, "v=0\r\no=- {} {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", ours.session, ours.version)?;
    if ours.lite {
        out.push_str("a=ice-lite\r\n");
    }
    let bundled = ours.lines.iter().find_map(|line| match line {
        Line::Audio { mid, .. } if ours.bundled && !mid.is_empty() => Some(mid),
        _ => None,
    });
    if let Some(mid) = bundled {
        write!(out, "a=group:BUNDLE {mid}\r\n")?;
    }
    write!(out, "a=msid-semantic: WMS {}\r\n", ours.name)?;
    for line in ours.lines {
        match line {
            Line::Rejected { kind, protocol, format, mid } => {
                write!(out, "m={kind} 0 {protocol} {format}\r\nc=IN IP4 0.0.0.0\r\n")?;
                if !mid.is_empty() {
                    write!(out, "a=mid:{mid}\r\n")?;
                }
                out.push_str("a=inactive\r\n");
            }
            Line::Audio { mid, protocol } => write_audio(out, ours, mid, protocol)?,
        }
    }
    Ok(())
}

fn write_audio(out: &mut String, ours: &Ours<'_>, mid: &str, protocol: &str) -> std::fmt::Result {
    let ip = ours.address.ip();
    write!(out, "m=audio {} {protocol}", ours.address.port())?;
    for (_, payload) in ours.formats {
        write!(out, " {payload}")?;
    }
    for (payload, _) in ours.telephone_events {
        write!(out, " {payload}")?;
    }
    write!(out, "\r\nc=IN {} {ip}\r\na=rtcp:9 IN IP4 0.0.0.0\r\n", family(ip))?;
    if !mid.is_empty() {
        write!(out, "a=mid:{mid}\r\n")?;
    }
    write!(out, "a={}\r\na=rtcp-mux\r\n", ours.direction.attribute())?;
    write!(out, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=ice-options:trickle\r\n", ours.ufrag, ours.password)?;
    let setup = match ours.setup {
        Setup::Actpass => "actpass",
        Setup::Active => "active",
        Setup::Passive => "passive",
    };
    write!(out, "a=fingerprint:{}\r\na=setup:{setup}\r\n", ours.fingerprint)?;
    // Their order means nothing; G.722 is last because Plivo's browser SDK cuts its line out, and what follows it with it.
    let mut mapped: Vec<_> = ours.formats.iter().collect();
    mapped.sort_by_key(|(format, _)| *format == Format::G722);
    for (format, payload) in mapped {
        write!(out, "a=rtpmap:{payload} {}\r\n", mapping(*format))?;
        if *format == Format::Opus {
            let rate = ours.max_average_bitrate;
            write!(out, "a=fmtp:{payload} minptime=10;useinbandfec=1;usedtx=1;stereo=0;maxaveragebitrate={rate}\r\n")?;
        }
    }
    for (payload, clock) in ours.telephone_events {
        // Without events named, they are 0 to 15 (RFC 4733 §2.4.1); Plivo's browser SDK cannot read them.
        write!(out, "a=rtpmap:{payload} telephone-event/{clock}\r\n")?;
    }
    out.push_str("a=ptime:20\r\na=maxptime:20\r\n");
    write!(out, "a=msid:{0} {0}\r\na=ssrc:{1} cname:{0}\r\n", ours.name, ours.ssrc)?;
    for candidate in ours.candidates {
        write!(out, "a={candidate}\r\n")?;
    }
    out.push_str("a=end-of-candidates\r\n");
    Ok(())
}

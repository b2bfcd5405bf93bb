//! Writing.

use std::fmt;
use std::net::IpAddr;

use super::{Direction, Media, Session};

fn family(ip: IpAddr) -> &'static str {
    match ip {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    }
}

/// A word of a line; what could end the word or the line is left out.
fn word(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
    if kept.is_empty() { "-".to_owned() } else { kept }
}

fn phrase(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        })
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        let o = &self.origin;
        write!(f, "v=0\r\no={} {} {} IN ", word(&o.username), word(&o.id), word(&o.version))?;
        write!(f, "{} {}\r\ns=-\r\n", family(o.address), o.address)?;
        write!(f, "c=IN {} {}\r\nt=0 0\r\n", family(self.connection), self.connection)?;
        self.media.iter().try_for_each(|media| write!(f, "{media}"))
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {}", word(&self.kind), self.port, word(&self.protocol))?;
        if self.payloads.is_empty() {
            for format in &self.formats {
                write!(f, " {}", word(format))?;
            }
        } else {
            for payload in &self.payloads {
                write!(f, " {}", payload.number)?;
            }
        }
        f.write_str("\r\n")?;
        if let Some(ip) = self.connection {
            write!(f, "c=IN {} {ip}\r\n", family(ip))?;
        }
        if let Some(rtcp) = self.rtcp {
            match rtcp.address {
                Some(ip) => write!(f, "a=rtcp:{} IN {} {ip}\r\n", rtcp.port, family(ip))?,
                None => write!(f, "a=rtcp:{}\r\n", rtcp.port)?,
            }
        }
        for payload in self.payloads.iter().filter(|p| p.rate > 0) {
            write!(f, "a=rtpmap:{} {}/{}", payload.number, word(&payload.name), payload.rate)?;
            if payload.channels > 1 {
                write!(f, "/{}", payload.channels)?;
            }
            f.write_str("\r\n")?;
        }
        for payload in &self.payloads {
            if let Some(fmtp) = &payload.fmtp {
                write!(f, "a=fmtp:{} {}\r\n", payload.number, phrase(fmtp))?;
            }
        }
        if let Some(ptime) = self.ptime {
            write!(f, "a=ptime:{ptime}\r\n")?;
        }
        if self.port != 0 {
            write!(f, "a={}\r\n", self.direction)?;
        }
        Ok(())
    }
}

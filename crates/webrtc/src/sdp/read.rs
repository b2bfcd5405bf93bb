//! Reading a session description. Whatever does not concern audio is passed over; sizes are bounded.

use std::str::FromStr;

use audio::Format;
use media::OpusTerms;

use crate::error::SdpError;
use crate::format::{Direction, static_format};

/// Longest description, bytes; a browser's with video takes 10 000.
const LONGEST: usize = 48 << 10;
/// Most media lines.
const MOST_LINES: usize = 16;
/// Most candidates that are taken; the rest is passed over.
const MOST_CANDIDATES: usize = 32;
/// Most payload types of a media line.
const MOST_PAYLOADS: usize = 64;

/// Who opens the DTLS connection (RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    Actpass,
    Active,
    Passive,
}

/// The attributes of a transport, at whichever level they stand.
#[derive(Clone, Debug, Default)]
struct Transport {
    ufrag: Option<String>,
    password: Option<String>,
    fingerprints: Vec<String>,
    setup: Option<Setup>,
    candidates: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Payload {
    number: u8,
    name: String,
    clock: u32,
    parameters: String,
}

#[derive(Clone, Debug, Default)]
struct Media {
    kind: String,
    port: u16,
    protocol: String,
    /// The first format of the line: a rejected line repeats it.
    first_format: String,
    numbers: Vec<u8>,
    mid: String,
    bundle_only: bool,
    rtcp_mux: bool,
    direction: Option<Direction>,
    transport: Transport,
    mappings: Vec<(u8, String, u32)>,
    parameters: Vec<(u8, String)>,
}

/// A session description.
#[derive(Clone, Debug, Default)]
pub(crate) struct Description {
    lite: bool,
    bundled: bool,
    direction: Option<Direction>,
    transport: Transport,
    media: Vec<Media>,
}

/// The audio of a description with the transport it uses.
#[derive(Clone, Debug)]
pub(crate) struct Audio {
    /// Which media line it is.
    pub index: usize,
    /// From their side.
    pub direction: Direction,
    pub ufrag: String,
    pub password: String,
    /// `sha-256 AB:CD:…`.
    pub fingerprint: String,
    pub setup: Setup,
    /// `candidate:…`.
    pub candidates: Vec<String>,
    payloads: Vec<Payload>,
}

fn token(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// `ice-char` of RFC 8839 §5.4.
fn ice_characters(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// Thirty-two octets in hexadecimal with colons.
fn sha256_octets(text: &str) -> bool {
    text.split(':').count() == 32 && text.split(':').all(|o| o.len() == 2 && o.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn number<T: FromStr>(text: &str, why: &'static str) -> Result<T, &'static str> {
    text.trim().parse().map_err(|_| why)
}

impl Transport {
    /// Takes an attribute if it is one of a transport.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, &'static str> {
        match name {
            "ice-ufrag" => {
                if !ice_characters(value, 4..=256) {
                    return Err("ice-ufrag takes 4 to 256 letters, digits, + and /");
                }
                self.ufrag = Some(value.to_owned());
            }
            "ice-pwd" => {
                if !ice_characters(value, 22..=256) {
                    return Err("ice-pwd takes 22 to 256 letters, digits, + and /");
                }
                self.password = Some(value.to_owned());
            }
            "fingerprint" => {
                if self.fingerprints.len() < 4 {
                    self.fingerprints.push(value.to_owned());
                }
            }
            "setup" => {
                self.setup = Some(match value {
                    "actpass" => Setup::Actpass,
                    "active" => Setup::Active,
                    "passive" => Setup::Passive,
                    _ => return Err("setup takes actpass, active or passive"),
                });
            }
            "candidate" => {
                if self.candidates.len() < MOST_CANDIDATES && value.len() <= 512 {
                    self.candidates.push(format!("candidate:{value}"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Media {
    fn of_line(value: &str) -> Result<Self, &'static str> {
        let mut words = value.split_ascii_whitespace();
        let mut word = || words.next().ok_or("a media line has a kind, a port, a protocol and formats");
        let (kind, port, protocol) = (word()?, word()?, word()?);
        let formats: Vec<&str> = words.collect();
        let first = formats.first().copied().unwrap_or("0");
        if !token(kind, 32) || !token(protocol, 64) || !token(first, 64) {
            return Err("a word of the media line is too long or not ASCII");
        }
        let port = number(port.split('/').next().unwrap_or(port), "a port is 0 to 65535")?;
        let numbers = if kind == "audio" {
            formats.iter().filter_map(|f| f.parse().ok()).filter(|n| *n < 128).take(MOST_PAYLOADS).collect()
        } else {
            Vec::new()
        };
        let words = (kind.to_owned(), protocol.to_owned(), first.to_owned());
        Ok(Self { kind: words.0, port, protocol: words.1, first_format: words.2, numbers, ..Self::default() })
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "mid" => {
                if !token(value, 64) {
                    return Err("a mid is one word of at most 64 characters");
                }
                self.mid = value.to_owned();
            }
            "bundle-only" => self.bundle_only = true,
            "rtcp-mux" => self.rtcp_mux = true,
            "rtpmap" if self.kind == "audio" && self.mappings.len() < MOST_PAYLOADS => {
                let (payload, mapping) = value.split_once(' ').ok_or("an rtpmap has a payload type and an encoding")?;
                let mut parts = mapping.trim().split('/');
                let name = parts.next().filter(|n| token(n, 64)).ok_or("an rtpmap names an encoding")?;
                let clock = number(parts.next().unwrap_or(""), "an rtpmap has a clock rate")?;
                self.mappings.push((number(payload, "a payload type is 0 to 127")?, name.to_owned(), clock));
            }
            "fmtp" if self.kind == "audio" && self.parameters.len() < MOST_PAYLOADS => {
                let (payload, parameters) = value.split_once(' ').unwrap_or((value, ""));
                // Formats of other media lines may be words; one that is no payload type concerns no format of ours.
                if let Ok(payload) = payload.parse() {
                    self.parameters.push((payload, parameters.to_owned()));
                }
            }
            _ => {
                if let Some(direction) = Direction::of_attribute(name) {
                    self.direction = Some(direction);
                } else {
                    self.transport.take(name, value)?;
                }
            }
        }
        Ok(())
    }

    fn is_audio(&self) -> bool {
        self.kind == "audio" && self.protocol.ends_with("RTP/SAVPF") && (self.port != 0 || self.bundle_only)
    }

    fn payloads(&self) -> Vec<Payload> {
        let mapped = |n: u8| {
            let found = self.mappings.iter().find(|m| m.0 == n).map(|m| (m.1.clone(), m.2));
            found.or_else(|| static_format(n).map(|f| (f.name().to_owned(), f.clock_rate())))
        };
        let parameters = |n: u8| self.parameters.iter().find(|p| p.0 == n).map(|p| p.1.clone()).unwrap_or_default();
        let payload = |&number: &u8| {
            mapped(number).map(|(name, clock)| Payload { number, name, clock, parameters: parameters(number) })
        };
        self.numbers.iter().filter_map(payload).collect()
    }
}

impl Description {
    /// Reads a description.
    pub(crate) fn read(text: &str) -> Result<Self, SdpError> {
        if text.len() > LONGEST {
            return Err(SdpError::TooBig { what: "bytes", found: text.len(), most: LONGEST });
        }
        let mut description = Self::default();
        for (index, line) in text.lines().enumerate() {
            description.take(line.trim_end()).map_err(|why| SdpError::Malformed { line: index + 1, why })?;
            if description.media.len() > MOST_LINES {
                let found = text.lines().filter(|l| l.starts_with("m=")).count();
                return Err(SdpError::TooBig { what: "media lines", found, most: MOST_LINES });
            }
        }
        Ok(description)
    }

    fn take(&mut self, line: &str) -> Result<(), &'static str> {
        if line.is_empty() {
            return Ok(());
        }
        let (letter, value) = line.split_once('=').ok_or("a line is a letter, = and a value")?;
        match letter {
            "m" => {
                let media = Media::of_line(value)?;
                self.media.push(media);
            }
            "a" => {
                let (name, value) = value.split_once(':').unwrap_or((value, ""));
                match self.media.last_mut() {
                    Some(media) => media.take(name, value)?,
                    None if name == "ice-lite" => self.lite = true,
                    None if name == "group" => self.bundled |= value.starts_with("BUNDLE"),
                    None => match Direction::of_attribute(name) {
                        Some(direction) => self.direction = Some(direction),
                        None => _ = self.transport.take(name, value)?,
                    },
                }
            }
            // Everything else says nothing that is needed: addresses come from ICE.
            _ => {}
        }
        Ok(())
    }

    /// Whether the sender is ICE lite.
    pub(crate) fn lite(&self) -> bool {
        self.lite
    }

    /// Whether it groups its media lines into one transport (RFC 9143).
    pub(crate) fn bundled(&self) -> bool {
        self.bundled
    }

    /// Number of media lines.
    pub(crate) fn len(&self) -> usize {
        self.media.len()
    }

    /// Kind, protocol, first format and mid of a line.
    pub(crate) fn line(&self, index: usize) -> Option<(&str, &str, &str, &str)> {
        let media = self.media.get(index)?;
        Some((&media.kind, &media.protocol, &media.first_format, &media.mid))
    }

    /// The audio with the transport it uses: the media line of that index, else the first that can be.
    pub(crate) fn audio(&self, at: Option<usize>) -> Result<Audio, SdpError> {
        let usable = |index: &usize| self.media.get(*index).is_some_and(Media::is_audio);
        let index = match at {
            Some(index) => Some(index).filter(usable),
            None => (0..self.media.len()).find(usable),
        };
        let (index, media) = index.and_then(|i| Some((i, self.media.get(i)?))).ok_or(SdpError::NoAudio)?;
        if !media.rtcp_mux {
            return Err(SdpError::Missing("a=rtcp-mux; RTP and RTCP share one port here"));
        }
        // An attribute stands at the line, at the session, or, for a line that is only bundled, at the line it is bundled with.
        let levels = || {
            let others = self.media.iter().filter(|_| media.bundle_only).map(|m| &m.transport);
            [&media.transport, &self.transport].into_iter().chain(others)
        };
        let ufrag = levels().find_map(|t| t.ufrag.clone()).ok_or(SdpError::Missing("a=ice-ufrag"))?;
        let password = levels().find_map(|t| t.password.clone()).ok_or(SdpError::Missing("a=ice-pwd"))?;
        let fingerprints =
            levels().find(|t| !t.fingerprints.is_empty()).map(|t| t.fingerprints.as_slice()).unwrap_or(&[]);
        let candidates = levels().find(|t| !t.candidates.is_empty()).map(|t| t.candidates.clone()).unwrap_or_default();
        Ok(Audio {
            index,
            direction: media.direction.or(self.direction).unwrap_or_default(),
            ufrag,
            password,
            fingerprint: sha256(fingerprints)?,
            setup: levels().find_map(|t| t.setup).unwrap_or(Setup::Actpass),
            candidates,
            payloads: media.payloads(),
        })
    }
}

/// The fingerprint by SHA-256 among these.
fn sha256(fingerprints: &[String]) -> Result<String, SdpError> {
    let mut hashes = Vec::new();
    for fingerprint in fingerprints {
        let (hash, octets) = fingerprint.split_once(' ').unwrap_or((fingerprint, ""));
        if hash.eq_ignore_ascii_case("sha-256") && sha256_octets(octets.trim()) {
            return Ok(format!("sha-256 {}", octets.trim().to_ascii_uppercase()));
        }
        hashes.push(hash.chars().take(16).collect::<String>());
    }
    if hashes.is_empty() {
        return Err(SdpError::Missing("a=fingerprint; calls here are always encrypted by DTLS-SRTP"));
    }
    Err(SdpError::FingerprintHash(hashes.join(", ")))
}

impl Audio {
    /// Payload type of a format.
    pub(crate) fn payload_type(&self, format: Format) -> Option<u8> {
        let is = |p: &&Payload| p.name.eq_ignore_ascii_case(format.name()) && p.clock == format.clock_rate();
        self.payloads.iter().find(is).map(|p| p.number)
    }

    /// Payload type of telephone events at a clock rate.
    pub(crate) fn telephone_event(&self, clock: u32) -> Option<u8> {
        let is = |p: &&Payload| p.name.eq_ignore_ascii_case("telephone-event") && p.clock == clock;
        self.payloads.iter().find(is).map(|p| p.number)
    }

    /// What they want of the Opus of this payload type (RFC 7587 §6.1).
    pub(crate) fn opus_terms(&self, payload_type: u8) -> OpusTerms {
        let Some(payload) = self.payloads.iter().find(|p| p.number == payload_type) else {
            return OpusTerms { dtx: false, fec: false, max_bitrate: None };
        };
        let value = |name: &str| {
            let pairs = payload.parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
            pairs.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let number = |name: &str| value(name).and_then(|v| v.parse::<u32>().ok());
        OpusTerms {
            dtx: value("usedtx") == Some("1"),
            fec: value("useinbandfec") == Some("1"),
            max_bitrate: number("maxaveragebitrate").map(|rate| rate.clamp(6_000, 510_000)),
        }
    }

    /// Names of the formats, for an error.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.payloads.iter().map(|p| p.name.as_str()).take(12).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

//! Understands speech, by an HTTP server of the operator's choice.
//!
//! What somebody said is sent as one WAV file (8 kHz, 16 bits, one channel) by POST, with `language` and `hints` in the
//! query. The answer is JSON: `{"text": "…", "confidence": 0.93}`, or `{"alternatives": [{"transcript": "…",
//! "confidence": 0.93}]}` with the best first, and `"language"` if it is another one. Confidence is 1 where it is missing.

use std::collections::VecDeque;
use std::time::Duration;

use media::TapReader;
use serde_json::Value as Json;

use crate::dialect::{DeliveryOptions, Understood};
use crate::http::{Content, Http, HttpPolicy, Network, Request};
use crate::verb::{BasicAuth, Method, Understanding};

/// Where speech is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecogniserConfig {
    /// `http` or `https` URL. The operator's own: private addresses are allowed.
    pub url: String,
    /// Credentials.
    pub auth: Option<BasicAuth>,
}

impl RecogniserConfig {
    /// From an `http` or `https` URL, which may have a name and a password; `None`: it is no such URL.
    pub fn parse(text: &str) -> Option<Self> {
        let mut url = url::Url::parse(text.trim()).ok()?;
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let plain = |text: &str| {
            let pair = format!("x={}", text.replace('+', "%2B"));
            let decoded = url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, text)| text.into_owned());
            decoded.unwrap_or_default()
        };
        let (username, password) = (plain(url.username()), plain(url.password().unwrap_or_default()));
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        Some(Self { url: url.into(), auth: (!username.is_empty()).then_some(BasicAuth { username, password }) })
    }
}

/// Frames of 20 ms that are kept from before somebody began to speak.
const BEFORE: usize = 20;
/// Loud frames among the last of them that are the beginning of speech.
const BEGIN: (usize, usize) = (5, 8);
/// Louder than this is speech: −38 dBFS.
const LOUD: u16 = 412;
/// Silence that ends what is said, where nobody says another.
const SILENCE: Duration = Duration::from_millis(900);
/// Longest speech.
const LONGEST: Duration = Duration::from_secs(60);
/// Longest answer, bytes.
const ANSWER: usize = 64 * 1024;
const FRAME: Duration = Duration::from_millis(20);

/// Understands speech. Cheap to clone.
#[derive(Clone)]
pub struct Recogniser {
    http: Http,
    config: RecogniserConfig,
}

impl Recogniser {
    /// One that asks this server.
    pub fn new(config: RecogniserConfig) -> Self {
        let everywhere = ["0.0.0.0/0", "::/0"].into_iter().filter_map(Network::parse).collect();
        Self { http: Http::new(HttpPolicy { allowed: everywhere, ..HttpPolicy::default() }), config }
    }

    /// Waits until something has been said, and understands it.
    ///
    /// # Errors
    /// Why it was not understood.
    pub(crate) async fn understand(&self, mut reader: TapReader, speech: &Understanding) -> Result<Understood, String> {
        let mut ears = Ears::new(if speech.silence.is_zero() { SILENCE } else { speech.silence });
        let mut ticks = tokio::time::interval(FRAME);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let said = 'said: loop {
            ticks.tick().await;
            while let Some(frame) = reader.read_filled() {
                if let Some(said) = ears.hear(&frame.inbound) {
                    break 'said said;
                }
            }
            if reader.ended() {
                return Err("the call ended".to_owned());
            }
        };
        self.recognise(said, speech).await
    }

    async fn recognise(&self, samples: Vec<i16>, speech: &Understanding) -> Result<Understood, String> {
        let failed = |problem: String| format!("the recogniser of speech failed: {problem}");
        let mut url = url::Url::parse(&self.config.url).map_err(|error| failed(error.to_string()))?;
        if !speech.language.is_empty() {
            url.query_pairs_mut().append_pair("language", &speech.language);
        }
        if !speech.hints.is_empty() {
            url.query_pairs_mut().append_pair("hints", &speech.hints.join(","));
        }
        let options = DeliveryOptions {
            connect: Duration::from_secs(2),
            total: Duration::from_secs(15),
            retries: 1,
            retry_connect: true,
            retry_timeout: false,
            retry_4xx: false,
            retry_5xx: true,
        };
        let request = Request {
            method: Method::Post,
            url: url.as_str(),
            auth: self.config.auth.as_ref(),
            content: Content::Bytes("audio/wav", audio::wav::write(&samples, 8_000).into()),
            headers: &[],
            limit: ANSWER,
            download: None,
        };
        let answer = self.http.send(&request, options).await.map_err(|error| failed(error.to_string()))?;
        read(&answer.body, &speech.language).map_err(failed)
    }
}

/// Finds where somebody begins and ends to speak.
struct Ears {
    silence: Duration,
    before: VecDeque<([i16; 160], bool)>,
    said: Vec<i16>,
    quiet: Duration,
}

impl Ears {
    fn new(silence: Duration) -> Self {
        Self { silence, before: VecDeque::with_capacity(BEFORE), said: Vec::new(), quiet: Duration::ZERO }
    }

    /// Takes a frame of 8 kHz; what was said, when that is over.
    fn hear(&mut self, frame: &[i16; 160]) -> Option<Vec<i16>> {
        let loud = frame.iter().any(|sample| sample.unsigned_abs() > LOUD);
        if self.said.is_empty() {
            if self.before.len() == BEFORE {
                self.before.pop_front();
            }
            self.before.push_back((*frame, loud));
            let recent = self.before.iter().rev().take(BEGIN.1).filter(|(_, loud)| *loud).count();
            if recent >= BEGIN.0 {
                self.said = self.before.drain(..).flat_map(|(frame, _)| frame).collect();
            }
            return None;
        }
        self.said.extend_from_slice(frame);
        self.quiet = if loud { Duration::ZERO } else { self.quiet + FRAME };
        let long = Duration::from_micros(125) * u32::try_from(self.said.len()).unwrap_or(u32::MAX) >= LONGEST;
        (self.quiet >= self.silence || long).then(|| std::mem::take(&mut self.said))
    }
}

fn read(body: &[u8], language: &str) -> Result<Understood, String> {
    let answer: Json = serde_json::from_slice(body).map_err(|error| format!("its answer is no JSON: {error}"))?;
    let confidence = |of: &Json| of.get("confidence").and_then(Json::as_f64).unwrap_or(1.0).clamp(0.0, 1.0);
    let text = |of: &Json, key: &str| of.get(key).and_then(Json::as_str).map(str::to_owned);
    let alternatives = match answer.get("alternatives").and_then(Json::as_array) {
        Some(all) => all.iter().filter_map(|one| Some((text(one, "transcript")?, confidence(one)))).collect(),
        None => text(&answer, "text").map(|text| (text, confidence(&answer))).into_iter().collect::<Vec<_>>(),
    };
    if alternatives.is_empty() {
        return Err("its answer has no text; answer with {\"text\": …, \"confidence\": …}".to_owned());
    }
    let language = text(&answer, "language").unwrap_or_else(|| language.to_owned());
    Ok(Understood { language, alternatives })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_begins_with_a_little_of_what_was_before_and_ends_with_silence() {
        let mut ears = Ears::new(Duration::from_millis(100));
        let (quiet, loud) = ([0i16; 160], [3_000i16; 160]);
        for _ in 0..50 {
            assert!(ears.hear(&quiet).is_none());
        }
        // A click is no speech.
        assert!(ears.hear(&loud).is_none() && ears.said.is_empty());
        for _ in 0..30 {
            assert!(ears.hear(&quiet).is_none());
        }
        for _ in 0..10 {
            assert!(ears.hear(&loud).is_none());
        }
        let said = (0..6).find_map(|_| ears.hear(&quiet)).expect("it is over");
        assert_eq!(said.len() / 160, BEFORE + 5 + 5);
    }

    #[test]
    fn credentials_are_taken_out_of_the_url() {
        let config = RecogniserConfig::parse("https://aside:p%40ss+1@stt.example.com:8443/v1?model=small").unwrap();
        assert_eq!(config.url, "https://stt.example.com:8443/v1?model=small");
        let auth = config.auth.expect("it has credentials");
        assert_eq!((auth.username.as_str(), auth.password.as_str()), ("aside", "p@ss+1"));
        assert!(RecogniserConfig::parse("http://127.0.0.1:9000/").is_some_and(|config| config.auth.is_none()));
        for text in ["", "stt.example.com", "ftp://stt.example.com", "http://"] {
            assert_eq!(RecogniserConfig::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn both_answers_are_read_and_others_are_told_what_is_wrong() {
        let understood = read(br#"{"text":"hello","confidence":0.5}"#, "en-US").unwrap();
        assert_eq!((understood.language.as_str(), understood.alternatives), ("en-US", vec![("hello".to_owned(), 0.5)]));
        let understood =
            read(br#"{"alternatives":[{"transcript":"a"},{"transcript":"b","confidence":7}],"language":"de"}"#, "");
        let understood = understood.unwrap();
        assert_eq!(understood.alternatives, [("a".to_owned(), 1.0), ("b".to_owned(), 1.0)]);
        assert!(read(b"{}", "").is_err_and(|problem| problem.contains("no text")));
        assert!(read(b"<html>", "").is_err());
    }
}

//! A call that runs one document.

use std::time::Instant;

use phone::{Call, CallOptions, Ended, Mouth, Phone};
use serde_json::Value;
use system_tests::SOON;
use system_tests::office::Office;
use system_tests::program::{Asked, Reply};

use super::score::{Score, wav};

/// Tones of these tests: one at a time, none a product of another.
pub const TONES: [u32; 6] = [600, 900, 1_400, 1_900, 2_600, 3_100];

/// A call, and what its program was asked about it.
pub struct Running {
    /// The phone's end.
    pub call: Call,
    /// The server's id of it.
    pub uuid: String,
    /// The program's log before it.
    pub mark: usize,
    /// The caller's name.
    pub name: String,
    /// Without it the call would be unplugged.
    _phone: Phone,
}

/// Dials; when this returns the answer URL was asked. The document is at `/answer/NAME`, the hang-up URL at `/hangup/NAME`.
pub async fn dials(office: &Office, name: &str, document: &str) -> Running {
    office.program.document(&format!("/answer/{name}"), document);
    let phone = office.phone(name, Mouth::Silence).await;
    dials_again(office, name, phone).await
}

/// As [`dials`], with a phone and a document that are there.
pub async fn dials_again(office: &Office, name: &str, phone: Phone) -> Running {
    let mark = office.program.mark();
    let call = match phone.call("hotline", CallOptions::default()) {
        Ok(call) => call,
        Err(error) => panic!("{name} cannot call: {error}"),
    };
    let path = format!("/answer/{name}");
    let asked = office.program.asked().expect(&path, mark, SOON, |asked| asked.path == path).await;
    let uuid = asked.param("CallUUID").to_owned();
    Running { _phone: phone, call, uuid, mark, name: name.to_owned() }
}

/// As [`dials`]; when this returns the call was answered.
pub async fn runs(office: &Office, name: &str, document: &str) -> Running {
    let running = dials(office, name, document).await;
    running.answered().await;
    running
}

impl Running {
    /// Waits for the answer.
    pub async fn answered(&self) {
        if let Err(error) = self.call.wait_answered(SOON).await {
            panic!("{}'s call was not answered: {error}", self.name);
        }
    }

    /// Waits for the call's end.
    pub async fn ended(&self) -> Ended {
        match self.call.wait_ended(SOON * 2).await {
            Ok(ended) => ended,
            Err(error) => panic!("{}'s call goes on: {error}", self.name),
        }
    }

    /// Waits for the end and gives what was heard until then.
    pub async fn score(&self) -> Score {
        self.ended().await;
        Score::of(&self.call, &TONES)
    }

    /// Waits until a tone is heard at or after an instant; gives the packet's arrival.
    pub async fn hears(&self, tone: u32, since: Instant) -> Instant {
        match self.call.ear().wait_heard(tone, -26.0, since, SOON).await {
            Some(heard) => heard.at,
            None => panic!("{} does not hear {tone} Hz: {}", self.name, Score::of(&self.call, &TONES)),
        }
    }

    /// Waits for a request to a path about this call.
    pub async fn asks(&self, office: &Office, path: &str) -> Asked {
        let about = |asked: &Asked| asked.path == path && asked.param("CallUUID") == self.uuid;
        office.program.asked().expect(&format!("request to {path}"), self.mark, SOON, about).await
    }

    /// How many requests to a path came since the call began.
    pub fn asked(&self, office: &Office, path: &str) -> usize {
        office.program.asked().all().iter().skip(self.mark).filter(|asked| asked.path == path).count()
    }

    /// Waits for the hang-up callback; it and the call's record must tell this code, name and source.
    pub async fn is_recorded(&self, office: &Office, code: &str, name: &str, source: &str) -> Asked {
        let hangup = self.asks(office, &format!("/hangup/{}", self.name)).await;
        let told = (hangup.param("HangupCauseCode"), hangup.param("HangupCauseName"), hangup.param("HangupSource"));
        assert_eq!(told, (code, name, source), "{hangup:?}");
        let record = office.rest.get(&format!("/Call/{}/", self.uuid)).await;
        let recorded = (&record["hangup_cause_code"], &record["hangup_cause_name"], &record["hangup_source"]);
        let code: u64 = code.parse().unwrap_or_default();
        assert_eq!(recorded, (&code.into(), &name.into(), &source.into()), "{record}");
        hangup
    }

    /// Waits for a warning event about this call that names all of these.
    pub async fn is_warned_of(&self, office: &Office, words: &[&str]) -> String {
        warning(office, |event| event["call_uuid"] == self.uuid.as_str(), words).await
    }
}

/// Waits on the native event stream for a warning that is wanted and names all of these.
pub async fn warning(office: &Office, wanted: impl Fn(&Value) -> bool, words: &[&str]) -> String {
    let found = async {
        let mut cursor = 0;
        loop {
            let page = office.native.get(&format!("/events?after={cursor}&wait=10")).await;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            let is = |event: &&Value| {
                let text = event.to_string();
                event["kind"] == "warning" && wanted(event) && words.iter().all(|word| text.contains(word))
            };
            if let Some(event) = items.iter().find(is) {
                return event.to_string();
            }
            cursor = page["next"].as_i64().unwrap_or(cursor);
        }
    };
    match tokio::time::timeout(SOON, found).await {
        Ok(text) => text,
        Err(_) => panic!("no warning with {words:?}"),
    }
}

/// Serves a tone as a WAV file of 8 kHz; its URL.
pub fn tone(office: &Office, path: &str, tone: u32, ms: u64) -> String {
    office.program.reply(path, Reply::Plain(200, "audio/wav", wav(8_000, 1, tone, ms)));
    office.program.url(path)
}

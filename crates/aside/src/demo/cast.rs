//! The demo's phones, and what they say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phone::analysis::{Ears, HearingMatrix, Speaker, matrix, tone_set};
use phone::{Call, CallOptions, Mouth, Packet, Phone, PhoneConfig};

use super::DemoError;

/// The phones.
pub(super) struct Cast {
    pub customer: Actor,
    pub agent: Actor,
    pub supervisor: Actor,
}

/// A phone and its lines.
pub(super) struct Actor {
    pub name: &'static str,
    phone: Phone,
    voice: Option<Arc<[i16]>>,
}

const PATIENCE: Duration = Duration::from_secs(10);
/// How much audio a measurement takes.
const MEASURED: Duration = Duration::from_millis(1_500);
/// What the change of voices and buffers may still carry over at its begin.
const GUARD: Duration = Duration::from_millis(300);

/// Endpoint, what people are shown, voice, and what it says.
const LINES: [(&str, &str, &str, &str); 3] = [
    ("customer", "Customer", "en+f3", "Hello. My order has not arrived, and I would really like to know where it is."),
    ("agent", "Agent", "en+m3", "Good morning, thank you for waiting. Let me look at that for you right away."),
    (
        "supervisor",
        "Supervisor",
        "en+m7",
        "Offer them express shipping. The depot has it, tell them tomorrow before noon.",
    ),
];

impl Cast {
    /// Registers all phones.
    pub async fn gather(server: SocketAddr, password: &str) -> Result<Self, DemoError> {
        let mut actors = Vec::new();
        for (name, shown, voice, text) in LINES {
            let mut config = PhoneConfig::new(server, name, password);
            config.domain = "phone.plivo.com".to_owned();
            config.keep = Duration::from_secs(10);
            config.display_name = Some(format!("{shown} (bot)"));
            let phone = Phone::start(config).await.map_err(|error| DemoError::phone(name, error))?;
            phone.register(3_600).await.map_err(|error| DemoError::phone(name, error))?;
            let voice = tokio::task::spawn_blocking(move || phone::voice::speak(text, voice)).await.ok().flatten();
            let voice = voice.map(|mut samples| {
                samples.extend(vec![0; 16_000]);
                samples.into()
            });
            actors.push(Actor { name, phone, voice });
        }
        match <[Actor; 3]>::try_from(actors) {
            Ok([customer, agent, supervisor]) => Ok(Self { customer, agent, supervisor }),
            Err(_) => Err(DemoError::phone("demo", "three phones were expected")),
        }
    }
}

impl Actor {
    /// Calls a number; returns when it is answered.
    pub async fn call(&self, to: &str) -> Result<Call, DemoError> {
        let options = CallOptions { mouth: Some(Mouth::Silence), ..CallOptions::default() };
        let call = self.phone.call(&format!("sip:{to}@phone.plivo.com"), options);
        let call = call.map_err(|error| DemoError::phone(self.name, error))?;
        call.wait_answered(PATIENCE).await.map_err(|error| DemoError::phone(self.name, error))?;
        Ok(call)
    }

    /// Takes the call that comes in.
    pub async fn answer(&self) -> Result<Call, DemoError> {
        self.answer_within(PATIENCE).await
    }

    /// Takes the call that comes in this time.
    pub async fn answer_within(&self, patience: Duration) -> Result<Call, DemoError> {
        let call = self.phone.incoming(patience).await.ok_or(DemoError::Late("a call", patience.as_secs()))?;
        call.answer().await.map_err(|error| DemoError::phone(self.name, error))
    }

    /// Says its line over and over, as speech or, without espeak-ng, as a tone.
    pub async fn speak(&self, call: &Call, tone: u32) {
        let mouth = match &self.voice {
            Some(samples) => Mouth::Pcm { samples: Arc::clone(samples), repeat: true },
            None => Mouth::Tone { freq: tone, dbfs: -26.0 },
        };
        // A call that has ended speaks no more.
        let _ = call.say(mouth).await;
    }
}

/// Measures who hears whom: everybody says a tone of his own, and each ear is searched for each tone.
pub(super) async fn measure(calls: &[(&'static str, &Call)]) -> Result<HearingMatrix, DemoError> {
    let set = tone_set(3).ok_or(DemoError::phone("demo", "no set of three tones"))?;
    let mut from = Instant::now();
    let mut speakers = Vec::new();
    for ((name, call), freq) in calls.iter().zip(set.tones) {
        let mouth = Mouth::Tone { freq: *freq, dbfs: set.level };
        let switched = call.say(mouth).await.map_err(|error| DemoError::phone(name, error))?;
        from = from.max(switched.at);
        speakers.push(Speaker { name, freq: *freq });
    }
    let enough = u64::try_from((MEASURED + GUARD).as_millis() / 20).unwrap_or(u64::MAX);
    for (name, call) in calls {
        if !call.ear().wait_more(enough, PATIENCE).await {
            return Err(DemoError::phone(name, "no audio arrives"));
        }
    }
    let to = Instant::now();
    let packets: Vec<(&str, Vec<Packet>)> =
        calls.iter().map(|(name, call)| (*name, call.ear().between(from, to))).collect();
    for (name, call) in calls {
        call.say(Mouth::Silence).await.map_err(|error| DemoError::phone(name, error))?;
    }
    let ears: Vec<Ears<'_>> = packets.iter().map(|(name, packets)| Ears { name, packets }).collect();
    matrix(&ears, &speakers, from, to, GUARD).map_err(|error| DemoError::phone("demo", error))
}

//! Turns prompts and music URLs into sounds: fetched, decoded and spoken away from the media plane, cached, limited.

mod turns;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use media::{Sound, SoundLimits};
use tokio::sync::{OnceCell, Semaphore};

use crate::counter::Counters;
use crate::hooks::{HookError, Hooks};
use crate::intake::Intake;
use crate::speech::{self, Cut, SpeechError};
use crate::verb::{Fetch, Method, Prompt, Times};
use turns::Turns;

/// Limits of sounds.
#[derive(Clone, Copy, Debug)]
pub struct SoundConfig {
    /// Of one file.
    pub limits: SoundLimits,
    /// Samples kept for further use, bytes.
    pub cache_bytes: usize,
    /// How long a file is kept before it is fetched again; shorter if its answer says so.
    pub fresh_for: Duration,
}

impl Default for SoundConfig {
    fn default() -> Self {
        Self { limits: SoundLimits::default(), cache_bytes: 256 << 20, fresh_for: Duration::from_secs(600) }
    }
}

/// Why there is nothing to hear.
#[derive(Debug, thiserror::Error)]
pub enum SoundFault {
    /// The URL did not answer with anything usable.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The file is no sound.
    #[error(transparent)]
    File(#[from] media::SoundError),
    /// No speech.
    #[error(transparent)]
    Speech(#[from] SpeechError),
    /// A document without any prompt.
    #[error("the document has nothing to play; put Play, Speak or Wait into it")]
    Nothing,
    /// The decoder failed.
    #[error("the file could not be decoded: {0}")]
    Decoder(String),
    /// What others waited for as well.
    #[error(transparent)]
    Shared(#[from] Arc<SoundFault>),
}

/// Something to hear.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// Its samples.
    pub sound: Sound,
    /// What was left out of a text.
    pub cut: Option<Cut>,
}

impl From<Sound> for Heard {
    fn from(sound: Sound) -> Self {
        Self { sound, cut: None }
    }
}

/// Texts spoken at once; further ones wait for their account's turn.
const VOICES: usize = 4;
/// Files decoded at once.
const DECODERS: usize = 2;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    /// What an account's request for a URL answered: programs may answer each account otherwise.
    File(String, Fetch),
    Speech(String, String, String),
}

/// What a fetch came to.
#[derive(Clone)]
enum Fetched {
    Heard(Heard),
    Document(Arc<[Prompt]>),
}

/// A fetch under way. Whoever wants the same waits for it; if its first asker is gone, another one goes on in his place.
type Flight = OnceCell<Result<Fetched, Arc<SoundFault>>>;

/// A file asked for as music is signed, and may be a document.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum As {
    Music,
    Prompt,
}

struct Cached {
    heard: Heard,
    at: Instant,
    until: Instant,
}

/// Fetches under way, each of one account: nobody waits for another's turn.
type Flights = HashMap<(As, String, Key), Weak<Flight>>;

/// The source of all sounds. Cheap to clone.
#[derive(Clone)]
pub struct Sounds {
    hooks: Hooks,
    config: SoundConfig,
    cache: Arc<Mutex<HashMap<Key, Cached>>>,
    flights: Arc<Mutex<Flights>>,
    intake: Arc<Intake>,
    counters: Arc<Counters>,
    /// Places for children that speak.
    voices: Turns,
    /// Places for files being decoded.
    decoders: Arc<Semaphore>,
}

impl Sounds {
    /// Sounds fetched by these hooks.
    pub(crate) fn new(hooks: Hooks, config: SoundConfig, counters: &Arc<Counters>) -> Self {
        Self {
            hooks,
            config,
            cache: Arc::default(),
            flights: Arc::default(),
            intake: Arc::new(Intake::new(config.limits.bytes, Arc::clone(counters))),
            counters: Arc::clone(counters),
            voices: Turns::new(VOICES),
            decoders: Arc::new(Semaphore::new(DECODERS)),
        }
    }

    /// The sound of a music URL: the file it answers with, or its document's prompts one after another. Asked in the name of
    /// the (sub-)account `auth_id`.
    pub(crate) async fn music(
        &self,
        account: &str,
        auth_id: &str,
        dialect: &'static str,
        fetch: &Fetch,
    ) -> Result<Heard, SoundFault> {
        let key = Key::File(account.to_owned(), fetch.clone());
        let load = || async {
            let download = self.intake.download(account);
            let room = (self.config.limits.bytes, &download);
            let answer = self.hooks.sound(account, auth_id, dialect, fetch, room).await?;
            if is_document(&answer.content_type, &answer.body) {
                return Ok(Fetched::Document(self.hooks.prompts(dialect, &answer)?.into()));
            }
            let heard = self.decode(answer.body.into(), self.config.limits).await?.into();
            if fetch.method == Method::Get {
                self.keep(key.clone(), &heard, answer.fresh_for);
            }
            Ok(Fetched::Heard(heard))
        };
        // What a POST answers is for this once (RFC 9111 has it kept only where it says so, and nobody does).
        let fetched = match fetch.method {
            Method::Get => self.once(As::Music, account, &key, load).await?,
            Method::Post | Method::Link => load().await?,
        };
        match fetched {
            Fetched::Heard(heard) => Ok(heard),
            // Outside the flight: a document may name its own URL.
            Fetched::Document(prompts) => self.sequence(account, dialect, &prompts).await,
        }
    }

    /// One prompt, once.
    pub(crate) async fn prompt(
        &self,
        account: &str,
        dialect: &'static str,
        prompt: &Prompt,
    ) -> Result<Heard, SoundFault> {
        let fetched = match prompt {
            Prompt::Silence(length) => return Ok(Sound::silence(*length).into()),
            Prompt::Beep => return Ok(beeps(1).into()),
            Prompt::Audio { url, .. } => {
                let key = Key::File(account.to_owned(), Fetch::new(url.clone(), Method::Get));
                let load = || async {
                    let download = self.intake.download(account);
                    let answer = self.hooks.download(dialect, url, (self.config.limits.bytes, &download)).await?;
                    let heard = self.decode(answer.body.into(), self.config.limits).await?.into();
                    self.keep(key.clone(), &heard, answer.fresh_for);
                    Ok(Fetched::Heard(heard))
                };
                self.once(As::Prompt, account, &key, load).await?
            }
            Prompt::Speech { text, voice, language, .. } => {
                let key = Key::Speech(text.clone(), voice.clone(), language.clone());
                let load = || async {
                    let _voice = self.voices.take(account).await;
                    // Another account may have had the same spoken meanwhile.
                    if let Some(heard) = self.cached(&key) {
                        return Ok(Fetched::Heard(heard));
                    }
                    let spoken = speech::speak(text, voice, language, self.config.limits.duration).await?;
                    // It is as long as it may be, whatever that is in bytes.
                    let limits = SoundLimits { bytes: usize::MAX, ..self.config.limits };
                    let heard = Heard { sound: self.decode(spoken.wav, limits).await?, cut: spoken.cut };
                    self.keep(key.clone(), &heard, None);
                    Ok(Fetched::Heard(heard))
                };
                self.once(As::Prompt, account, &key, load).await?
            }
        };
        match fetched {
            Fetched::Heard(heard) => Ok(heard),
            Fetched::Document(_) => Err(SoundFault::Nothing),
        }
    }

    /// What is kept, or what the one fetch of it under way comes to.
    async fn once<F>(
        &self,
        as_what: As,
        account: &str,
        key: &Key,
        load: impl FnOnce() -> F,
    ) -> Result<Fetched, SoundFault>
    where
        F: Future<Output = Result<Fetched, SoundFault>>,
    {
        let place = (as_what, account.to_owned(), key.clone());
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(heard) = self.cached(key) {
                return Ok(Fetched::Heard(heard));
            }
            match flights.get(&place).and_then(Weak::upgrade) {
                Some(flight) => {
                    self.counters.sound_fetches_shared.add(1);
                    flight
                }
                None => {
                    flights.retain(|_, flight| flight.strong_count() > 0);
                    let flight = Arc::new(Flight::new());
                    flights.insert(place.clone(), Arc::downgrade(&flight));
                    flight
                }
            }
        };
        let fetched = flight.get_or_init(|| async { load().await.map_err(Arc::new) }).await.clone();
        // Whoever comes from now on has it from what is kept, or asks anew.
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(&place).is_some_and(|other| other.as_ptr() == Arc::as_ptr(&flight)) {
            flights.remove(&place);
        }
        Ok(fetched?)
    }

    /// Several prompts as one sound; what repeats forever is heard once here, since the whole repeats.
    async fn sequence(&self, account: &str, dialect: &'static str, prompts: &[Prompt]) -> Result<Heard, SoundFault> {
        let most = usize::try_from(self.config.limits.duration.as_secs()).unwrap_or(usize::MAX).saturating_mul(8_000);
        let mut samples: Vec<i16> = Vec::new();
        let mut cut = None;
        for prompt in prompts {
            if let Prompt::Silence(length) = prompt
                && *length > self.config.limits.duration
            {
                return Err(media::SoundError::TooLong(self.config.limits.duration).into());
            }
            let Heard { sound, cut: left_out } = self.prompt(account, dialect, prompt).await?;
            cut = cut.or(left_out);
            let times = match prompt {
                Prompt::Audio { times: Times::Count(n), .. } | Prompt::Speech { times: Times::Count(n), .. } => *n,
                _ => 1,
            };
            for _ in 0..times.max(1) {
                if samples.len() + sound.samples().len() > most {
                    return Err(media::SoundError::TooLong(self.config.limits.duration).into());
                }
                samples.extend_from_slice(sound.samples());
            }
        }
        if samples.is_empty() {
            Err(SoundFault::Nothing)
        } else {
            Ok(Heard { sound: Sound::from_samples(&samples), cut })
        }
    }

    async fn decode(&self, file: Vec<u8>, limits: SoundLimits) -> Result<Sound, SoundFault> {
        // Nobody closes it.
        let _place = self.decoders.acquire().await;
        let decoded = tokio::task::spawn_blocking(move || Sound::decode(file, limits)).await;
        Ok(decoded.map_err(|error| SoundFault::Decoder(error.to_string()))??)
    }

    fn cached(&self, key: &Key) -> Option<Heard> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(key).filter(|c| Instant::now() < c.until).map(|c| c.heard.clone())
    }

    /// Keeps a sound for as long as the configuration and its own answer allow.
    fn keep(&self, key: Key, heard: &Heard, fresh_for: Option<Duration>) {
        let length = fresh_for.unwrap_or(self.config.fresh_for).min(self.config.fresh_for);
        let at = Instant::now();
        let Some(until) = at.checked_add(length).filter(|until| *until > at) else { return };
        let size = |cached: &Cached| cached.heard.sound.samples().len() * 2;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|_, c| at < c.until);
        cache.insert(key, Cached { heard: heard.clone(), at, until });
        let mut total: usize = cache.values().map(size).sum();
        while total > self.config.cache_bytes {
            let Some(oldest) = cache.iter().min_by_key(|(_, c)| c.at).map(|(key, _)| key.clone()) else { break };
            if let Some(gone) = cache.remove(&oldest) {
                total -= size(&gone);
            }
        }
    }
}

fn is_document(content_type: &str, body: &[u8]) -> bool {
    let kind = content_type.to_ascii_lowercase();
    let begins = body.iter().find(|b| !b.is_ascii_whitespace());
    kind.contains("xml") || kind.contains("json") || (!kind.starts_with("audio/") && begins == Some(&b'<'))
}

/// `count` short beeps.
pub(crate) fn beeps(count: u8) -> Sound {
    Sound::from_samples(&audio::tone::beep(if count > 1 { "beep:2" } else { "beep:1" }).unwrap_or_default())
}

/// One period of ringback: two seconds of sound, four of silence.
pub(crate) fn ringback() -> Sound {
    let mut period = vec![0; 6 * 8_000];
    audio::tone::Ringback::us(8_000).fill(&mut period);
    Sound::from_samples(&period)
}

//! Turns prompts and music URLs into sounds: fetched, decoded and spoken away from the media plane, cached, limited.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use media::{Sound, SoundLimits};
use tokio::sync::Semaphore;

use crate::dialect::{CallView, Purpose};
use crate::hooks::{HookError, Hooks};
use crate::http::HttpError;
use crate::speech::{self, SpeechError};
use crate::verb::{Fetch, Method, Prompt, Times};

/// Limits of sounds.
#[derive(Clone, Copy, Debug)]
pub struct SoundConfig {
    /// Of one file.
    pub limits: SoundLimits,
    /// Samples kept for further use, bytes.
    pub cache_bytes: usize,
    /// How long a file is kept before it is fetched again.
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
    /// The file could not be had.
    #[error(transparent)]
    Http(#[from] HttpError),
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
}

/// Texts spoken at once; further ones wait.
const VOICES: usize = 4;
/// Files decoded at once.
const DECODERS: usize = 2;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    /// What an account's request for a URL answered: programs may answer each account otherwise.
    File(String, Fetch),
    Speech(String, String, String),
}

struct Cached {
    sound: Sound,
    at: Instant,
}

/// The source of all sounds. Cheap to clone.
#[derive(Clone)]
pub struct Sounds {
    hooks: Hooks,
    config: SoundConfig,
    cache: Arc<Mutex<HashMap<Key, Cached>>>,
    /// Places for children that speak.
    voices: Arc<Semaphore>,
    /// Places for files being decoded.
    decoders: Arc<Semaphore>,
}

impl Sounds {
    /// Sounds fetched by these hooks.
    pub fn new(hooks: Hooks, config: SoundConfig) -> Self {
        Self {
            hooks,
            config,
            cache: Arc::default(),
            voices: Arc::new(Semaphore::new(VOICES)),
            decoders: Arc::new(Semaphore::new(DECODERS)),
        }
    }

    /// The sound of a music URL: the file it answers with, or its document's prompts one after another.
    pub(crate) async fn music(
        &self,
        account: &str,
        dialect: &'static str,
        call: Option<&CallView>,
        fetch: &Fetch,
    ) -> Result<Sound, SoundFault> {
        let key = Key::File(account.to_owned(), fetch.clone());
        if let Some(sound) = self.cached(&key) {
            return Ok(sound);
        }
        let answer = self.hooks.ask(account, dialect, call, fetch, &Purpose::Sound, self.config.limits.bytes).await?;
        if is_document(&answer.content_type, &answer.body) {
            let prompts = self.hooks.prompts(dialect, &answer)?;
            return self.sequence(account, &prompts).await;
        }
        let sound = self.decode(answer.body.to_vec()).await?;
        self.keep(key, &sound);
        Ok(sound)
    }

    /// One prompt, once.
    pub(crate) async fn prompt(&self, account: &str, prompt: &Prompt) -> Result<Sound, SoundFault> {
        match prompt {
            Prompt::Silence(length) => Ok(Sound::silence(*length)),
            Prompt::Beep => Ok(beeps(1)),
            Prompt::Audio { url, .. } => {
                let key = Key::File(account.to_owned(), Fetch { url: url.clone(), method: Method::Get });
                if let Some(sound) = self.cached(&key) {
                    return Ok(sound);
                }
                let answer = self.hooks.download(url, self.config.limits.bytes).await?;
                let sound = self.decode(answer.body.to_vec()).await?;
                self.keep(key, &sound);
                Ok(sound)
            }
            Prompt::Speech { text, voice, language, .. } => {
                let key = Key::Speech(text.clone(), voice.clone(), language.clone());
                if let Some(sound) = self.cached(&key) {
                    return Ok(sound);
                }
                // A closed semaphore is impossible: nobody closes it.
                let _voice = self.voices.acquire().await;
                let wav = speech::speak(text, voice, language).await?;
                let sound = self.decode(wav).await?;
                self.keep(key, &sound);
                Ok(sound)
            }
        }
    }

    /// Several prompts as one sound; what repeats forever is heard once here, since the whole repeats.
    async fn sequence(&self, account: &str, prompts: &[Prompt]) -> Result<Sound, SoundFault> {
        let most = usize::try_from(self.config.limits.duration.as_secs()).unwrap_or(usize::MAX).saturating_mul(8_000);
        let mut samples: Vec<i16> = Vec::new();
        for prompt in prompts {
            if let Prompt::Silence(length) = prompt
                && *length > self.config.limits.duration
            {
                return Err(media::SoundError::TooLong(self.config.limits.duration).into());
            }
            let sound = self.prompt(account, prompt).await?;
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
        if samples.is_empty() { Err(SoundFault::Nothing) } else { Ok(Sound::from_samples(&samples)) }
    }

    async fn decode(&self, file: Vec<u8>) -> Result<Sound, SoundFault> {
        let limits = self.config.limits;
        // Nobody closes it.
        let _place = self.decoders.acquire().await;
        let decoded = tokio::task::spawn_blocking(move || Sound::decode(file, limits)).await;
        Ok(decoded.map_err(|error| SoundFault::Decoder(error.to_string()))??)
    }

    fn cached(&self, key: &Key) -> Option<Sound> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(key).filter(|c| c.at.elapsed() < self.config.fresh_for).map(|c| c.sound.clone())
    }

    fn keep(&self, key: Key, sound: &Sound) {
        let size = |sound: &Sound| sound.samples().len() * 2;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|_, c| c.at.elapsed() < self.config.fresh_for);
        cache.insert(key, Cached { sound: sound.clone(), at: Instant::now() });
        let mut total: usize = cache.values().map(|c| size(&c.sound)).sum();
        while total > self.config.cache_bytes {
            let Some(oldest) = cache.iter().min_by_key(|(_, c)| c.at).map(|(key, _)| key.clone()) else { break };
            if let Some(gone) = cache.remove(&oldest) {
                total -= size(&gone.sound);
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

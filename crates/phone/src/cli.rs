//! The phone on a command line: registers, answers or calls, says something, prints levels.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::analysis::{Track, rms_dbfs};
use crate::call::{Call, CallError};
use crate::media::Mouth;
use crate::phone::{AutoAnswer, CallOptions, Phone, PhoneConfig, PhoneError};
use crate::voice;

/// What the phone says.
#[derive(Debug, Clone, PartialEq)]
pub enum Say {
    /// Silence.
    Nothing,
    /// A tone: Hz and dBFS.
    Tone(u32, f64),
    /// A WAV file, repeated.
    Wav(PathBuf),
    /// A text, spoken by espeak-ng with a voice, repeated.
    Text(String, String),
}

/// Everything `aside phone` needs.
#[derive(Debug, Clone)]
pub struct PhoneOptions {
    /// The phone.
    pub config: PhoneConfig,
    /// Register for so many seconds (`None`: do not register).
    pub register: Option<u32>,
    /// Call this target; otherwise wait for calls and answer them.
    pub call: Option<String>,
    /// Ring so long before answering.
    pub answer_after: Duration,
    /// What to say.
    pub say: Say,
    /// Digits to send after the answer.
    pub digits: Option<String>,
    /// Hang up and leave after so long (`None`: until interrupted).
    pub duration: Option<Duration>,
    /// Time between level lines.
    pub levels_every: Duration,
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Phone.
    #[error(transparent)]
    Phone(#[from] PhoneError),
    /// Call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Input or output.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// No speech.
    #[error("espeak-ng could not speak with voice {0:?}; install espeak-ng or choose a tone or WAV file")]
    NoSpeech(String),
}

/// Runs a phone until its call ends (when it calls), `duration` passes, or the process is interrupted; then hangs up and unregisters.
pub async fn run(mut options: PhoneOptions, out: &mut (dyn Write + Send)) -> Result<(), CliError> {
    options.config.mouth = match &options.say {
        Say::Nothing => Mouth::Silence,
        Say::Tone(freq, dbfs) => Mouth::Tone { freq: *freq, dbfs: *dbfs },
        Say::Wav(path) => Mouth::wav(path, true)?,
        Say::Text(text, name) => {
            let (text, voice_name) = (text.clone(), name.clone());
            let said = tokio::task::spawn_blocking(move || voice::speak(&text, &voice_name))
                .await
                .map_err(std::io::Error::other)?;
            let mut samples = said.ok_or_else(|| CliError::NoSpeech(name.clone()))?;
            // A breath before it is repeated.
            samples.resize(samples.len() + 8_000, 0);
            Mouth::Pcm { samples: samples.into(), repeat: true }
        }
    };
    options.config.auto_answer = options.call.is_none().then_some(AutoAnswer { after: options.answer_after });
    let phone = Phone::start(options.config.clone()).await?;
    writeln!(out, "{} listens on {}", phone.config().username, phone.address())?;
    if let Some(expiry) = options.register {
        let granted = phone.register(expiry).await?;
        writeln!(out, "registered at {} for {} s", phone.config().server, granted.expires)?;
    }
    let end = options.duration.map(|d| Instant::now() + d);
    let result = talk(&phone, &options, end, out).await;
    if options.register.is_some()
        && let Err(error) = phone.unregister().await
    {
        writeln!(out, "not unregistered: {error}")?;
    }
    result
}

async fn until(end: Option<Instant>) {
    let time = async {
        match end {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time => {}
        // Without a signal handler the process ends by itself.
        Ok(()) = tokio::signal::ctrl_c() => {}
    }
}

async fn talk(
    phone: &Phone,
    options: &PhoneOptions,
    end: Option<Instant>,
    out: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    let finish = until(end);
    tokio::pin!(finish);
    let mut tick = tokio::time::interval(options.levels_every.max(Duration::from_millis(100)));
    let mut calls: Vec<(Call, Instant)> = Vec::new();
    if let Some(target) = &options.call {
        let call = phone.call(target, CallOptions::default())?;
        writeln!(out, "calling {}", call.to())?;
        tokio::select! {
            answered = call.wait_answered(Duration::from_secs(300)) => answered?,
            () = &mut finish => {
                call.hangup().await?;
                return Ok(());
            }
        }
        begin(&call, options, out).await?;
        calls.push((call, Instant::now()));
    }
    loop {
        tokio::select! {
            () = &mut finish => break,
            call = phone.next_call(Duration::from_secs(3_600)), if options.call.is_none() => {
                if let Some(call) = call {
                    begin(&call, options, out).await?;
                    calls.push((call, Instant::now()));
                }
            }
            _ = tick.tick() => {
                for (call, since) in &mut calls {
                    let packets = call.ear().since(*since);
                    *since = Instant::now();
                    let level = rms_dbfs(&Track::new(&packets).samples);
                    writeln!(out, "{} hears {level:.1} dBFS in {} packets {}", call.call_id(), packets.len(), call.ear().digits())?;
                }
            }
        }
        let mut index = 0;
        while let Some((call, _)) = calls.get(index) {
            match call.state() {
                crate::CallState::Ended(ended) => {
                    writeln!(out, "{} ended: {:?} {}", call.call_id(), ended.cause, ended.reason.unwrap_or_default())?;
                    calls.remove(index);
                    if options.call.is_some() {
                        return Ok(());
                    }
                }
                _ => index += 1,
            }
        }
    }
    for (call, _) in &calls {
        match call.hangup().await {
            Ok(()) | Err(CallError::Ended(_)) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

async fn begin(call: &Call, options: &PhoneOptions, out: &mut (dyn Write + Send)) -> Result<(), CliError> {
    writeln!(out, "{} answered, from {} to {}", call.call_id(), call.from(), call.to())?;
    for (name, value) in call.headers().with_prefix("X-") {
        writeln!(out, "  {name}: {value}")?;
    }
    if let Some(digits) = &options.digits {
        call.send_digits(digits).await?;
    }
    Ok(())
}

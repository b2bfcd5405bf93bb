//! Speech, by `espeak-ng` as a child process.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Why there is no speech.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpeechError {
    /// The program is not installed.
    #[error("espeak-ng is not installed, so nothing can be spoken; install the package espeak-ng")]
    Missing,
    /// It failed.
    #[error("espeak-ng could not speak {text:?}: {problem}")]
    Failed {
        /// The first words.
        text: String,
        /// What it said.
        problem: String,
    },
}

const LONGEST_TEXT: usize = 10_000;
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Speaks `text`: a WAV file (mono, 22 050 Hz).
///
/// `voice` is `WOMAN` or `MAN`, or any other name (spoken as WOMAN); `language` a BCP 47 tag. A language that espeak-ng
/// does not know is spoken as its primary part, then as English.
pub async fn speak(text: &str, voice: &str, language: &str) -> Result<Vec<u8>, SpeechError> {
    let text: String = text.chars().take(LONGEST_TEXT).collect();
    let language = language.to_ascii_lowercase();
    let primary = language.split('-').next().unwrap_or("en").to_owned();
    let variant = if voice.eq_ignore_ascii_case("MAN") { "m3" } else { "f2" };
    let mut problem = String::new();
    for language in [language.as_str(), primary.as_str(), "en"] {
        match run(&text, &format!("{language}+{variant}")).await {
            Ok(wav) if wav.len() > 44 => return Ok(wav),
            Ok(_) => problem = "no sound came out".into(),
            Err(SpeechError::Missing) => return Err(SpeechError::Missing),
            Err(SpeechError::Failed { problem: why, .. }) => problem = why,
        }
    }
    Err(SpeechError::Failed { text: text.chars().take(40).collect(), problem })
}

async fn run(text: &str, voice: &str) -> Result<Vec<u8>, SpeechError> {
    let failed = |problem: String| SpeechError::Failed { text: text.chars().take(40).collect(), problem };
    let mut child = Command::new("espeak-ng")
        .args(["--stdin", "--stdout", "-v", voice])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => SpeechError::Missing,
            _ => failed(error.to_string()),
        })?;
    let mut input = child.stdin.take().ok_or_else(|| failed("it has no input".into()))?;
    let text_bytes = text.as_bytes().to_vec();
    let feed = async move {
        // A child that ended early is told by its status.
        let _ = input.write_all(&text_bytes).await;
    };
    let exchange = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = tokio::time::timeout(TIME_LIMIT, exchange)
        .await
        .map_err(|_| failed("it took too long".into()))?
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

//! Speech, by `espeak-ng` as a child process.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::OnceCell;

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

/// Longest text, characters.
pub const LONGEST_TEXT: usize = 10_000;
/// Bytes of a second of what the program prints: 22 050 Hz, 16 bit, mono.
const SECOND: usize = 2 * 22_050;
/// Bytes before the samples.
const HEAD: usize = 44;
/// Longest table of voices, bytes.
const TABLE: usize = 1 << 20;
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// What was spoken.
#[derive(Clone, Debug)]
pub struct Spoken {
    /// A WAV file, mono, 22 050 Hz; its head does not tell its length.
    pub wav: Vec<u8>,
    /// What was left out, if anything was.
    pub cut: Option<Cut>,
}

/// Why a text is not spoken to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// Too many characters.
    #[error(
        "a text to speak has {0} characters and only the first {LONGEST_TEXT} are spoken; write several shorter ones"
    )]
    Characters(usize),
    /// It takes too long.
    #[error(
        "speaking a text takes more than {} s and the rest is left out; write several shorter ones or raise [sounds] max_seconds", .0.as_secs()
    )]
    Duration(Duration),
}

/// Speaks `text`, at most its first [`LONGEST_TEXT`] characters, for at most `longest`.
///
/// `voice` is `WOMAN` or `MAN`, or any other name (spoken as WOMAN); `language` a BCP 47 tag. A language that espeak-ng
/// does not know is spoken by ever fewer of its parts, then as English.
///
/// # Errors
/// See [`SpeechError`].
pub async fn speak(text: &str, voice: &str, language: &str, longest: Duration) -> Result<Spoken, SpeechError> {
    let characters = text.chars().count();
    let text: String = text.chars().take(LONGEST_TEXT).collect();
    let variant = if voice.eq_ignore_ascii_case("MAN") { "m3" } else { "f2" };
    let voice = format!("{}+{variant}", best(language, languages().await?));
    let most = usize::try_from(longest.as_secs()).unwrap_or(usize::MAX).saturating_mul(SECOND).saturating_add(HEAD);
    let (wav, whole) = exchange(&["--stdin", "--stdout", "-v", &voice], &text, most).await?;
    if wav.len() <= HEAD {
        return Err(failed(&text, "no sound came out"));
    }
    let cut = match whole {
        false => Some(Cut::Duration(longest)),
        true => Some(Cut::Characters(characters)).filter(|_| characters > LONGEST_TEXT),
    };
    Ok(Spoken { wav, cut })
}

fn failed(text: &str, problem: impl ToString) -> SpeechError {
    SpeechError::Failed { text: text.chars().take(40).collect(), problem: problem.to_string() }
}

/// A language that espeak-ng speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Language {
    name: String,
    /// Tags that it serves too, the better the lower the number.
    serves: Vec<(String, u32)>,
}

static LANGUAGES: OnceCell<Vec<Language>> = OnceCell::const_new();

/// What this machine's espeak-ng speaks.
async fn languages() -> Result<&'static [Language], SpeechError> {
    let list = LANGUAGES.get_or_try_init(|| async {
        let (output, _) = exchange(&["--voices"], "", TABLE).await?;
        Ok(read_languages(&String::from_utf8_lossy(&output)))
    });
    Ok(list.await?)
}

/// Reads the table of `espeak-ng --voices`: priority, language, age and gender, name, file, then `(tag priority)` for each
/// other tag.
fn read_languages(table: &str) -> Vec<Language> {
    let row = |line: &str| {
        let name = line.split_whitespace().nth(1)?.to_ascii_lowercase();
        let others = line.split('(').skip(1).filter_map(|other| {
            let (tag, priority) = other.split_once(')')?.0.split_once(' ')?;
            Some((tag.to_ascii_lowercase(), priority.trim().parse().ok()?))
        });
        Some(Language { name, serves: others.collect() })
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// The language that speaks a tag best: by ever fewer of its parts, then English. A name that the program does not know by
/// itself would be spoken without the voice that was asked for, or taken for the name of a file.
fn best<'a>(tag: &str, known: &'a [Language]) -> &'a str {
    let tag = tag.to_ascii_lowercase();
    // Names that programs use, and the program has no entry for.
    let tag = match tag.as_str() {
        "arb" => "ar",
        "es-us" => "es-419",
        "en-au" | "en-in" | "en-nz" => "en-gb",
        tag => tag,
    };
    let exact = |tag: &str| known.iter().find(|language| language.name == tag);
    let served = |tag: &str| {
        let by = known.iter().filter_map(|language| {
            let (_, priority) = language.serves.iter().find(|(served, _)| served == tag)?;
            Some((*priority, language))
        });
        by.min_by_key(|(priority, _)| *priority).map(|(_, language)| language)
    };
    let mut parts = tag;
    loop {
        if let Some(language) = exact(parts).or_else(|| served(parts)) {
            return &language.name;
        }
        match parts.rsplit_once('-') {
            Some((shorter, _)) => parts = shorter,
            None => return exact("en-us").map_or("en", |language| &language.name),
        }
    }
}

/// Runs the program: the first `most` bytes of what it prints when it is given this text, and whether that is all.
async fn exchange(arguments: &[&str], text: &str, most: usize) -> Result<(Vec<u8>, bool), SpeechError> {
    let mut child = Command::new("espeak-ng")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => SpeechError::Missing,
            _ => failed(text, error),
        })?;
    let mut input = child.stdin.take().ok_or_else(|| failed(text, "it has no input"))?;
    let text_bytes = text.as_bytes().to_vec();
    let feed = async move {
        // A child that ended early is told by its status.
        let _ = input.write_all(&text_bytes).await;
    };
    let mut output = child.stdout.take().ok_or_else(|| failed(text, "it has no output"))?;
    let read = async {
        let mut printed = Vec::new();
        let count = (&mut output).take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut printed).await?;
        let whole = count < most || output.read(&mut [0]).await? == 0;
        std::io::Result::Ok((printed, whole))
    };
    let exchange = async {
        let mut feed = std::pin::pin!(feed);
        let mut read = std::pin::pin!(read);
        let early = tokio::select! {
            // Whoever has printed enough reads no further.
            read = &mut read => Some(read),
            () = &mut feed => None,
        };
        let (printed, whole) = match early {
            Some(read) => read?,
            None => read.await?,
        };
        // A child that would go on printing is ended when it is dropped.
        let ended = if whole { Some(child.wait_with_output().await?) } else { None };
        std::io::Result::Ok((printed, whole, ended))
    };
    let (printed, whole, ended) = tokio::time::timeout(TIME_LIMIT, exchange)
        .await
        .map_err(|_| failed(text, "it took too long"))?
        .map_err(|error| failed(text, error))?;
    match ended.filter(|output| !output.status.success()) {
        None => Ok((printed, whole)),
        Some(output) => Err(failed(text, String::from_utf8_lossy(&output.stderr).trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Pty Language       Age/Gender VoiceName          File                 Other Languages
 5  ar              --/M      Arabic             sem/ar
 5  cmn             --/M      Chinese_(Mandarin,_latin_as_English) sit/cmn              (zh-cmn 5)(zh 5)
 5  de              --/M      German             gmw/de
 2  en-gb           --/M      English_(Great_Britain) gmw/en               (en 2)
 5  en-gb-scotland  --/M      English_(Scotland) gmw/en-GB-scotland   (en 4)
 2  en-us           --/M      English_(America)  gmw/en-US            (en 3)
 5  es              --/M      Spanish_(Spain)    roa/es
 5  es-419          --/M      Spanish_(Latin_America) roa/es-419           (es-mx 6)(es 6)
 5  fr-be           --/M      French_(Belgium)   roa/fr-BE            (fr 8)
 5  fr-fr           --/M      French_(France)    roa/fr               (fr 5)
";

    #[tokio::test]
    async fn what_is_left_out_of_a_text_is_told() {
        let short = speak("One two three.", "MAN", "en-US", Duration::from_secs(60)).await.expect("spoken");
        assert_eq!(short.cut, None);
        let many = format!("One two three.{}", " ".repeat(LONGEST_TEXT));
        let many = speak(&many, "MAN", "en-US", Duration::from_secs(60)).await.expect("spoken");
        assert_eq!(many.cut, Some(Cut::Characters(LONGEST_TEXT + 14)));
        let longest = Duration::from_secs(2);
        let long = speak(&"Good morning. ".repeat(200), "MAN", "en-US", longest).await.expect("spoken");
        assert_eq!(long.cut, Some(Cut::Duration(longest)));
        let limits = media::SoundLimits { bytes: usize::MAX, duration: longest };
        let sound = media::Sound::decode(long.wav, limits).expect("a file cut short plays as far as it goes");
        assert!(sound.duration() > Duration::from_millis(1_900), "{:?}", sound.duration());
    }

    #[test]
    fn a_tag_is_spoken_by_a_language_that_takes_a_voice() {
        let known = read_languages(TABLE);
        for (tag, spoken) in [
            ("en-US", "en-us"),
            ("de-DE", "de"),
            ("fr-CA", "fr-fr"),
            ("fr-BE", "fr-be"),
            ("es-MX", "es-419"),
            ("es-US", "es-419"),
            ("es-ES", "es"),
            ("zh-CN", "cmn"),
            ("cmn-CN", "cmn"),
            ("arb", "ar"),
            ("en-GB-WLS", "en-gb"),
            ("en-AU", "en-gb"),
            ("en-ZA", "en-gb"),
            ("tlh", "en-us"),
            ("../../etc/passwd", "en-us"),
            ("", "en-us"),
        ] {
            assert_eq!(best(tag, &known), spoken, "{tag}");
        }
        assert_eq!(best("de", &[]), "en");
    }
}

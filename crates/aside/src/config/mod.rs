//! The configuration: one TOML file in which every key may be left out, and environment variables that win over it.

pub(crate) mod addresses;
mod browsers;
mod check;
pub(crate) mod planes;
pub mod problem;
pub mod reader;
mod sample;
pub mod section;
pub mod sections;
pub mod setting;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use check::check;
pub use problem::{Place, Problem, Problems};
use reader::Reader;
pub use sample::{documentation, sample};
use section::{Key, Section};
pub use sections::{
    HttpSection, JambonzSection, MediaSection, MetricsSection, OutboxSection, PlivoSection, ServerConfig, SipSection,
    SoundsSection, SpeechSection, StoreSection, TurnSection, WebrtcSection,
};

/// The file that is read where none is named, if it is there.
pub const DEFAULT_FILE: &str = "aside.toml";

macro_rules! config {
    ($($field:ident: $section:ty,)+) => {
        /// The whole configuration.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Config {
            $(
                #[doc = concat!("`[", stringify!($field), "]`")]
                pub $field: $section,
            )+
        }

        impl Config {
            fn read(reader: &mut Reader) -> Self {
                Self { $($field: <$section>::read(reader),)+ }
            }
        }

        /// Every section with its description and keys, in the order of the sample file.
        pub fn sections() -> Vec<(&'static str, String, Vec<Key>)> {
            vec![$((
                <$section>::NAME,
                <$section>::ABOUT.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "),
                <$section>::keys(),
            ),)+]
        }
    };
}

config! {
    server: ServerConfig,
    sip: SipSection,
    media: MediaSection,
    http: HttpSection,
    webrtc: WebrtcSection,
    turn: TurnSection,
    sounds: SoundsSection,
    speech: SpeechSection,
    plivo: PlivoSection,
    jambonz: JambonzSection,
    outbox: OutboxSection,
    store: StoreSection,
    metrics: MetricsSection,
}

/// A configuration and where its values came from.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Where the keys that were given were given.
    pub places: BTreeMap<(String, String), Place>,
}

/// Reads `file` (or, if none is named, `aside.toml` where it exists) and the environment, and checks everything that can be
/// checked without starting.
///
/// # Errors
/// Everything that is wrong, together.
pub fn load(file: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, Problems> {
    let mut reader = Reader::default();
    let path = file.map(Path::to_owned).or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()));
    if let Some(path) = path {
        match std::fs::read_to_string(&path) {
            Ok(text) => reader.add_file(&path.display().to_string(), &text),
            Err(error) => reader.problems.push(Problem {
                place: Place::Line { file: path.display().to_string(), line: 1 },
                key: String::new(),
                value: None,
                what: format!("the file cannot be read ({error})"),
                remedy: "check the path given with --config or ASIDE_CONFIG".to_owned(),
            }),
        }
    }
    reader.add_environment(environment, &known());
    from_reader(reader)
}

/// As [`load`], from a text.
///
/// # Errors
/// Everything that is wrong, together.
pub fn load_text(
    name: &str,
    text: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, Problems> {
    let mut reader = Reader::default();
    reader.add_file(name, text);
    reader.add_environment(environment, &known());
    from_reader(reader)
}

/// All keys with their sections.
fn known() -> Vec<(&'static str, &'static str)> {
    sections().iter().flat_map(|(section, _, keys)| keys.iter().map(move |key| (*section, key.name))).collect()
}

fn from_reader(mut reader: Reader) -> Result<Loaded, Problems> {
    let config = Config::read(&mut reader);
    reader.refuse_the_rest(&known());
    let Reader { places, mut problems, .. } = reader;
    let loaded = Loaded { config, places };
    problems.extend(check(&loaded));
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
}

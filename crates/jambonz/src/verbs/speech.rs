//! Who speaks, and who understands.

use crate::fault::{Fault, Properties};
use crate::json::{Object, Value};

/// A voice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Synthesizer {
    /// BCP 47 language.
    pub language: Option<String>,
    /// The vendor's name of the voice.
    pub voice: Option<String>,
    /// Which of several credentials.
    pub label: Option<String>,
    /// `MALE`, `FEMALE` or `NEUTRAL`.
    pub gender: Option<&'static str>,
}

/// A recogniser of speech.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recognizer {
    /// BCP 47 language.
    pub language: Option<String>,
    /// Which of several credentials.
    pub label: Option<String>,
    /// Words to expect.
    pub hints: Vec<String>,
    /// Confidence, 0 to 1, below which nothing was understood.
    pub min_confidence: Option<f64>,
    /// Everything, as it was written: options of single vendors are theirs to read.
    pub options: Object,
}

pub(super) fn synthesizer(properties: &Properties<'_>, name: &str) -> Result<Option<Synthesizer>, Fault> {
    let Some(inner) = properties.inner(name)? else { return Ok(None) };
    // Checked, without effect.
    inner.required_line("vendor")?;
    inner.choice("engine", &["standard", "neural", "generative", "long-form"].map(|word| (word, ())))?;
    inner.object("options")?;
    voice(&inner, "fallbackVoice")?;
    for name in ["fallbackVendor", "fallbackLabel", "fallbackLanguage"] {
        inner.text(name)?;
    }
    Ok(Some(Synthesizer {
        language: inner.line("language")?,
        voice: voice(&inner, "voice")?,
        label: inner.line("label")?,
        gender: inner.choice("gender", &[("MALE", "MALE"), ("FEMALE", "FEMALE"), ("NEUTRAL", "NEUTRAL")])?,
    }))
}

/// A name, or an object that some vendors want, of which the name is taken.
fn voice(properties: &Properties<'_>, name: &str) -> Result<Option<String>, Fault> {
    match properties.get(name) {
        Some(Value::Object(object)) => Ok(object.get("name").and_then(Value::as_str).map(str::to_owned)),
        Some(Value::Text(_)) | None => properties.line(name),
        Some(_) => Err(properties.fault(name, "write a string or an object")),
    }
}

pub(super) fn recognizer(properties: &Properties<'_>, name: &str) -> Result<Option<Recognizer>, Fault> {
    let Some(inner) = properties.inner(name)? else { return Ok(None) };
    let min_confidence = inner.number("minConfidence")?;
    if min_confidence.is_some_and(|confidence| !(0.0..=1.0).contains(&confidence)) {
        return Err(inner.fault("minConfidence", "write a number from 0 to 1"));
    }
    let mut hints = Vec::new();
    for (index, hint) in inner.array("hints", super::MOST_ELEMENTS)?.unwrap_or_default().iter().enumerate() {
        let place = format!("{}[{index}]", inner.place("hints"));
        match hint {
            Value::Text(text) => hints.push(text.as_str().to_owned()),
            Value::Object(object) => hints.push(Properties::at(object, place).required_line("phrase")?),
            other => return Err(Fault::new(&place, Some(other), "write a string or an object with a phrase")),
        }
    }
    // Checked, without effect.
    inner.texts("altLanguages", super::MOST_ELEMENTS)?;
    inner.required_line("vendor")?;
    Ok(Some(Recognizer {
        language: inner.line("language")?,
        label: inner.line("label")?,
        hints,
        min_confidence,
        options: properties.object(name)?.cloned().unwrap_or_default(),
    }))
}

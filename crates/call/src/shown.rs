//! Names that people are shown: of callers, labels of members.

/// Longest label, characters.
pub const LONGEST_LABEL: usize = 80;

/// Format characters (Unicode 15, category Cf): they turn or hide what stands beside them.
const FORMAT: [(char, char); 21] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{2064}'),
    ('\u{2066}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
];

/// Whether nobody sees it: a control or format character.
pub fn is_unseen(c: char) -> bool {
    c.is_control() || FORMAT.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// A name without what nobody sees.
pub fn name(text: &str) -> String {
    text.chars().filter(|c| !is_unseen(*c)).collect::<String>().trim().to_owned()
}

/// What a member is called, as a person wrote it: without blanks around it, and none if nothing is left.
///
/// # Errors
/// It is longer than [`LONGEST_LABEL`], or has characters that nobody sees.
pub fn label(text: Option<&str>) -> Result<Option<String>, BadLabel> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > LONGEST_LABEL || text.chars().any(is_unseen) {
        return Err(BadLabel);
    }
    Ok(Some(text.to_owned()))
}

/// A label that cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a label has at most {LONGEST_LABEL} characters, without control and format characters")]
pub struct BadLabel;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_all_that_is_in_it() {
        assert_eq!(name(" Ann\u{202e}gro.elpmaxe\u{0}\r\n"), "Anngro.elpmaxe");
        assert_eq!(name("Zoë O’Hara 李"), "Zoë O’Hara 李");
        assert_eq!(name("\u{200b}\u{feff}"), "");
    }

    #[test]
    fn a_label_is_what_was_written_or_none_or_refused() {
        assert_eq!(label(None), Ok(None));
        assert_eq!(label(Some("  ")), Ok(None));
        assert_eq!(label(Some(" Otto ")), Ok(Some("Otto".to_owned())));
        assert_eq!(label(Some(&"x".repeat(80))).map(|label| label.map(|text| text.len())), Ok(Some(80)));
        for wrong in ["x".repeat(81), "a\nb".to_owned(), "Ann\u{202e}x".to_owned()] {
            assert_eq!(label(Some(&wrong)), Err(BadLabel), "{wrong:?}");
        }
    }
}

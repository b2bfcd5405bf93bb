//! Values as programs write them: the checks that attributes of documents and parameters of requests share.

use std::collections::BTreeMap;

use call::verb::{Fetch, Method};
use url::Url;

/// Longest URL that is accepted, in bytes.
const LONGEST_URL: usize = 4096;
/// How much of a bad value an error repeats, in characters.
const QUOTED: usize = 120;

/// A value that is not accepted, and what would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The attribute or parameter, as it was written.
    pub name: String,
    /// What it was.
    pub value: String,
    /// What it may be.
    pub remedy: String,
}

impl Fault {
    pub fn new(name: &str, value: &str, remedy: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: value.chars().take(QUOTED).collect(), remedy: remedy.into() }
    }
}

/// One value under the name it was written with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

impl Field<'_> {
    fn fault(&self, remedy: impl Into<String>) -> Fault {
        Fault::new(self.name, self.value, remedy)
    }

    /// `true` or `false` in any case.
    pub fn boolean(&self) -> Result<bool, Fault> {
        match self.value.trim() {
            text if text.eq_ignore_ascii_case("true") => Ok(true),
            text if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(self.fault("write true or false")),
        }
    }

    /// A whole number from `least` to `most`.
    pub fn whole(&self, least: u64, most: u64) -> Result<u64, Fault> {
        self.value
            .trim()
            .parse()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.fault(format!("write a whole number from {least} to {most}")))
    }

    /// `GET` or `POST` in any case.
    pub fn method(&self) -> Result<Method, Fault> {
        match self.value.trim() {
            text if text.eq_ignore_ascii_case("get") => Ok(Method::Get),
            text if text.eq_ignore_ascii_case("post") => Ok(Method::Post),
            _ => Err(self.fault("write GET or POST")),
        }
    }

    /// An absolute `http` or `https` URL, in its normal spelling: the one that is asked and signed.
    pub fn url(&self) -> Result<String, Fault> {
        let text = self.value.trim();
        web_url(text).ok_or_else(|| {
            // The fault becomes a warning event: what may be secret is not repeated.
            let remedy = format!("write an absolute http or https URL of at most {LONGEST_URL} bytes");
            Fault::new(self.name, &call::http::shown(text), remedy)
        })
    }

    /// One of `choices`, in any case; the spelling of the list is returned.
    pub fn one_of(&self, choices: &[&'static str]) -> Result<&'static str, Fault> {
        choices
            .iter()
            .copied()
            .find(|choice| self.value.trim().eq_ignore_ascii_case(choice))
            .ok_or_else(|| self.fault(format!("write one of: {}", choices.join(", "))))
    }
}

/// The normal spelling, with its fragment, of an absolute URL that can be asked over HTTP.
fn web_url(text: &str) -> Option<String> {
    let url = Some(text).filter(|text| text.len() <= LONGEST_URL).and_then(|text| Url::parse(text).ok())?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.as_str().len() <= LONGEST_URL;
    fits.then(|| url.into())
}

/// A room's name: trimmed, 1 to 255 characters, no `/` (it is one segment of a path) and no control characters.
pub(crate) fn room_name(name: &str, value: &str) -> Result<String, Fault> {
    let text = value.trim();
    if text.is_empty() || text.chars().count() > 255 || text.contains('/') || text.chars().any(char::is_control) {
        return Err(Fault::new(name, text, "name the call in 1 to 255 characters, without / and control characters"));
    }
    Ok(text.to_owned())
}

/// Named values. A name counts the same in camelCase and snake_case and in any case, because the official SDKs differ in both. Values that are
/// empty count as left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    by_key: BTreeMap<String, (String, String)>,
}

impl Fields {
    /// The form in which names are compared.
    pub fn key(name: &str) -> String {
        name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
    }

    /// Adds a value.
    ///
    /// # Errors
    /// The name is there already, in this or another spelling, with another value.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        if value.trim().is_empty() {
            return Ok(());
        }
        match self.by_key.entry(Self::key(name)) {
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert((name.to_owned(), value.to_owned()));
                Ok(())
            }
            std::collections::btree_map::Entry::Occupied(there) if there.get().1 == value => Ok(()),
            std::collections::btree_map::Entry::Occupied(there) => {
                let remedy = format!("it is also given as {:?}; write it once", there.get().1);
                Err(Fault::new(name, value, remedy))
            }
        }
    }

    /// The value under `key`, which is in compared form.
    pub fn get(&self, key: &str) -> Option<Field<'_>> {
        self.by_key.get(key).map(|(name, value)| Field { name, value })
    }

    /// All compared names with their fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Field<'_>)> {
        self.by_key.iter().map(|(key, (name, value))| (key.as_str(), Field { name, value }))
    }

    pub fn boolean(&self, key: &str, default: bool) -> Result<bool, Fault> {
        self.get(key).map_or(Ok(default), |field| field.boolean())
    }

    pub fn whole(&self, key: &str, default: u64, least: u64, most: u64) -> Result<u64, Fault> {
        self.get(key).map_or(Ok(default), |field| field.whole(least, most))
    }

    pub fn method(&self, key: &str, default: Method) -> Result<Method, Fault> {
        self.get(key).map_or(Ok(default), |field| field.method())
    }

    /// The URL under `url` with the method under `method`. The method is checked even where there is no URL.
    pub fn hook(&self, url: &str, method: &str, default: Method) -> Result<Option<Fetch>, Fault> {
        let method = self.method(method, default)?;
        self.get(url).map(|field| field.url().map(|url| Fetch::new(url, method))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(value: &str) -> Field<'_> {
        Field { name: "x", value }
    }

    #[test]
    fn booleans_are_accepted_in_any_case_and_nothing_else_is() {
        for text in ["true", "True", "TRUE", " true "] {
            assert_eq!(field(text).boolean(), Ok(true));
        }
        assert_eq!(field("False").boolean(), Ok(false));
        for text in ["1", "0", "yes", "", "truee"] {
            assert!(field(text).boolean().is_err(), "{text:?}");
        }
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        assert_eq!(field("300").whole(300, 28_800), Ok(300));
        assert_eq!(field("28800").whole(300, 28_800), Ok(28_800));
        for text in ["299", "28801", "-1", "3.5", "abc", "99999999999999999999999"] {
            assert!(field(text).whole(300, 28_800).is_err(), "{text}");
        }
    }

    #[test]
    fn only_absolute_web_urls_pass() {
        for text in ["http://a.example.com/x", "https://a.example.com:8443/x?y=1#ct=2000", "HTTPS://A.example.com"] {
            assert!(field(text).url().is_ok(), "{text}");
        }
        for text in [
            "ftp://a.example.com",
            "/relative",
            "a.example.com/x",
            "javascript:alert(1)",
            "http://",
            "file:///etc/passwd",
        ] {
            assert!(field(text).url().is_err(), "{text}");
        }
        // Short as written, too long as asked.
        assert!(field(&format!("http://a.b/{}", "\u{20ac}".repeat(LONGEST_URL / 4))).url().is_err());
    }

    #[test]
    fn a_url_is_kept_in_the_spelling_that_is_asked() {
        for text in ["http:/a.b", "http:a.b", "http:///a.b", "http:\\\\a.b", " HTTP://A.b:80"] {
            assert_eq!(field(text).url().as_deref(), Ok("http://a.b/"), "{text}");
        }
        assert_eq!(field("https:\\\\a.b\\x?y=1#ct=2000").url().as_deref(), Ok("https://a.b/x?y=1#ct=2000"));
    }

    #[test]
    fn names_are_the_same_in_every_spelling_and_contradictions_are_refused() {
        let mut fields = Fields::default();
        fields.insert("coach_mode", "false").unwrap();
        fields.insert("coachMode", "false").unwrap();
        assert_eq!(fields.boolean("coachmode", true), Ok(false));
        assert!(fields.insert("coachMode", "true").is_err());
    }

    #[test]
    fn room_names_that_would_break_a_path_are_refused() {
        assert_eq!(room_name("name", "\n  room a \n"), Ok("room a".to_owned()));
        for text in ["", "   ", "a/b", "a\u{0}b", &"x".repeat(256)] {
            assert!(room_name("name", text).is_err(), "{text:?}");
        }
    }
}

//! Takes values out of the file and the environment, remembering where each came from.

use std::collections::BTreeMap;
use std::ops::Range;

use super::problem::{Place, Problem};
use super::setting::Setting;

/// The prefix of variables that set keys: `ASIDE_SECTION__KEY`.
const PREFIX: &str = "ASIDE_";

struct Given {
    value: toml::Value,
    place: Place,
}

/// Values that nobody has taken yet, and what was wrong so far.
#[derive(Default)]
pub struct Reader {
    given: BTreeMap<(String, String), Given>,
    /// Where each known key was set; a key that is not here has its default.
    pub places: BTreeMap<(String, String), Place>,
    /// In the order found.
    pub problems: Vec<Problem>,
}

impl Reader {
    /// Takes in the text of a configuration file.
    pub fn add_file(&mut self, name: &str, text: &str) {
        let place_of = |span: Option<Range<usize>>| Place::Line { file: name.to_owned(), line: line_of(text, span) };
        let parsed = toml::de::DeTable::parse(text).and_then(|spans| Ok((spans, toml::from_str::<toml::Table>(text)?)));
        let (spans, values) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                self.problems.push(Problem {
                    place: place_of(error.span()),
                    key: String::new(),
                    value: None,
                    what: error.message().trim().to_owned(),
                    remedy: "correct the line; the file is TOML".to_owned(),
                });
                return;
            }
        };
        for (section, spanned) in spans.get_ref() {
            let section_name = section.get_ref().as_ref();
            let place = place_of(Some(section.span()));
            let (Some(keys), Some(toml::Value::Table(table))) =
                (spanned.get_ref().as_table(), values.get(section_name))
            else {
                self.problems.push(Problem {
                    place,
                    key: section_name.to_owned(),
                    value: values.get(section_name).map(ToString::to_string),
                    what: "a key outside of any section".to_owned(),
                    remedy: "put it under its section, for example [server]".to_owned(),
                });
                continue;
            };
            for key in keys.keys() {
                let key_name = key.get_ref().as_ref();
                let Some(value) = table.get(key_name) else { continue };
                let given = Given { value: value.clone(), place: place_of(Some(key.span())) };
                self.given.insert((section_name.to_owned(), key_name.to_owned()), given);
            }
        }
    }

    /// Takes in the environment; a variable wins over the file. Variables without `__` are not keys, but one that is a key
    /// of `known` but for its underscore is a mistake.
    pub fn add_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
        known: &[(&'static str, &'static str)],
    ) {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let Some((section, key)) = rest.split_once("__") else {
                let meant = known.iter().find(|(section, key)| rest.eq_ignore_ascii_case(&format!("{section}_{key}")));
                if let Some((section, key)) = meant {
                    let right = format!("{PREFIX}{section}__{key}").to_ascii_uppercase();
                    self.problems.push(Problem {
                        place: Place::Environment(name.clone()),
                        key: format!("[{section}] {key}"),
                        value: Some(format!("{text:?}")),
                        what: "the variable sets nothing".to_owned(),
                        remedy: format!("write {right}, with two underscores"),
                    });
                }
                continue;
            };
            let place = Place::Environment(name.clone());
            let key = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
            self.given.insert(key, Given { value: toml::Value::String(text), place });
        }
    }

    /// The value of a key, or its default; what cannot be read is a problem.
    pub fn take<T: Setting>(&mut self, section: &str, key: &str, default: T) -> T {
        let id = (section.to_owned(), key.to_owned());
        let Some(Given { value, place }) = self.given.remove(&id) else { return default };
        let read = match (&place, &value) {
            (Place::Environment(_), toml::Value::String(text)) => from_text(text),
            _ => T::from_value(value.clone()),
        };
        self.places.insert(id, place.clone());
        read.unwrap_or_else(|what| {
            self.problems.push(Problem {
                place,
                key: format!("[{section}] {key}"),
                value: Some(value.to_string()),
                what,
                remedy: T::SHAPE.to_owned(),
            });
            default
        })
    }

    /// Everything that no section has taken is unknown. `known` lists all keys.
    pub fn refuse_the_rest(&mut self, known: &[(&'static str, &'static str)]) {
        for ((section, key), Given { value, place }) in std::mem::take(&mut self.given) {
            let keys: Vec<&str> = known.iter().filter(|(s, _)| *s == section).map(|(_, key)| *key).collect();
            let remedy = if keys.is_empty() {
                let mut sections: Vec<&str> = known.iter().map(|(section, _)| *section).collect();
                sections.dedup();
                format!("there is no section [{section}]; the sections are {}", sections.join(", "))
            } else if let Some(near) = nearest(&key, &keys) {
                format!("did you mean {near}? The keys of [{section}] are {}", keys.join(", "))
            } else {
                format!("remove it; the keys of [{section}] are {}", keys.join(", "))
            };
            self.problems.push(Problem {
                place,
                key: format!("[{section}] {key}"),
                value: Some(value.to_string()),
                what: "unknown key".to_owned(),
                remedy,
            });
        }
    }
}

/// A variable's text: a TOML value, else a plain text, else a list of plain texts separated by commas.
fn from_text<T: Setting>(text: &str) -> Result<T, String> {
    let as_toml =
        toml::from_str::<toml::Table>(&format!("value = {text}")).ok().and_then(|mut table| table.remove("value"));
    if let Some(read) = as_toml.and_then(|value| T::from_value(value).ok()) {
        return Ok(read);
    }
    let plain = T::from_value(toml::Value::String(text.to_owned()));
    plain.or_else(|what| {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let list = items.map(|item| toml::Value::String(item.to_owned())).collect();
        T::from_value(toml::Value::Array(list)).map_err(|_| what)
    })
}

fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start);
    text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1
}

/// The known key that differs least, if it differs little.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().map(|candidate| (distance(key, candidate), *candidate)).min().filter(|(d, _)| *d <= 3).map(|(_, c)| c)
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, l) in left.chars().enumerate() {
        let mut before = index + 1;
        let mut next = vec![before];
        for (r, (diagonal, above)) in right.iter().zip(row.iter().zip(row.iter().skip(1))) {
            before = (diagonal + usize::from(l != *r)).min(above + 1).min(before + 1);
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

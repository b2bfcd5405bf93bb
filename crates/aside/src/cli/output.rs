//! What the command line prints: for people, or JSON; and how it fails.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use crate::config::Problems;
use crate::control::ControlError;
use crate::manage::{Answer, ManageError};
use crate::serve::StartError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(Problems),
    /// The command was refused.
    #[error(transparent)]
    Refused(#[from] ManageError),
    /// The running server did not answer.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The demo.
    #[error(transparent)]
    Demo(#[from] crate::demo::DemoError),
    /// The phone.
    #[error(transparent)]
    Phone(#[from] phone::cli::CliError),
    /// Something that cannot be written as JSON.
    #[error("the answer cannot be written ({0})")]
    Json(#[from] serde_json::Error),
    /// Input or output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    /// Says it on the standard error output.
    pub(super) fn report(&self, json: bool) {
        let text = if json {
            let problems: Vec<String> = match self {
                Self::Config(problems) => problems.0.iter().map(ToString::to_string).collect(),
                other => vec![other.to_string()],
            };
            json!({ "error": problems.join("\n"), "problems": problems }).to_string()
        } else {
            format!("aside: {self}")
        };
        // There is nowhere left to complain.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// Writes to the standard output. That nobody reads any more is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// An answer as JSON, or for people.
pub(super) fn answer(answer: &Answer, json: bool) -> Result<String, Failure> {
    if json {
        let value = match answer {
            Answer::One(object) => object.clone(),
            Answer::Many { items, total } => json!({ "items": items, "total": total }),
            Answer::Deleted(id) => json!({ "deleted": id }),
        };
        return Ok(format!("{}\n", serde_json::to_string_pretty(&value)?));
    }
    Ok(match answer {
        Answer::One(object) => fields(object),
        Answer::Many { items, total } => table(items, *total),
        Answer::Deleted(id) => format!("{id} is deleted.\n"),
    })
}

/// What people look for first; the rest follows by name.
const LEADING: [&str; 9] =
    ["auth_id", "endpoint_id", "number", "id", "username", "app_id", "name", "alias", "answer_url"];
/// Too wide for a table; `show` has it.
const NOT_IN_TABLES: [&str; 1] = ["addresses"];

fn in_order(map: &serde_json::Map<String, Json>) -> Vec<&String> {
    let mut names: Vec<&String> = map.keys().collect();
    names.sort_by_key(|name| LEADING.iter().position(|leading| leading == name).unwrap_or(LEADING.len()));
    names
}

fn fields(object: &Json) -> String {
    let Some(map) = object.as_object() else { return format!("{}\n", plain(object)) };
    let width = map.keys().map(String::len).max().unwrap_or(0);
    let mut out = String::new();
    for name in in_order(map) {
        out.push_str(&format!("{name:width$}  {}\n", plain(map.get(name).unwrap_or(&Json::Null))));
    }
    for secret in ["auth_token", "webhook_secret", "password", "key", "path"] {
        if map.get(secret).is_some_and(Json::is_string) {
            out.push_str(&format!("\nKeep the {}: it is not shown again.\n", secret.replace('_', " ")));
        }
    }
    out
}

/// A table of the columns that every row has; the widest texts are what they are.
fn table(items: &[Json], total: u64) -> String {
    let Some(first) = items.first().and_then(Json::as_object) else {
        return if total == 0 { "There are none.\n".to_owned() } else { format!("None here; {total} in all.\n") };
    };
    let mut columns = in_order(first);
    columns.retain(|name| !NOT_IN_TABLES.contains(&name.as_str()));
    let mut rows: Vec<Vec<String>> = vec![columns.iter().map(|name| name.to_uppercase()).collect()];
    for item in items {
        rows.push(columns.iter().map(|name| plain(item.get(name.as_str()).unwrap_or(&Json::Null))).collect());
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in &rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    if u64::try_from(items.len()).is_ok_and(|shown| shown < total) {
        out.push_str(&format!("{} of {total}; see --limit and --offset.\n", items.len()));
    }
    out
}

fn plain(value: &Json) -> String {
    match value {
        Json::Null => "-".to_owned(),
        Json::Bool(true) => "yes".to_owned(),
        Json::Bool(false) => "no".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(items) if items.is_empty() => "-".to_owned(),
        Json::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

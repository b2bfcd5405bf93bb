//! The configuration written out: as a file to start from, and as the tables of the manual.

use super::section::Key;
use super::sections;

const WIDTH: usize = 110;

/// A commented file with every key at its default, commented out.
pub fn sample() -> String {
    let mut out = String::from(
        "# Configuration of Aside. Every key may be left out; what is commented out here is the default.\n\
         # A key can also be set by the environment: ASIDE_SECTION__KEY, for example ASIDE_HTTP__API=127.0.0.1:9000.\n",
    );
    for (section, about, keys) in sections() {
        out.push_str(&format!("\n# {about}\n[{section}]\n"));
        for Key { name, about, default } in keys {
            for line in wrap(&about) {
                out.push_str(&format!("# {line}\n"));
            }
            let default = default.unwrap_or_else(|| "\"\"".to_owned() + " (not set)");
            out.push_str(&format!("#{name} = {default}\n"));
        }
    }
    out
}

/// The same as Markdown tables, one per section.
pub fn documentation() -> String {
    let mut out = String::new();
    for (section, about, keys) in sections() {
        out.push_str(&format!("## `[{section}]`\n\n{about}\n\n| key | default | meaning |\n| --- | --- | --- |\n"));
        for Key { name, about, default } in keys {
            let default = default.map_or_else(|| "not set".to_owned(), |default| format!("`{default}`"));
            out.push_str(&format!("| `{name}` | {default} | {about} |\n"));
        }
        out.push('\n');
    }
    out
}

fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

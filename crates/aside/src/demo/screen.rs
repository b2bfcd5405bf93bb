//! What the demo shows: a live view on a terminal, else one line after another.
#![allow(clippy::print_stdout, reason = "showing is what the demo is for")]

use std::collections::VecDeque;
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use phone::analysis::HearingMatrix;

/// The view. Clones show on the same terminal.
#[derive(Clone)]
pub(super) struct Screen {
    live: bool,
    quiet: Arc<AtomicBool>,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Default)]
struct Shown {
    notice: String,
    task: String,
    members: Vec<(String, String)>,
    matrix: String,
    events: VecDeque<String>,
}

const EVENTS: usize = 10;

impl Screen {
    pub fn new(plain: bool) -> Self {
        Self { live: !plain && std::io::stdout().is_terminal(), quiet: Arc::default(), shown: Arc::default() }
    }

    /// Shows nothing from now on: the page shows it.
    pub fn quiet(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }

    pub fn is_live(&self) -> bool {
        self.live
    }

    pub fn say(&self, text: &str) {
        self.update(text, |shown| text.clone_into(&mut shown.notice));
    }

    pub fn task(&self, text: &str) {
        self.update(&format!("\n{text}"), |shown| {
            text.clone_into(&mut shown.task);
            shown.matrix.clear();
        });
    }

    pub fn members(&self, members: &[(String, String)]) {
        self.update("", |shown| shown.members = members.to_vec());
    }

    pub fn event(&self, name: &str, role: &str) {
        let text = if role.is_empty() { name.to_owned() } else { format!("{name} ({role})") };
        self.update(&format!("  event {text}"), |shown| {
            shown.events.push_back(text.clone());
            if shown.events.len() > EVENTS {
                shown.events.pop_front();
            }
        });
    }

    pub fn matrix(&self, matrix: &HearingMatrix, wrong: usize) {
        let verdict = if wrong == 0 { "as it should be".to_owned() } else { format!("{wrong} PAIRS ARE WRONG") };
        let text =
            format!("  who hears whom, measured in received audio: {verdict}\n{}", indented(&matrix.to_string()));
        self.update(&text, |shown| shown.matrix.clone_from(&text));
    }

    fn update(&self, line: &str, change: impl FnOnce(&mut Shown)) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut shown);
        if self.quiet.load(Ordering::Relaxed) {
            return;
        }
        if self.live {
            print!("{}", shown.drawn());
        } else if !line.is_empty() {
            println!("{line}");
        }
    }
}

impl Shown {
    fn drawn(&self) -> String {
        let mut text = String::from("\x1b[H\x1b[2J\x1b[1mAside demo\x1b[0m   (Ctrl-C ends it)\n");
        let _ = writeln!(text, "{}\n\n\x1b[1m{}\x1b[0m\n\n  in the call:", self.notice, self.task);
        for (role, id) in &self.members {
            let _ = writeln!(text, "    {role:<12} member {id}");
        }
        let _ = writeln!(text, "\n{}\n  events:", self.matrix);
        for event in &self.events {
            let _ = writeln!(text, "    {event}");
        }
        text
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

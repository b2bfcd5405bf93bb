//! The log: lines on the standard error output, for people or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::ServerConfig;
use crate::config::setting::LogFormat;

/// Starts logging; false if this process logs already.
pub fn start(config: &ServerConfig) -> bool {
    let filter = EnvFilter::builder().parse(&config.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match config.log_format {
        LogFormat::Text => builder.try_init().is_ok(),
        LogFormat::Json => builder.json().flatten_event(true).try_init().is_ok(),
    }
}

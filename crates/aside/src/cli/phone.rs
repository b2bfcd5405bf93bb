//! `aside phone`: a softphone.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use phone::cli::{PhoneOptions, Say};
use phone::{Codec, PhoneConfig, Transport};

use super::output::Failure;

/// Registers, answers or calls, says something, prints levels.
#[derive(Debug, Args)]
pub(super) struct PhoneArgs {
    /// The server's SIP address, such as 127.0.0.1:5060.
    #[arg(long)]
    server: SocketAddr,
    /// User of its address.
    #[arg(long)]
    username: String,
    /// Its password.
    #[arg(long, default_value = "", env = "ASIDE_PHONE_PASSWORD", hide_env_values = true)]
    password: String,
    /// Domain of its address; the server's address if left out.
    #[arg(long)]
    domain: Option<String>,
    /// How SIP travels.
    #[arg(long, value_enum, default_value_t = Carrier::Udp)]
    transport: Carrier,
    /// Address to bind for SIP and sound.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// SIP port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Codecs in order of preference, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "pcmu,pcma")]
    codecs: Vec<Coding>,
    /// Register for so many seconds.
    #[arg(long, value_name = "SECONDS")]
    register: Option<u32>,
    /// Call this number or SIP URI; without it the phone waits for calls and answers them.
    #[arg(long)]
    call: Option<String>,
    /// Milliseconds to ring before answering.
    #[arg(long, default_value_t = 0)]
    answer_after_ms: u64,
    /// Say a tone of so many Hz.
    #[arg(long, value_name = "HZ", conflicts_with_all = ["wav", "text"])]
    tone: Option<u32>,
    /// Level of the tone, dBFS.
    #[arg(long, default_value_t = -20.0, allow_negative_numbers = true)]
    level: f64,
    /// Say a WAV file, over and over.
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    wav: Option<PathBuf>,
    /// Say a text, over and over (needs espeak-ng).
    #[arg(long)]
    text: Option<String>,
    /// Voice of the text.
    #[arg(long, default_value = "en")]
    voice: String,
    /// Digits to send after the answer.
    #[arg(long)]
    digits: Option<String>,
    /// Leave after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// Seconds between the lines that say what is heard.
    #[arg(long, default_value_t = 1)]
    levels_every: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Carrier {
    Udp,
    Tcp,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Coding {
    Pcmu,
    Pcma,
    L16,
}

pub(super) fn run(args: PhoneArgs) -> Result<(), Failure> {
    let mut config = PhoneConfig::new(args.server, &args.username, &args.password);
    config.transport = match args.transport {
        Carrier::Udp => Transport::Udp,
        Carrier::Tcp => Transport::Tcp,
    };
    if let Some(domain) = args.domain {
        config.domain = domain;
    }
    config.bind = args.bind;
    config.port = args.port;
    config.codecs = args
        .codecs
        .iter()
        .map(|coding| match coding {
            Coding::Pcmu => Codec::Pcmu,
            Coding::Pcma => Codec::Pcma,
            Coding::L16 => Codec::L16,
        })
        .collect();
    let say = match (args.tone, args.wav, args.text) {
        (Some(hz), ..) => Say::Tone(hz, args.level),
        (None, Some(path), _) => Say::Wav(path),
        (None, None, Some(text)) => Say::Text(text, args.voice),
        (None, None, None) => Say::Nothing,
    };
    let options = PhoneOptions {
        config,
        register: args.register,
        call: args.call,
        answer_after: Duration::from_millis(args.answer_after_ms),
        say,
        digits: args.digits,
        duration: args.duration.map(Duration::from_secs),
        levels_every: Duration::from_secs(args.levels_every),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(phone::cli::run(options, &mut std::io::stdout()))?)
}

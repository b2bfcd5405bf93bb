//! What can be wrong with what browsers need: HTTPS, WebRTC, TURN.

use std::net::{IpAddr, SocketAddr};

use super::Config;
use super::addresses::{self, MOST_ADDRESSES};
use super::check::Check;
use super::planes;

/// The ports of WebRTC, for clashes.
pub(super) fn ports(config: &Config) -> impl Iterator<Item = (&'static str, &'static str, SocketAddr)> + Clone {
    let webrtc = &config.webrtc;
    let (bind, first) = (webrtc.bind, webrtc.first_port);
    let many = if webrtc.enabled && first > 0 { planes::shards(config) } else { 0 };
    let numbers = (0..many).filter_map(move |index| first.checked_add(u16::try_from(index).ok()?));
    numbers.map(move |port| ("webrtc", "first_port", SocketAddr::new(bind, port)))
}

pub(super) fn https(check: &mut Check<'_>, config: &Config) {
    let http = &config.http;
    if let Some(address) = http.https {
        check.local("http", "https", address.ip());
    }
    match (&http.tls_certificate, &http.tls_key) {
        (Some(path), None) => {
            let shown = format!("{:?}", path.display().to_string());
            check.refuse("http", "tls_certificate", shown, "a certificate without a key", "set tls_key too");
        }
        (None, Some(path)) => {
            let shown = format!("{:?}", path.display().to_string());
            check.refuse("http", "tls_key", shown, "a key without a certificate", "set tls_certificate too");
        }
        (Some(certificate), Some(key)) if http.https.is_some() => {
            if let Err((which, error)) = crate::serve::tls::read(certificate, key) {
                let (name, path) = if which.is_key() { ("tls_key", key) } else { ("tls_certificate", certificate) };
                let shown = format!("{:?}", path.display().to_string());
                check.refuse("http", name, shown, error, "name PEM files that belong together and can be read");
            }
        }
        (None, None) if http.https.is_some() && http.https_names.is_empty() => {
            let remedy = "name at least one, or set tls_certificate and tls_key";
            check.refuse("http", "https_names", "[]", "the development certificate is for nobody", remedy);
        }
        _ => {}
    }
    for name in &http.https_names {
        if name.parse::<IpAddr>().is_err() {
            check.domain("http", "https_names", name);
        }
    }
    for origin in &http.origins {
        if crate::serve::origin::parse(origin).is_none() {
            let remedy = "write a scheme and a host, such as \"https://desk.example.com\", and nothing after it";
            check.refuse("http", "origins", format!("{origin:?}"), "not an origin", remedy);
        }
    }
}

pub(super) fn webrtc(check: &mut Check<'_>, config: &Config) {
    let webrtc = &config.webrtc;
    if webrtc.enabled {
        check.local("webrtc", "bind", webrtc.bind);
    }
    let last = usize::from(webrtc.first_port).saturating_add(planes::shards(config));
    if webrtc.first_port > 0 && (webrtc.first_port < 1_024 || last > 65_536) {
        let remedy = "write 0, or a number from 1024 on that leaves a port for each of [media] shards";
        check.refuse("webrtc", "first_port", webrtc.first_port, "out of range", remedy);
    }
    let mut foreign = 0;
    for (index, ip) in webrtc.advertised.iter().enumerate() {
        let twice = webrtc.advertised.iter().take(index).any(|other| other == ip);
        foreign += usize::from(!addresses::is_of_this_machine(*ip));
        if ip.is_unspecified() || ip.is_multicast() || twice {
            let remedy = "write addresses of this server, or of the NAT before it, each once";
            check.refuse("webrtc", "advertised", ip, "no browser can send to this address", remedy);
        }
    }
    if webrtc.advertised.len() > MOST_ADDRESSES
        || foreign > 1
        || (foreign == 1 && webrtc.advertised.len() > 1 && webrtc.bind.is_unspecified())
    {
        let remedy = "name up to 8 addresses of this machine, or one of a NAT in front (with others only where bind is one address)";
        check.refuse("webrtc", "advertised", webrtc.advertised.len(), "they cannot all be bound", remedy);
    }
    check.range("webrtc", "max_peers", webrtc.max_peers, 1..=1_000_000);
    let legs = planes::shards(config).saturating_mul(config.media.max_legs_per_shard);
    if webrtc.enabled && webrtc.max_peers > legs && check.is_written("webrtc", "max_peers") {
        let what = format!("the media threads carry {legs} legs in all");
        let remedy = "lower it, or raise [media] max_legs_per_shard";
        check.refuse("webrtc", "max_peers", webrtc.max_peers, what, remedy);
    }
    let known = |name: &String| planes::format(name).is_some();
    let twice =
        webrtc.codecs.iter().enumerate().any(|(index, name)| webrtc.codecs.iter().take(index).any(|n| n == name));
    if webrtc.codecs.is_empty() || twice || !webrtc.codecs.iter().all(known) {
        let shown = format!("{:?}", webrtc.codecs);
        check.refuse(
            "webrtc",
            "codecs",
            shown,
            "not a list of codecs",
            "write some of \"opus\", \"g722\", \"pcmu\", \"pcma\", each once",
        );
    }
    check.range("webrtc", "opus_bitrate", webrtc.opus_bitrate, 6_000..=128_000);
    check.range("webrtc", "opus_complexity", webrtc.opus_complexity, 0..=10);
}

pub(super) fn turn(check: &mut Check<'_>, config: &Config) {
    let turn = &config.turn;
    let scheme = |uri: &str| uri.split_once(':').map(|(scheme, rest)| (scheme.to_owned(), !rest.is_empty()));
    let mut relays = false;
    for uri in &turn.uris {
        match scheme(uri) {
            Some((scheme, true)) if matches!(scheme.as_str(), "stun" | "stuns" | "turn" | "turns") && is_plain(uri) => {
                relays |= scheme.starts_with("turn");
            }
            _ => {
                let remedy =
                    "write URIs such as \"stun:stun.example.com\" or \"turn:turn.example.com:3478?transport=udp\"";
                check.refuse("turn", "uris", format!("{uri:?}"), "not a STUN or TURN URI", remedy);
            }
        }
    }
    if turn.uris.len() > 10 {
        check.refuse("turn", "uris", turn.uris.len(), "browsers slow down with many", "name at most 10");
    }
    let fixed = (turn.username.is_some(), turn.password.is_some());
    if fixed.0 != fixed.1 {
        let key = if fixed.0 { "password" } else { "username" };
        check.refuse("turn", key, "\"\"", "a user name and a password go together", "set both, or neither");
    }
    if turn.secret.is_some() && fixed != (false, false) {
        let remedy = "leave out the secret, or username and password";
        // What is wrong is read in logs: secrets are not repeated.
        check.refuse("turn", "secret", "(not shown)", "there are two kinds of credentials", remedy);
    }
    if relays && turn.secret.is_none() && fixed == (false, false) {
        let remedy = "set secret (coturn's static-auth-secret), or username and password";
        check.refuse("turn", "secret", "\"\"", "TURN servers want credentials", remedy);
    }
    check.range("turn", "ttl_s", turn.ttl_s, 60..=604_800);
}

fn is_plain(uri: &str) -> bool {
    uri.len() <= 255 && uri.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\'))
}

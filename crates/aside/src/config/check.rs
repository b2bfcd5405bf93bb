//! What can be wrong with values that are well formed: ranges, clashes, addresses, files.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::path::Path;

use call::http::Network;
use call::recogniser::RecogniserConfig;

use super::problem::{Place, Problem};
use super::{Config, Loaded};

pub(super) struct Check<'a> {
    places: &'a BTreeMap<(String, String), Place>,
    problems: Vec<Problem>,
}

/// Everything wrong with the values, in the order of the sections.
pub fn check(loaded: &Loaded) -> Vec<Problem> {
    let mut check = Check { places: &loaded.places, problems: Vec::new() };
    let config = &loaded.config;
    server(&mut check, config);
    sip(&mut check, config);
    media(&mut check, config);
    http(&mut check, config);
    super::browsers::https(&mut check, config);
    super::browsers::webrtc(&mut check, config);
    super::browsers::turn(&mut check, config);
    rest(&mut check, config);
    clashes(&mut check, config);
    check.problems
}

impl Check<'_> {
    /// Whether somebody wrote this value, in the file or the environment.
    pub(super) fn is_written(&self, section: &str, key: &str) -> bool {
        self.places.contains_key(&(section.to_owned(), key.to_owned()))
    }

    pub(super) fn refuse(
        &mut self,
        section: &str,
        key: &str,
        value: impl Display,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let place = self.places.get(&(section.to_owned(), key.to_owned())).cloned().unwrap_or(Place::Default);
        self.problems.push(Problem {
            place,
            key: format!("[{section}] {key}"),
            value: Some(value.to_string()),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    pub(super) fn range<T: PartialOrd + Display + Copy>(
        &mut self,
        section: &str,
        key: &str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            let remedy = format!("write {} to {}", range.start(), range.end());
            self.refuse(section, key, value, "out of range", remedy);
        }
    }

    /// An address of this machine, or all of them.
    pub(super) fn local(&mut self, section: &str, key: &str, ip: IpAddr) {
        if let Err(error) = UdpSocket::bind((ip, 0)) {
            let remedy = "write an address of this machine, or 0.0.0.0 for all of them";
            self.refuse(section, key, ip, format!("nothing can listen there ({error})"), remedy);
        }
    }

    pub(super) fn domain(&mut self, section: &str, key: &str, name: &str) {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            self.refuse(
                section,
                key,
                format!("{name:?}"),
                "not a host name",
                "write names such as \"api.example.com\"",
            );
        }
    }
}

fn server(check: &mut Check<'_>, config: &Config) {
    let server = &config.server;
    let data_dir = &server.data_dir;
    if data_dir.as_os_str().is_empty() {
        check.refuse("server", "data_dir", "\"\"", "no directory", "name the directory for the database");
    } else if data_dir.exists() {
        if !data_dir.is_dir() {
            let shown = format!("{:?}", data_dir.display().to_string());
            check.refuse(
                "server",
                "data_dir",
                shown,
                "not a directory",
                "name a directory, or remove what is in its place",
            );
        } else if is_read_only(data_dir) {
            let shown = format!("{:?}", data_dir.display().to_string());
            check.refuse(
                "server",
                "data_dir",
                shown,
                "the directory cannot be written",
                "give its owner leave to write",
            );
        }
    } else if let Some(parent) = nearest_existing(data_dir)
        && (!parent.is_dir() || is_read_only(parent))
    {
        let shown = format!("{:?}", data_dir.display().to_string());
        let what = format!("it does not exist and cannot be created in {}", parent.display());
        check.refuse("server", "data_dir", shown, what, "name a directory that can be created");
    }
    if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&server.log_level) {
        let what = format!("not a log filter ({error})");
        check.refuse(
            "server",
            "log_level",
            format!("{:?}", server.log_level),
            what,
            "write info, or a list such as info,sip=debug",
        );
    }
    check.range("server", "stop_wait_s", server.stop_wait_s, 0..=86_400);
    check.range("server", "max_calls", server.max_calls, 1..=1_000_000);
    check.range("server", "max_rooms", server.max_rooms, 1..=1_000_000);
    check.range("server", "max_calls_per_account", server.max_calls_per_account, 1..=1_000_000);
    check.range("server", "max_rooms_per_account", server.max_rooms_per_account, 1..=1_000_000);
    check.range("server", "max_call_s", server.max_call_s, 60..=604_800);
}

fn is_read_only(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().readonly())
}

fn nearest_existing(path: &Path) -> Option<&Path> {
    let here = Path::new(".");
    path.ancestors()
        .map(|parent| if parent.as_os_str().is_empty() { here } else { parent })
        .find(|parent| parent.exists())
}

fn sip(check: &mut Check<'_>, config: &Config) {
    let sip = &config.sip;
    if sip.udp.is_empty() && sip.tcp.is_empty() {
        check.refuse(
            "sip",
            "udp",
            "[]",
            "neither UDP nor TCP has an address",
            "give at least one, such as [\"0.0.0.0:5060\"]",
        );
    }
    for address in &sip.udp {
        check.local("sip", "udp", address.ip());
    }
    for address in &sip.tcp {
        check.local("sip", "tcp", address.ip());
    }
    if sip.external_ip.is_some_and(|ip| ip.is_unspecified() || ip.is_multicast()) {
        let shown = format!("{:?}", sip.external_ip.map(|ip| ip.to_string()).unwrap_or_default());
        check.refuse(
            "sip",
            "external_ip",
            shown,
            "no peer can reach this address",
            "write the public address of the NAT",
        );
    }
    if sip.digest.is_empty() || sip.digest.iter().any(|name| super::planes::digest_algorithm(name).is_none()) {
        let shown = format!("{:?}", sip.digest);
        check.refuse(
            "sip",
            "digest",
            shown,
            "not a list of digest algorithms",
            "write [\"SHA-256\", \"MD5\"] or one of them",
        );
    }
    if sip.user_agent.is_empty() || sip.user_agent.len() > 100 || sip.user_agent.chars().any(char::is_control) {
        let shown = format!("{:?}", sip.user_agent);
        check.refuse("sip", "user_agent", shown, "it cannot stand in a header", "write 1 to 100 printable characters");
    }
    for name in sip.hosts.keys() {
        check.domain("sip", "hosts", name);
    }
    networks(check, "sip", "allow", &sip.allow);
    let bounds = (sip.register_min_s, sip.register_default_s, sip.register_max_s);
    check.range("sip", "register_min_s", bounds.0, 1..=86_400);
    check.range("sip", "register_max_s", bounds.2, 1..=86_400);
    if !(bounds.0 <= bounds.1 && bounds.1 <= bounds.2) {
        let remedy = format!("keep register_min_s ({}) ≤ register_default_s ≤ register_max_s ({})", bounds.0, bounds.2);
        check.refuse(
            "sip",
            "register_default_s",
            bounds.1,
            "it is not between the shortest and the longest life",
            remedy,
        );
    }
    check.range("sip", "source_rate", sip.source_rate, 1.0..=1_000_000.0);
    check.range("sip", "source_burst", sip.source_burst, 1.0..=1_000_000.0);
    check.range("sip", "message_bytes", sip.message_bytes, 2_048..=65_535);
    check.range("sip", "connections", sip.connections, 1..=1_000_000);
    check.range("sip", "connections_per_source", sip.connections_per_source, 1..=1_000_000);
    check.range("sip", "connection_idle_s", sip.connection_idle_s, 10..=86_400);
    check.range("sip", "dialogs", sip.dialogs, 1..=1_000_000);
    check.range("sip", "contacts", sip.contacts, 1..=100);
    check.range("sip", "auth_failures", sip.auth_failures, 1..=1_000);
    check.range("sip", "lockout_s", sip.lockout_s, 1..=86_400);
    check.range("sip", "ringing_s", sip.ringing_s, 10..=3_600);
}

fn media(check: &mut Check<'_>, config: &Config) {
    let media = &config.media;
    check.local("media", "bind", media.bind);
    for cpu in &media.pin_cpus {
        if !Path::new(&format!("/sys/devices/system/cpu/cpu{cpu}")).exists() {
            check.refuse("media", "pin_cpus", cpu, "there is no such CPU", "write numbers from 0, as in /proc/cpuinfo");
        }
    }
    if media.advertised_ip.is_some_and(|ip| ip.is_unspecified() || ip.is_multicast()) {
        let shown = format!("{:?}", media.advertised_ip.map(|ip| ip.to_string()).unwrap_or_default());
        check.refuse(
            "media",
            "advertised_ip",
            shown,
            "no phone can send to this address",
            "write an address of this server",
        );
    }
    check.range("media", "first_port", media.first_port, 1_024..=65_534);
    if media.first_port % 2 == 1 {
        check.refuse(
            "media",
            "first_port",
            media.first_port,
            "RTP takes an even port and the next",
            "write an even number",
        );
    }
    if media.last_port <= media.first_port {
        let remedy = format!("write a number above first_port ({})", media.first_port);
        check.refuse("media", "last_port", media.last_port, "no port lies between the first and the last", remedy);
    }
    let pairs = usize::from(media.last_port.saturating_sub(media.first_port)).div_ceil(2);
    if media.last_port > media.first_port && pairs < config.server.max_calls {
        let what = format!("the ports suffice for {pairs} calls, [server] max_calls is {}", config.server.max_calls);
        check.refuse("media", "last_port", media.last_port, what, "widen the range or lower max_calls");
    }
    check.range("media", "port_rest_s", media.port_rest_s, 0..=3_600);
    check.range("media", "shards", media.shards, 0..=256);
    check.range("media", "jitter_max_ms", media.jitter_max_ms, 20..=400);
    check.range("media", "jitter_min_ms", media.jitter_min_ms, 0..=media.jitter_max_ms);
    check.range("media", "jitter_initial_ms", media.jitter_initial_ms, media.jitter_min_ms..=media.jitter_max_ms);
    check.range("media", "rtp_timeout_s", media.rtp_timeout_s, 5..=86_400);
    check.range("media", "stale_source_s", media.stale_source_s, 1..=3_600);
    check.range("media", "max_legs_per_shard", media.max_legs_per_shard, 1..=1_048_576);
    check.range("media", "max_rooms_per_shard", media.max_rooms_per_shard, 1..=1_048_576);
    check.range("media", "max_members_per_room", media.max_members_per_room, 2..=4_096);
}

fn networks(check: &mut Check<'_>, section: &str, key: &str, list: &[String]) {
    for text in list {
        if Network::parse(text).is_none() {
            let remedy = "write networks such as \"10.0.0.0/8\", or single addresses";
            check.refuse(section, key, format!("{text:?}"), "not a network", remedy);
        }
    }
}

fn http(check: &mut Check<'_>, config: &Config) {
    let http = &config.http;
    networks(check, "http", "allow", &http.allow);
    networks(check, "http", "forwarded_by", &http.forwarded_by);
    for name in http.hosts.keys() {
        check.domain("http", "hosts", name);
        if name.chars().any(char::is_uppercase) {
            check.refuse(
                "http",
                "hosts",
                format!("{name:?}"),
                "names are compared in lower case",
                "write it in lower case",
            );
        }
    }
    if http.front_door.is_some() && http.front_door_names.is_empty() {
        let remedy = "name at least one host, or set front_door = \"off\"";
        check.refuse("http", "front_door_names", "[]", "the front door has no name to answer under", remedy);
    }
    for name in &http.front_door_names {
        check.domain("http", "front_door_names", name);
    }
    check.range("http", "connections", http.connections, 1..=1_000_000);
    check.range("http", "connections_per_source", http.connections_per_source, 1..=1_000_000);
    check.range("http", "header_timeout_s", http.header_timeout_s, 1..=300);
    check.range("http", "body_timeout_s", http.body_timeout_s, 1..=300);
    check.range("http", "write_timeout_s", http.write_timeout_s, 1..=300);
    check.local("http", "api", http.api.ip());
    if let Some(door) = http.front_door {
        check.local("http", "front_door", door.ip());
    }
    check.range("http", "body_bytes", http.body_bytes, 4_096..=67_108_864);
    check.range("http", "event_streams", http.event_streams, 1..=100_000);
}

fn rest(check: &mut Check<'_>, config: &Config) {
    check.range("sounds", "max_bytes", config.sounds.max_bytes, 1_024..=1_073_741_824);
    check.range("sounds", "max_seconds", config.sounds.max_seconds, 1..=36_000);
    check.range("sounds", "ttl_s", config.sounds.ttl_s, 0..=604_800);
    if let Some(url) = &config.speech.recogniser
        && RecogniserConfig::parse(url).is_none()
    {
        // Without its credentials: what is wrong is read in logs.
        let shown = url.rsplit_once('@').map_or(url.as_str(), |(_, host)| host);
        let remedy = "write a URL such as \"http://127.0.0.1:9000/recognise\"";
        check.refuse("speech", "recogniser", format!("{shown:?}"), "no http or https URL", remedy);
    }
    for domain in &config.plivo.domains {
        check.domain("plivo", "domains", domain);
    }
    check.range("plivo", "rate_burst", config.plivo.rate_burst, 1..=1_000_000);
    check.range("plivo", "rate_window_s", config.plivo.rate_window_s, 1..=3_600);
    check.range("jambonz", "rate_burst", config.jambonz.rate_burst, 1..=1_000_000);
    check.range("jambonz", "rate_window_s", config.jambonz.rate_window_s, 1..=3_600);
    check.range("outbox", "concurrency", config.outbox.concurrency, 1..=10_000);
    check.range("outbox", "first_retry_ms", config.outbox.first_retry_ms, 10..=60_000);
    check.range("outbox", "longest_retry_s", config.outbox.longest_retry_s, 1..=3_600);
    check.range("outbox", "per_account", config.outbox.per_account, 100..=10_000_000);
    check.range("outbox", "per_destination", config.outbox.per_destination, 10..=10_000_000);
    check.range("outbox", "stop_wait_s", config.outbox.stop_wait_s, 0..=3_600);
    check.range("outbox", "lane_limit_s", config.outbox.lane_limit_s, 1..=3_600);
    check.range("store", "write_queue", config.store.write_queue, 64..=1_048_576);
    check.range("store", "readers", config.store.readers, 1..=64);
    check.range("store", "keep_days", config.store.keep_days, 0..=36_500);
    check.range("metrics", "accounts", config.metrics.accounts, 0..=10_000);
}

/// Two listeners on one address, or a listener among the RTP ports.
fn clashes(check: &mut Check<'_>, config: &Config) {
    let tcp = config.sip.tcp.iter().map(|address| ("sip", "tcp", *address));
    let web = [
        ("http", "api", Some(config.http.api)),
        ("http", "https", config.http.https),
        ("http", "front_door", config.http.front_door),
    ];
    let web = web.into_iter().filter_map(|(section, key, address)| Some((section, key, address?)));
    let webrtc = super::browsers::ports(config);
    let ice_tcp = webrtc.clone().filter(|_| config.webrtc.tcp);
    let streams: Vec<(&str, &str, SocketAddr)> = tcp.chain(web).chain(ice_tcp).collect();
    let sip = config.sip.udp.iter().map(|address| ("sip", "udp", *address));
    let datagrams: Vec<(&str, &str, SocketAddr)> = sip.chain(webrtc).collect();
    for listeners in [&streams, &datagrams] {
        for (index, (section, key, address)) in listeners.iter().enumerate() {
            let earlier = listeners.iter().take(index).find(|(_, _, other)| overlap(*address, *other));
            if let Some((other_section, other_key, other)) = earlier {
                let what = format!("it clashes with [{other_section}] {other_key} = {other}");
                check.refuse(section, key, address, what, "give them different ports");
            }
        }
    }
    let rtp = config.media.first_port..=config.media.last_port;
    for (section, key, address) in &datagrams {
        if rtp.contains(&address.port()) {
            let what = format!("the port is among the RTP ports {}–{}", rtp.start(), rtp.end());
            check.refuse(section, key, address, what, "choose a port outside [media] first_port to last_port");
        }
    }
}

fn overlap(left: SocketAddr, right: SocketAddr) -> bool {
    let same_ip = left.ip() == right.ip() || left.ip().is_unspecified() || right.ip().is_unspecified();
    left.port() != 0 && left.port() == right.port() && same_ip
}

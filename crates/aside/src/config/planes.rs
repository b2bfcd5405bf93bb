//! The configuration as the parts of the server want it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use audio::{Codec, Format};
use call::engine::EngineConfig;
use call::http::{HttpPolicy, Network};
use call::outbox::OutboxConfig;
use call::recogniser::RecogniserConfig;
use call::sound::SoundConfig;
use media::MediaConfig;
use sip::{Limits, RegistrationBounds, SipConfig};
use store::StoreConfig;
use webrtc::{Address, WebRtcConfig};

use super::Config;
use super::addresses;
use super::setting::Synchronous;

/// The database's part.
pub fn store(config: &Config) -> StoreConfig {
    StoreConfig {
        synchronous: match config.store.synchronous {
            Synchronous::Off => store::Synchronous::Off,
            Synchronous::Normal => store::Synchronous::Normal,
            Synchronous::Full => store::Synchronous::Full,
        },
        write_queue: config.store.write_queue,
        readers: config.store.readers,
        outbox_limit: config.outbox.per_account,
        destination_limit: config.outbox.per_destination,
        lane_limit: Duration::from_secs(config.outbox.lane_limit_s),
        ..StoreConfig::default()
    }
}

/// The digest algorithm of this name, in any case.
pub(super) fn digest_algorithm(name: &str) -> Option<sip::Algorithm> {
    [("SHA-256", sip::Algorithm::Sha256), ("MD5", sip::Algorithm::Md5)]
        .into_iter()
        .find(|(known, _)| name.eq_ignore_ascii_case(known))
        .map(|(_, algorithm)| algorithm)
}

/// The signalling plane's part.
pub fn sip(config: &Config) -> SipConfig {
    let sip = &config.sip;
    SipConfig {
        udp: sip.udp.clone(),
        tcp: sip.tcp.clone(),
        external_ip: sip.external_ip,
        user_agent: sip.user_agent.clone(),
        local_domains: shared_domains(config),
        hosts: sip.hosts.iter().map(|(name, address)| (name.to_ascii_lowercase(), *address)).collect(),
        algorithms: sip.digest.iter().filter_map(|name| digest_algorithm(name)).collect(),
        limits: Limits {
            message_bytes: sip.message_bytes,
            source_rate: sip.source_rate,
            source_burst: sip.source_burst,
            connections: sip.connections,
            connections_per_source: sip.connections_per_source,
            connection_idle: Duration::from_secs(sip.connection_idle_s),
            dialogs: sip.dialogs,
            contacts: sip.contacts,
            auth_failures: sip.auth_failures,
            lockout: Duration::from_secs(sip.lockout_s),
            ringing: Duration::from_secs(sip.ringing_s),
            ..Limits::default()
        },
        registration: RegistrationBounds {
            min: sip.register_min_s,
            max: sip.register_max_s,
            default: sip.register_default_s,
        },
        ..SipConfig::default()
    }
}

/// The media plane's part.
pub fn media(config: &Config) -> MediaConfig {
    let media = &config.media;
    let mut planned = MediaConfig {
        shards: shards(config),
        bind: media.bind,
        ports: media.first_port..=media.last_port,
        port_rest: Duration::from_secs(media.port_rest_s),
        rtp_timeout: Duration::from_secs(media.rtp_timeout_s),
        stale_source: Duration::from_secs(media.stale_source_s),
        max_legs_per_shard: media.max_legs_per_shard,
        max_rooms_per_shard: media.max_rooms_per_shard,
        max_members_per_room: media.max_members_per_room,
        pin_cpus: media.pin_cpus.clone(),
        ..MediaConfig::default()
    };
    // Each browser may take sound in a format with memory.
    planned.max_wide_legs = config.webrtc.max_peers;
    planned.opus_bitrate = config.webrtc.opus_bitrate;
    planned.opus_complexity = config.webrtc.opus_complexity;
    planned.jitter.initial = Duration::from_millis(media.jitter_initial_ms);
    planned.jitter.minimum = Duration::from_millis(media.jitter_min_ms);
    planned.jitter.maximum = Duration::from_millis(media.jitter_max_ms);
    planned
}

/// The part of browsers' sound, if there is one. `clock` is the origin of the media plane's.
pub fn webrtc(config: &Config, clock: Instant) -> Option<WebRtcConfig> {
    let webrtc = &config.webrtc;
    webrtc.enabled.then(|| WebRtcConfig {
        threads: shards(config).min(64),
        addresses: webrtc_addresses(config),
        first_port: webrtc.first_port,
        tcp: webrtc.tcp,
        lite: webrtc.lite,
        clock,
        formats: webrtc.codecs.iter().filter_map(|name| format(name)).collect(),
        max_average_bitrate: webrtc.opus_bitrate,
        max_peers: webrtc.max_peers,
        ..WebRtcConfig::default()
    })
}

/// What is bound, and what browsers are told.
fn webrtc_addresses(config: &Config) -> Vec<Address> {
    let webrtc = &config.webrtc;
    let mut told = webrtc.advertised.clone();
    if told.is_empty() {
        told.extend(
            advertised(config).filter(|ip| webrtc.bind.is_unspecified() || ip.is_ipv4() == webrtc.bind.is_ipv4()),
        );
    }
    if told.is_empty() && webrtc.bind.is_unspecified() {
        told = addresses::of_this_machine();
        if told.is_empty() {
            told.push(Ipv4Addr::LOCALHOST.into());
        }
    }
    if told.is_empty() {
        return vec![Address::of(webrtc.bind)];
    }
    let address = |ip: IpAddr| match addresses::is_of_this_machine(ip) {
        true => Address::of(ip),
        // A NAT in front has it.
        false => {
            let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let bind = if webrtc.bind.is_ipv4() == ip.is_ipv4() { webrtc.bind } else { any };
            Address { bind, advertised: Some(ip) }
        }
    };
    told.into_iter().map(address).collect()
}

/// The codec of this name.
pub(super) fn format(name: &str) -> Option<Format> {
    Some(match name {
        "opus" => Format::Opus,
        "g722" => Format::G722,
        "pcmu" => Format::Narrow(Codec::Pcmu),
        "pcma" => Format::Narrow(Codec::Pcma),
        _ => return None,
    })
}

/// The engine's part.
pub fn engine(config: &Config) -> EngineConfig {
    EngineConfig {
        http: HttpPolicy {
            hosts: config.http.hosts.iter().map(|(name, address)| (name.clone(), *address)).collect(),
            allowed: config.http.allow.iter().filter_map(|text| Network::parse(text)).collect(),
        },
        sounds: SoundConfig {
            limits: media::SoundLimits {
                bytes: config.sounds.max_bytes,
                duration: Duration::from_secs(config.sounds.max_seconds),
            },
            cache_bytes: config.sounds.cache_bytes,
            fresh_for: Duration::from_secs(config.sounds.ttl_s),
        },
        max_calls: config.server.max_calls,
        max_rooms: config.server.max_rooms,
        max_calls_per_account: config.server.max_calls_per_account,
        max_rooms_per_account: config.server.max_rooms_per_account,
        trunks: HttpPolicy {
            hosts: config.sip.hosts.iter().map(|(name, at)| (name.to_ascii_lowercase(), at.ip())).collect(),
            allowed: config.sip.allow.iter().filter_map(|text| Network::parse(text)).collect(),
        },
        max_call: Duration::from_secs(config.server.max_call_s),
        advertised: advertised(config),
        shared_domains: shared_domains(config),
        outbox: OutboxConfig {
            concurrency: config.outbox.concurrency,
            first_retry: Duration::from_millis(config.outbox.first_retry_ms),
            longest_retry: Duration::from_secs(config.outbox.longest_retry_s),
            drain: Duration::from_secs(config.outbox.stop_wait_s),
        },
        recogniser: config.speech.recogniser.as_deref().and_then(RecogniserConfig::parse),
    }
}

/// SIP domains that all accounts share, in lower case.
pub fn shared_domains(config: &Config) -> Vec<String> {
    config.plivo.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect()
}

/// Threads that carry sound.
pub fn shards(config: &Config) -> usize {
    match config.media.shards {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(256),
        shards => shards,
    }
}

fn advertised(config: &Config) -> Option<IpAddr> {
    config.media.advertised_ip.or(config.sip.external_ip)
}

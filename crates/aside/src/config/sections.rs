//! The sections of the configuration file. The descriptions are what `docs/configuration.md` and the sample file say.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::section::section;
use super::setting::{LogFormat, Synchronous};

fn any(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

section! {
    /// The server as a whole.
    pub struct ServerConfig in "server" {
        /// Directory for the database, the control socket and the front door's certificates. It is created if it is missing,
        /// readable by its owner only.
        data_dir: PathBuf = PathBuf::from("aside-data"),
        /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a list such as `info,sip=debug`.
        log_level: String = "info".to_owned(),
        /// How log lines look: `text` or `json`. They go to the standard error output.
        log_format: LogFormat = LogFormat::Text,
        /// Seconds that a stopping server waits for live calls before it hangs up.
        stop_wait_s: u64 = 30,
        /// Calls at once; further ones are refused with 503.
        max_calls: usize = 5_000,
        /// Rooms at once.
        max_rooms: usize = 5_000,
        /// Calls of one account at once; a further one is refused with 486, or with 429 where a program asks for it.
        max_calls_per_account: usize = 4_000,
        /// Rooms of one account at once; further ones are not opened, and a program that asks for one is answered 429.
        max_rooms_per_account: usize = 4_000,
        /// Seconds that one call may last.
        max_call_s: u64 = 28_800,
    }
}

section! {
    /// SIP signalling.
    pub struct SipSection in "sip" {
        /// UDP addresses to listen on. Port 0 takes a free one.
        udp: Vec<SocketAddr> = vec![any(5060)],
        /// TCP addresses to listen on.
        tcp: Vec<SocketAddr> = vec![any(5060)],
        /// The address that peers on the internet reach this server under, where a NAT hides the real one.
        external_ip: Option<IpAddr> = None,
        /// Text of the `Server` and `User-Agent` headers.
        user_agent: String = "Aside".to_owned(),
        /// Names with a fixed address, for example of carriers; asked before DNS.
        hosts: BTreeMap<String, SocketAddr> = BTreeMap::new(),
        /// Private networks that the hosts of trunks may lead to. Loopback, private and link-local addresses are refused otherwise,
        /// except those of names under `hosts`.
        allow: Vec<String> = Vec::new(),
        /// Digest algorithms offered, first to last: `SHA-256`, `MD5`. Some old phones fail at one they do not know instead of
        /// passing it over: known ones (baresip before 3.12, SIPp) are offered `MD5` alone, others when they come again without
        /// having answered. `["MD5"]` spares them the first attempt, `["SHA-256"]` shuts them out.
        digest: Vec<String> = vec!["SHA-256".to_owned(), "MD5".to_owned()],
        /// Seconds: registrations shorter than this are refused with 423.
        register_min_s: u32 = 60,
        /// Seconds: registrations longer than this are shortened.
        register_max_s: u32 = 3_600,
        /// Seconds: life of a registration that asks for nothing.
        register_default_s: u32 = 600,
        /// Messages per second from one source address (IPv6: /64), on average. Trunks' sources are exempt (blocks wider than
        /// /16, IPv6: /32, are not); hosts of trunks may send ten times as many for an hour after a call to them.
        source_rate: f64 = 500.0,
        /// Messages that one source address may send at once; hosts of trunks ten times as many, likewise.
        source_burst: f64 = 2_000.0,
        /// Bytes of the largest message.
        message_bytes: usize = 65_535,
        /// TCP connections at once.
        connections: usize = 10_000,
        /// TCP connections from one address (IPv6: /64).
        connections_per_source: usize = 500,
        /// Seconds after which a silent TCP connection is closed. One that has brought no whole message yet is closed after 10.
        connection_idle_s: u64 = 1_800,
        /// Dialogs at once; further INVITEs are refused with 503.
        dialogs: usize = 20_000,
        /// Contacts that one endpoint may register.
        contacts: usize = 10,
        /// Wrong passwords after which a source address is locked out of a user. A phone that registered before counts by itself:
        /// neighbours behind the same address do not lock it out.
        auth_failures: u32 = 10,
        /// Seconds that a lock-out lasts.
        lockout_s: u64 = 300,
        /// Seconds that a call may ring.
        ringing_s: u64 = 300,
    }
}

section! {
    /// Sound: RTP ports, threads, jitter buffers.
    pub struct MediaSection in "media" {
        /// Address that RTP ports are bound to.
        bind: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        /// Address that SDP names. Not set: `[sip] external_ip`, else `bind`, else the address that the call came in on.
        advertised_ip: Option<IpAddr> = None,
        /// First RTP port, even. Each call takes an even port and the next.
        first_port: u16 = 16_384,
        /// Last RTP port, odd.
        last_port: u16 = 32_767,
        /// Seconds that a closed port pair rests before another call gets it.
        port_rest_s: u64 = 10,
        /// Threads that carry sound; 0: one per CPU.
        shards: usize = 0,
        /// CPUs that the threads are pinned to, in order; empty: none.
        pin_cpus: Vec<usize> = Vec::new(),
        /// Milliseconds of the jitter buffer when a stream begins.
        jitter_initial_ms: u64 = 20,
        /// Milliseconds of its smallest depth.
        jitter_min_ms: u64 = 2,
        /// Milliseconds of its largest depth; at most 500.
        jitter_max_ms: u64 = 200,
        /// Seconds without RTP after which a call that should send some is hung up.
        rtp_timeout_s: u64 = 60,
        /// Seconds of silence after which a phone may send from another port of the same address.
        stale_source_s: u64 = 5,
        /// Calls on one thread.
        max_legs_per_shard: usize = 8_192,
        /// Rooms on one thread.
        max_rooms_per_shard: usize = 4_096,
        /// Calls in one room.
        max_members_per_room: usize = 512,
    }
}

section! {
    /// HTTP: what the server listens on, and where its requests to programs may go.
    pub struct HttpSection in "http" {
        /// Address of the APIs (native, Plivo's, jambonz'), plain HTTP. Put a TLS proxy before it to use it from other machines.
        api: SocketAddr = loopback(8080),
        /// HTTPS address of the same, and of the pages `/console` and `/phone`: browsers give a microphone to HTTPS alone (and to
        /// this machine's own pages). `"off"`: none.
        https: Option<SocketAddr> = None,
        /// File with the certificate of `https` and those that lead to its authority (PEM); read again when it changes, and at
        /// SIGHUP. Not set: a development certificate of an own authority, kept in the data directory, for `https_names`;
        /// `aside https-ca` prints what browsers must trust.
        tls_certificate: Option<PathBuf> = None,
        /// File with the key of that certificate (PEM).
        tls_key: Option<PathBuf> = None,
        /// Names and addresses that the development certificate is for.
        https_names: Vec<String> = vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        /// Other origins whose pages may open a WebSocket for SIP, such as `"https://desk.example.com"`. Pages of this server may,
        /// and programs that are no browsers.
        origins: Vec<String> = Vec::new(),
        /// Networks of proxies: of their requests, the last address in `X-Forwarded-For` that is none of theirs is the source.
        forwarded_by: Vec<String> = Vec::new(),
        /// HTTPS address that answers under Plivo's own host names, for programs whose base URL cannot be changed; `"off"`: none.
        front_door: Option<SocketAddr> = None,
        /// Host names that the front door has certificates for.
        front_door_names: Vec<String> = vec!["api.plivo.com".to_owned()],
        /// Private networks that webhooks and sound URLs may lead to. Loopback, private and link-local addresses are refused
        /// otherwise.
        allow: Vec<String> = Vec::new(),
        /// Names with a fixed address for webhooks and sound URLs; asked before DNS, and allowed even if private.
        hosts: BTreeMap<String, IpAddr> = BTreeMap::new(),
        /// Connections at once on `api`, and as many on `https`.
        connections: usize = 2_000,
        /// Connections of one source address (IPv6: /64) at once; further ones are closed.
        connections_per_source: usize = 500,
        /// Seconds that a request's head may take to arrive.
        header_timeout_s: u64 = 10,
        /// Seconds that a request's body may take to arrive.
        body_timeout_s: u64 = 20,
        /// Seconds that a client may leave an answer unread before its connection is closed.
        write_timeout_s: u64 = 30,
        /// Bytes of the largest request body.
        body_bytes: usize = 1_048_576,
        /// Event streams and waiting event requests of the native API at once.
        event_streams: usize = 256,
    }
}

section! {
    /// Browsers' calls: WebRTC.
    pub struct WebrtcSection in "webrtc" {
        /// Whether browsers may call.
        enabled: bool = true,
        /// Address that the ports are bound to.
        bind: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        /// First port: each of `[media] shards` takes one, counted up from here; 0: free ones.
        first_port: u16 = 10_000,
        /// Whether the same ports take ICE over TCP, for networks that let no UDP through.
        tcp: bool = true,
        /// Whether the server only answers connectivity checks (ICE lite). For servers at a public address of their own.
        lite: bool = false,
        /// Addresses that browsers are told, best first: those of this machine, or one that a NAT in front has. Empty: `[media]
        /// advertised_ip` or `[sip] external_ip`, else `bind`, else those of this machine.
        advertised: Vec<IpAddr> = Vec::new(),
        /// Browsers' calls at once; further ones are refused with 503. One account has at most three quarters of them.
        max_peers: usize = 2_000,
        /// Codecs in order of preference: `opus`, `g722`, `pcmu`, `pcma`.
        codecs: Vec<String> = ["opus", "g722", "pcmu", "pcma"].map(str::to_owned).to_vec(),
        /// Bits per second of Opus while there is sound: what is sent, and what browsers are asked for.
        opus_bitrate: u32 = 48_000,
        /// How much work Opus takes for its quality: 0 to 10.
        opus_complexity: u8 = 5,
    }
}

section! {
    /// STUN and TURN servers that browsers are told of. Aside is neither: run coturn or the like.
    pub struct TurnSection in "turn" {
        /// Their URIs, such as `"stun:stun.example.com"` and `"turn:turn.example.com:3478?transport=udp"`.
        uris: Vec<String> = Vec::new(),
        /// Secret shared with the TURN servers (coturn's `static-auth-secret` with `use-auth-secret`): each browser gets credentials
        /// of its own for a time.
        secret: Option<String> = None,
        /// Seconds that these are good for. Keep it above the longest call.
        ttl_s: u64 = 28_800,
        /// User name for all browsers, where there is no secret.
        username: Option<String> = None,
        /// Its password. Every user of a page can read it.
        password: Option<String> = None,
    }
}

section! {
    /// Sound files fetched from programs' servers.
    pub struct SoundsSection in "sounds" {
        /// Bytes of the largest file.
        max_bytes: usize = 16_777_216,
        /// Seconds of the longest sound.
        max_seconds: u64 = 600,
        /// Bytes of decoded sound kept in memory.
        cache_bytes: usize = 268_435_456,
        /// Seconds after which a kept sound is fetched again.
        ttl_s: u64 = 600,
    }
}

section! {
    /// Speech that programs want understood (`gather` with `speech`).
    pub struct SpeechSection in "speech" {
        /// `http` or `https` URL of the server that understands speech, with a name and a password before the host if it asks
        /// for them. It is the operator's own: private addresses are allowed. It gets a WAV file by POST and answers with JSON,
        /// see [speech](jambonz.md#speech). Not set: speech is not understood, and programs are told so.
        recogniser: Option<String> = None,
    }
}

section! {
    /// The Plivo dialect.
    pub struct PlivoSection in "plivo" {
        /// SIP domains that all accounts share. They are this server's own: never looked up, never dialled outward.
        domains: Vec<String> = store::SHARED_REALMS.map(str::to_owned).to_vec(),
        /// Requests that one account may make at once.
        rate_burst: u32 = plivo::RATE.burst,
        /// Seconds in which as many more become possible.
        rate_window_s: u64 = plivo::RATE.window.as_secs(),
    }
}

section! {
    /// The jambonz dialect.
    pub struct JambonzSection in "jambonz" {
        /// REST requests that one account may make at once.
        rate_burst: u32 = jambonz::rest::RATE.burst,
        /// Seconds in which as many more become possible.
        rate_window_s: u64 = jambonz::rest::RATE.window.as_secs(),
    }
}

section! {
    /// Callbacks that are owed to programs.
    pub struct OutboxSection in "outbox" {
        /// Requests under way at once.
        concurrency: usize = 256,
        /// Milliseconds before a failed callback is tried again; doubled each time.
        first_retry_ms: u64 = 500,
        /// Seconds of the longest such pause.
        longest_retry_s: u64 = 15,
        /// Undelivered callbacks that one account may have; further ones are dropped, counted and told by an event (what they tell
        /// of is in the event log all the same).
        per_account: u64 = 50_000,
        /// How many of these may wait for one destination (scheme, host and port). A destination never has more places than the
        /// account has left, so that those that are dead take no healthy one's.
        per_destination: u64 = 20_000,
        /// Seconds that a stopping server goes on sending callbacks that are due; the rest is sent after the next start. Requests
        /// under way may take 15 s more.
        stop_wait_s: u64 = 10,
        /// Seconds that a failing callback may hold up those behind it.
        lane_limit_s: u64 = 60,
    }
}

section! {
    /// The database.
    pub struct StoreSection in "store" {
        /// What a commit survives: `off` the death of the process, `normal` a loss of power except for the last commits, `full`
        /// that too.
        synchronous: Synchronous = Synchronous::Normal,
        /// Writes that may wait.
        write_queue: usize = 8_192,
        /// Connections for reading.
        readers: usize = 4,
        /// Days that records of ended calls and rooms, events, the ledger and settled callbacks are kept; 0: for ever, and the
        /// database grows without end.
        keep_days: u64 = 90,
    }
}

section! {
    /// Prometheus metrics under `/metrics` of `[http] api`.
    pub struct MetricsSection in "metrics" {
        /// Whether `/metrics` answers.
        enabled: bool = true,
        /// Accounts that have their own label; those beyond are summed under `other`.
        accounts: usize = 50,
    }
}

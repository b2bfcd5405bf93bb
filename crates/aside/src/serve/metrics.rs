//! Prometheus metrics. What the parts count is read when somebody asks; only HTTP requests are counted here.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use call::command::AccountRef;
use call::engine::Engine;
use media::{LATENESS_BOUNDS_MICROS, MediaMetrics, MediaPlane};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, with_local_recorder,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use store::{Account, Page};

use super::listen::ListenCounts;
use super::sip_socket::SipSocket;
use super::web::Dialects;
use crate::api::Api;

const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Counters of the signalling plane that go up and down.
const SIP_GAUGES: [&str; 2] = ["_live", "_bound"];

/// What is read.
pub struct Parts {
    /// Rooms and calls.
    pub engine: Engine,
    /// Sound.
    pub media: MediaPlane,
    /// Signalling.
    pub sip: sip::Sip,
    /// Browsers' sound.
    pub webrtc: Option<webrtc::WebRtc>,
    /// The native API.
    pub api: Api,
    /// Browsers' signalling.
    pub socket: Option<SipSocket>,
    /// The HTTP listeners.
    pub listeners: Arc<ListenCounts>,
}

/// Reads and renders.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    engine: Engine,
    media: MediaPlane,
    sip: sip::Sip,
    webrtc: Option<webrtc::WebRtc>,
    api: Api,
    socket: Option<SipSocket>,
    listeners: Arc<ListenCounts>,
    plivo: Arc<plivo::Api>,
    jambonz: Arc<jambonz::rest::Api>,
    accounts: usize,
    started: Instant,
}

/// A request that was not answered yet.
pub struct Begun {
    route: String,
    method: &'static str,
    at: Instant,
}

/// What one account has going.
struct AccountLoad {
    label: String,
    calls: usize,
    rooms: usize,
    callbacks: u64,
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let name = Matcher::Full("aside_http_request_seconds".to_owned());
    Ok(PrometheusBuilder::new().set_buckets_for_metric(name, SECONDS)?.build_recorder())
}

impl Metrics {
    /// Of these parts; at most `accounts` accounts have a label of their own.
    pub fn new(parts: Parts, dialects: &Dialects, accounts: usize) -> Self {
        let Parts { engine, media, sip, webrtc, api, socket, listeners } = parts;
        // The buckets are a constant that is not empty, so the builder takes them.
        let recorder = recorder().unwrap_or_else(|_| PrometheusBuilder::new().build_recorder());
        let handle = recorder.handle();
        with_local_recorder(&recorder, describe);
        let (plivo, jambonz) = (Arc::clone(&dialects.plivo), Arc::clone(&dialects.jambonz));
        let started = Instant::now();
        Self { recorder, handle, engine, media, sip, webrtc, api, socket, listeners, plivo, jambonz, accounts, started }
    }

    /// Notes which route a request takes.
    pub fn request_begun(&self, request: &Request) -> Begun {
        let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
        Begun { route, method: known(request.method()), at: Instant::now() }
    }

    /// Counts its answer.
    pub fn request_answered(&self, begun: Begun, status: StatusCode) {
        let Begun { route, method, at } = begun;
        let seconds = at.elapsed().as_secs_f64();
        with_local_recorder(&self.recorder, || {
            let status = status.as_u16().to_string();
            counter!("aside_http_requests_total", "route" => route.clone(), "method" => method, "status" => status)
                .increment(1);
            histogram!("aside_http_request_seconds", "route" => route).record(seconds);
        });
    }

    /// Everything in Prometheus' text format.
    pub async fn render(&self) -> String {
        let loads = self.loads().await;
        with_local_recorder(&self.recorder, || {
            self.of_server();
            self.of_engine(&loads);
            self.of_sip();
            self.of_browsers();
            of_media(&self.media.metrics());
            self.of_store();
        });
        self.handle.run_upkeep();
        self.handle.render()
    }

    /// The load of each account, oldest first; those beyond the limit in one sum.
    async fn loads(&self) -> Vec<AccountLoad> {
        let mut loads: Vec<AccountLoad> = Vec::new();
        let Ok(accounts) = self.engine.store().accounts(Page::first(store::PAGE_LIMIT)).await else { return loads };
        let mut others = AccountLoad { label: "other".to_owned(), calls: 0, rooms: 0, callbacks: 0 };
        for account in accounts.items {
            let load = self.load_of(&account).await;
            if loads.len() < self.accounts {
                loads.push(load);
            } else {
                others.calls += load.calls;
                others.rooms += load.rooms;
                others.callbacks += load.callbacks;
            }
        }
        loads.push(others);
        loads
    }

    async fn load_of(&self, account: &Account) -> AccountLoad {
        let named = AccountRef { id: account.id.to_string(), auth_id: account.auth_id.clone() };
        AccountLoad {
            label: account.auth_id.clone(),
            calls: self.engine.calls(&named).len(),
            rooms: self.engine.rooms(&named).len(),
            callbacks: self.engine.store().pending_deliveries(account.id).await.unwrap_or_default(),
        }
    }

    fn of_server(&self) {
        gauge!("aside_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        gauge!("aside_uptime_seconds").set(self.started.elapsed().as_secs_f64());
        counter!("aside_api_refusals_unrecorded_total").absolute(self.api.unrecorded_refusals());
        counter!("aside_plivo_requests_refused_total").absolute(self.plivo.refused_requests());
        counter!("aside_jambonz_requests_refused_total").absolute(self.jambonz.refused_requests());
        counter!("aside_plivo_unprotected_requests_total").absolute(self.plivo.unprotected_requests());
    }

    fn of_engine(&self, loads: &[AccountLoad]) {
        let (calls, rooms) = (self.engine.live_calls(), self.engine.live_rooms());
        gauge!("aside_calls_live").set(calls as f64);
        gauge!("aside_rooms_live").set(rooms as f64);
        for load in loads {
            let account = || load.label.clone();
            gauge!("aside_account_calls_live", "account" => account()).set(load.calls as f64);
            gauge!("aside_account_rooms_live", "account" => account()).set(load.rooms as f64);
            gauge!("aside_account_callbacks_pending", "account" => account()).set(load.callbacks as f64);
        }
        let counters = self.engine.counters();
        gauge!("aside_links_live").set(counters.links_live.get() as f64);
        for (name, count) in [
            ("aside_calls_in_total", &counters.calls_in),
            ("aside_calls_out_total", &counters.calls_out),
            ("aside_calls_refused_total", &counters.calls_refused),
            ("aside_calls_over_account_limit_total", &counters.calls_over_account_limit),
            ("aside_rooms_opened_total", &counters.rooms_opened),
            ("aside_rooms_over_account_limit_total", &counters.rooms_over_account_limit),
            ("aside_mailbox_overflows_total", &counters.mailbox_overflows),
            ("aside_callbacks_delivered_total", &counters.callbacks_delivered),
            ("aside_callback_attempts_failed_total", &counters.callback_attempts_failed),
            ("aside_callbacks_failed_total", &counters.callbacks_failed),
            ("aside_digits_dropped_total", &counters.digits_dropped),
            ("aside_room_sounds_dropped_total", &counters.notices_dropped),
            ("aside_records_dropped_total", &counters.records_dropped),
            ("aside_sound_waits_total", &counters.sound_waits),
            ("aside_link_messages_dropped_total", &counters.link_messages_dropped),
            ("aside_links_lost_total", &counters.links_lost),
            ("aside_stream_frames_dropped_total", &counters.stream_frames_dropped),
            ("aside_stream_messages_dropped_total", &counters.stream_messages_dropped),
            ("aside_stream_samples_dropped_total", &counters.stream_samples_dropped),
            ("aside_sound_fetches_shared_total", &counters.sound_fetches_shared),
            ("aside_stray_facts_total", &counters.stray_facts),
            ("aside_tickets_issued_total", &counters.tickets_issued),
            ("aside_tickets_used_total", &counters.tickets_used),
            ("aside_tickets_expired_total", &counters.tickets_expired),
            ("aside_tickets_refused_total", &counters.tickets_refused),
            ("aside_stray_peer_events_total", &counters.stray_peer_events),
        ] {
            counter!(name).absolute(count.get());
        }
    }

    fn of_sip(&self) {
        for (name, count) in self.sip.counters().all() {
            if SIP_GAUGES.iter().any(|ending| name.ends_with(ending)) {
                gauge!(format!("aside_sip_{name}")).set(count as f64);
            } else {
                counter!(format!("aside_sip_{name}_total")).absolute(count);
            }
        }
    }

    /// Browsers: connections for SIP, sound, tokens, and the listeners they all come through.
    fn of_browsers(&self) {
        let read = |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
        let listeners = &self.listeners;
        counter!("aside_http_over_source_limit_total").absolute(read(&listeners.over_source_limit));
        counter!("aside_http_handshakes_failed_total").absolute(read(&listeners.handshakes_failed));
        counter!("aside_http_unread_total").absolute(read(&listeners.unread));
        gauge!("aside_api_streams").set(self.api.open_streams() as f64);
        let guesses = self.api.guesses();
        for (what, count) in [("token", guesses.tokens), ("link", guesses.links), ("password", guesses.passwords)] {
            counter!("aside_api_attempts_refused_total", "what" => what).absolute(count);
        }
        if let Some(socket) = &self.socket {
            let counts = socket.counts();
            for (why, count) in
                [("origin", &counts.foreign), ("handshake", &counts.senseless), ("limit", &counts.over_limit)]
            {
                counter!("aside_websockets_refused_total", "why" => why).absolute(read(count));
            }
        }
        let Some(webrtc) = &self.webrtc else { return };
        let counts = webrtc.counters();
        gauge!("aside_webrtc_peers").set(counts.peers as f64);
        gauge!("aside_webrtc_half_open").set(counts.half_open as f64);
        for (name, count) in [
            ("aside_webrtc_connected_total", counts.connected),
            ("aside_webrtc_refused_total", counts.refused_places),
            ("aside_webrtc_never_connected_total", counts.never_connected),
            ("aside_webrtc_lost_total", counts.lost),
            ("aside_webrtc_wrong_fingerprint_total", counts.wrong_fingerprint),
            ("aside_webrtc_faults_total", counts.faults),
            ("aside_webrtc_datagrams_in_total", counts.datagrams_in),
            ("aside_webrtc_datagrams_out_total", counts.datagrams_out),
            ("aside_webrtc_datagrams_unsent_total", counts.datagrams_unsent),
            ("aside_webrtc_strays_total", counts.strays),
            ("aside_webrtc_malformed_total", counts.malformed),
            ("aside_webrtc_address_conflicts_total", counts.address_conflicts),
            ("aside_webrtc_addresses_refused_total", counts.addresses_refused),
            ("aside_webrtc_packets_refused_total", counts.packets_refused),
            ("aside_webrtc_packets_held_total", counts.packets_held),
            ("aside_webrtc_packets_overrun_total", counts.packets_overrun),
            ("aside_webrtc_tcp_connections_total", counts.connections),
            ("aside_webrtc_tcp_connections_refused_total", counts.connections_refused),
            ("aside_webrtc_events_dropped_total", counts.events_dropped),
        ] {
            counter!(name).absolute(count);
        }
    }

    fn of_store(&self) {
        let store = self.engine.store();
        let stats = store.stats();
        let condition = store.condition();
        let seconds = |duration: Option<std::time::Duration>| duration.map_or(0.0, |duration| duration.as_secs_f64());
        gauge!("aside_store_backlog").set(condition.waiting as f64);
        gauge!("aside_store_oldest_write_seconds").set(seconds(condition.oldest));
        gauge!("aside_store_failing_seconds").set(seconds(condition.failing.map(|(since, _)| since)));
        gauge!("aside_store_largest_group").set(stats.largest_group as f64);
        for (name, count) in [
            ("aside_store_batches_total", stats.batches),
            ("aside_store_failed_batches_total", stats.failed_batches),
            ("aside_store_groups_total", stats.groups),
            ("aside_store_commit_failures_total", stats.failed_groups),
            ("aside_store_writes_refused_total", stats.write_refused),
            ("aside_store_reads_total", stats.reads),
            ("aside_store_reads_refused_total", stats.read_refused),
            ("aside_outbox_dropped_total", stats.callbacks_dropped),
            ("aside_outbox_given_up_total", stats.deliveries_given_up),
        ] {
            counter!(name).absolute(count);
        }
    }
}

fn of_media(metrics: &MediaMetrics) {
    counter!("aside_media_busy_total").absolute(metrics.busy);
    counter!("aside_media_handovers_total").absolute(metrics.handovers);
    gauge!("aside_media_facts_waiting").set(metrics.facts_waiting as f64);
    counter!("aside_media_strangers_in_plans_total").absolute(metrics.strangers_in_plans);
    gauge!("aside_media_taps").set(metrics.taps as f64);
    for (index, shard) in metrics.shards.iter().enumerate() {
        let label = index.to_string();
        gauge!("aside_media_legs", "shard" => label.clone()).set(shard.legs as f64);
        gauge!("aside_media_rooms", "shard" => label.clone()).set(shard.rooms as f64);
        for (name, count) in [
            ("aside_media_slots_total", shard.slots),
            ("aside_media_room_ticks_total", shard.room_ticks),
            ("aside_media_skipped_slots_total", shard.skipped_slots),
            ("aside_media_rtp_received_total", shard.rtp_received),
            ("aside_media_rtp_sent_total", shard.rtp_sent),
            ("aside_media_send_failures_total", shard.send_failures),
            ("aside_media_path_errors_total", shard.path_errors),
            ("aside_media_malformed_total", shard.malformed),
            ("aside_media_foreign_total", shard.foreign),
            ("aside_media_unproven_total", shard.unproven),
            ("aside_media_wrong_payload_total", shard.wrong_payload),
            ("aside_media_not_receiving_total", shard.not_receiving),
            ("aside_media_unproven_ssrc_total", shard.unproven_ssrc),
            ("aside_media_rtcp_received_total", shard.rtcp_received),
            ("aside_media_rtcp_sent_total", shard.rtcp_sent),
            ("aside_media_encodes_total", shard.encodes),
            ("aside_media_shared_encodes_total", shard.shared_encodes),
            ("aside_media_withheld_frames_total", shard.withheld_frames),
            ("aside_media_changes_total", shard.changes),
            ("aside_media_stale_plans_total", shard.stale_plans),
            ("aside_media_stale_commands_total", shard.stale_commands),
            ("aside_media_room_faults_total", shard.room_faults),
            ("aside_media_leg_faults_total", shard.leg_faults),
            ("aside_media_telemetry_dropped_total", shard.telemetry_dropped),
            ("aside_media_facts_dropped_total", shard.facts_dropped),
            ("aside_media_decodes_total", shard.decodes),
            ("aside_media_wide_encodes_total", shard.wide_encodes),
            ("aside_media_silence_encodes_total", shard.silence_encodes),
            ("aside_media_wide_shared_total", shard.wide_shared),
            ("aside_media_distinct_mixes_total", shard.distinct_mixes),
            ("aside_media_encoder_resets_total", shard.encoder_resets),
            ("aside_media_conversions_total", shard.conversions),
            ("aside_media_unconverted_total", shard.unconverted),
            ("aside_media_path_dropped_total", shard.path_dropped),
            ("aside_media_tap_frames_total", shard.tap_frames),
            ("aside_media_tap_frames_lost_total", shard.tap_frames_lost),
        ] {
            counter!(name, "shard" => label.clone()).absolute(count);
        }
        lateness(&label, &shard.lateness);
    }
}

/// The shard's histogram, cumulative as Prometheus wants it.
fn lateness(shard: &str, buckets: &[u64]) {
    let bounds =
        LATENESS_BOUNDS_MICROS.iter().map(|micros| format!("{}", *micros as f64 / 1e6)).chain(["+Inf".to_owned()]);
    let mut sum = 0;
    for (bound, count) in bounds.zip(buckets) {
        sum += count;
        counter!("aside_media_slot_lateness_seconds_bucket", "shard" => shard.to_owned(), "le" => bound).absolute(sum);
    }
}

/// Methods that clients make up get no series of their own.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn describe() {
    describe_gauge!("aside_info", "Always 1; its label is the version.");
    describe_gauge!("aside_uptime_seconds", Unit::Seconds, "Since the start.");
    describe_gauge!("aside_calls_live", "Calls now.");
    describe_gauge!("aside_rooms_live", "Rooms now.");
    describe_gauge!(
        "aside_links_live",
        "Applications on WebSockets of their own now, those that are being sought again counted in."
    );
    describe_counter!("aside_links_lost_total", "Applications on WebSockets of their own that were lost for good.");
    describe_counter!(
        "aside_jambonz_requests_refused_total",
        "Requests of jambonz's REST interface refused with 429: [jambonz] rate_burst and rate_window_s."
    );
    describe_counter!(
        "aside_plivo_requests_refused_total",
        "Requests of Plivo's REST interface refused with 429: [plivo] rate_burst and rate_window_s."
    );
    describe_gauge!("aside_account_calls_live", "Calls of an account now.");
    describe_gauge!("aside_account_rooms_live", "Rooms of an account now.");
    describe_gauge!("aside_account_callbacks_pending", "Callbacks that an account's programs are still owed.");
    describe_gauge!("aside_media_legs", "Legs on a media thread now: members, and calls without a room.");
    describe_gauge!("aside_media_rooms", "Rooms on a media thread now.");
    describe_counter!("aside_media_skipped_slots_total", "Slots skipped after a stall: sound was lost.");
    describe_counter!("aside_media_slot_lateness_seconds_bucket", "Slots begun at most this late.");
    describe_counter!(
        "aside_media_withheld_frames_total",
        "Frames withheld because their packets came before a wider plan."
    );
    describe_gauge!(
        "aside_media_taps",
        "Taps of calls and rooms now: streams of sound to programs, and ears for speech."
    );
    describe_counter!("aside_media_tap_frames_lost_total", "Frames of taps that were not read in time, and are lost.");
    describe_gauge!("aside_store_backlog", "Writes that are not committed yet.");
    describe_gauge!("aside_store_oldest_write_seconds", Unit::Seconds, "How long the oldest of them has waited.");
    describe_gauge!(
        "aside_store_failing_seconds",
        Unit::Seconds,
        "For how long commits have been failing; 0: they do not."
    );
    describe_counter!(
        "aside_store_commit_failures_total",
        "Transactions that failed (database locked, disk full) and were tried again."
    );
    describe_counter!(
        "aside_outbox_dropped_total",
        "Callbacks dropped because too many waited for their destination, or their URL led nowhere."
    );
    describe_counter!("aside_outbox_given_up_total", "Callbacks set aside after their time was up.");
    describe_counter!(
        "aside_api_refusals_unrecorded_total",
        "Refusals of the native API that were too many to be recorded."
    );
    describe_counter!(
        "aside_http_over_source_limit_total",
        "Connections and proxied requests refused: [http] connections_per_source."
    );
    describe_counter!("aside_http_handshakes_failed_total", "TLS handshakes of https that failed.");
    describe_counter!(
        "aside_http_unread_total",
        "Connections ended because the client did not read: [http] write_timeout_s."
    );
    describe_gauge!("aside_api_streams", "Event streams and waiting event requests now.");
    describe_counter!("aside_api_attempts_refused_total", "Tokens, links and passwords that were tried too often.");
    describe_counter!("aside_websockets_refused_total", "WebSockets for SIP that were not opened, by reason.");
    describe_counter!("aside_tickets_issued_total", "SIP credentials made for one call of a browser each.");
    describe_counter!("aside_tickets_expired_total", "Those that no call came with in time.");
    describe_counter!("aside_tickets_refused_total", "Those that were not made, or were used again.");
    describe_gauge!("aside_webrtc_peers", "Browsers' legs now.");
    describe_gauge!("aside_webrtc_half_open", "Browsers' legs that are being connected now.");
    describe_counter!(
        "aside_webrtc_never_connected_total",
        "Browsers' legs that were not connected in time: see [turn]."
    );
    describe_counter!("aside_http_requests_total", "HTTP requests answered.");
    describe_histogram!(
        "aside_http_request_seconds",
        Unit::Seconds,
        "Time from a request's head to its answer's head."
    );
}

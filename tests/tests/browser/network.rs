//! Networks that are in the way: a relay, no UDP, an address that changes during a call; and how soon a change is to be seen.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use system_tests::browser::{Browsers, Microphone, Opening, Tab};
use system_tests::ears::{carrying, voice};
use system_tests::office::{Member, Office};
use system_tests::server::ServerOptions;
use system_tests::tool::{Scratch, Tool};
use system_tests::{LATER, SOON};
use tokio::net::UdpSocket;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::crowd::{Ear, Person, TONES, hears};
use super::stage::{self, ROOM, in_a_call, look_into};

const CUSTOMER: u32 = TONES[0];
const AGENT: u32 = TONES[1];

/// A customer in a browser and an agent at a telephone, in one room.
struct Pair {
    customer: Tab,
    agent: Member,
    _browsers: Browsers,
    // Ends last.
    office: Office,
}

impl Pair {
    async fn open(options: ServerOptions, opening: Opening) -> Self {
        let browsers = Browsers::start().await;
        let office = Office::with(options).await;
        let agent = office.joins("agent", ROOM, "Agent", "stayAlone=\"true\"", voice(AGENT)).await;
        office.room_document("shop", ROOM, "Customer", "");
        let app = office.server.application(&office.account, "shop", &office.program.url("/answer/shop"), &[]).await;
        let link = office.native.post("/links", json!({ "name": "shop", "application": app })).await;
        let at = office.server.url(link["path"].as_str().unwrap_or_default());
        let customer = browsers.open("customer", opening.to(&at).saying(Microphone::Tone(CUSTOMER))).await;
        customer.click("role=button[name=\"Call now\"]").await;
        in_a_call(&customer).await;
        Self { customer, agent, _browsers: browsers, office }
    }

    async fn hear_each_other(&self, what: &str) {
        let ear = self.agent.call.ear();
        let people = [
            Person { name: "customer", ear: Ear::Tab(&self.customer), tone: CUSTOMER },
            Person { name: "agent", ear: Ear::Phone(&ear), tone: AGENT },
        ];
        hears(what, &people, &[("customer", "agent"), ("agent", "customer")]).await;
    }

    /// How the sound goes: the browser's candidate and the server's.
    async fn way(&self) -> Value {
        self.customer.eval("Promise.all(window.__peers.map((peer) => peer.getStats())).then((reports) => {
            const all = new Map(reports.flatMap((report) => [...report]));
            const pair = [...all.values()].find(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded');
            const [local, remote] = [all.get(pair?.localCandidateId), all.get(pair?.remoteCandidateId)];
            return { type: local?.candidateType, protocol: local?.protocol, relay: local?.relayProtocol ?? null, to: remote?.protocol, port: remote?.port };
        })").await
    }
}

fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    socket.local_addr().expect("an address").port()
}

/// coturn on this machine; ended with its handle.
async fn coturn(folder: &Scratch, port: u16, secret: &str) -> Tool {
    let mut command = Command::new("turnserver");
    command.args([
        "-n",
        "--no-cli",
        "--cli-password=unused",
        "--no-tls",
        "--no-dtls",
        "--log-file=stdout",
        "--simple-log",
        "--allow-loopback-peers",
    ]);
    command.args([
        "--listening-ip=127.0.0.1",
        "--relay-ip=127.0.0.1",
        "--realm=aside.test",
        "--use-auth-secret",
        "--verbose",
    ]);
    command.arg(format!("--listening-port={port}")).arg(format!("--static-auth-secret={secret}"));
    command.arg(format!("--userdb={}", folder.path().join("turn.db").display()));
    command.arg(format!("--pidfile={}", folder.path().join("turn.pid").display()));
    command.current_dir(folder.path());
    let tool = Tool::start("turnserver", &mut command);
    tool.line("its listener", SOON, |line| {
        line.contains("UDP listener opened on") || line.contains("listener opened on")
    })
    .await;
    tool
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_goes_both_ways_through_a_relay_with_credentials_of_its_own() {
    let (folder, port) = (Scratch::new("turn"), free_port());
    let _turn = coturn(&folder, port, "a-shared-secret").await;
    let options = ServerOptions::default()
        .set("turn", "uris", &format!("[\"turn:127.0.0.1:{port}?transport=udp\"]"))
        .set("turn", "secret", "\"a-shared-secret\"");
    let relayed = "const Own = window.RTCPeerConnection; window.RTCPeerConnection = class extends Own {
        constructor(configuration) { super({ ...configuration, iceTransportPolicy: 'relay' }); } };";
    let pair = Pair::open(options, Opening::default().with(relayed)).await;
    pair.hear_each_other("through the relay").await;
    let way = pair.way().await;
    assert_eq!(way["type"], "relay", "{way}");
}

/// Takes candidates of a transport out of what the page tells and is told.
fn without(transport: &str) -> String {
    format!(
        "const bare = (sdp) => sdp.split('\\r\\n').filter((line) => !/^a=candidate:\\S+ \\d+ {transport} /i.test(line)).join('\\r\\n');
        const {{ prototype }} = RTCPeerConnection;
        const set = prototype.setRemoteDescription;
        prototype.setRemoteDescription = function ({{ type, sdp }}) {{ return set.call(this, {{ type, sdp: bare(sdp) }}); }};
        const {{ get }} = Object.getOwnPropertyDescriptor(window.__native?.prototype ?? Object.getPrototypeOf(RTCPeerConnection).prototype ?? prototype, 'localDescription')
            ?? Object.getOwnPropertyDescriptor(prototype, 'localDescription');
        Object.defineProperty(prototype, 'localDescription', {{ get() {{ const told = get.call(this); return told && {{ type: told.type, sdp: bare(told.sdp) }}; }} }});"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_udp_passes_sound_goes_over_tcp() {
    let pair = Pair::open(ServerOptions::default(), Opening::default().with(&without("udp"))).await;
    pair.hear_each_other("over TCP").await;
    let way = pair.way().await;
    assert_eq!((&way["protocol"], &way["to"]), (&json!("tcp"), &json!("tcp")), "{way}");
}

/// A way between a browser and the server that can be closed: what comes to its port goes on to the server's and back.
struct Way {
    port: u16,
    _tasks: JoinSet<()>,
}

impl Way {
    async fn to(server: u16) -> Self {
        let here = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket"));
        let port = here.local_addr().expect("an address").port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut sockets: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
            let mut back = JoinSet::new();
            let mut packet = [0u8; 2_048];
            while let Ok((length, from)) = here.recv_from(&mut packet).await {
                if let Entry::Vacant(place) = sockets.entry(from) {
                    let there = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket"));
                    there.connect((Ipv4Addr::LOCALHOST, server)).await.expect("a way");
                    place.insert(Arc::clone(&there));
                    let here = Arc::clone(&here);
                    back.spawn(async move {
                        let mut packet = [0u8; 2_048];
                        while let Ok(length) = there.recv(&mut packet).await {
                            // What is lost is lost.
                            let _ = here.send_to(&packet[..length], from).await;
                        }
                    });
                }
                if let Some(there) = sockets.get(&from) {
                    let _ = there.send(&packet[..length]).await;
                }
            }
        });
        Self { port, _tasks: tasks }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_ice_lite_and_an_advertised_address_is_reached() {
    let options = ServerOptions::default().set("webrtc", "lite", "true");
    let pair = Pair::open(options, Opening::default()).await;
    let told = pair.customer.eval("window.__peers.at(-1).remoteDescription.sdp").await;
    let told = told.as_str().unwrap_or_default();
    assert!(told.contains("a=ice-lite") && told.contains(" 127.0.0.1 "), "{told}");
    pair.hear_each_other("with ICE lite").await;
}

/// How long nothing is heard of somebody who changes his network, at most.
const GAP: Duration = Duration::from_secs(20);

/// Keeps the page's WebSockets at hand.
const SOCKETS: &str = "window.__sockets = []; const Plain = window.WebSocket;
    window.WebSocket = class extends Plain { constructor(...how) { super(...how); window.__sockets.push(this); } };";

#[tokio::test(flavor = "multi_thread")]
async fn when_the_network_changes_the_call_goes_on_by_another_way() {
    changes_the_network(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_network_changes_and_takes_the_websocket_with_it_the_call_goes_on_over_new_ones() {
    changes_the_network(true).await;
}

async fn changes_the_network(socket_too: bool) {
    let server = free_port();
    let options = ServerOptions::default().set("media", "shards", "1").set("webrtc", "first_port", &server.to_string());
    let (first, second) = (Way::to(server).await, Way::to(server).await);
    // The page knows no way to the server but the one that is open, and the server none to the page.
    let script = format!(
        "window.__via = {}; const {{ prototype }} = RTCPeerConnection; const set = prototype.setRemoteDescription;
        prototype.setRemoteDescription = function ({{ type, sdp }}) {{
            const via = sdp.split('\\r\\n').filter((line) => !/^a=candidate:\\S+ \\d+ tcp /i.test(line)).join('\\r\\n').replaceAll(' {server} typ', ` ${{window.__via}} typ`);
            return set.call(this, {{ type, sdp: via }}); }};
        const {{ get }} = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(RTCPeerConnection).prototype ?? prototype, 'localDescription')
            ?? Object.getOwnPropertyDescriptor(prototype, 'localDescription');
        Object.defineProperty(prototype, 'localDescription', {{ get() {{ const told = get.call(this);
            return told && {{ type: told.type, sdp: told.sdp.split('\\r\\n').filter((line) => !line.startsWith('a=candidate')).join('\\r\\n') }}; }} }});",
        first.port
    );
    let pair = Pair::open(options, Opening::default().with(SOCKETS).with(&script)).await;
    pair.hear_each_other("by the first way").await;
    assert_eq!(pair.way().await["port"], first.port);
    let before = members(&pair.office).await;
    let moved = Instant::now();
    pair.customer.eval(&format!("window.__via = {}; null", second.port)).await;
    if socket_too {
        pair.customer.eval("window.__sockets.forEach((socket) => socket.close()); null").await;
    }
    drop(first);
    pair.customer.within("document.querySelector('.call')?.dataset.state === 'reconnecting'", LATER).await;
    pair.customer.within("document.querySelector('.call')?.dataset.state === 'live'", LATER).await;
    pair.hear_each_other("by the second way").await;
    let heard = carrying(&pair.agent.call, CUSTOMER, moved);
    let gap = heard.windows(2).map(|two| two[1].at - two[0].at).max().unwrap_or(Duration::MAX);
    eprintln!("nothing was heard for {gap:?} of who changed his network");
    assert!(gap < GAP, "nothing was heard for {gap:?}");
    assert_eq!(pair.way().await["port"], second.port);
    assert_eq!(members(&pair.office).await, before, "it is another call");
}

/// The calls in the room.
async fn members(office: &Office) -> Vec<Value> {
    let room = office.native.get(&format!("/rooms/{ROOM}")).await;
    let members = room["member_list"].as_array().cloned().unwrap_or_default();
    members.iter().map(|member| member["call_uuid"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_shown_within_200_ms_of_its_tick() {
    let browsers = Browsers::start().await;
    let office = Office::open().await;
    let agent = office.joins("agent", ROOM, "Agent", "stayAlone=\"true\"", voice(AGENT)).await;
    let _customer = office.joins("customer", ROOM, "Customer", "", voice(CUSTOMER)).await;
    let tab = stage::console(&office, &browsers, Opening::default()).await;
    look_into(&tab, ROOM).await;
    tab.sees(".since").await;
    tab.eval("window.__shown = {}; const look = () => { const { tick } = document.querySelector('.since').dataset;
        if (tick) window.__shown[tick] ??= Date.now(); };
        look(); new MutationObserver(look).observe(document.querySelector('.since'), { subtree: true, childList: true, characterData: true, attributes: true }); null").await;
    let mut took = Vec::new();
    for turn in 0..20 {
        let answer = office.native.change(ROOM, &agent.number, json!({ "mute": turn % 2 == 0 })).await;
        let shown = format!("window.__shown['{}']", answer["applied_tick"]);
        tab.until(&shown).await;
        let late = tab.eval(&format!("{shown} - Date.parse({})", answer["applied_at"])).await;
        took.push(late.as_i64().unwrap_or(i64::MAX));
    }
    took.sort_unstable();
    let (median, slowest) = (took[10], took[19]);
    eprintln!("a change is shown {median} ms after its tick (median), {slowest} ms (the slowest of 20): {took:?}");
    assert!(slowest < 200, "a change is shown {slowest} ms after its tick: {took:?}");
}

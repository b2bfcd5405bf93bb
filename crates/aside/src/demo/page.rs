//! The demo in a browser: a customer and an agent talk, and whoever opens the page is their supervisor.
#![allow(clippy::print_stdout, reason = "showing is what the demo is for")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use phone::{Call, Mouth};
use store::{AccountId, Scope};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::cast::Cast;
use super::centre::{Centre, ROOM};
use super::talk::{Talk, talk};
use super::{DemoError, HOTLINE};
use crate::api::SignIn;
use crate::config::{Config, addresses};
use crate::serve::Server;

/// How long a sign-in link, and the key that it becomes, is good.
const SIGN_IN: Duration = Duration::from_secs(12 * 3_600);
/// How long the agent's call may take to come after the customer's.
const COMING: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(24 * 3_600);
/// Ports that people know; taken, the demo takes others.
const API_PORT: u16 = 8080;
const HTTPS_PORT: u16 = 8443;

/// What the configuration needs for the page, and in the local network if `lan`.
pub(super) fn prepare(config: &mut Config, lan: bool) {
    let free = |ip: IpAddr, port: u16| std::net::TcpListener::bind((ip, port)).map_or(0, |_| port);
    config.http.api = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), free(Ipv4Addr::LOCALHOST.into(), API_PORT));
    config.webrtc.first_port = 0;
    if !lan {
        return;
    }
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    config.http.https = Some(SocketAddr::new(any, free(any, HTTPS_PORT)));
    config.http.https_names = ["localhost", "127.0.0.1"]
        .map(str::to_owned)
        .into_iter()
        .chain(hosts().iter().map(ToString::to_string))
        .collect();
    if let Some(kept) = kept() {
        // The same authority each time, as long as the addresses are: it is trusted once.
        let place = config.server.data_dir.join("https");
        let copied =
            std::fs::create_dir_all(&place).and_then(|()| std::fs::copy(kept.join(AUTHORITY), place.join(AUTHORITY)));
        if let Err(error) = copied {
            tracing::debug!(%error, "there is no authority of an earlier demo");
        }
    }
}

const AUTHORITY: &str = "authority.pem";

/// The addresses of this machine in the local network; IPv4, which is what people type.
fn hosts() -> Vec<IpAddr> {
    addresses::of_this_machine().into_iter().filter(IpAddr::is_ipv4).collect()
}

/// Where the authority of `--lan` is kept from one demo to the next.
fn kept() -> Option<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = directory("XDG_DATA_HOME").or_else(|| Some(directory("HOME")?.join(".local/share")))?;
    Some(data.join("aside-demo"))
}

/// Keeps the authority, and its certificate by itself for browsers; where that is.
fn keep_authority(data_dir: &Path) -> std::io::Result<Option<PathBuf>> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let Some(kept) = kept() else { return Ok(None) };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&kept)?;
    let text = std::fs::read_to_string(data_dir.join("https").join(AUTHORITY))?;
    let write = |name: &str, text: &str| {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(kept.join(name))?;
        std::io::Write::write_all(&mut file, text.as_bytes())
    };
    write(AUTHORITY, &text)?;
    let end = "-----END CERTIFICATE-----";
    let certificate = text.find("-----BEGIN CERTIFICATE-----").and_then(|from| {
        let to = text.find(end)? + end.len();
        text.get(from..to)
    });
    let Some(certificate) = certificate else { return Ok(None) };
    write("authority.crt", &format!("{certificate}\n"))?;
    Ok(Some(kept.join("authority.crt")))
}

/// Signing in as the demo's supervisor.
struct Doors<'a> {
    server: &'a Server,
    account: AccountId,
}

impl Doors<'_> {
    /// An address that signs in, once.
    fn link(&self, origin: &str) -> Option<String> {
        let sign_in = SignIn {
            account: self.account,
            name: "Demo supervisor".to_owned(),
            scopes: [Scope::Read, Scope::Monitor, Scope::Coach].into_iter().collect(),
            key_life: SIGN_IN,
        };
        let token = self.server.api().sign_in(sign_in, SIGN_IN)?;
        Some(format!("{origin}/console#k={}&room={ROOM}", token.reveal()))
    }

    fn origin(&self) -> String {
        format!("http://{}", self.server.addresses().api)
    }

    fn origins_in_network(&self) -> Vec<String> {
        let port = self.server.addresses().https.map_or(HTTPS_PORT, |address| address.port());
        hosts().iter().map(|ip| format!("https://{ip}:{port}")).collect()
    }

    fn print_one(&self) {
        match self.link(&self.origin()) {
            Some(link) => println!("\n    {link}\n"),
            None => println!("\nToo many links wait to be opened; open one of those above.\n"),
        }
    }
}

/// Shows the page's address and keeps the bots talking until Ctrl-C.
pub(super) async fn run(
    server: &Server,
    account: AccountId,
    cast: &Cast,
    centre: &Centre,
    lan: Option<&Path>,
) -> Result<(), DemoError> {
    let talk = tokio::task::spawn_blocking(talk).await.map_err(|error| DemoError::phone("demo", error))?;
    let doors = Doors { server, account };
    println!(
        "Aside demo: a customer and an agent are talking. Open this in a browser on this machine, and be their supervisor:"
    );
    doors.print_one();
    if let Some(data_dir) = lan {
        println!("In the local network (each address signs in once):\n");
        for origin in doors.origins_in_network() {
            if let Some(link) = doors.link(&origin) {
                println!("    {link}");
            }
        }
        trust(data_dir);
    }
    println!("Press Enter for another link (each works once), Ctrl-C to end.");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let bots = keep_talking(cast, centre, &talk);
    tokio::pin!(bots);
    let mut reading = true;
    loop {
        tokio::select! {
            ended = &mut bots => return ended,
            _ = tokio::signal::ctrl_c() => return Ok(()),
            line = lines.next_line(), if reading => match line {
                Ok(Some(_)) => doors.print_one(),
                // Nobody is at the keyboard.
                Ok(None) | Err(_) => reading = false,
            },
        }
    }
}

/// How browsers of others come to trust the certificate.
fn trust(data_dir: &Path) {
    match keep_authority(data_dir) {
        Ok(Some(path)) => println!(
            "\nBrowsers warn of the certificate: it is signed by an authority of this machine's own. Either let them go on (enough to try),\n\
             or install this certificate there as an authority:\n\n    {}\n\n\
             (Firefox: Settings, Certificates, Import. Chrome and Edge: the system's certificates. iOS: install the profile, then trust it\n\
             in Settings, General, About. Android: Settings, Security, Install a certificate.)\n",
            path.display()
        ),
        Ok(None) | Err(_) => println!(
            "\nBrowsers warn of the certificate: it is signed by an authority of this machine's own. Let them go on.\n"
        ),
    }
}

/// The customer calls, the agent answers, and they talk until one of them is gone; then again.
async fn keep_talking(cast: &Cast, centre: &Centre, talk: &Talk) -> Result<(), DemoError> {
    loop {
        if let Err(error) = converse(cast, centre, talk).await {
            // A supervisor may have ended the room in the middle of a beginning.
            tracing::warn!(%error, "the demo's conversation begins again");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn converse(cast: &Cast, centre: &Centre, talk: &Talk) -> Result<(), DemoError> {
    let customer = cast.customer.call(HOTLINE).await?;
    // A new room asks for its agent; one in which somebody has stayed does not.
    let agent = match cast.agent.answer_within(COMING).await {
        Ok(agent) => agent,
        Err(_) => {
            centre.add("Agent", "agent", true).await?;
            cast.agent.answer().await?
        }
    };
    for (call, samples) in [(&customer, &talk.customer), (&agent, &talk.agent)] {
        let mouth = Mouth::Pcm { samples: samples.clone(), repeat: true };
        call.say(mouth).await.map_err(|error| DemoError::phone("demo", error))?;
    }
    tokio::select! {
        _ = customer.wait_ended(LONG) => {}
        _ = agent.wait_ended(LONG) => {}
    }
    for call in [customer, agent] {
        hang_up(&call).await;
    }
    Ok(())
}

/// One that is over already is what is wanted.
async fn hang_up(call: &Call) {
    if let Err(error) = call.hangup().await {
        tracing::debug!(%error, "a bot's call was over");
    }
}

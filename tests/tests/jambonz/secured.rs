//! A WebSocket application behind TLS: `wss`. Its certificate is judged by the authorities that the server's system trusts.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use phone::{CallError, CallOptions, EndCause, Mouth};
use serde_json::json;
use system_tests::ears::tones;
use system_tests::jambonz::exchange::Exchange;
use system_tests::server::PROGRAM_HOST;
use system_tests::tool::{Scratch, Tool, run};
use system_tests::{LATER, SOON};
use tokio::process::Command;

/// Set for the run of a test whose process, and so its server, trusts the authority in this folder.
const TRUSTED: &str = "ASIDE_TEST_AUTHORITY";

/// Takes TLS off what comes, and passes it to a port.
const FRONT: &str = r"
const [key, cert, to] = process.argv.slice(1);
const { readFileSync } = require('node:fs');
const server = require('node:tls').createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (secure) => {
  const plain = require('node:net').connect(Number(to), '127.0.0.1');
  const end = () => { secure.destroy(); plain.destroy(); };
  for (const side of [secure, plain]) { side.on('error', end); side.on('close', end); }
  secure.pipe(plain).pipe(secure);
});
server.on('tlsClientError', (error) => console.log(JSON.stringify({ refused: error.code ?? error.message })));
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
";

/// An authority of the test's own.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    async fn make(folder: &Path) -> Self {
        let (key, certificate) = (folder.join("authority.key"), folder.join("authority.pem"));
        let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=tests";
        openssl(arguments, &[("-keyout", &key), ("-out", &certificate)]).await;
        Self { folder: folder.to_owned() }
    }

    fn certificate(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// A key and a certificate for a host.
    async fn certifies(&self, host: &str) -> (PathBuf, PathBuf) {
        let of = |end: &str| self.folder.join(format!("{host}.{end}"));
        std::fs::write(of("ext"), format!("subjectAltName=DNS:{host}\nbasicConstraints=CA:FALSE\n")).unwrap();
        let request = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=application";
        openssl(request, &[("-keyout", &of("key")), ("-out", &of("csr"))]).await;
        let authority = (self.folder.join("authority.key"), self.certificate());
        let files: [(&str, &Path); 5] = [
            ("-in", &of("csr")),
            ("-CA", &authority.1),
            ("-CAkey", &authority.0),
            ("-extfile", &of("ext")),
            ("-out", &of("pem")),
        ];
        openssl("x509 -req -CAcreateserial -days 2", &files).await;
        (of("key"), of("pem"))
    }
}

async fn openssl(arguments: &str, files: &[(&str, &Path)]) {
    let mut all: Vec<&str> = arguments.split(' ').collect();
    for (option, file) in files {
        all.extend([*option, file.to_str().unwrap()]);
    }
    run("openssl", &all).await;
}

/// The application behind TLS; the URL of a path of it.
async fn front(exchange: &Exchange, (key, certificate): (PathBuf, PathBuf), path: &str) -> (Tool, String) {
    let mut command = Command::new("node");
    command.arg("-e").arg(FRONT).arg(key).arg(certificate).arg(exchange.app.port().to_string());
    let tool = Tool::start("a TLS server", &mut command);
    let ready = tool.line("its port", SOON * 2, |line| line.contains("\"port\"")).await;
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    let url = format!("wss://{PROGRAM_HOST}:{}{path}", ready["port"]);
    (tool, url)
}

/// The call of an application at this URL is refused, and a warning says that it is for its certificate.
async fn is_refused(exchange: &Exchange, name: &str, url: &str) {
    let hook = json!({ "url": url, "method": "WS" });
    let phone = exchange.phone_of(name, hook.clone(), hook, Mouth::Silence).await;
    let cursor = exchange.cursor().await;
    let call = phone.call(&exchange.number_of(name), CallOptions::default()).unwrap();
    match call.wait_answered(SOON * 2).await {
        Err(CallError::Ended(ended)) => {
            assert_eq!((&ended.cause, ended.code), (&EndCause::Refused, Some(480)), "{name}: {ended:?}");
        }
        other => panic!("{name}: {other:?}"),
    }
    let (warning, _) = exchange.native_event_after("warning", "", cursor).await;
    let text = warning["payload"]["detail"]["text"].as_str().unwrap_or_default();
    assert!(text.contains("certificate"), "{name}: {warning}");
    let asked = exchange.app.told().matching(|told| told.name == format!("/call/{name}"));
    assert!(asked.is_empty(), "{name}: {asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_whose_certificate_nobody_vouches_for_is_told_nothing() {
    let exchange = Exchange::open().await;
    let authority = Authority::make(exchange.office.server.folder()).await;
    let certified = authority.certifies(PROGRAM_HOST).await;
    let (_front, url) = front(&exchange, certified, "/call/unknown").await;
    is_refused(&exchange, "unknown", &url).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_an_authority_of_the_system_vouches_for_is_spoken_to_and_sought_again() {
    let Some(folder) = std::env::var_os(TRUSTED) else {
        // Which authorities are trusted is read from the environment of a process: this test once more, with another one.
        let scratch = Scratch::new("authority");
        let authority = Authority::make(scratch.path()).await;
        let name = std::thread::current().name().map(str::to_owned).unwrap_or_default();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &name, "--nocapture"]);
        command.env(TRUSTED, scratch.path()).env("SSL_CERT_FILE", authority.certificate()).env_remove("SSL_CERT_DIR");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let done = tokio::time::timeout(LATER, command.output()).await.expect("it does not end").unwrap();
        let said = [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
        return;
    };
    let [one, two, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let authority = Authority { folder: PathBuf::from(folder) };
    let certified = authority.certifies(PROGRAM_HOST).await;
    let (_front, url) = front(&exchange, certified, "/call/secured").await;
    exchange.app.verbs("/call/secured", json!([{ "verb": "play", "url": exchange.tone("/one.wav", one), "loop": 60 }]));
    let hook = json!({ "url": url, "method": "WS" });
    let phone = exchange.phone_of("secured", hook.clone(), hook, Mouth::Silence).await;
    let caller = exchange.dials("secured", phone).await;
    caller.answered().await;
    let since = Instant::now();
    assert!(caller.call.ear().wait_heard(one, -30.0, since, SOON).await.is_some(), "its verbs do not run");
    let next = json!([{ "verb": "play", "url": exchange.tone("/two.wav", two), "loop": 60 }]);
    let mark = exchange.app.mark();
    exchange.app.vanish(&caller.sid);
    exchange.app.hears(&caller.sid, "session:reconnect", mark, |_| true).await;
    exchange.app.command(&caller.sid, "redirect", next);
    assert!(caller.call.ear().wait_heard(two, -30.0, since, SOON).await.is_some(), "commands do not come through");
    // The same authority, but for somebody else's name.
    let (_other, url) = front(&exchange, authority.certifies("elsewhere.test").await, "/call/elsewhere").await;
    is_refused(&exchange, "elsewhere", &url).await;
    exchange.closes().await;
}

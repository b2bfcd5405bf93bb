//! Signatures: against an independent statement of the algorithm, and against the official packages.

mod packages;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use call::dialect::{Params, SigningKeys};
use call::verb::Method;
use hmac::{Hmac, KeyInit, Mac};
use plivo::signature::{sign, sign_with};
use sha2::Sha256;
use url::Url;

const TOKEN: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw";
const NONCE: &str = "12345678901234567890";

fn keys() -> SigningKeys {
    SigningKeys { token: TOKEN.to_owned(), main_token: "main token".to_owned(), webhook_secret: String::new() }
}

fn params(count: usize) -> Params {
    [
        ("From", "4915112345"),
        ("To", "sip:agent@phone.example.com"),
        ("CallUUID", "7d3b-1"),
        ("CallerName", "Zoë +& =x"),
        ("Digits", ""),
    ]
    .into_iter()
    .take(count)
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

fn header(headers: &[(String, String)], name: &str) -> String {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).expect(name)
}

fn hmac(token: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The algorithm once more, written from its description on parsed URLs; for URLs whose text is already normal.
fn expected(method: Method, url: &str, params: &Params) -> String {
    let parsed = Url::parse(url).unwrap();
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    let mut text = format!("{}://{}{port}{}", parsed.scheme(), parsed.host_str().unwrap(), parsed.path());
    let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in parsed.query_pairs() {
        query.entry(key.into_owned()).or_default().push(value.into_owned());
    }
    let mut pairs = Vec::new();
    for (key, values) in &mut query {
        values.sort();
        pairs.extend(values.iter().map(|value| format!("{key}={value}")));
    }
    let posted = method == Method::Post && !params.is_empty();
    if !pairs.is_empty() || posted {
        text += "?";
        text += &pairs.join("&");
    }
    if posted {
        if !pairs.is_empty() {
            text += ".";
        }
        let mut sorted = params.clone();
        sorted.sort();
        text.extend(sorted.into_iter().map(|(key, value)| key + &value));
    }
    hmac(TOKEN, &format!("{text}.{NONCE}"))
}

const URLS: [&str; 12] = [
    "https://app.example.com/hook/",
    "https://app.example.com/hook",
    "http://app.example.com:8080/hook/?b=2&a=1",
    "https://app.example.com/",
    "https://app.example.com/x?name=J%C3%B6rg%20X&plus=%2B1&space=a+b",
    "https://app.example.com/x?empty=&z=1",
    "https://app.example.com/x?a=2&a=1",
    "http://192.0.2.7:5000/plivo/answer.xml?session=abc123",
    "http://localhost:3000/x",
    "https://app.example.com:8443/deep/path/of/segments?Q=1&q=2",
    "https://app.example.com/with%20space/x?y=1",
    "http://app.example.com/x?amp=a%26b%3Dc",
];

#[test]
fn the_first_version_3_signature_is_the_canonical_one() {
    for url in URLS {
        for method in [Method::Get, Method::Post] {
            for count in [0, 5] {
                let params = params(count);
                let headers = sign_with(&keys(), method, url, &params, NONCE);
                let signatures = header(&headers, "X-Plivo-Signature-V3");
                assert_eq!(
                    signatures.split(',').next(),
                    Some(expected(method, url, &params).as_str()),
                    "{method:?} {url} {count}"
                );
            }
        }
    }
}

#[test]
fn variants_for_other_validators_follow_and_are_few() {
    let all = |url| header(&sign_with(&keys(), Method::Post, url, &params(5), NONCE), "X-Plivo-Signature-V3");
    // Without a port and without a query nothing is doubtful.
    assert_eq!(all("https://app.example.com/x").split(',').count(), 1);
    let with_port = all("https://app.example.com:8443/x");
    assert!(with_port.split(',').any(|one| one == expected(Method::Post, "https://app.example.com/x", &params(5))));
    for url in URLS {
        for method in [Method::Get, Method::Post] {
            assert!(
                header(&sign_with(&keys(), method, url, &Params::new(), NONCE), "X-Plivo-Signature-V3")
                    .split(',')
                    .count()
                    <= 12
            );
        }
    }
}

#[test]
fn fragments_and_credentials_of_a_url_are_not_signed() {
    let plain = sign_with(&keys(), Method::Get, "https://app.example.com/x?a=1", &Params::new(), NONCE);
    assert_eq!(plain, sign_with(&keys(), Method::Get, "https://app.example.com/x?a=1#ct=2000", &Params::new(), NONCE));
    assert_eq!(plain, sign_with(&keys(), Method::Get, "https://user:pw@app.example.com/x?a=1", &Params::new(), NONCE));
}

#[test]
fn version_2_signs_the_bare_url_and_main_headers_use_the_main_token() {
    let headers = sign_with(&keys(), Method::Post, "https://app.example.com:8443/x?a=1", &params(5), NONCE);
    assert_eq!(
        header(&headers, "X-Plivo-Signature-V2"),
        hmac(TOKEN, &format!("https://app.example.com:8443/x{NONCE}"))
    );
    assert_eq!(
        header(&headers, "X-Plivo-Signature-Ma-V2"),
        hmac("main token", &format!("https://app.example.com:8443/x{NONCE}"))
    );
    assert_ne!(header(&headers, "X-Plivo-Signature-V3"), header(&headers, "X-Plivo-Signature-Ma-V3"));
}

#[test]
fn nonces_are_20_digits_and_never_the_same() {
    let nonces: Vec<_> = (0..100)
        .map(|_| {
            header(
                &sign(&keys(), Method::Get, "https://app.example.com/", &Params::new()),
                "X-Plivo-Signature-V3-Nonce",
            )
        })
        .collect();
    assert!(nonces.iter().all(|nonce| nonce.len() == 20 && nonce.bytes().all(|byte| byte.is_ascii_digit())));
    assert_eq!(nonces.iter().collect::<std::collections::HashSet<_>>().len(), nonces.len());
}

fn cases() -> Vec<serde_json::Value> {
    let mut cases = Vec::new();
    for url in URLS {
        for (method, count) in [(Method::Get, 0), (Method::Post, 0), (Method::Post, 5)] {
            let params = params(count);
            let headers = sign(&keys(), method, url, &params);
            cases.push(serde_json::json!({
                "method": method.as_str(),
                "url": url,
                "params": params.into_iter().collect::<BTreeMap<_, _>>(),
                "token": TOKEN,
                "nonce": header(&headers, "X-Plivo-Signature-V3-Nonce"),
                "v3": header(&headers, "X-Plivo-Signature-V3"),
                "v2": header(&headers, "X-Plivo-Signature-V2"),
            }));
        }
    }
    cases
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/validators")
        .join(name)
        .canonicalize()
        .expect("the validator scripts are there")
}

fn verdicts(mut command: Command, cases: &[serde_json::Value]) -> Vec<serde_json::Value> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the interpreter starts");
    child.stdin.take().unwrap().write_all(serde_json::to_string(cases).unwrap().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the validator script failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

type Interpreter = fn(&Path) -> Command;

#[test]
fn the_official_packages_accept_every_signature_and_refuse_forged_ones() {
    let modules = &packages::folder();
    let good = cases();
    let mut forged = good.clone();
    for case in &mut forged {
        case["token"] = "another token".into();
    }
    // The Python package raises an exception on a query with letters beyond ASCII.
    let ascii = |case: &serde_json::Value| case["url"] != URLS[4];
    let commands: [(Interpreter, bool); 2] = [
        (
            |modules| {
                let mut node = Command::new("node");
                node.arg(script("validate.cjs")).env("NODE_PATH", modules.join("node_modules"));
                node
            },
            true,
        ),
        (
            |modules| {
                let mut python = Command::new("python3");
                python.arg(script("validate.py")).env("PYTHONPATH", modules.join("python"));
                python
            },
            false,
        ),
    ];
    for (command, takes_all) in commands {
        let pick = |cases: &[serde_json::Value]| {
            cases.iter().filter(|case| takes_all || ascii(case)).cloned().collect::<Vec<_>>()
        };
        let (good, forged) = (pick(&good), pick(&forged));
        let (accepted, refused) = (verdicts(command(modules), &good), verdicts(command(modules), &forged));
        assert_eq!((accepted.len(), refused.len()), (good.len(), good.len()));
        for (verdict, case) in accepted.iter().zip(&good) {
            assert_eq!(
                (verdict["v3"].as_bool(), verdict["v2"].as_bool()),
                (Some(true), Some(true)),
                "{:?}: {case}",
                command(modules)
            );
        }
        for verdict in refused {
            assert_eq!((verdict["v3"].as_bool(), verdict["v2"].as_bool()), (Some(false), Some(false)));
        }
    }
}

//! The pages: everything under `console/`, in the binary. They load nothing from elsewhere, run no script but their own files, and
//! cannot be shown inside another page. Browsers get them compressed.

use std::collections::HashMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{Embed, EmbeddedFile};

use crate::api::Problem;

#[derive(Embed)]
#[folder = "../../console"]
#[allow_missing = true]
struct Files;

/// The files as browsers get them (gzip, RFC 1952): compressed once.
static COMPRESSED: LazyLock<HashMap<String, Vec<u8>>> = LazyLock::new(|| {
    let compressed = |name: &str| -> std::io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(Files::get(name).map(|file| file.data).unwrap_or_default().as_ref())?;
        encoder.finish()
    };
    Files::iter().filter_map(|name| Some((name.to_string(), compressed(&name).ok()?))).collect()
});

/// Pages that have an address of their own, and the files that they are.
const CONSOLE: &str = "app/index.html";
const PHONE: &str = "phone/index.html";
const CALL: &str = "call/index.html";

/// Scripts, styles and connections of this server alone.
const CONTENT_SECURITY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What goes with every page.
const HEADERS: [(HeaderName, &str); 9] = [
    (header::VARY, "accept-encoding"),
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
    (HeaderName::from_static("permissions-policy"), "microphone=(self), camera=(), geolocation=(), display-capture=()"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // Kept, and asked for again each time: an upgrade of the server is an upgrade of its pages.
    (header::CACHE_CONTROL, "no-cache"),
];

/// The pages' routes.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = |name: &'static str| get(move |headers: HeaderMap| std::future::ready(serve(name, &headers)));
    Router::new()
        .route("/console", page(CONSOLE))
        .route("/console/", page(CONSOLE))
        .route("/console/{*path}", get(async |Path(path): Path<String>, headers: HeaderMap| serve(&path, &headers)))
        .route("/phone", page(PHONE))
        .route("/phone/", page(PHONE))
        .route("/call/{token}", page(CALL))
}

fn serve(path: &str, asked: &HeaderMap) -> Response {
    let Some(file) = Files::get(path) else {
        return Problem::new(StatusCode::NOT_FOUND, "there is no such page; the console is at /console")
            .into_response();
    };
    let tag = tag(&file);
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let unchanged = known.flat_map(|value| value.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    });
    let mut response = match unchanged {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => match COMPRESSED.get(path).filter(|_| takes_gzip(asked)) {
            Some(bytes) => {
                let mut response = bytes.as_slice().into_response();
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                response
            }
            None => file.data.into_response(),
        },
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(path).unwrap_or("application/octet-stream")));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Whether the client takes gzip (RFC 9110 §12.5.3).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let wanted = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    wanted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        named && !parts.any(|weight| weight.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0f32)))
    })
}

fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let digits: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

fn kind(path: &str) -> Option<&'static str> {
    let (_, ending) = path.rsplit_once('.')?;
    Some(match ending {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "webmanifest" => "application/json",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wav" => "audio/wav",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Most bytes of all pages together, as a browser loads them.
    const MOST: usize = 100_000;

    fn files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }

    #[test]
    fn every_file_of_the_console_is_served_as_it_is_and_all_are_small() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console");
        let mut found = Vec::new();
        files(&root, &mut found);
        let mut bytes = 0;
        for path in &found {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            let on_disk = std::fs::read(path).unwrap();
            let embedded = Files::get(name).unwrap_or_else(|| panic!("{name} is not in the binary: build it again"));
            assert!(embedded.data == on_disk, "{name} is an older one in the binary: build it again");
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(COMPRESSED[name].as_slice()).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == on_disk, "{name} is another one when it is unpacked");
            bytes += COMPRESSED[name].len();
            assert!(kind(name).is_some(), "{name}: a browser is not told what it is");
        }
        assert_eq!(Files::iter().count(), found.len());
        assert!(bytes < MOST, "the pages have {bytes} bytes");
        for page in [CONSOLE, PHONE, CALL] {
            assert!(Files::get(page).is_some(), "{page}");
        }
    }

    #[test]
    fn a_client_gets_gzip_only_if_it_takes_it() {
        let asked =
            |value: &'static str| HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        for (value, packed) in
            [("gzip, deflate, br", true), ("br;q=1, GZIP;q=0.5", true), ("*", true), ("gzip;q=0", false), ("br", false)]
        {
            let response = serve(CONSOLE, &asked(value));
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), packed, "{value}");
        }
        assert!(!serve(CONSOLE, &HeaderMap::new()).headers().contains_key(header::CONTENT_ENCODING));
    }

    #[test]
    fn no_page_has_a_script_style_or_handler_in_it_or_loads_from_elsewhere() {
        for name in Files::iter().filter(|name| name.ends_with(".html")) {
            let file = Files::get(&name).unwrap();
            let text = std::str::from_utf8(&file.data).unwrap().to_ascii_lowercase();
            for part in text.split("<script").skip(1) {
                let (attributes, body) = part.split_once('>').unwrap();
                assert!(attributes.contains("src=") && body.trim_start().starts_with("</script"), "{name}: {part}");
            }
            assert!(!text.contains("<style") && !text.contains(" style="), "{name}: a style in it is not applied");
            assert!(
                !text.contains(" onclick=") && !text.contains("javascript:"),
                "{name}: a script in it does not run"
            );
            assert!(!text.contains("src=\"http") && !text.contains("href=\"http"), "{name}: loads from elsewhere");
        }
    }

    #[test]
    fn a_page_that_is_known_is_not_sent_again() {
        let Some(name) = Files::iter().next() else { return };
        let first = serve(&name, &HeaderMap::new());
        let tag = first.headers()[header::ETAG].clone();
        assert_eq!(first.status(), StatusCode::OK);
        for (known, status) in [
            (tag.to_str().unwrap().to_owned(), StatusCode::NOT_MODIFIED),
            (format!("\"x\", W/{}", tag.to_str().unwrap()), StatusCode::NOT_MODIFIED),
            ("\"x\"".to_owned(), StatusCode::OK),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, known.parse().unwrap());
            let again = serve(&name, &headers);
            assert_eq!(again.status(), status, "{known}");
            assert!(again.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        }
    }
}

//! The `Jambonz-Signature` header of outgoing requests: `t=<unix seconds>,v1=<hex>`.
//!
//! `v1` is HMAC-SHA256, keyed with the account's webhook secret, over `<t>.<body>`. The official packages compute it over
//! `JSON.stringify(req.body)`, so a body must be printed by [`crate::json`]. A request by GET has no body; what programs
//! then find in `req.body` depends on their framework, so its header carries one `v1` for each: both packages accept any.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header's name.
pub const HEADER: &str = "Jambonz-Signature";

/// What `req.body` becomes, in a template string, where a request has no body: an empty object, `undefined`, or nothing.
const NO_BODY: [&str; 3] = ["{}", "undefined", ""];

/// The header's value for a request with this body, which is sent at `time`, seconds since 1970.
pub fn posted(secret: &str, body: &str, time: i64) -> String {
    header(secret, &[body], time)
}

/// The header's value for a request without a body.
pub fn bodiless(secret: &str, time: i64) -> String {
    header(secret, &NO_BODY, time)
}

fn header(secret: &str, bodies: &[&str], time: i64) -> String {
    let mut header = format!("t={time}");
    for body in bodies {
        header.push_str(",v1=");
        header.push_str(&mac(secret, &format!("{time}.{body}")));
    }
    header
}

fn mac(secret: &str, text: &str) -> String {
    let mut hex = String::new();
    // HMAC takes keys of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        mac.update(text.as_bytes());
        for byte in mac.finalize().into_bytes() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_mac_of_time_and_body() {
        // From `openssl dgst -sha256 -hmac wh_secret_x` over `1700000000.{"a":1}`.
        assert_eq!(
            posted("wh_secret_x", r#"{"a":1}"#, 1_700_000_000),
            "t=1700000000,v1=97940f82555d4da190948f7a2ab57ef3478b5519fc76a666a8595a98ead66e6e"
        );
    }

    #[test]
    fn a_request_without_body_is_signed_for_each_framework() {
        let header = bodiless("secret", 1);
        assert_eq!(header.matches("v1=").count(), 3);
        assert!(header.contains(&posted("secret", "{}", 1)["t=1,".len()..]));
    }
}

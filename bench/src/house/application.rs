//! The application: an HTTP server whose document depends on the caller's number alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use super::{Purpose, room_name};
use crate::failure::{Result, Tried};

/// Longest request read, bytes.
const LONGEST: usize = 64 << 10;

/// Starts it; it runs as long as this process.
///
/// # Errors
/// No port.
pub fn start(ip: IpAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind((ip, 0)).tried("binding the application")?;
    let at = listener.local_addr().tried("the application's address")?;
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let _ = std::thread::Builder::new()
                .name("application".to_owned())
                .stack_size(256 << 10)
                .spawn(move || serve(stream));
        }
    };
    std::thread::Builder::new().name("applications".to_owned()).spawn(accept).tried("starting the application")?;
    Ok(at)
}

/// Answers requests on one connection until it ends or makes no sense.
fn serve(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let Ok(mut out) = stream.try_clone() else { return };
    let mut input = BufReader::new(stream);
    loop {
        let mut length = 0usize;
        let mut lines = 0;
        loop {
            let mut line = String::new();
            if !matches!(input.read_line(&mut line), Ok(1..)) || lines > 200 {
                return;
            }
            lines += 1;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length.min(LONGEST)];
        if input.read_exact(&mut body).is_err() {
            return;
        }
        let document = document(&String::from_utf8_lossy(&body));
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{document}",
            document.len()
        );
        if out.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn document(parameters: &str) -> String {
    let from = parameters.split('&').find_map(|pair| pair.strip_prefix("From=")).unwrap_or_default();
    let number: String =
        from.replace("%2B", "").replace("sip%3A", "").chars().take_while(char::is_ascii_digit).collect();
    match Purpose::of(&number) {
        Some(Purpose::Join { role, room }) => {
            let name = ["customer", "agent", "supervisor"].get(role).copied().unwrap_or("customer");
            format!(
                "<Response><MultiPartyCall role=\"{name}\" enterSound=\"none\" exitSound=\"none\">{}</MultiPartyCall></Response>",
                room_name(room)
            )
        }
        _ => "<Response><Wait length=\"3600\"/></Response>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_number_decides_his_document() {
        let number = Purpose::Join { role: 2, room: 17 }.number(5);
        let said = document(&format!("CallUUID=x&From={number}&To=1"));
        assert!(said.contains("role=\"supervisor\"") && said.contains(">bench-17<"), "{said}");
        assert!(document(&format!("From=%2B{}", Purpose::Wait.number(3))).contains("<Wait"));
        assert_eq!(Purpose::of("443"), None);
    }
}

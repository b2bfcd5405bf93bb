//! The same ears without a phone: an RTP end for SIP tools such as sipp, and captured traffic of any other phone.

mod endpoint;
mod pcap;

pub use endpoint::RtpEndpoint;
pub use pcap::{Pcap, PcapError, Stream};

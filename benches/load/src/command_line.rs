//! The command line.

use std::path::PathBuf;

use clap::Parser;
use url::Url;

use crate::description::Media;
use crate::keys::Cipher;

/// Loads a LiveKit-compatible server with rooms of publishers and subscribers, and says what came of it.
#[derive(Clone, Debug, Parser)]
#[command(name = "millrace-load", version, args_override_self = true)]
pub struct Options {
    /// Where the server listens
    #[arg(long, default_value = "ws://127.0.0.1:7880")]
    pub url: Url,
    /// API key
    #[arg(long, default_value = "devkey")]
    pub key: String,
    /// API secret
    #[arg(long, default_value = "secret")]
    pub secret: String,
    #[arg(long, default_value_t = 1)]
    pub rooms: u32,
    /// Publishers of each room
    #[arg(long, default_value_t = 1)]
    pub publishers: u32,
    /// Subscribers of each room that publish nothing
    #[arg(long, default_value_t = 10)]
    pub subscribers: u32,
    /// Publishers subscribe to each other too
    #[arg(long)]
    pub publishers_subscribe: bool,
    /// What each publisher publishes
    #[arg(long, value_enum, default_value_t = Media::Video)]
    pub media: Media,
    /// Of those that subscribe, so many of each room open and measure every packet; the others only count
    #[arg(long, default_value_t = 2)]
    pub full: u32,
    /// Which SRTP profile to ask for
    #[arg(long, value_enum, default_value_t = Cipher::Gcm)]
    pub srtp: Cipher,
    /// How publishers space their packets, instead of what is built in
    #[arg(long, value_name = "FILE")]
    pub spacing: Option<PathBuf>,
    /// Cameras have pictures as large as in this film: VP8 in IVF, as ffmpeg writes it, with 30 pictures a second
    #[arg(long, value_name = "FILE")]
    pub film: Option<PathBuf>,
    /// Before it is measured, once everybody has media
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    pub warm_up: u64,
    /// How long is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub seconds: u64,
    /// Participants that join at the same time
    #[arg(long, default_value_t = 8)]
    pub joining: u32,
    /// After which it gives up if somebody still is not connected
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub join_timeout: u64,
    /// Processes whose CPU time and memory are measured
    #[arg(long, value_name = "PID,PID", value_delimiter = ',')]
    pub server_pids: Vec<u32>,
    /// Threads for the media, each with its share of the participants
    #[arg(long, default_value_t = 1)]
    pub threads: u32,
    /// Receive datagram by datagram, also where the kernel could hand over trains
    #[arg(long)]
    pub no_gro: bool,
    /// Say every second how far it is
    #[arg(long)]
    pub progress: bool,
    /// Print the result as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent_and_takes_a_list_of_pids() {
        Options::command().debug_assert();
        let options = Options::parse_from(["millrace-load", "--server-pids", "3,4", "--media", "audio"]);
        assert_eq!(options.server_pids, [3, 4]);
        assert_eq!(options.media, Media::Audio);
    }
}

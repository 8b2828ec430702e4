//! The DTLS handshake of one peer connection by webrtc-rs, from which SRTP gets its keys (RFC 5764).

use std::any::Any;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use sdp::attribute::Fingerprint;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use webrtc_dtls::config::{ClientAuthType, Config, ExtendedMasterSecretType};
use webrtc_dtls::conn::DTLSConn;
use webrtc_dtls::crypto::Certificate;
use webrtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use webrtc_srtp::protection_profile::ProtectionProfile;
use webrtc_util::{Conn, Error, KeyingMaterialExporter};

use crate::data::Data;
use crate::keys::{Cipher, Keys};

/// Datagrams that may wait for the handshake.
pub const WAITING: usize = 64;

/// What all handshakes of this process have in common.
pub struct Identity {
    config: Config,
    pub fingerprint: Fingerprint,
}

impl Identity {
    /// With a certificate of its own.
    pub fn new(cipher: Cipher) -> Result<Self, webrtc_dtls::Error> {
        let certificate = Certificate::generate_self_signed(vec!["load".to_owned()])?;
        let der = certificate.certificate.first().ok_or(webrtc_dtls::Error::ErrServerMustHaveCertificate)?;
        let fingerprint =
            Fingerprint { algorithm: "sha-256".to_owned(), value: digest(&SHA256, der).as_ref().to_vec() };
        let config = Config {
            certificates: vec![certificate],
            srtp_protection_profiles: cipher.offered(),
            client_auth: ClientAuthType::RequireAnyClientCert,
            extended_master_secret: ExtendedMasterSecretType::Require,
            flight_interval: FLIGHT_INTERVAL,
            // Self-signed: the fingerprint is what counts.
            insecure_skip_verify: true,
            ..Config::default()
        };
        Ok(Self { config, fingerprint })
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// Why there are no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the DTLS handshake failed")]
    Handshake,
    #[error("the server's certificate is not the one that its description names")]
    Fingerprint,
    #[error("no SRTP profile was agreed on")]
    Profile,
}

/// A connection that lives as long as this does.
pub struct Session(DTLSConn);

impl Session {
    /// Answers what the server says on its data channels, until it closes the connection.
    pub async fn attend(self) {
        let mut data = Data::new();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let wait = data.wait(Instant::now());
            let answers = match timeout(wait, self.0.read(&mut buffer, None)).await {
                Ok(Ok(len)) => data.receive(Instant::now(), buffer.get(..len).unwrap_or_default()),
                Ok(Err(_)) => return,
                Err(_) => data.timeout(Instant::now()),
            };
            for packet in answers {
                if self.0.write(&packet, None).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

/// Shakes hands over the socket; what is received comes by the channel.
pub async fn shake_hands(
    identity: &Identity,
    socket: Arc<UdpSocket>,
    datagrams: mpsc::Receiver<Vec<u8>>,
    we_are_client: bool,
    fingerprints: &[Fingerprint],
) -> Result<(Keys, Session), Failure> {
    let pipe = Arc::new(Pipe { datagrams: Mutex::new(datagrams), socket });
    let connection = DTLSConn::new(pipe, identity.config.clone(), we_are_client, None)
        .await
        .map_err(|_| Failure::Handshake)?;
    let state = connection.connection_state().await;
    let certificate = state.peer_certificates.first().ok_or(Failure::Fingerprint)?;
    let print = digest(&SHA256, certificate);
    if !fingerprints.iter().any(|known| known.algorithm == "sha-256" && known.value == print.as_ref()) {
        return Err(Failure::Fingerprint);
    }
    let profile = match connection.selected_srtpprotection_profile() {
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => ProtectionProfile::AeadAes256Gcm,
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        _ => return Err(Failure::Profile),
    };
    let material = state
        .export_keying_material(EXPORTER_LABEL, &[], Keys::material_len(profile))
        .await
        .map_err(|_| Failure::Handshake)?;
    let keys = Keys::new(profile, &material, we_are_client).ok_or(Failure::Profile)?;
    Ok((keys, Session(connection)))
}

/// What the library takes for a connected socket.
struct Pipe {
    datagrams: Mutex<mpsc::Receiver<Vec<u8>>>,
    socket: Arc<UdpSocket>,
}

#[async_trait::async_trait]
impl Conn for Pipe {
    async fn connect(&self, _: SocketAddr) -> webrtc_util::Result<()> {
        Ok(())
    }

    async fn recv(&self, buffer: &mut [u8]) -> webrtc_util::Result<usize> {
        let datagram = self.datagrams.lock().await.recv().await.ok_or(Error::ErrBufferClosed)?;
        let room = buffer.get_mut(..datagram.len()).ok_or(Error::ErrBufferShort)?;
        room.copy_from_slice(&datagram);
        Ok(datagram.len())
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> webrtc_util::Result<(usize, SocketAddr)> {
        Ok((self.recv(buffer).await?, self.socket.peer_addr()?))
    }

    async fn send(&self, datagram: &[u8]) -> webrtc_util::Result<usize> {
        // The socket does not block; a datagram that it has no room for is lost, and DTLS sends it again.
        let _ = self.socket.send(datagram);
        Ok(datagram.len())
    }

    async fn send_to(&self, datagram: &[u8], _: SocketAddr) -> webrtc_util::Result<usize> {
        self.send(datagram).await
    }

    fn local_addr(&self) -> webrtc_util::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }

    async fn close(&self) -> webrtc_util::Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

/// RFC 5764 §4.2.
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";
const FLIGHT_INTERVAL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::thread;

    use super::*;

    /// Reads a socket as the media thread does, until nobody wants its datagrams.
    fn read(socket: Arc<UdpSocket>) -> mpsc::Receiver<Vec<u8>> {
        let (datagrams, received) = mpsc::channel(WAITING);
        thread::spawn(move || {
            let mut buffer = [0; 2_048];
            while let Ok(len) = socket.recv(&mut buffer) {
                if datagrams.blocking_send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        received
    }

    fn pair() -> (Arc<UdpSocket>, Arc<UdpSocket>) {
        let open = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (one, other) = (open(), open());
        one.connect(other.local_addr().unwrap()).unwrap();
        other.connect(one.local_addr().unwrap()).unwrap();
        (Arc::new(one), Arc::new(other))
    }

    #[tokio::test]
    async fn either_role_gets_keys_that_the_other_end_can_read() {
        let packet = [&[0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3][..], &[7; 40]].concat();
        for cipher in [Cipher::Gcm, Cipher::Cm80] {
            let (client, server) = (Identity::new(cipher).unwrap(), Identity::new(cipher).unwrap());
            let (ours, theirs) = pair();
            let (to_us, to_them) = (read(Arc::clone(&ours)), read(Arc::clone(&theirs)));
            let client_knows = [server.fingerprint.clone()];
            let server_knows = [client.fingerprint.clone()];
            let (client, server) = tokio::join!(
                shake_hands(&client, ours, to_us, true, &client_knows),
                shake_hands(&server, theirs, to_them, false, &server_knows),
            );
            let ((mut client, _client_session), (mut server, _server_session)) =
                (client.unwrap(), server.unwrap());
            let sealed = client.seal_rtp(&packet).unwrap();
            let expected_len = packet.len() + if cipher == Cipher::Gcm { 16 } else { 10 };
            assert_eq!(sealed.len(), expected_len, "the tag of the profile that was asked for");
            assert_eq!(server.open_rtp(&sealed).as_deref(), Some(&*packet));
            let sealed = server.seal_rtp(&packet).unwrap();
            assert_eq!(client.open_rtp(&sealed).as_deref(), Some(&*packet));
        }
    }

    #[tokio::test]
    async fn another_certificate_than_the_one_described_is_refused() {
        let (client, server) = (Identity::new(Cipher::Gcm).unwrap(), Identity::new(Cipher::Gcm).unwrap());
        let (ours, theirs) = pair();
        let (to_us, to_them) = (read(Arc::clone(&ours)), read(Arc::clone(&theirs)));
        let wrong = [client.fingerprint.clone()];
        let (refused, _) = tokio::join!(
            shake_hands(&client, ours, to_us, true, &wrong),
            shake_hands(&server, theirs, to_them, false, &wrong),
        );
        assert_eq!(refused.err(), Some(Failure::Fingerprint));
    }
}

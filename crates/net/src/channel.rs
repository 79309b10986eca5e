//! What a connection lends to authentication.

use restante_smtp::{Channel, Layer};

use crate::stream::Stream;
use crate::tls_server::provider;

impl Stream {
    /// What lies below SMTP now, with the channel binding of TLS where it has one ([9266-2]), and fresh randomness; `None`
    /// where the system has none to give.
    #[must_use]
    pub fn channel(&self) -> Option<Channel> {
        let mut seed = [0; 32];
        provider().secure_random.fill(&mut seed).ok()?;
        let layer = if self.tls().is_some() { Layer::Tls { binding: self.binding() } } else { Layer::Clear };
        Some(Channel::new(layer, seed))
    }
}

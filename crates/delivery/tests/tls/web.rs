//! A web server that says what it is told to, over real TLS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use restante_net::{Listener, ServerTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::chain::Shown;

const LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct WebServer {
    pub(crate) address: SocketAddr,
    questions: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl WebServer {
    /// Gives this answer to every question, and closes; `None` gives none and stays.
    pub(crate) fn start(shown: &Shown, answer: Option<Vec<u8>>) -> Self {
        let (certificate, key) = shown.files();
        let server = ServerTls::load(certificate, key).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local().unwrap();
        let questions = Arc::new(Mutex::new(Vec::new()));
        let (heard, mut serving) = (questions.clone(), JoinSet::new());
        serving.spawn(async move {
            while let Ok(stream) = listener.accept().await {
                let Ok(mut inside) = stream.accept_tls(server.acceptor(), LIMIT).await else { continue };
                let mut question = Vec::new();
                while !question.ends_with(b"\r\n\r\n") {
                    let Ok(octet) = inside.read_u8().await else { break };
                    question.push(octet);
                }
                heard.lock().unwrap().push(String::from_utf8_lossy(&question).into_owned());
                match &answer {
                    // Who has heard enough closes first.
                    Some(answer) => {
                        let _ = inside.write_all(answer).await;
                        let _ = inside.shutdown().await;
                    }
                    None => while inside.read_u8().await.is_ok() {},
                }
            }
        });
        Self { address, questions, _serving: serving }
    }

    pub(crate) fn questions(&self) -> Vec<String> {
        self.questions.lock().unwrap().clone()
    }
}

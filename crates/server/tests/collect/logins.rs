//! Many who want to log in at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use restante_server::ServerLimits;
use restante_smtp::ScramKeys;
use restante_turn::Kdf;
use tokio::task::JoinSet;

use crate::caller::Caller;
use crate::world::{PASSWORD, Plan, World};

/// A derivation that waits to be let go.
#[derive(Debug, Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    inside: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Debug, Clone, Default)]
struct Slow(Arc<Gate>);

impl Kdf for Slow {
    fn is_of(&self, keys: &ScramKeys, password: &str) -> bool {
        let gate = &self.0;
        let inside = gate.inside.fetch_add(1, Ordering::SeqCst) + 1;
        gate.most.fetch_max(inside, Ordering::SeqCst);
        drop(gate.opened.wait_while(gate.open.lock().unwrap(), |open| !*open).unwrap());
        gate.inside.fetch_sub(1, Ordering::SeqCst);
        keys.is_of(password)
    }
}

/// [4954-6-454] [4954-4-alike-pool] Two passwords are worked on, 64 wait, and whoever comes then is told to come later; SCRAM, which costs us nothing,
/// goes on, and so does everything else.
#[tokio::test]
async fn a_flood_of_passwords_is_put_off() {
    let slow = Slow::default();
    let limits = ServerLimits { connections_per_client: 100, ..ServerLimits::default() };
    let world = World::of(Plan { limits, kdf: Some(Box::new(slow.clone())), ..Plan::default() });
    let message = STANDARD.encode(format!("\0ada\0{PASSWORD}"));
    let login = format!("AUTH PLAIN {message}\r\n");
    let mut logins = JoinSet::new();
    for _ in 0..67 {
        let mut caller = Caller::secured(world.odmr()).await;
        caller.send(&login).await;
        logins.spawn(async move { caller.reply().await });
    }
    let said = logins.join_next().await.unwrap().unwrap();
    assert!(said.starts_with("454 4.7.0"), "{said}");
    let mut other = Caller::secured(world.odmr()).await;
    let first = "AUTH SCRAM-SHA-256 biwsbj1hZGEscj1meWtvK2Q=";
    other.talk(&[(first, "334"), ("*", "501"), ("NOOP", "250")]).await;
    *slow.0.open.lock().unwrap() = true;
    slow.0.opened.notify_all();
    while let Some(said) = logins.join_next().await {
        assert!(said.unwrap().starts_with("235"));
    }
    assert_eq!(slow.0.most.load(Ordering::SeqCst), 2);
    other.talk(&[(login.trim_end(), "235")]).await;
}

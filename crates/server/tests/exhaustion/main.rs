//! Running out of files. A process of its own, because the limit is the process's.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![expect(dead_code, reason = "the house has more rooms than this test uses")]

#[path = "../front/house.rs"]
mod house;
#[path = "../front/peer.rs"]
mod peer;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use house::{House, settings};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

#[test]
fn accepting_rests_while_there_are_no_files_and_goes_on_afterwards() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let house = House::new(settings());
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    setrlimit(Resource::RLIMIT_NOFILE, open + 20, hard).unwrap();
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(files.len() < 100, "the limit holds");
    // The last free one is for our end of the connection; the server's end finds none.
    files.pop();
    let mut stream = TcpStream::connect(house.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    let mut octets = [0; 64];
    let silent = stream.read(&mut octets).unwrap_err();
    assert!(matches!(silent.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silent}");
    drop(files);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let count = stream.read(&mut octets).unwrap();
    assert!(octets[..count].starts_with(b"220 mx2.example"));
}

//! What is told of requests and answers.

use std::sync::Mutex;

use restante_queue::DrainCause;
use restante_turn::Ledger;

use super::*;

#[derive(Default)]
struct Written(Mutex<Vec<String>>);

impl Ledger for Written {
    fn asked(&self, cause: DrainCause, queues: &mut dyn Iterator<Item = &Domain>) {
        let queues: Vec<&str> = queues.map(Domain::as_str).collect();
        self.0.lock().unwrap().push(format!("{cause} {}", queues.join(",")));
    }

    fn answered(&self, cause: DrainCause, code: u16) {
        self.0.lock().unwrap().push(format!("{cause} {code}"));
    }
}

#[test]
fn whoever_may_ask_is_told_of_whether_or_not_mail_waits_and_every_answer_is() {
    let house = House::new();
    let ledger = Arc::new(Written::default());
    let desk = TurnDesk::new(house.store.clone(), Arc::new(FakePrimaries::default()), settings());
    let desk = desk.with_ledger(ledger.clone());
    let told = || std::mem::take(&mut *ledger.0.lock().unwrap());
    let ask = |asker: &Asker, named: &[&str]| {
        let _ = desk.atrn(asker, names(named), house.now);
        told()
    };
    assert_eq!(ask(&account("customer"), &["a.example"]), ["atrn a.example", "atrn 250"]);
    assert_eq!(ask(&account("idle"), &[]), ["atrn empty.example", "atrn 453"], "nothing waits, and it asked");
    assert_eq!(ask(&account("customer"), &["theirs.example"]), ["atrn 450"], "who may not has not asked");
    assert_eq!(ask(&stranger(), &[]), ["atrn 530"]);
    let _ = desk.turn(&account("turner"));
    assert_eq!(told(), ["turn turn.example,turn2.example", "turn 250"]);
    let _ = desk.turn(&account("customer"));
    assert_eq!(told(), ["turn 502"]);
    let etrn = |asker: &Asker, domain: &str| {
        let _ = desk.etrn(asker, &EtrnTarget::Node(name(domain)), house.now);
        told()
    };
    assert_eq!(etrn(&account("customer"), "a.example"), ["etrn a.example", "etrn 253"]);
    assert_eq!(etrn(&account("customer"), "empty.example"), ["etrn empty.example", "etrn 251"]);
    assert_eq!(etrn(&account("customer"), "theirs.example"), ["etrn 459"]);
    assert_eq!(etrn(&stranger(), "asks.example"), ["etrn 530"]);
    house.hold("a.example");
    assert_eq!(
        etrn(&account("customer"), "a.example"),
        ["etrn a.example", "etrn 458"],
        "it asked all the same"
    );
}

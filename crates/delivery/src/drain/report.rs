//! What a drain did, in one line for `status`.

use super::Ending;
use crate::feed::Tally;

pub(super) fn sentence(ending: &Ending, tally: &Tally) -> String {
    let what = match ending {
        Ending::Misrouted(why) => return why.clone(),
        Ending::Unreached(trouble) => trouble.reply.to_string(),
        Ending::PutOff(reply) => format!("put off one message after the other: {reply}"),
        Ending::Through => match (&tally.stopped, &tally.trouble) {
            (Some(why), _) => why.clone(),
            (None, Some(reply)) => reply.to_string(),
            (None, None) if tally.delivered > 0 => return "delivered all".to_owned(),
            (None, None) => return "nothing was waiting".to_owned(),
        },
    };
    if tally.delivered == 0 { what } else { format!("delivered {}, then {what}", tally.delivered) }
}

#[cfg(test)]
mod tests {
    use restante_types::Reply;

    use super::*;
    use crate::drain::Trouble;

    #[test]
    fn every_ending_has_its_sentence() {
        let refused = Reply::new(450, (4, 4, 1), "connection refused by [192.0.2.1]:25");
        let unreached = Ending::Unreached(Trouble { reply: refused.clone(), ourselves: false });
        let none = Tally::default();
        let some = Tally { delivered: 3, ..Tally::default() };
        assert_eq!(sentence(&Ending::Through, &none), "nothing was waiting");
        assert_eq!(sentence(&Ending::Through, &some), "delivered all");
        assert_eq!(sentence(&unreached, &none), "450 4.4.1 connection refused by [192.0.2.1]:25");
        assert_eq!(
            sentence(&unreached, &some),
            "delivered 3, then 450 4.4.1 connection refused by [192.0.2.1]:25"
        );
        let deferred = Tally { deferred: 1, trouble: Some(refused), ..some.clone() };
        assert_eq!(sentence(&Ending::Through, &deferred), sentence(&unreached, &some));
        let stopped = Tally { stopped: Some("the domain was stopped".to_owned()), ..some };
        assert_eq!(sentence(&Ending::Through, &stopped), "delivered 3, then the domain was stopped");
        assert_eq!(sentence(&Ending::Misrouted("loop".to_owned()), &none), "loop");
    }
}

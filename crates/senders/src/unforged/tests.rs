use proptest::prelude::*;

use super::*;

fn filter(message: &[u8], step: usize) -> (Vec<u8>, u32) {
    let mut unforged = Unforged::new("mx2.example.net".parse().unwrap());
    let mut out = Vec::new();
    message
        .chunks(step.max(1))
        .for_each(|piece| unforged.pass(piece, |octets| out.extend_from_slice(octets)));
    unforged.end(|octets| out.extend_from_slice(octets));
    (out, unforged.removed())
}

const A: &str = "From: a@example.org\r\n";
const Z: &str = "Subject: x\r\n folded\r\n";
const BODY: &str = "\r\nAuthentication-Results: mx2.example.net; spf=pass\r\n\r\nbody\r\n";

/// Whether a field goes, whatever stands before and behind it and however the octets are cut.
fn goes(field: &str) -> bool {
    let mut verdicts = Vec::new();
    for (before, behind) in [("", ""), (A, ""), ("", Z), (A, Z)] {
        let message = format!("{before}{field}{behind}{BODY}");
        let gone = format!("{before}{behind}{BODY}");
        for step in (1..40).chain([message.len()]) {
            let (out, removed) = filter(message.as_bytes(), step);
            let out = String::from_utf8(out).unwrap();
            verdicts.push(match removed {
                0 if out == message => false,
                1 if out == gone => true,
                _ => panic!("{field:?} in pieces of {step}, {removed} removed: {out:?}"),
            });
        }
    }
    assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{field:?}");
    verdicts[0]
}

// [8601-5]
#[test]
fn what_claims_to_be_ours_goes() {
    for field in [
        "Authentication-Results: mx2.example.net; spf=pass\r\n",
        "Authentication-Results:mx2.example.net;spf=pass\r\n",
        "authentication-RESULTS : MX2.Example.NET; none\r\n",
        "Authentication-Results \t :\r\n\tmx2.example.net\r\n\t; spf=pass\r\n\tsmtp.mailfrom=x\r\n",
        "Authentication-Results: (a comment) mx2.example.net; none\r\n",
        "Authentication-Results:\x0c\x0bmx2.example.net\x0c; none\r\n",
        "Authentication-Results: (a (nested \\) one) mx1.example.net;) mx2.example.net 1; none\r\n",
        "Authentication-Results:\r\n (folded\r\n comment)\r\n mx2.example.net(after); none\r\n",
        "Authentication-Results: mx2.example.net 1; none\r\n",
        "Authentication-Results: mx2.example.net/1; none\r\n",
        "Authentication-Results: \"mx2.example.net\"; none\r\n",
        "Authentication-Results: \"mx2.\\example.net\" ; none\r\n",
        "Authentication-Results: mx2.example.net.; none\r\n",
        "Authentication-Results: mx2.example.net\r\n",
        "Authentication-Results: mx2.example.net\r\n \r\n\tspf=pass\r\n",
        "Authentication-Results: mx2.example.net; x=\"\u{fc}\u{1f600}\"\r\n",
        "Authentication-Results: mx2\u{3002}example.net; none\r\n",
        "Authentication-Results: \"mx2.example.net\r\n",
    ] {
        assert!(goes(field), "{field:?}");
    }
}

// [8601-5]
#[test]
fn what_is_somebody_elses_stays() {
    for field in [
        "Authentication-Results: mx1.example.net; spf=pass\r\n",
        "Authentication-Results: example.net; spf=pass\r\n",
        "Authentication-Results: a.mx2.example.net; spf=pass\r\n",
        "Authentication-Results: mx2.example.network; spf=pass\r\n",
        "Authentication-Results: (mx2.example.net) other.example; spf=pass\r\n",
        "Authentication-Results: other.example; x=mx2.example.net\r\n",
        "Authentication-Results: ; mx2.example.net\r\n",
        "Authentication-Results:\r\n",
        "Authentication-Results: (unclosed mx2.example.net; spf=pass\r\n",
        "Authentication-Results\r\n",
        "Authentication-Results mx2.example.net\r\n",
        "Authentication-Results-Original: mx2.example.net; spf=pass\r\n",
        "ARC-Authentication-Results: i=1; mx2.example.net; spf=pass\r\n",
        "X-Authentication-Results: mx2.example.net; spf=pass\r\n",
        "Authentication-Result: mx2.example.net; spf=pass\r\n",
        " Authentication-Results: mx2.example.net; a continuation\r\n",
        "A: b\r\n\tAuthentication-Results: mx2.example.net; a continuation\r\n",
        "Authentication-\u{fc}: mx2.example.net\r\n",
        "A\r\nAu\r\nAuth:\r\n",
    ] {
        assert!(!goes(field), "{field:?}");
    }
}

#[test]
fn many_go_and_the_rest_is_whole() {
    let forged = "Authentication-Results: mx2.example.net;\r\n spf=pass\r\n";
    let real = "Authentication-Results: mx1.example.net;\r\n spf=pass\r\n";
    let message = format!("{forged}{forged}{A}{real}{forged}{Z}{forged}{real}{forged}{BODY}{forged}");
    let expected = format!("{A}{real}{Z}{real}{BODY}{forged}");
    for step in 1..=message.len() {
        let (out, removed) = filter(message.as_bytes(), step);
        assert_eq!((String::from_utf8(out).unwrap().as_str(), removed), (expected.as_str(), 5), "by {step}");
    }
}

#[test]
fn a_message_may_end_anywhere() {
    let forged = "Authentication-Results: mx2.example.net; x";
    for end in 0..forged.len() {
        let (out, removed) = filter(&forged.as_bytes()[..end], 3);
        // As soon as the name stands there it goes.
        let gone = end >= forged.find(';').unwrap();
        assert_eq!((out.len(), removed), if gone { (0, 1) } else { (end, 0) }, "{end}");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    for filler in [" ", "(", "(x) ", "\r\n ", "\"", "a"] {
        for head in ["Authentication-Results:", "Authentication-Results"] {
            let mut unforged = Unforged::new("mx2.example.net".parse().unwrap());
            let (mut out, mut all) = (0, 0);
            for piece in [head].into_iter().chain(std::iter::repeat_n(filler, 100_000)) {
                unforged.pass(piece.as_bytes(), |octets| out += octets.len());
                all += piece.len();
                assert!(unforged.held.capacity() <= 2 * FIELD_KEPT && unforged.id.len() <= FIELD_KEPT);
            }
            unforged.end(|octets| out += octets.len());
            let passes = unforged.removed() == 0 && out == all;
            assert!(passes || unforged.removed() == 1 && out == 0, "{head}{filler:?}: {out} of {all}");
        }
    }
}

/// Lines that are likely to matter.
fn line() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "Authentication-Results",
        "authentication-results",
        ":",
        ": ",
        " ",
        "\t",
        "mx2.example.net",
        "mx1.example.net",
        ";",
        "(",
        ")",
        "\"",
        "\\",
        "x",
        "spf=pass",
        "\u{fc}",
        "From: a",
        "\r\n ",
        "/1",
        " 1",
    ]);
    prop::collection::vec(word, 0..7).prop_map(|words| format!("{}\r\n", words.concat()))
}

/// The fields of a header section, each with the lines that continue it.
fn split(section: &str) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for line in section.split_inclusive("\r\n") {
        match fields.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => fields.push(line.to_owned()),
        }
    }
    fields
}

proptest! {
    // Nothing changes but that whole fields of that name are missing.
    #[test]
    fn only_whole_fields_go(lines in prop::collection::vec(line(), 0..12), step in 1_usize..30) {
        let section: String = lines.concat();
        let end = format!("\r\n{section}").find("\r\n\r\n").map_or(section.len(), |at| at);
        let message = section.clone() + BODY;
        let (out, removed) = filter(message.as_bytes(), step);
        let out = String::from_utf8(out).unwrap();
        let (head, body) = message.split_at(end);
        let fields = split(head);
        prop_assert!(out.ends_with(body));
        let mut left = split(&out[..out.len() - body.len()]).into_iter().peekable();
        let mut missing = 0;
        for field in fields {
            if left.peek() == Some(&field) {
                left.next();
            } else {
                missing += 1;
                let name = field.split(':').next().unwrap().trim_end().to_ascii_lowercase();
                prop_assert_eq!(name, "authentication-results", "{}", field);
                prop_assert!(field.contains("mx2.example.net"), "{}", field);
            }
        }
        prop_assert_eq!((left.next(), missing), (None, removed));
    }

    #[test]
    fn any_octets_pass_alike_however_they_are_cut(message in prop::collection::vec(any::<u8>(), 0..200), step in 1_usize..30) {
        prop_assert_eq!(&filter(&message, step).0, &message);
    }
}

//! Guessing what was meant.

/// The longest text that is compared; longer ones are no slips of a key's name.
const LONGEST: usize = 40;

/// The candidate that most resembles `text`, if one is near enough to be meant: at most a third of it differs.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.chars().count() > LONGEST {
        return None;
    }
    let text = text.to_lowercase().replace('_', "-");
    let scored = candidates.into_iter().map(|candidate| (distance(&text, candidate), candidate));
    let (score, best) = scored.min_by_key(|(score, _)| *score)?;
    let longer = text.chars().count().max(best.chars().count());
    (score <= (longer / 3).max(1)).then_some(best)
}

/// Least number of insertions, deletions, replacements and swaps of neighbours that lead from one to the other
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let keys = ["retention", "retry", "primary", "tls-policy", "etrn-from"];
        for (text, meant) in [
            ("retentoin", Some("retention")),
            ("retension", Some("retention")),
            ("tls_policy", Some("tls-policy")),
            ("TLS-Policy", Some("tls-policy")),
            ("etrn-form", Some("etrn-from")),
            ("primry", Some("primary")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, keys), meant, "{text}");
        }
        assert_eq!(nearest(&"x".repeat(1_000_000), keys), None);
    }

    #[test]
    fn distances_are_symmetric_and_zero_for_equals() {
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!((distance("abc", "acb"), distance("acb", "abc")), (1, 1));
        assert_eq!((distance("", "abc"), distance("abc", "")), (3, 3));
    }
}

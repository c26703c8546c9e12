//! Redis' glob patterns: `*`, `?`, `[a-z]`, `[^a]` and `\` before a byte that stands for itself.

/// Whether `text` matches `pattern`.
///
/// Without recursion: after a mismatch the match goes on from the last `*`, one byte further in
/// the text, so that a hostile pattern costs at most the product of both lengths.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if let Some(&byte) = text.get(t) {
            if let Some(next) = match_one(pattern, p, byte) {
                p = next;
                t += 1;
                continue;
            }
        } else if p == pattern.len() {
            return true;
        }
        match star {
            Some((after, from)) if from < text.len() => {
                star = Some((after, from + 1));
                p = after;
                t = from + 1;
            }
            _ => return false,
        }
    }
}

/// The position behind the pattern element at `p` when that element matches `byte`.
fn match_one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => match_class(pattern, p + 1, byte),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte).then_some(p + 2),
        literal => (literal == byte).then_some(p + 1),
    }
}

/// `p` is behind the `[`. A class that is not closed ends with the pattern.
fn match_class(pattern: &[u8], mut p: usize, byte: u8) -> Option<usize> {
    let negated = pattern.get(p) == Some(&b'^');
    if negated {
        p += 1;
    }
    let mut found = false;
    loop {
        match pattern.get(p) {
            None => break,
            Some(b']') => {
                p += 1;
                break;
            }
            Some(b'\\') if p + 1 < pattern.len() => {
                found |= pattern[p + 1] == byte;
                p += 2;
            }
            Some(&low) => {
                if let (Some(b'-'), Some(&high)) = (pattern.get(p + 1), pattern.get(p + 2)) {
                    let (low, high) = if low <= high {
                        (low, high)
                    } else {
                        (high, low)
                    };
                    found |= (low..=high).contains(&byte);
                    p += 3;
                } else {
                    found |= low == byte;
                    p += 1;
                }
            }
        }
    }
    (found != negated).then_some(p)
}

/// The bytes that every match begins with.
pub fn literal_prefix(pattern: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::new();
    let mut rest = pattern;
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            b'*' | b'?' | b'[' => break,
            b'\\' => match tail.split_first() {
                Some((&escaped, tail)) => {
                    prefix.push(escaped);
                    rest = tail;
                    continue;
                }
                None => prefix.push(byte),
            },
            _ => prefix.push(byte),
        }
        rest = tail;
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a[bc]d", "acd", true),
            ("a[^bc]d", "acd", false),
            ("a[a-c]d", "abd", true),
            ("a[c-a]d", "abd", true),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
            ("**a", "bba", true),
            ("*ab*", "xxabyy", true),
            ("", "", true),
            ("", "a", false),
            ("[", "[", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(5000).as_bytes()));
    }

    #[test]
    fn the_literal_prefix_ends_at_the_first_wildcard() {
        assert_eq!(literal_prefix(b"user:1*"), b"user:1");
        assert_eq!(literal_prefix(b"us\\*r?"), b"us*r");
        assert_eq!(literal_prefix(b"*"), b"");
    }
}

//! Words for messages: lists of names, and the one that was probably meant.

/// "`a`, `b` and `c`".
pub(crate) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
    }
}

/// The name that is nearest to what was written, if one is near enough to have been meant.
pub(crate) fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (written.len() / 3).clamp(1, 3);
    names
        .into_iter()
        .map(|name| (distance(written, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters have to be put in, left out, replaced or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (at, row) in rows.iter_mut().enumerate() {
        row[0] = at;
    }
    for (at, first) in rows[0].iter_mut().enumerate() {
        *first = at;
    }
    for l in 1..=left.len() {
        for r in 1..=right.len() {
            let replaced = rows[l - 1][r - 1] + usize::from(left[l - 1] != right[r - 1]);
            let mut least = replaced.min(rows[l - 1][r] + 1).min(rows[l][r - 1] + 1);
            if l > 1 && r > 1 && left[l - 1] == right[r - 2] && left[l - 2] == right[r - 1] {
                least = least.min(rows[l - 2][r - 2] + 1);
            }
            rows[l][r] = least;
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, list, nearest};

    #[test]
    fn lists_read_as_english() {
        assert_eq!(list::<&str>(&[]), "");
        assert_eq!(list(&["a"]), "`a`");
        assert_eq!(list(&["a", "b"]), "`a` and `b`");
        assert_eq!(list(&["a", "b", "c"]), "`a`, `b` and `c`");
    }

    #[test]
    fn letters_are_put_in_left_out_replaced_and_swapped() {
        for (left, right, far) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("abc", "xabc", 1),
            ("abc", "abxc", 1),
            ("abc", "abx", 1),
            ("abc", "xyz", 3),
            ("ab", "ba", 1),
            ("abcd", "acbd", 1),
            ("abcd", "badc", 2),
            ("abc", "cba", 2),
            ("abc", "bca", 2),
            ("abab", "cbac", 2),
            ("abcd", "cdab", 4),
        ] {
            assert_eq!(distance(left, right), far, "{left} {right}");
            assert_eq!(distance(right, left), far, "{right} {left}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        let names = ["ttl", "lease", "on_running", "on_error"];
        assert_eq!(nearest("tll", names), Some("ttl"));
        assert_eq!(nearest("leese", names), Some("lease"));
        assert_eq!(nearest("on_runing", names), Some("on_running"));
        assert_eq!(nearest("onerror", names), Some("on_error"));
        assert_eq!(nearest("no_runing", names), Some("on_running"));
        assert_eq!(nearest("lse", names), None);
        assert_eq!(nearest("timeout", names), None);
    }
}

//! The machine's own apt sources, read so that a backports suite can be had from the same mirror.

/// The sources for a private apt configuration: the entries that carry the release `codename`, as
/// they stand, and each of them that is the main archive once more for the suite `extra`.
///
/// `sources` is the text of all `*.sources` files (deb822), `list` that of all `*.list` files.
/// Returns the text for one `.sources` and one `.list` file.
pub(crate) fn with_suite(
    sources: &str,
    list: &str,
    codename: &str,
    extra: Option<&str>,
) -> (String, String) {
    let mut stanzas = String::new();
    for stanza in stanzas_of(sources) {
        let Some(suites) = field(&stanza, "suites") else { continue };
        let disabled = field(&stanza, "enabled").is_some_and(|value| value == "no");
        let binary = field(&stanza, "types").is_some_and(|types| words_contain(&types, "deb"));
        if disabled || !binary || !suites.split_whitespace().any(|s| is_suite_of(s, codename)) {
            continue;
        }
        stanzas.push_str(&stanza);
        stanzas.push('\n');
        if let Some(extra) = extra.filter(|_| words_contain(&suites, codename)) {
            stanzas.push_str(&with_suites(&stanza, extra));
            stanzas.push('\n');
        }
    }
    let mut lines = String::new();
    for line in list.lines() {
        let line = line.trim().replace('\t', " ");
        let Some(suite) = suite_of_line(&line) else { continue };
        if !is_suite_of(suite, codename) {
            continue;
        }
        lines.push_str(&line);
        lines.push('\n');
        if let Some(extra) = extra.filter(|_| suite == codename) {
            lines.push_str(&line.replacen(&format!(" {suite} "), &format!(" {extra} "), 1));
            lines.push('\n');
        }
    }
    (stanzas, lines)
}

/// Splits deb822 text into stanzas, without comments; each ends with a newline.
fn stanzas_of(text: &str) -> Vec<String> {
    let mut stanzas = vec![String::new()];
    for line in text.lines() {
        if line.trim().is_empty() {
            stanzas.push(String::new());
        } else if let Some(last) = stanzas.last_mut().filter(|_| !line.starts_with('#')) {
            last.push_str(line);
            last.push('\n');
        }
    }
    stanzas.retain(|stanza| !stanza.is_empty());
    stanzas
}

/// The value of a field, its continuation lines joined. `name` is in lower case.
fn field(stanza: &str, name: &str) -> Option<String> {
    let mut value: Option<String> = None;
    for line in stanza.lines() {
        let continues = line.starts_with([' ', '\t']);
        match (&mut value, continues) {
            (Some(value), true) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (Some(_), false) => break,
            (None, true) => {}
            (None, false) => {
                let (key, rest) = line.split_once(':').unwrap_or((line, ""));
                if key.to_ascii_lowercase() == name {
                    value = Some(rest.trim().to_owned());
                }
            }
        }
    }
    value
}

/// The stanza with its `Suites` replaced; all else (mirror, components, key) stays.
fn with_suites(stanza: &str, suite: &str) -> String {
    let mut text = String::new();
    let mut dropping = false;
    for line in stanza.lines() {
        if line.starts_with([' ', '\t']) {
            if dropping {
                continue;
            }
        } else {
            dropping = line.to_ascii_lowercase().starts_with("suites:");
            if dropping {
                text.push_str("Suites: ");
                text.push_str(suite);
                text.push('\n');
                continue;
            }
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// The suite of a one-line entry `deb [options] uri suite components`.
fn suite_of_line(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    rest.split_whitespace().nth(1)
}

/// `bookworm`, `bookworm-updates` and `bookworm-security` are suites of `bookworm`.
fn is_suite_of(suite: &str, codename: &str) -> bool {
    suite == codename
        || suite.strip_prefix(codename).is_some_and(|rest| {
            ["-updates", "-security", "-security/updates", "/updates"].contains(&rest)
        })
}

fn words_contain(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|w| w == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "\
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: https://other.example/
Suites: nodistro
Components: main
";

    #[test]
    fn the_extra_suite_comes_from_the_mirror_and_key_of_the_release() {
        let (stanzas, _) = with_suite(DEBIAN, "", "bookworm", Some("bookworm-backports"));
        let added = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\n\
            Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
        assert!(stanzas.contains(added), "{stanzas}");
        assert_eq!(stanzas.matches("bookworm-backports").count(), 1, "{stanzas}");
        assert!(stanzas.contains("Suites: bookworm-security"), "{stanzas}");
        assert!(!stanzas.contains("other.example"), "{stanzas}");
    }

    #[test]
    fn without_an_extra_suite_the_entries_stay_as_they_are() {
        let (stanzas, lines) =
            with_suite(DEBIAN, "deb http://m.example/d bookworm main\n", "bookworm", None);
        assert!(!stanzas.contains("backports"));
        assert_eq!(lines, "deb http://m.example/d bookworm main\n");
    }

    #[test]
    fn one_line_entries_keep_their_options() {
        let list = "# deb http://no.example/ bookworm main\n\
            deb-src http://m.example/debian bookworm main\n\
            deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm main contrib\n\
            deb http://s.example/debian-security bookworm-security main\n\
            deb http://x.example/ stable main\n";
        let (_, lines) = with_suite("", list, "bookworm", Some("bookworm-backports"));
        assert_eq!(
            lines,
            "deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm main contrib\n\
            deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm-backports main contrib\n\
            deb http://s.example/debian-security bookworm-security main\n"
        );
    }

    #[test]
    fn a_disabled_stanza_is_left_out() {
        let text = "Enabled: no\nTypes: deb\nURIs: http://m.example/\nSuites: bookworm\n";
        assert_eq!(with_suite(text, "", "bookworm", Some("bookworm-backports")).0, "");
    }
}

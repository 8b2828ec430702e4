//! Fragments of session descriptions (RFC 8840 §9): a client's new ICE credentials, and ours in return.

use std::fmt::Write;

use sdp::session::Session;

/// `a=ice-ufrag` and `a=ice-pwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub ufrag: String,
    pub password: String,
}

impl Credentials {
    /// Reads those of a fragment, which has one pair of them. `None`: it has none, or what it has breaks RFC 8839 §5.4.
    #[must_use]
    pub fn parse(fragment: &str) -> Option<Self> {
        let ufrag = value(fragment, "a=ice-ufrag:")?;
        let password = value(fragment, "a=ice-pwd:")?;
        let fits = |text: &str, min: usize| {
            (min..=LEN_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        };
        let fits = fits(ufrag, UFRAG_LEN_MIN) && fits(password, PASSWORD_LEN_MIN);
        fits.then(|| Self { ufrag: ufrag.to_owned(), password: password.to_owned() })
    }

    /// Those of a whole description: everything is bundled, so that the first are everybody's.
    #[must_use]
    pub fn of(description: &Session) -> Option<Self> {
        let first = description.sections.first();
        let ufrag =
            first.and_then(|section| section.ice_ufrag.as_ref()).or(description.ice_ufrag.as_ref())?;
        let password = first.and_then(|section| section.ice_pwd.as_ref()).or(description.ice_pwd.as_ref())?;
        Some(Self { ufrag: ufrag.clone(), password: password.clone() })
    }

    /// The description with these in place of its own.
    #[must_use]
    pub fn put_into(&self, description: &str) -> String {
        let mut changed = String::with_capacity(description.len());
        for line in description.lines() {
            if line.starts_with("a=ice-ufrag:") {
                changed.push_str("a=ice-ufrag:");
                changed.push_str(&self.ufrag);
            } else if line.starts_with("a=ice-pwd:") {
                changed.push_str("a=ice-pwd:");
                changed.push_str(&self.password);
            } else {
                changed.push_str(line);
            }
            changed.push_str("\r\n");
        }
        changed
    }
}

/// What is new in an answer after an ICE restart: credentials and candidates, at its first section.
#[must_use]
pub fn of_answer(answer: &Session) -> Option<String> {
    let Credentials { ufrag, password } = Credentials::of(answer)?;
    let section = answer.sections.first()?;
    let mid = section.mid.as_deref().unwrap_or("0");
    let format =
        section.codecs.first().map_or_else(|| "0".to_owned(), |codec| codec.payload_type.to_string());
    let mut fragment = format!(
        "a=ice-lite\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\nm={} 9 {} {format}\r\na=mid:{mid}\r\n",
        section.kind.name(),
        section.protocol,
    );
    for candidate in &section.candidates {
        let _ = write!(fragment, "a=candidate:{candidate}\r\n"); // a String takes everything
    }
    fragment.push_str("a=end-of-candidates\r\n");
    Some(fragment)
}

fn value<'a>(fragment: &'a str, prefix: &str) -> Option<&'a str> {
    fragment.lines().find_map(|line| line.strip_prefix(prefix))
}

/// RFC 8839 §5.4
const UFRAG_LEN_MIN: usize = 4;
const PASSWORD_LEN_MIN: usize = 22;
const LEN_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "0123456789abcdefABCDEF";

    #[test]
    fn credentials_are_two_lines_of_the_rfcs_characters() {
        let fragment =
            |ufrag: &str, password: &str| format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
        for (name, fragment, fits) in [
            ("both", fragment("abcd", PASSWORD), true),
            ("the characters that are no letters", fragment("a+/b", PASSWORD), true),
            ("no password", "a=ice-ufrag:abcd\r\n".to_owned(), false),
            ("candidates only", "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n".to_owned(), false),
            ("a short ufrag", fragment("abc", PASSWORD), false),
            ("a short password", fragment("abcd", "0123456789"), false),
            ("a long ufrag", fragment(&"a".repeat(257), PASSWORD), false),
            ("a character that is not of ICE's", fragment("ab:d", PASSWORD), false),
        ] {
            assert_eq!(Credentials::parse(&fragment).is_some(), fits, "{name}");
        }
    }

    #[test]
    fn every_section_gets_the_new_credentials() {
        let credentials = Credentials { ufrag: "new1".to_owned(), password: PASSWORD.to_owned() };
        let offer = "v=0\r\na=ice-ufrag:old1\r\na=ice-pwd:old\r\nm=audio 9 X 0\r\na=ice-ufrag:old1\r\na=ice-pwd:old\r\n";
        let section = format!("a=ice-ufrag:new1\r\na=ice-pwd:{PASSWORD}\r\n");
        assert_eq!(credentials.put_into(offer), format!("v=0\r\n{section}m=audio 9 X 0\r\n{section}"));
    }

    #[test]
    fn an_answer_becomes_a_fragment_that_reads_back() {
        let answer = format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=rtpmap:111 opus/48000/2\r\na=ice-ufrag:ours\r\na=ice-pwd:{PASSWORD}\r\na=candidate:1 1 udp 1 192.0.2.1 7882 typ host\r\n"
        );
        let fragment = of_answer(&Session::parse(&answer).unwrap()).unwrap();
        let expected = Credentials { ufrag: "ours".to_owned(), password: PASSWORD.to_owned() };
        assert_eq!(Credentials::parse(&fragment), Some(expected));
        assert!(fragment.contains(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=candidate:1 1 udp 1 192.0.2.1 7882 typ host\r\n"
        ));
    }
}

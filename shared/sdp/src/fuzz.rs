//! The bodies of the fuzz targets: plain functions, so that tests replay the corpus.

use crate::limit;
use crate::session::Session;

/// Reads arbitrary bytes; what could be read can be written, and reads as the same again.
pub fn sdp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(session) = Session::parse(text) else {
        return;
    };
    let written = session.to_string();
    if written.len() > limit::LEN_BASE_MAX {
        return; // line ends and defaults may have carried it over a limit that held
    }
    let Ok(again) = Session::parse(&written) else {
        panic!("what was written cannot be read: {written}");
    };
    assert_eq!(again, without_ignored(session));
}

/// Candidates that were only counted are not written.
fn without_ignored(mut session: Session) -> Session {
    for section in &mut session.sections {
        section.candidates_ignored = 0;
    }
    session
}

//! The page at `/` in dev mode: join a room from a browser.
